"""What is asked on the page Importance, and the importances that answer it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import controls, link, pickers, session, set_jobs
from ui.jobs import Progress
from ui.pictures import Picture

if TYPE_CHECKING:
    from model_adapters import Model, Subject
    from ui.results.importance_metrics import Importances
    from ui.results.spoken import Spoken

ONE, SET = "picture", "scenes"
WORD = "said"
"""In the link: the number of the word of the answer."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What the controls say."""

    model: Model
    names: tuple[str, str]
    """Model's name and weights."""
    picture: Picture
    subject: Subject
    """Of a model that writes: with the answer up to the chosen word."""
    spoken: Spoken | None
    """What a model that writes answers; its words can be chosen."""
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
        where = self.scenes if self.over_set else (self.picture.key, self.label, *self.subject.said)
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

    start, text = session.subject(name, weights, picture), pickers.text(model)
    which = (name, weights, picture.key, text)
    spoken = _spoken(start, which)
    subject, label = _at_word(start, spoken, which)

    def begin(progress: Progress) -> tuple[Any, float]:
        return (subject.scores if subject.classes else 0), pass_seconds(subject)

    key = ("first answer", *which, subject.said)
    scores, seconds = session.get(key, begin, label="Running the model once")
    if label is None:
        label = pickers.target_index(model, scores)
    tower, cheap = pickers.tower(model), metrics.CHEAP[0].name
    return Asked(
        model, (name, weights), picture, subject, spoken, tower, text, label, False, 0, metrics.SHOWN, cheap, seconds
    )  # fmt: skip


def _spoken(subject: Subject, key: tuple) -> Spoken | None:
    """The answer of a model that writes."""
    if subject.kind != "lvlm":
        return None

    def make(progress: Progress) -> Spoken:
        from ui.results.spoken import spoken

        return spoken(subject, progress)

    return session.get(("spoken", *key), make, label="Answering the question")


def _at_word(subject: Subject, spoken: Spoken | None, key: tuple) -> tuple[Subject, int | None]:
    """The model in front of the chosen word, and the word's token; None: what is about the next token, whichever it is."""
    if spoken is None or not spoken.words:
        return subject, None
    link.begin(WORD, 0, link.number(0, None, True), lambda number: number < len(spoken.words))
    number = st.session_state[WORD]
    before = spoken.before(number)

    def make(progress: Progress) -> Subject:
        return subject.after(before)

    return session.get(("in front of a word", *key, before), make, label="Reading the answer"), spoken.token(number)


def word(asked: Asked) -> None:
    """The word of the answer that importances are about; a model that writes no answer here says why."""
    spoken = asked.spoken
    if spoken is None:
        return
    if not spoken.words:
        st.caption("About the next token.", help=spoken.reason or "The answer holds no word.")
        return
    number = st.selectbox(
        "Word of the answer", range(len(spoken.words)), key=WORD, format_func=spoken.title, persist_state="session",
        help="Importances are about the log-probability of this word where it stands, after what was said before it. "
        "Of a word of several tokens the first counts.",
    )  # fmt: skip
    link.keep(WORD, number, 0)


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
            with st.container(width=175 if start.spoken is not None else 90):
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

    if asked.spoken is not None:
        word(asked)
        return
    share = float(softmax(asked.subject.scores)[asked.label])
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
