"""What the page Truth asks for: signals, what they are held against, and the score that puts them together."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import controls, session, set_jobs
from ui.jobs import Progress
from ui.take_away import seen

if TYPE_CHECKING:
    import numpy as np

    from analysis.signals import CombinedScore
    from ui.asking import Question
    from ui.results.answering import Answered
    from ui.results.triage import Triage
    from ui.results.truth import Known, Places, Signals, Truth
    from world.signal_reference import Reference

_OWN_SCORE, _LABELLED, _TRIAGED = "own combined score", "labelled pictures", "labelled triage"
WORLD, OWN = "world", "own"


@dataclass(frozen=True, eq=False)
class Judge:
    """What words are held against, and how they are doubted."""

    reference: Reference | None
    score: CombinedScore | None
    by: str
    wide: bool
    """Whether every word is underlined, not only those that name things."""

    def doubts(self, found: Signals) -> np.ndarray:
        """[W] 0 to 1."""
        from ui.results.truth import doubts

        return doubts(found, self.by, self.score, self.reference)


def signals(question: Question, answered: Answered) -> Signals:
    """All signals of the answer; the page stops until they are there."""

    def cost(progress: Progress) -> float:
        from ui.results.truth import seconds_for

        return seconds_for(answered)

    def make(progress: Progress) -> Signals:
        from ui.results.truth import signals_of

        return signals_of(answered, progress.check, film=question.film)

    from world.signal_evidence import PASSES

    seconds = session.get(("signals cost", question), cost, label="Timing one pass")
    found: Any = set_jobs.begin(
        ("signals", question), make, label="Looking at the answer in other ways", what=f"{PASSES} passes", seconds=seconds,
        button="Measure the signals",
    )  # fmt: skip
    if found is None:
        st.stop()
    return found


def labelled() -> dict[str, Known]:
    """Pictures of folders with annotations that were opened in this visit, by their key."""
    return st.session_state.setdefault(_LABELLED, {})


def verdicts(answered: Answered) -> tuple[Known | None, dict[int, Truth]]:
    """What is known of the picture, and which words are right or wrong. Of several pictures nobody says which is meant."""
    from ui.results.truth import known_of, truth_of

    known = known_of(answered.pictures[0], labelled()) if len(answered.pictures) == 1 else None
    return known, truth_of(answered.answer, answered.text, known)


def references(name: str, weights: str) -> dict[str, Reference]:
    """What words of this model can be held against."""
    from world.signal_reference import reference

    found = {}
    in_world = reference(name) if weights == "pretrained" else None
    if in_world is not None:
        found[WORLD] = in_world
    own = own_triage(name, weights)
    if own is not None:
        try:
            found[OWN] = own.reference()
        except ValueError:
            # The triage says so, beside its list.
            return found
    return found


def remember(found: Triage, name: str, weights: str) -> None:
    """Note a triage of labelled pictures, so that its words can be held against others; the page begins anew with it."""
    if own_triage(name, weights) is not found:
        st.session_state[_TRIAGED] = (name, weights, found)
        st.rerun()


def own_triage(name: str, weights: str) -> Triage | None:
    """The labelled triage of this model that was made last in this visit."""
    held = st.session_state.get(_TRIAGED)
    return held[2] if held is not None and held[:2] == (name, weights) else None


def own_score(name: str) -> CombinedScore | None:
    """The score that was fitted or opened in this visit, if it is of this model."""
    held = st.session_state.get(_OWN_SCORE)
    return held if held is not None and held.model == name else None


def use_score(score: CombinedScore | None) -> None:
    """Take a score, or the one of the world again."""
    st.session_state[_OWN_SCORE] = score


def opened_score(data: bytes, name: str, model: str, known: Mapping[str, str]) -> CombinedScore:
    """A score from a file; refused where it is no score, of another model, or of signals that do not exist."""
    from analysis.signals import CombinedScore

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (Path(name).name or "score.json")
        path.write_bytes(data)
        score = CombinedScore.load(path)
    if unknown := sorted(set(score.names) - set(known)):
        raise ValueError(f"{name} weighs signals that do not exist here: {unknown[:3]}. There are {sorted(known)}.")
    if score.model != model:
        other = score.model or "a model without a name"
        raise ValueError(f"{name} was fitted on {other}; signals of {model} lie on other scales.")
    return score


def saved_score(score: CombinedScore) -> bytes:
    """A score as a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "score.json"
        score.save(path)
        return path.read_bytes()


def judge(found: Signals, name: str, weights: str) -> Judge:
    """The controls that say what words are held against and what makes them doubtful."""
    from ui.results.truth import BEST_ALONE, COMBINED, titles, usable
    from world.signal_reference import world_score

    known = references(name, weights)
    score = own_score(name) or (world_score(name) if WORLD in known else None)
    named, against = titles(), next(iter(known), "")
    options = [COMBINED] * usable(score, found.names) + list(found.names)
    start = COMBINED if COMBINED in options else BEST_ALONE if BEST_ALONE in options else options[0]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        with st.container(width=300):
            by = controls.pick(
                "doubt", "The line below a word tells", options, default=start,
                format=lambda each: named.get(each, "Combined score"),
                help="What makes a word doubtful: all signals together, or one alone.",
            )  # fmt: skip
        if len(known) > 1:
            told = {WORLD: "the small world", OWN: "my labelled pictures"}
            against = controls.pick("against", "Held against", tuple(known), format=lambda each: told[each])
        wide = not known and score is None
        if not wide:
            wide = controls.flag(
                "every-word", "Below every word",
                help="The words that others are held against all name things. Of “a” or “with” their numbers say little.",
            )  # fmt: skip
    return Judge(known.get(against), score, by, wide)


def places(found: Signals, index: int, judged: Judge) -> Places | None:
    """The signals of one word among those of other words."""
    from ui.results.truth import places as placed

    return None if judged.reference is None else placed(found, index, judged.reference)


def note(answered: Answered, found: Signals, judged: Judge, verdicts: Mapping[int, Truth]) -> None:
    """Remember the signals of every word, so that a session holds them with the answer."""

    def doubts() -> Any:
        from ui.results.truth import titles
        from ui.session_file_doubts import doubts_of

        named = titles()
        by = named.get(judged.by, "Combined score")
        return doubts_of(found.table, named, judged.doubts(found), by, judged.reference, verdicts)

    seen.note_beside(answered, doubts=doubts)
