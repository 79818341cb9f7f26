"""The columns of the page Fix: an answer each, its changed words, the map of one word, and log-probabilities."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from ui import asking, page, session
from ui.fix_view import HEIGHT, Column, asking_of
from ui.results import fix, fix_snippet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.results import TokenMap
    from ui.asking import Question
    from ui.results.fix import WordLogs

_OWN = "said"
"""Place in the link of a word that only a fixed answer has: "2.7" is word 7 of column 2."""


def choose(column: Column, word: int) -> None:
    """Choose a word of any column: by its place in the plain answer where it has one."""
    partner = column.words.partner[word]
    if partner is None:
        st.query_params[_OWN] = f"{column.number}.{word}"
    else:
        st.query_params.pop(_OWN, None)
        asking.choose_word(partner)


def chosen_in(column: Column, plain_word: int, columns: Sequence[Column]) -> int | None:
    """The word of a column that is looked at; None where it does not say it."""
    number, _, place = st.query_params.get(_OWN, "").partition(".")
    source = next((c for c in columns if str(c.number) == number), None)
    if source is None or not (place.isascii() and place.isdigit()) or int(place) >= len(source.words.partner):
        return column.words.of_plain(plain_word)
    if source is column:
        return int(place)
    text = source.answered.answer.words[int(place)].text.lower()
    return next((word.index for word in column.answered.answer.words if word.text.lower() == text), None)


def logs(question: Question, column: Column) -> WordLogs | None:
    """Log-probabilities of the answer's words, under the fix and to the model as it is; None while they are read."""
    answered, method = column.answered, column.fix.method if column.fix else ""
    return session.part(
        ("fix-logs", question, column.fix),
        lambda progress: fix.word_logs(answered.model, answered.inputs, answered.answer, column.words.same, method),
        label="Reading the answer without the fix",
    )


def show_words(column: Column, chosen: int | None, read: WordLogs | None) -> None:
    """The answer; words that the plain one lacks are marked, and each tells its log-probability."""
    from ui.results.answering import starts_with_space
    from ui.words_line import WordChip, words_line

    if not column.answered.answer.words:
        st.info("This answer is empty.", icon=":material/info:")
        return
    marks = {n: "changed" for n, same in enumerate(column.words.same) if not same}
    tooltips = _tooltips(column, read)
    words = [
        WordChip(word.text, mark=marks.get(n, ""), tooltip=tooltips.get(n, ""), gap=starts_with_space(column.answered.answer, n))
        for n, word in enumerate(column.answered.answer.words)
    ]
    words_line(words, key=f"fix-words-{column.number}", chosen=chosen, on_choose=partial(choose, column))


def _tooltips(column: Column, read: WordLogs | None) -> dict[int, str]:
    if read is None:
        return {}
    if column.fix is None:
        return {n: f"log-probability {own:.2f}" for n, own in enumerate(read.own)}
    both = zip(read.own, read.plain, strict=True)
    return {n: f"log-probability {own:.2f}, without the fix {plain:.2f}" for n, (own, plain) in enumerate(both)}


def summary(column: Column, plain: Column, read: WordLogs | None) -> str:
    """How much of the answer is another, and how likely it is."""
    new = sum(not same for same in column.words.same)
    gone = len(plain.words.partner) - sum(p is not None for p in set(column.words.partner))
    if column.fix is None:
        said = ""
    elif not new and fix.texts(column.answered.answer) == fix.texts(plain.answered.answer):
        said = "the same answer"
    else:
        parts = [f"{new} new word{'' if new == 1 else 's'}"] * (new > 0) + [f"{gone} gone"] * (gone > 0)
        said = ", ".join(parts) or "the same words, in another order"
    if read is None:
        return said
    told = " · ".join(filter(None, (said, f"log-probability {read.own.sum():.2f}")))
    return told if column.fix is None else f"{told}, without the fix {read.plain.sum():.2f}"


def made_up(column: Column) -> str:
    """Of a drawn scene: what is named and not there."""
    from world.vocabulary import CATEGORIES

    scenes = [picture.scene for picture in column.answered.pictures]
    if len(scenes) != 1 or scenes[0] is None:
        return ""
    named = fix.named(column.answered.answer, CATEGORIES)
    false = [name for name in named if name not in scenes[0].categories]
    missing = [name for name in sorted(scenes[0].categories) if name not in named]
    parts = [f":red-badge[not there: {', '.join(false)}]"] if false else [":green-badge[nothing made up]"] if named else []
    return " ".join([*parts, f":gray-badge[not named: {', '.join(missing)}]"] if missing else parts)


def show_map(
    question: Question, column: Column, word: int | None, plain: tuple[TokenMap, int] | None, image: int, change: bool
) -> TokenMap | None:
    """The map of the chosen word, or what the fix changed of it; the word's own map is returned."""
    from ui.results.answering import image_share
    from ui.viewer import map_view

    answer = column.answered.answer
    if word is None:
        st.caption("This answer does not say it.")
        return None
    try:
        own = fix.map_of_word(answer, word, image)
    except ValueError as error:
        st.info(str(error), icon=":material/info:")
        return None
    beside = plain if change and column.fix is not None else None
    shown = own if beside is None else fix.change_of_map(beside[0], own)
    map_view(column.answered.pictures[image].image, shown, key=f"fix-map-{column.number}", height=HEIGHT, title="")
    with st.container(horizontal=True, vertical_alignment="center"):
        share = f"{100 * image_share(answer, word):.0f} % of it on the image"
        instead = "" if column.words.same[word] else ", said instead"
        st.caption(f"“{answer.words[word].text}”{instead} · {share}", width="stretch")
        _take_away(question, column, shown, word, None if beside is None else beside[1])
    return own


def _take_away(question: Question, column: Column, shown: TokenMap, word: int, plain_word: int | None) -> None:
    from ui.figures import draw

    asked = asking_of(question)
    if column.fix is None:
        snippet = fix_snippet.plain_snippet(asked, word)
    elif plain_word is None:
        snippet = fix_snippet.fix_snippet(asked, column.fix, word=word)
    else:
        snippet = fix_snippet.change_snippet(asked, column.fix, word, plain_word)
    text = column.answered.answer.words[word].text
    image = column.answered.pictures[0].array if len(column.answered.pictures) == 1 else None
    title = f"{column.title}, {text}"
    page.take_away(shown, lambda: draw(shown, image=image), key=f"fix-map-away-{column.number}", title=title, snippet=snippet)


def show_logs(question: Question, column: Column, read: WordLogs | None) -> None:
    """The words' log-probabilities as a drawing."""
    from ui.figures import draw

    if read is None or not read.words:
        return
    figure = draw(read)
    st.plotly_chart(figure, key=f"fix-logs-{column.number}", width="stretch", config={"displayModeBar": False})
    asked = asking_of(question)
    snippet = fix_snippet.plain_snippet(asked) if column.fix is None else fix_snippet.fix_snippet(asked, column.fix)
    page.take_away(read, figure, key=f"fix-logs-away-{column.number}", title=f"{column.title}, words", snippet=snippet)
