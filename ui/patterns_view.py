"""The pieces of the page Patterns: controls, the map, the inspector of a head, and heads that meet conditions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ui import colours, controls, head_choice, link, page, sentences, session, set_jobs, state
from ui.jobs import Progress
from ui.pictures import picture
from ui.point_map.points import trimmed
from ui.results import patterns, patterns_query
from ui.results.heads import Text, pass_seconds, row_of, scene_ids, sites_of, subject_for

if TYPE_CHECKING:
    from analysis.clusters import Clusters
    from analysis.head_query import FoundHead, HeadTable
    from analysis.head_types import HeadTypes
    from analysis.patterns import AlignedMaps, PatternSummary
    from analysis.results import Embedding, HeadMatrix
    from model_adapters import Model, Site
    from ui.results.passport import Portraits

_PAGES = Path(__file__).resolve().parents[1] / "pages"
HEIGHT = 500
CARDS = 12
_PASSES = 8
"""A scene that is summed up costs about so many plain passes."""
_ACROSS = 6
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
        lambda _: patterns.placed(maps, codes, wanted.how, wanted.by),
        label=f"{_BY[wanted.by]} of {len(maps.heads)} heads; until then PCA",
        estimate=_SLOW[wanted.by],
        lane="long",
    )
    return made if made is not None else patterns.placed(maps, codes, wanted.how, "pca")


def type_sliders(found: Portraits) -> HeadTypes:
    """Thresholds of the types, and how many heads pass them."""
    import analysis

    method = analysis.find("head_types")
    names = [option.name for option in method.options]
    place = st.container()
    limits: dict[str, float] = {}
    for column, own in zip(st.columns(2), (names[:5], names[5:]), strict=True):
        with column:
            limits |= controls.for_method(method, prefix="limit-", without=[name for name in names if name not in own])
    types = patterns.typed(found, limits)
    place.markdown(" · ".join(f"**{count}** {name}" for name, count in patterns.counts(types).items()))
    st.caption("A type is a cut through a continuum. 0 is what even attention would give, 1 all of it.")
    return types


def group_controls(codes: PatternSummary) -> Clusters | None:
    """Groups of like patterns, and how far they can be believed."""
    how: Any = controls.pick("groups-by", "Groups by", ("k-means", "density"))
    if how == "k-means":
        size = controls.slide("groups", "Groups (0: the number best apart)", 0, 12, 0, step=1)
    else:
        size = controls.slide("smallest", "Smallest group", 2, 12, 4, step=1)
    if len(codes.codes) < max(3, size):
        st.caption(f"Too few heads for groups: {len(codes.codes)}.")
        return None
    found = patterns.grouped(codes.codes, how, size)
    st.markdown(_silhouette(found))
    if len(found.tried) > 1:
        from ui.figures import draw

        st.plotly_chart(draw(found).update_layout(height=190), key="silhouettes", width="stretch")
    return found


def _silhouette(found: Clusters) -> str:
    count, alone = len(found.exemplars), int((found.labels < 0).sum())
    lonely = f", {alone} heads in none" if alone else ""
    if np.isnan(found.silhouette):
        return f"**{count}** group{'s' if count != 1 else ''}{lonely}: nothing to hold apart."
    verdict = "well apart" if found.silhouette >= 0.5 else "hardly apart" if found.silhouette >= 0.25 else "no groups to speak of"
    return f"**{count}** groups{lonely}, silhouette **{found.silhouette:.2f}**: {verdict}."


def show_map(
    asked: Asked, maps: AlignedMaps, places_by: Embedding, types: HeadTypes, clusters: Clusters | None, wanted: Wish,
    marked: np.ndarray | None,
) -> list[patterns.Place]:  # fmt: skip
    """The map of all heads; the heads inside the drawn loop."""
    from ui.head_map import head_map
    from ui.point_map import point_map

    places = patterns.places_of(maps.heads, asked.sites)
    shown = head_map(maps, places_by, places, types, by=wanted.colouring, clusters=clusters)
    own = own_place(asked)
    told = point_map(
        shown,
        key="head-map",
        chosen=places.index(own) if own in places else -1,
        marked=marked,
        height=HEIGHT,
        on_choose=lambda item: state.choose(layer=places[item].row, head=places[item].head),
    )
    return [places[item] for item in told.picked]


def own_place(asked: Asked) -> patterns.Place:
    """The chosen head, or the nearest that exists."""
    site, head = head_choice.chosen_head(asked.model, asked.tower)
    return patterns.Place(row_of(asked.sites, site) or 0, head)


def send(heads: list[patterns.Place], key: str, note: str) -> None:
    """A set of heads, and the way on to the page that takes them out."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(note)
        if st.button("Send to Prune", key=key, icon=":material/content_cut:", disabled=not heads):
            state.choose(heads=tuple((place.row, place.head) for place in heads))
            st.switch_page(_PAGES / "change" / "prune.py")


def inspect(asked: Asked, maps: AlignedMaps, types: HeadTypes, codes: PatternSummary) -> None:
    """The chosen head: its pattern, its numbers against the thresholds, its type and why."""
    place = own_place(asked)
    st.subheader(str(place).capitalize(), anchor=False)
    places = patterns.places_of(maps.heads, asked.sites)
    row = row_of(types.sites, asked.sites[place.row])
    if place not in places or row is None:
        st.caption("Its attention leads between no two patches that lie on the picture, so it has no pattern.")
        return
    number = places.index(place)
    parts = str(types.parts[row, place.head]).split(" + ")
    dy, dx = (int(step) for step in types.measures.offsets[row, place.head])
    kind = str(types.types[row, place.head])
    told = sentences.looks(kind, parts, (dy, dx))
    st.markdown(f":material/sell: **{' + '.join(parts)}**: it {told}.")
    left, right = st.columns([2, 3], vertical_alignment="center")
    left.image(pattern_image(maps.values[number]), width="stretch")
    right.caption(f"{_strongest(maps.values[number])} {_left_out(codes, number)}")
    st.html(bars_against(types, row, place.head))
    head_choice.link("heads/passport", "Its passport", "badge")


def _left_out(codes: PatternSummary, number: int) -> str:
    return f"{codes.codes.shape[1]} numbers leave out {sentences.share(float(codes.error[number]))} of it."


def _strongest(pattern: np.ndarray) -> str:
    y, x = np.unravel_index(int(np.nanargmax(pattern)), pattern.shape)
    where = sentences.offset(int(y) - pattern.shape[0] // 2, int(x) - pattern.shape[1] // 2)
    return f"The query is in the middle. Brightest: {np.nanmax(pattern):.1%} {where}.".replace("%", " %")


def pattern_image(pattern: np.ndarray, side: int = 264) -> np.ndarray:
    """[side, side, 4] uint8: a pattern in the colours of attention, its largest number brightest; the query is outlined."""
    pattern = trimmed(pattern)
    table = np.array([[int(c[n : n + 2], 16) for n in (1, 3, 5)] for c in colours.sequential(256)], np.uint8)
    share = np.nan_to_num(pattern) / max(float(np.nanmax(pattern)), 1e-12)
    picture = np.concatenate([table[np.rint(share * 255).astype(int)], np.full((*pattern.shape, 1), 255, np.uint8)], -1)
    picture[np.isnan(pattern)] = (128, 128, 128, 40)
    zoom = max(1, round(side / max(pattern.shape)))
    large = picture.repeat(zoom, 0).repeat(zoom, 1)
    top, left = ((n // 2) * zoom for n in pattern.shape)
    box = large[top : top + zoom, left : left + zoom]
    for edge in (box[:1], box[-1:], box[:, :1], box[:, -1:]):
        edge[...] = 255
    return large


def bars_against(types: HeadTypes, row: int, head: int) -> str:
    """All measures of a head as bars, each with its threshold."""
    limits = dict(types.thresholds)
    lines = []
    for name, value in zip(types.measures.names, types.measures.values[row, head], strict=True):
        if np.isnan(value):
            continue
        passed, width = value >= limits[name], 100 * float(np.clip(value, 0, 1))
        shade = colours.colour_of(name) if passed else colours.NEUTRAL
        lines.append(
            f"<div style='display:flex;align-items:center;gap:6px;font-size:.8rem;line-height:1.45'>"
            f"<span style='width:4.3em'>{'<b>' if passed else ''}{name}{'</b>' if passed else ''}</span>"
            f"<span style='position:relative;flex:1;height:.7em;background:{colours.FAINT};border-radius:3px'>"
            f"<span style='position:absolute;inset:0 auto 0 0;width:{width:.0f}%;background:{shade};border-radius:3px'></span>"
            f"<span title='threshold {limits[name]:.2f}' style='position:absolute;top:-2px;bottom:-2px;"
            f"left:{100 * limits[name]:.0f}%;width:2px;background:currentColor'></span></span>"
            f"<span style='width:2.4em;text-align:right'>{_number(value)}</span></div>"
        )
    return "".join(lines)


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


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


def query(table: HeadTable) -> tuple[FoundHead, ...]:
    """The line of conditions, and the heads that meet them all."""
    offered = patterns_query.suggestions(table.names)
    first = "on object: top 10 %" if "on object: top 10 %" in offered else "distance: bottom 10 %"
    link.begin("find", [first], lambda text: [part for part in text.split(",") if part])
    texts = st.multiselect(
        "Conditions", list(dict.fromkeys([*offered, *st.session_state["find"]])), key="find", accept_new_options=True,
        label_visibility="collapsed", placeholder="local, importance: top 10 %, on object > 1.5 …", persist_state="session",
    )  # fmt: skip
    link.keep("find", texts, [first])
    st.caption(f"All of them must be met. Write your own: a type, a bound, a share. Numbers: {', '.join(table.names)}.")
    try:
        return patterns_query.found(table, texts) if texts else ()
    except ValueError as error:
        st.warning(str(error), icon=":material/help:")
        return ()


def cards(asked: Asked, maps: AlignedMaps, heads: tuple[FoundHead, ...]) -> None:
    """Found heads with their evidence; a click chooses one."""
    by_place = dict(zip(patterns.places_of(maps.heads, asked.sites), maps.values, strict=True))
    own = patterns.places_of([(head.site, head.head) for head in heads], asked.sites)
    shown = range(min(len(heads), CARDS))
    for start in shown[::_ACROSS]:
        for column, number in zip(st.columns(_ACROSS, gap="small"), shown[start : start + _ACROSS], strict=False):
            with column.container(border=True):
                _card(own[number], heads[number], by_place.get(own[number]))
    if len(heads) > CARDS:
        st.caption(f"And {len(heads) - CARDS} more; “Send to Prune” takes all of them.")


def _card(place: patterns.Place, head: FoundHead, pattern: np.ndarray | None) -> None:
    if pattern is not None:
        st.image(pattern_image(pattern, 120), width=96)
    evidence = [f"{name} {value:.2f}" for name, value in head.evidence] or [f"confidence {sentences.share(head.confidence)}"]
    st.markdown("  \n".join([f"**{head.type}**", *evidence]))
    st.button(
        str(place).capitalize(), key=f"card-{place.row}-{place.head}", width="stretch",
        on_click=state.choose, kwargs={"layer": place.row, "head": place.head},
    )  # fmt: skip


def under_map(
    asked: Asked, maps: AlignedMaps, codes: PatternSummary, at: Embedding, wanted: Wish, picked: list[patterns.Place]
) -> None:
    """What the map leaves out, and what was gathered on it."""
    from ui.figures import draw

    if picked:
        names = "; ".join(str(place) for place in picked[:4]) + (" …" if len(picked) > 4 else "")
        send(picked, "send-picked", f"{len(picked)} heads in the loop: {names}")
        return
    plane = "" if at.explained is None else f" The plane keeps {sentences.share(at.explained)} of what differs;"
    text, menu = st.columns([9, 1])
    text.caption(
        f"A tile is a head: its mean attention around the query over {maps.images} scenes.{plane} {codes.codes.shape[1]} numbers "
        f"per head leave out {sentences.share(codes.total_error)}. Draw a loop to gather heads; ctrl and wheel to zoom."
    )
    with menu:
        page.take_away(codes, draw(codes), key="patterns", title="Patterns of heads", snippet=_snippet(asked, wanted))


def _snippet(asked: Asked, wanted: Wish) -> str:
    from ui.results.set_snippet import set_snippet

    name, weights = asked.key[:2]
    summary = f"pattern_pca.function(maps, components={wanted.size})"
    if wanted.how == "autoencoder":
        summary = f"pattern_autoencoder.function(maps, latent={wanted.size}).summary"
    lines = [
        f"maps = analysis.patterns.aligned_maps(captures, tower={asked.tower!r}, value={wanted.value!r})",
        f"shown = analysis.METHODS[{summary.partition('.')[0]!r}].{summary.partition('.')[2]}",
    ]
    return set_snippet(name, weights, asked.text, asked.ids, lines)
