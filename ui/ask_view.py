"""The parts of the page Ask: the strip of pictures, the answer over its picture, and what is known of the chosen word."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import ask_snippet, asking, page, session, state
from ui.asking_bar import plain
from ui.take_away import seen

if TYPE_CHECKING:
    from ui.asking import Question
    from ui.jobs import Progress
    from ui.recording import View
    from ui.results.answering import Answered
    from ui.results.ask import Sheet
    from ui.viewer.from_answer import Hop

HEIGHT = 590
KEY = "ask-viewer"
SHEET = "sheet"
"""The chosen sheet's place in the link."""
_BARE = {"displayModeBar": False}
_PAGES = Path(__file__).resolve().parents[1] / "pages"


def hop(question: Question, found: Answered) -> Hop | None:
    """How learned queries looked at the picture, where image tokens are queries; the page goes on once it is known."""
    from ui.results import ask

    if not ask.needs_hop(found):
        return None

    def make(progress: Progress) -> tuple[Hop | None]:
        return (ask.hop_of(found, progress),)

    return session.get(("second hop", question), make, label="Following the queries to the picture", estimate="one pass")[0]


def chosen_sheet(found: Answered, led: Hop | None) -> Sheet | None:
    """Which picture is shown, and of tiles that lie on each other, which; several stand in a strip."""
    from ui.results import ask

    sheets = ask.sheets_of(ask.places_of(found, led), len(found.pictures))
    if not sheets:
        return None
    number = _number(len(sheets))
    if len(sheets) > 1:
        _strip(found, sheets, number)
    return sheets[number]


def _number(count: int) -> int:
    if SHEET not in st.session_state:
        given = st.query_params.get(SHEET, "")
        st.session_state[SHEET] = int(given) if given.isascii() and given.isdigit() and len(given) < 4 else 0
    number = st.session_state[SHEET] if st.session_state[SHEET] < count else 0
    if number:
        st.query_params[SHEET] = str(number)
    elif SHEET in st.query_params:
        del st.query_params[SHEET]
    return number


def _strip(found: Answered, sheets: tuple[Sheet, ...], number: int) -> None:
    from ui import pictures

    with st.container(horizontal=True, gap="small", key="ask-strip"):
        for place, sheet in enumerate(sheets):
            shown = found.pictures[sheet.picture]
            with st.container(horizontal=True, gap="xsmall", width="content", vertical_alignment="center"):
                st.image(pictures.thumbnail(shown, 80), width=36)
                st.button(
                    _label(found, sheets, place), key=f"sheet-{place}", on_click=_choose_sheet, args=(place,), help=shown.title,
                    type="primary" if place == number else "secondary",
                )  # fmt: skip


def _label(found: Answered, sheets: tuple[Sheet, ...], place: int) -> str:
    """What a sheet is called; a token of a video may hold several frames in a row."""
    sheet, several = sheets[place], len(found.pictures) > 1
    many = f"Picture {sheet.picture + 1}" if several else ""
    if found.inputs.frames:
        later = [each.picture for each in sheets if each.picture > sheet.picture]
        last = min(later, default=len(found.pictures))
        many = f"Frame {last}" if last == sheet.picture + 1 else f"Frames {sheet.picture + 1}–{last}"
    return ", ".join(filter(None, (many, sheet.name))) or found.pictures[sheet.picture].title


def _choose_sheet(place: int) -> None:
    st.session_state[SHEET] = place


@lru_cache(maxsize=8)
def view(found: Answered, picture: int, name: str, led: Hop | None) -> View:
    """The rows of all words on one sheet."""
    from ui.results import ask

    sheets = ask.sheets_of(ask.places_of(found, led), len(found.pictures))
    sheet = next(each for each in sheets if (each.picture, each.name) == (picture, name))
    return ask.view_of(found, sheet, led)


def show(found: Answered, sheet: Sheet | None, led: Hop | None, word: int) -> None:
    """The answer beside its picture; without a picture the answer alone."""
    from ui.viewer import Words, viewer
    from ui.words_line import words_line

    chips = asking.chips(found)
    if sheet is None:
        st.info("No picture was given: the words have probabilities and shares, and no map.", icon=":material/hide_image:")
        words_line(chips, key="ask-words", chosen=word, on_choose=asking.choose_word)
        return
    shown = view(found, sheet.picture, sheet.name, led)
    seen.note_answer(found, shown)
    rows = tuple(each.steps[0] if each.steps else 0 for each in found.answer.words)
    now = state.chosen()
    viewer(
        shown, key=KEY, layer=now.layer % len(shown.layers), head=now.head, fuse=now.fuse, query=rows[word], height=HEIGHT,
        words=Words(tuple(chips), rows, word), on_change=follow,
    )  # fmt: skip
    grid(found, sheet, led)


def nothing_said(found: Answered) -> None:
    """An answer without a word: what the model did instead."""
    from ui.figures.frame import humane

    first = found.generation.tokens[0]
    st.info(
        f"The model ended its answer without a word: its first token was {first.text!r}, with probability "
        f"{humane(first.probability)}. Another question works, or “Sample” instead of “Greedy”.",
        icon=":material/speaker_notes_off:",
    )


def follow() -> None:
    """What is chosen in the viewer is chosen on every page."""
    told = st.session_state[KEY]["selection"]
    word = int(told.get("word", state.chosen().word))
    state.choose(layer=int(told["layer"]), head=int(told["head"]), fuse=told["fuse"], word=word)


def inspect(question: Question, found: Answered, sheet: Sheet | None, word: int) -> None:
    """One word: how likely it was, what else could have stood there, whom it listened to, where it was decided."""
    from analysis.words.word_confidence import word_confidence
    from ui.figures.frame import humane

    sure = word_confidence(found.answer, word)
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"#### “{plain(sure.word)}”", width="stretch")
            if sheet is not None and not _nothing_to_map(found):
                _map_menu(question, found, sheet, word)
        logs = f"{sure.log_probability:.2f}".replace("-", "−")
        st.markdown(f"**{humane(sure.probability)}** probability · log-probability {logs}")
        _heads_button(question, found, word)
        _figure(
            "instead", "Could have been", sure.word, sure, question,
            ["from analysis.words.word_confidence import word_confidence"], [f"shown = word_confidence(answer, {word})"], 130,
        )  # fmt: skip
        _listened(question, found, word)
        _decided(question, found, word)


def _heads_button(question: Question, found: Answered, word: int) -> None:
    """On to the heads that this word depends on; those pages answer greedily, about one picture."""
    from model_adapters.decoding import Greedy
    from ui.results.spoken import LONGEST

    one = len(question.pictures) == 1 and not question.film and isinstance(question.decoding, Greedy)
    words = found.answer.words
    if not (one and words[word].steps and words[word].steps[-1] < LONGEST):
        return
    number = sum(bool(each.steps) for each in words[:word])
    if st.button(
        "Which heads did it?", key="ask-heads", icon=":material/trending_down:", type="tertiary", on_click=_aim,
        args=(question, number), help="Importance of every head of the decoder for this word, exactly and by cheap metrics.",
    ):  # fmt: skip
        st.switch_page(_PAGES / "heads" / "importance.py")


def _aim(question: Question, number: int) -> None:
    st.session_state.update(
        model=question.model, weights=question.weights, question=question.text, said=number, tower="decoder"
    )


def _nothing_to_map(found: Answered) -> bool:
    return not found.asked.rows.placed.any()


def _map_menu(question: Question, found: Answered, sheet: Sheet, word: int) -> None:
    from analysis.words.word_maps import word_map
    from ui.figures import draw

    image = int(found.asked.rows.image[sheet.tokens].max(initial=0))
    result = word_map(found.answer, word, image=image)
    picture = found.pictures[sheet.picture].array
    page.take_away(
        result, lambda: draw(result, image=picture), key="ask-map", title=f"Image map of {found.answer.words[word].text}",
        snippet=ask_snippet.script(
            question, ["from analysis.words.word_maps import word_map"], [f"shown = word_map(answer, {word}, image={image})"]
        ),
    )  # fmt: skip


def _listened(question: Question, found: Answered, word: int) -> None:
    from analysis.words.word_shares import word_shares

    _figure(
        "listened", "Listened to, by layer", found.answer.words[word].text, word_shares(found.answer, word), question,
        ["from analysis.words.word_shares import word_shares"], [f"shown = word_shares(answer, {word})"], 120,
    )  # fmt: skip


def _decided(question: Question, found: Answered, word: int) -> None:
    """The logit lens of the word; it takes one more pass, in the background."""

    def make(progress: Progress) -> Any:
        from ui.results import ask

        return ask.lens_of(found, progress)

    said = session.part(("lens", question), make, label="Reading every layer", estimate="two passes")
    if said is None:
        return
    place = next((n for n, each in enumerate(said.words) if each.index == word), None)
    if place is None:
        return
    layer = int(said.decided[place])
    told = f"Decided from layer {layer} on" if layer >= 0 else "Never the likeliest to the end"
    _figure(
        "decided", told, found.answer.words[word].text, said.reading.of_word(said.words[place]), question,
        ["from analysis.words import answer_in", "from analysis.words.logit_lens import answer_lens"],
        [
            'capture = ma.reread(model, inputs, generation, want={"hidden"})',
            "again = answer_in(capture, answer.ids.tolist(), asked)",
            f"shown = answer_lens(again, ma.lens(model, inputs)).of_word(again.words[{word}])",
        ], 110,
    )  # fmt: skip


def _figure(
    key: str, title: str, word: str, result: Any, question: Question, imports: list[str], lines: list[str], height: int
) -> None:
    """A small drawing under its title, with its menu; what is taken away names the word and the axes."""
    from ui.figures import draw

    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(title, width="stretch")
        script = ask_snippet.script(question, imports, lines)
        page.take_away(result, lambda: draw(result), key=f"ask-{key}", title=f"“{word}”: {title.lower()}", snippet=script)
    small = draw(result).update_layout(showlegend=False, margin={"l": 8, "r": 8, "t": 4, "b": 4})
    small.update_xaxes(title=None).update_yaxes(title=None)
    st.plotly_chart(small, key=f"figure-{key}", width="stretch", height=height, config=_BARE)


def grid(found: Answered, sheet: Sheet, led: Hop | None) -> None:
    """Where the tokens of the prompt lie: tiles in colours of their own, and what lies nowhere."""
    with st.popover("Where its tokens lie", icon=":material/grid_on:"):
        st.image(_drawn(found, sheet.picture, led))
        st.caption("Every box is one token of the prompt; tiles have colours of their own, and what no token sees is darker.")


@lru_cache(maxsize=8)
def _drawn(found: Answered, picture: int, led: Hop | None) -> Any:
    from ui.results import ask

    return ask.grid_of(found, picture, ask.places_of(found, led))
