"""A recorded answer: its words in the viewer, and what is known of each. No model is needed."""

from __future__ import annotations

from functools import partial

import streamlit as st

from ui.figures.frame import humane
from ui.opened_texts import line, one_of, plain
from ui.session_file import Session
from ui.session_file_parts import SavedAnswer, SavedWord
from ui.words_line import WordChip, words_line

_LONG = 3
"""Letters of a word that names something."""


def show(id: str, session: Session) -> None:
    """One answer of a session."""
    place = one_of("answer", [each.question for each in session.answers])
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
    """The word that listened most to the image, of those that are long enough to name something."""
    place = saved.groups.index("image") if "image" in saved.groups else None

    def weight(number: int) -> tuple[bool, float]:
        word = said[number]
        return len(word.text) >= _LONG, word.shares[place] if place is not None and word.shares else 0.0

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
        chips.append(WordChip(word.text, shares=word.shares, gap=gap))
        gap = False
    return chips


def _word(saved: SavedAnswer, word: SavedWord) -> None:
    """What is known of one word."""
    with st.container(border=True, gap="small"):
        st.markdown(f"#### “{plain(word.text)}”")
        st.markdown(f"probability {word.probability:.2f}")
        if word.log_probability is not None:
            st.caption(f"log-probability {humane(word.log_probability)}")
        if word.shares:
            st.caption("Where its attention went")
            for group, share in zip(saved.groups, word.shares, strict=True):
                st.progress(min(max(share, 0.0), 1.0), text=f"{plain(group)} {100 * share:.0f} %")
        if word.alternatives:
            st.caption("What could have stood here")
            st.markdown("\n".join(f"- {plain(text.strip()) or '␣'} {value:.2f}" for text, value in word.alternatives))
        for name, value in word.signals.items():
            st.caption(f"{plain(name)}: {value:.3g}")
