"""A recorded answer: its words in the viewer, and what is known of each. No model is needed."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from ui.figures.frame import humane
from ui.opened_texts import line, one_of, plain
from ui.sentences import probability, share
from ui.session_file import Session
from ui.session_file_doubts import WordDoubt
from ui.session_file_parts import SavedAnswer, SavedWord
from ui.take_away import menu
from ui.take_away.seen import Seen
from ui.words_line import WordChip, words_line

_LONG = 3
"""Letters of a word that names something."""


def show(id: str, session: Session) -> None:
    """One answer of a session."""
    questions = [each.question for each in session.answers]
    models = [each.about.model if len(set(questions)) < len(questions) else "" for each in session.answers]
    place = one_of("answer", [" · ".join(filter(None, each)) for each in zip(questions, models, strict=True)])
    saved, key = session.answers[place], f"{id}-answer-{place}"
    st.caption(f"{line(saved.about)} · “{plain(saved.question)}”")
    said = [word for word in saved.words if word.probability is not None]
    if not said:
        st.info("This answer has no words.", icon=":material/info:")
        return
    number = st.session_state.get(f"{key}-word", _first(saved, said)) % len(said)
    left, right = st.columns([2.6, 1], gap="medium")
    with left:
        _picture(key, saved, session, said, number)
    with right:
        _word(saved, said[number])
    _signals(key, saved, said[number])


def _picture(key: str, saved: SavedAnswer, session: Session, said: list[SavedWord], number: int) -> None:
    """The words beside the picture, where their rows were kept; else the words alone."""
    from ui.opened_parts import show_view
    from ui.viewer import Words

    chips = _chips(saved)
    if saved.view is None or any(word.row is None for word in said):
        words_line(chips, key=f"{key}-words", chosen=number, on_choose=partial(_choose, f"{key}-word"))
        st.info("The rows of its words were not kept with this answer.", icon=":material/info:")
        return
    words = Words(tuple(chips), tuple(word.row or 0 for word in said), number)
    show_view(key, session.views[saved.view], session, words=words, on_change=partial(_follow, key))


def _first(saved: SavedAnswer, said: list[SavedWord]) -> int:
    """The most doubted word, or the one that listened most to the image, of those long enough to name something."""
    place = saved.groups.index("image") if "image" in saved.groups else None

    def weight(number: int) -> tuple[bool, bool, float, float]:
        word = said[number]
        doubted = _doubted(saved, word)
        seen = word.shares[place] if place is not None and word.shares else 0.0
        return bool(doubted.verdict), len(word.text) >= _LONG, doubted.doubt or 0.0, seen

    return max(range(len(said)), key=weight)


def _follow(key: str) -> None:
    if "word" in st.session_state[key]["selection"]:
        _choose(f"{key}-word", int(st.session_state[key]["selection"]["word"]))


def _choose(name: str, number: int) -> None:
    st.session_state[name] = number


def _chips(saved: SavedAnswer) -> list[WordChip]:
    chips: list[WordChip] = []
    gap = False
    for word in saved.words:
        if word.probability is None:
            gap = bool(chips) and word.text.isspace()
            continue
        doubted = _doubted(saved, word)
        chips.append(WordChip(word.text, doubted.doubt or 0.0, doubted.verdict, word.shares, gap=gap))
        gap = False
    return chips


def _doubted(saved: SavedAnswer, word: SavedWord) -> WordDoubt:
    """What is known of the truth of a word."""
    place = next(n for n, each in enumerate(saved.words) if each is word)
    return saved.doubts.words.get(place, WordDoubt()) if saved.doubts is not None else WordDoubt()


def _word(saved: SavedAnswer, word: SavedWord) -> None:
    """What is known of one word."""
    with st.container(border=True, gap="small"):
        st.markdown(f"#### “{plain(word.text)}”")
        st.markdown(f"probability {probability(word.probability or 0.0)}")
        if word.log_probability is not None:
            st.caption(f"log-probability {humane(word.log_probability)}")
        if word.shares:
            st.caption("Where its attention went")
            for group, share in zip(saved.groups, word.shares, strict=True):
                st.progress(min(max(share, 0.0), 1.0), text=f"{plain(group)} {100 * share:.0f} %")
        if word.alternatives:
            st.caption("What could have stood here")
            st.markdown("\n".join(f"- {plain(text.strip()) or '␣'} {probability(value)}" for text, value in word.alternatives))


def _signals(key: str, saved: SavedAnswer, word: SavedWord) -> None:
    """The signals of one word as the page Truth had them, and the Python that asks the same again."""
    doubted = _doubted(saved, word)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Should “{plain(word.text)}” be doubted?** {_told(saved, doubted)}")
        columns = _columns(saved)
        shown = Seen(saved.about, columns)
        menu(columns, None, key=key, title=saved.about.title, snippet=saved.about.snippet, shown=shown)
    if not word.signals:
        st.caption("This is a mark, or it has no signals.")
        return
    named = sorted(word.signals, key=lambda name: -doubted.among.get(name, 0.0))
    table: dict[str, list[Any]] = {"Signal": named, "Value": [humane(word.signals[name]) for name in named]}
    if doubted.among:
        among = [doubted.among.get(name) for name in named]
        table["Doubted more than, of true words"] = ["" if each is None else share(each) for each in among]
    st.dataframe(table, hide_index=True, width="stretch", key=f"{key}-signals")
    if saved.doubts is None:
        st.caption("The page Truth measures the other signals where the model is; a session saved after a look there holds them.")
    elif saved.doubts.held:
        st.caption(f"Held against {plain(saved.doubts.held)}.")


def _told(saved: SavedAnswer, doubted: WordDoubt) -> str:
    """What was found of the word's truth, in a line."""
    verdict = {"true": ":material/check_circle: :green[Right]. ", "false": ":material/cancel: :red[Wrong]. "}
    said = verdict.get(doubted.verdict, "")
    if saved.doubts is None or doubted.doubt is None:
        return said
    return f"{said}{plain(saved.doubts.by)}: {share(doubted.doubt)}."


def _columns(saved: SavedAnswer) -> dict[str, np.ndarray]:
    """Every word with its numbers, as a table; what a word lacks is NaN."""
    said = [word for word in saved.words if word.probability is not None]
    numbers: dict[str, list[float | None]] = {
        "probability": [word.probability for word in said], "log-probability": [word.log_probability for word in said],
    }  # fmt: skip
    for place, group in enumerate(saved.groups):
        numbers[f"attention to {group}"] = [word.shares[place] if word.shares else None for word in said]
    for name in dict.fromkeys(name for word in said for name in word.signals):
        numbers[name] = [word.signals.get(name) for word in said]
    if saved.doubts is not None:
        numbers[f"doubt ({saved.doubts.by})"] = [_doubted(saved, word).doubt for word in said]
    floats = {name: np.array([np.nan if v is None else v for v in values], float) for name, values in numbers.items()}
    return {"word": np.array([word.text for word in said], str), **floats}
