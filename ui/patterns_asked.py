"""What the page Patterns asks for: its controls, and the results that answer them, each made once in the background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import controls, session, set_jobs
from ui.jobs import Progress
from ui.pictures import picture
from ui.results import patterns
from ui.results.heads import Text, pass_seconds, scene_ids, sites_of, subject_for

if TYPE_CHECKING:
    from analysis.patterns import AlignedMaps, PatternSummary
    from analysis.results import Embedding, HeadMatrix
    from model_adapters import Model, Site
    from ui.results.passport import Portraits

_PASSES = 8
"""A scene that is summed up costs about so many plain passes."""
_SLOW = {"umap": "compiling and fitting: about 20 s the first time", "t-sne": "a few seconds"}
_VALUES = {"strength": "mean weight of a pair", "mass": "share of attention"}
_BY = {"pca": "PCA", "umap": "UMAP", "t-sne": "t-SNE"}


@dataclass(frozen=True)
class Wish:
    """What the controls say."""

    ids: tuple[str, ...]
    by: Any
    colouring: Any
    value: Any
    how: Any
    size: int


@dataclass(frozen=True, eq=False)
class Asked:
    """One tower of one model over a set of scenes: what all parts of the page are about."""

    model: Model
    key: tuple
    """Names it in the keys of jobs."""
    tower: str
    text: Text
    ids: tuple[str, ...]

    @property
    def sites(self) -> tuple[Site, ...]:
        """Rows of the tower's head matrix."""
        return sites_of(self.model, self.tower)


def wish() -> Wish:
    """The row of controls."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        count = controls.pick(
            "pattern-scenes", "Scenes", (8, 16, 32, 64), default=16, help="Patterns are means over so many drawn scenes."
        )
        by = controls.pick(
            "pattern-by", "Places by", tuple(_BY), format=lambda each: _BY[each], help="Heads with like patterns lie together."
        )
        colouring = controls.pick("frames", "Frames tell", ("type", "group", "layer"))
        with st.popover("Summary", icon=":material/compress:", help="What a pattern is, and how it becomes a few numbers."):
            value = controls.pick("pattern", "Patterns show", tuple(_VALUES), format=lambda each: _VALUES[each])
            st.caption("Far offsets have few pairs, so shares fade with distance even where a head looks everywhere alike.")
            how = controls.pick("summary", "By", ("pca", "autoencoder"), format=lambda each: "PCA" if each == "pca" else each)
            size = controls.slide("summary-numbers", "Numbers per head", 2, 32, 8, step=1)
    return Wish(scene_ids(count), by, colouring, value, how, size)


def portraits(asked: Asked) -> Portraits:
    """What all heads do over the set; the page stops until it is known."""

    def make(progress: Progress) -> Portraits:
        from ui.results.passport import portraits as made

        return made(asked.model, asked.ids, asked.text, asked.tower, progress)

    seconds = _first_look(asked)
    found: Any = set_jobs.begin(
        ("portraits", *asked.key), make, label=f"Looking at {len(asked.ids)} scenes", what=f"{len(asked.ids)} scenes",
        seconds=_PASSES * seconds * len(asked.ids), button="Look at them",
    )  # fmt: skip
    if found is None:
        st.stop()
    return found


def _first_look(asked: Asked) -> float:
    """Seconds of one plain pass; a tower without patches is refused here."""

    def make(progress: Progress) -> tuple[float, bool]:
        subject = subject_for(asked.model, picture(asked.ids[0]), asked.text)
        return pass_seconds(subject), patterns.has_patterns(asked.model, subject, asked.tower)

    seconds, able = session.get(("first look", *asked.key[:4]), make, label="Running the model once")
    if not able:
        st.info(
            f"A pattern is attention between patches around the one that asks. In the {asked.tower} tower of {asked.model.name} "
            "no patches attend to each other. Another tower or model works, such as bundled:vit.",
            icon=":material/info:",
        )
        st.stop()
    return seconds


def maps_of(asked: Asked, found: Portraits, wanted: Wish) -> AlignedMaps:
    """The patterns as shares, as they were summed up, or as mean weights of pairs."""
    if wanted.value == "mass":
        return found.maps
    first = picture(asked.ids[0])
    return session.get(
        ("patterns-maps", *asked.key),
        lambda _: patterns.of_pairs(asked.model, found.maps, first, asked.text),
        label="Averaging patterns",
    )


def summary(asked: Asked, maps: AlignedMaps, wanted: Wish) -> PatternSummary:
    """Each pattern as a few numbers."""
    key = ("patterns-summary", *asked.key, wanted.value, wanted.how, wanted.size)
    return session.get(key, lambda _: patterns.summarised(maps, wanted.how, wanted.size), label="Summing up patterns")


def embedding(asked: Asked, maps: AlignedMaps, codes: PatternSummary, wanted: Wish) -> Embedding:
    """Places on the map: by PCA at once, by others when they are there."""
    if wanted.by == "pca":
        return patterns.placed(maps, codes, wanted.how, "pca")
    made = session.part(
        ("patterns-places", *asked.key, wanted.value, wanted.how, wanted.size if wanted.how != "pca" else 0, wanted.by),
        lambda progress: patterns.placed(maps, codes, wanted.how, wanted.by, progress.step),
        label=f"{_BY[wanted.by]} of {len(maps.heads)} heads; until then PCA",
        estimate=_SLOW[wanted.by],
        lane="long",
    )
    return made if made is not None else patterns.placed(maps, codes, wanted.how, "pca")


def importances(asked: Asked) -> HeadMatrix | None:
    """How much each head matters, once it is known; the rest of the page does not wait for it."""
    if reason := _why_no_importance(asked):
        st.caption(f"Importance is not known here: {reason}")
        return None
    return session.part(
        ("patterns-importance", *asked.key),
        lambda progress: patterns.importance(asked.model, asked.ids, asked.text, asked.tower, progress),
        label="Importance of every head",
        estimate="one pass forth and back per scene",
    )


def _why_no_importance(asked: Asked) -> str:
    return subject_for(asked.model, picture(asked.ids[0]), asked.text).refusals.get("gradients", "")
