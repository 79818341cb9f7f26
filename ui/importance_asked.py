"""What is asked on the page Importance, and the importances that answer it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import controls, pickers, session, set_jobs
from ui.jobs import Progress
from ui.pictures import Picture

if TYPE_CHECKING:
    from model_adapters import Model, Subject
    from ui.results.importance_metrics import Importances

ONE, SET = "picture", "scenes"


@dataclass(frozen=True, eq=False)
class Asked:
    """What the controls say."""

    model: Model
    names: tuple[str, str]
    """Model's name and weights."""
    picture: Picture
    subject: Subject
    tower: str
    text: Any
    label: int
    over_set: bool
    scenes: int
    shown: tuple[str, ...]
    against: str
    seconds: float
    """Of one plain pass."""

    @property
    def key(self) -> tuple:
        """What importances depend on."""
        where = self.scenes if self.over_set else (self.picture.key, self.label)
        return (*self.names, self.text, self.tower, where)

    @property
    def heads(self) -> int:
        """How many heads the tower has."""
        from ui.results.heads import sites_of

        return sum(site.heads for site in sites_of(self.model, self.tower))

    @property
    def ids(self) -> tuple[str, ...]:
        """The scenes of the set."""
        from ui.results.heads import scene_ids

        return scene_ids(self.scenes)


def of_picture(model: Model, name: str, weights: str, picture: Picture) -> Asked:
    """What is asked of one picture, without any controls."""
    from ui.results import importance_metrics as metrics
    from ui.results.heads import pass_seconds

    subject = session.subject(name, weights, picture)
    text = pickers.text(model)

    def begin(progress: Progress) -> tuple[Any, float]:
        return (subject.scores if subject.classes else 0), pass_seconds(subject)

    key = ("first answer", name, weights, picture.key, text)
    scores, seconds = session.get(key, begin, label="Running the model once")
    label = pickers.target_index(model, scores)
    tower, cheap = pickers.tower(model), metrics.CHEAP[0].name
    return Asked(model, (name, weights), picture, subject, tower, text, label, False, 0, metrics.SHOWN, cheap, seconds)


def asked(model: Model, name: str, weights: str, picture: Picture) -> Asked:
    """Draw the controls, in one row."""
    from ui.results import importance_metrics as metrics

    start = of_picture(model, name, weights, picture)
    if reason := start.subject.refusals.get("logits"):
        st.info(f"Importance is about an answer. {reason} A model with a classifier works.", icon=":material/block:")
        st.stop()
    titles = {name: metric.title for name, metric in metrics.BY_NAME.items()}
    cheap_ones = [metric.name for metric in metrics.CHEAP]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        is_set = controls.pick("over", "Importance on", (ONE, SET)) == SET
        if is_set:
            with st.container(width=150):
                scenes = controls.slide("scenes", "Scenes", 8, 128, 24, step=8)
        else:
            scenes = 0
            _answer(start)
        with st.container(width="stretch"):
            names = controls.pick_many(
                "metrics", "Side by side", list(titles), default=metrics.SHOWN, most=3, format=titles.__getitem__
            )
        with st.container(width=215):
            cheap = controls.pick("against", "Against the exact", cheap_ones, format=titles.__getitem__)
    return replace(start, over_set=is_set, scenes=scenes, shown=tuple(names or metrics.SHOWN), against=cheap)


def _answer(asked: Asked) -> None:
    from scipy.special import softmax

    from ui.results.heads import name_of
    from ui.sentences import probability

    share = float(softmax(asked.subject.scores)[asked.label])
    with st.container(width=90, gap="small"):
        st.caption("The answer")
        st.markdown(f"**{name_of(asked.model, asked.text, asked.label)}** {probability(share)}")


def found(asked: Asked) -> Importances | None:
    """The importances: of one picture the cheap ones come first, the exact ones follow."""
    from ui.results import importance

    model, subject = asked.model, asked.subject
    seconds = importance.exact_seconds(model, asked.tower, asked.seconds)
    heads = asked.heads
    if asked.over_set:

        def whole(progress: Progress) -> Importances:
            return importance.over_scenes(model, asked.ids, asked.text, asked.tower, progress)

        return set_jobs.begin(
            ("importance", "set", *asked.key), whole, label="Silencing every head, scene by scene",
            what=f"{asked.scenes} scenes, {heads} heads each", button="Start",
            seconds=asked.scenes * (seconds + 6 * asked.seconds),
        )  # fmt: skip

    def cheap(progress: Progress) -> Importances:
        return importance.cheap(model, subject, asked.label, asked.tower)

    def exact(progress: Progress) -> Importances:
        return importance.exact(model, subject, asked.label, asked.tower, progress.step)

    first = session.get(("importance", "cheap", *asked.key), cheap, label="One backward pass for the cheap metrics")
    second = set_jobs.begin(
        ("importance", "exact", *asked.key), exact, label="Silencing each head in turn",
        what=f"{heads} heads", seconds=seconds, button="Silence each head",
    )  # fmt: skip
    return first if second is None else first.together(second)
