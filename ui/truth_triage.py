"""The triage of the page Truth: many pictures asked the same, their words sorted by doubt, one click to the evidence."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ui import asking, controls, page, picture_picker, session, set_jobs, truth_asked
from ui.jobs import Progress
from ui.pictures import thumbnail
from ui.sentences import share

if TYPE_CHECKING:
    from model_adapters import Model
    from ui.asking import Question
    from ui.results.triage import Gathered, Triage
    from ui.results.triage_sources import Source
    from ui.results.truth import Signals
    from ui.truth_asked import Judge

_FROM = {"scene": "drawn scenes", "biased": "scenes with the bias of training", "folder": "a folder of mine"}
_ROWS = 8
_WANTED, _STOPPED = "wanted word", "stopped triage"
_AGAIN = 1.5
"""Answering takes about half as long as measuring."""


def show(question: Question, model: Model, found: Signals, judged: Judge) -> None:
    """Ask for the pictures, gather, and list."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        source = controls.pick("triage", "Pictures", tuple(_FROM), format=lambda each: _FROM[each])
        with st.container(width=220):
            count = controls.slide("triage-count", "How many", 8, 200, 16, step=8)
        folder = ""
        if source == "folder":
            with st.container(width=420):
                told = "With annotations.json in COCO's format, right and wrong are known."
                folder = controls.write("triage-folder", "Folder on this machine", help=told)
    if source == "folder" and not folder.strip():
        st.info(
            "Name a folder with pictures. If annotations.json in COCO's format lies in it (or in its place), right and wrong are "
            "marked, the words become a reference for this model, and a score can be fitted on them.",
            icon=":material/folder_open:",
        )
        return
    triaged, count = _triage(question, model, found, source, count, folder.strip())
    if triaged is None:
        return
    name, weights = asking.language_model()
    _list(triaged, judged, _snippet(question, name, weights, source, count, folder.strip()))
    _fit(triaged)


def _triage(
    question: Question, model: Model, found: Signals, source: str, count: int, folder: str
) -> tuple[Triage | None, int]:
    """The words of the pictures, and of how many; of a run that was stopped those that it got to."""
    name, weights = asking.language_model()
    key: tuple = ("triage", name, weights, question.text, question.longest, question.decoding, source, count)
    if source == "folder":
        from ui.results.triage_sources import key_of

        key = (*key, key_of(folder))

    begun, listed = _stopped(key, f"the first pictures of {folder or 'the small world'}")

    def make(progress: Progress) -> Triage:
        from ui.results import triage_sources as sources
        from ui.results.triage import triage

        chosen = sources.of_folder(folder, count) if source == "folder" else sources.of_world(count, source == "biased")
        return triage(
            model, chosen, question.text, longest=question.longest, decoding=question.decoding, progress=progress, begun=begun
        )

    left = count - (begun.pictures if begun else 0)
    made: Any = set_jobs.begin(
        key, make, label=f"Asking {left} pictures", what=f"{left} pictures", seconds=left * found.seconds * _AGAIN,
        button=f"Ask the other {left}" if begun else "Ask them all",
    )  # fmt: skip
    job = session.jobs().find(key)
    if made is None and begun is not None and (job is None or job.progress.cancelled):
        st.caption(
            f":material/pause_circle: Stopped after {begun.pictures} of {count} pictures. What they said is listed; asking "
            "again goes on from there."
        )
        made, count = listed, begun.pictures
    if made is not None and made.labelled.any() and source == "folder":
        truth_asked.remember(made, name, weights)
    return made, count


def _stopped(key: tuple, about: str) -> tuple[Gathered | None, Triage | None]:
    """What a run gathered before somebody stopped it, and its words."""
    job, held = session.jobs().find(key), st.session_state.get(_STOPPED)
    kept = job.progress.kept if job is not None and job.progress.cancelled else None
    if kept is not None and (held is None or held[1] is not kept):
        held = st.session_state[_STOPPED] = (key, kept, kept.triage(key[1], about))
    return held[1:] if held is not None and held[0] == key else (None, None)


def _list(found: Triage, judged: Judge, snippet: str) -> None:
    """The filters and the words that pass them, most doubtful first."""
    import ui.truth_tables  # noqa: F401 (registers its table)

    try:
        doubt = found.doubt(judged.by, judged.score, judged.reference)
    except ValueError as error:
        st.info(str(error), icon=":material/info:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        with st.container(width=260):
            least = controls.slide("doubt-from", "Doubt from", 0.0, 1.0, 0.1, step=0.05)
        things = controls.flag("things", "Only words that name things", default=True)
        wrong = controls.flag("wrong", "Only wrong ones", help="Where it is known what is on the picture.")
    rows = found.chosen(doubt, least, things, wrong)
    text, menu = st.columns([12, 1])
    text.markdown(f"**{len(rows)}** of {len(found.words)} words in {len(found.told)} answers. {_caught(found, doubt, least)}")
    with menu:
        page.take_away(found.table(rows, doubt), None, key="triage", title="Doubtful words", snippet=snippet)
    if not len(rows):
        st.info("No word passes the filters. A lower threshold shows more.", icon=":material/filter_alt_off:")
    pages, place, at = max(1, -(-len(rows) // _ROWS)), st.container(gap="small"), 1
    if pages > 1:
        with st.container(width=260):
            at = controls.slide("triage-page", f"Page of {pages}", 1, pages, 1, step=1)
    for row in rows[(at - 1) * _ROWS : at * _ROWS]:
        with place:
            _row(found, int(row), float(doubt[row]))
    for note in found.notes[:4]:
        st.caption(note)


def _caught(found: Triage, doubt: np.ndarray, least: float) -> str:
    told = found.caught(doubt, least)
    if not told.wrong and not told.right:
        return "Nobody says what is on these pictures."
    auroc = "" if not np.isfinite(told.auroc) else f" AUROC {told.auroc:.2f} on them."
    return (
        f"Of the first mentions of things, {told.wrong_above} of {told.wrong} wrong ones and {told.right_above} of {told.right} "
        f"right ones are doubted so much.{auroc}"
    )


def _row(found: Triage, row: int, doubt: float) -> None:
    """One word in its sentence, with its picture, its doubt, and the way to its evidence."""
    from ui.results.triage import RIGHT, WRONG

    told, word = found.told[found.answer[row]], found.words[row]
    marks = {RIGHT: ":material/check_circle: right", WRONG: ":red[:material/cancel: wrong]"}
    picture, score, sentence, mark, look = st.columns([1, 1.5, 9, 2.2, 2.4], vertical_alignment="center")
    picture.image(_small(told.source), width=44)
    score.markdown(f"**{share(doubt) if np.isfinite(doubt) else '–'}**".replace(" %", "\u00a0%"))
    sentence.html(_sentence(told.text, word.start, word.end, doubt) + _title(told.source.title))
    mark.markdown(marks.get(int(found.truth[row]), ":gray[unknown]"))
    look.button("Look", key=f"evidence-{row}", on_click=_look, args=(told.source, word.index))


def _sentence(text: str, start: int, end: int, doubt: float) -> str:
    """The answer with one word under a line as thick as its doubt."""
    thick = 1 + 4 * (doubt if np.isfinite(doubt) else 0.0)
    before, word, after = (escape(part) for part in (text[:start], text[start:end], text[end:]))
    line = f"text-decoration:underline;text-decoration-thickness:{thick:.1f}px;text-decoration-color:#cc3370"
    return f"<span>{before}<b style='{line};text-underline-offset:3px'>{word}</b>{after}</span>"


def _title(text: str) -> str:
    return f"<br><small style='opacity:.65'>{escape(text)}</small>"


@st.cache_data(max_entries=256, show_spinner=False)
def _thumbnail(id: str, _source: Source) -> Any:
    return np.asarray(thumbnail(_source.picture(), 88))


def _small(source: Source) -> Any:
    return _thumbnail(source.id, source)


def _look(source: Source, word: int) -> None:
    """Choose the picture and the word, for all pages and in the link."""
    id = source.id
    if source.file is not None:
        shown = source.picture()
        id = picture_picker.keep(shown)
        if source.known is not None:
            truth_asked.labelled()[shown.key] = source.known
    picture_picker.want(id)
    st.session_state[_WANTED] = word


def arrived() -> None:
    """Choose the word that was asked for, now that its answer is there; a new answer begins without a chosen word."""
    word = st.session_state.pop(_WANTED, None)
    if word is not None:
        asking.choose_word(word)


def _fit(found: Triage) -> None:
    """A score fitted on the labelled words of this list."""
    from ui.results.triage import fitted

    if not found.labelled.any():
        return
    try:
        words = found.reference()
    except ValueError as error:
        st.caption(str(error))
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Fit a combined score on these words", key="fit-score", icon=":material/model_training:"):
            try:
                truth_asked.use_score(fitted(words))
            except ValueError as error:
                st.error(str(error), icon=":material/error:")
                return
            st.rerun()
        st.caption("It takes the place of the first one on this page until it is dropped; save it to keep it.")


def _snippet(question: Question, name: str, weights: str, source: str, count: int, folder: str) -> str:
    """Python that asks the same of the same pictures."""
    from ui.results.triage_sources import snippet

    return snippet(name, weights, question.text, question.longest, question.decoding, source, count, folder)
