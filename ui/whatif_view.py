"""What the page What if shows: the answer before and after, what each word lost, where its map changed, and the steps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from ui import asking, page, whatif_asked, whatif_state
from ui.asking_bar import plain
from ui.words_line import words_line

if TYPE_CHECKING:
    from analysis.results import TokenMap
    from ui.asking import Question
    from ui.results.answering import Answered
    from ui.results.fix_snippet import Asking
    from ui.results.whatif import Outcome
    from ui.results.whatif_steps import History, Step

ACROSS = 4
"""Cards of steps in a row."""
HEIGHT, TALL = 250, 330


def said(answered: Answered, number: int, now: Outcome | None) -> None:
    """The answer as it was, to choose a word of; words that are not said now are marked."""
    from ui.results.fix import aligned, texts

    st.markdown(":gray[**It said**]")
    kept = aligned(now.words, texts(answered.answer)).same if now is not None else ()
    gone = {n: "changed" for n, same in enumerate(kept) if not same}
    told = dict.fromkeys(gone, "not said now")
    words_line(
        asking.chips(answered, marks=gone, tooltips=told), key="what-if-said", chosen=number, on_choose=asking.choose_word
    )


def nothing_yet(question: Question, answered: Answered, number: int, base: Outcome) -> None:
    """Before any step: where the chosen word looked, and what can be done."""
    from ui.figures import draw
    from ui.results.fix import map_of_word
    from ui.results.whatif_snippet import map_snippet
    from ui.viewer import map_view

    st.info("Nothing is changed yet. Paint something away at the left, or choose another change.", icon=":material/brush:")
    if not answered.pictures:
        return
    word = answered.answer.words[number].text
    title = f"Where it looked when it said “{word}”"
    st.markdown(f"**{plain(title)}**")
    image = _placed(base, number)
    shown = map_of_word(base.read, number, image)
    map_view(answered.pictures[image].image, shown, key="what-if-map", height=TALL, title="")
    over = partial(draw, shown, image=answered.pictures[image].array)
    snippet = map_snippet(_asked(question), (number, image), film=question.film)
    page.take_away(shown, over, key="what-if-map-away", title=title, snippet=snippet)


def moves(history: History) -> None:
    """Back, forth, and to the beginning."""
    at, count, back = history.at, len(history.steps), whatif_state.back
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(":gray[**Now it says**]", width="stretch")
        for label, icon, to in (("Undo", "undo", at - 1), ("Redo", "redo", at + 1)):
            there, face = 0 <= to <= count, f":material/{icon}:"
            st.button(label, icon=face, key=icon, on_click=back, args=(to,), disabled=not there, type="tertiary")
        over = whatif_state.start_over
        st.button("Start over", icon=":material/restart_alt:", key="over", on_click=over, disabled=not count, type="tertiary")


def card(question: Question, answered: Answered, number: int, base: Outcome, now: Outcome) -> None:
    """The new answer, what each word of the old one lost, and the change of the chosen word's map."""
    from ui.figures import draw
    from ui.results.whatif import word_changes

    st.markdown(marked(now) or "*nothing: the answer is empty*")
    changes = word_changes(base, now)
    left, right = st.columns(2, gap="small")
    with left:
        title = "Change of log-probability"
        st.markdown(f"**{title}**", help="Of each word it said: the same answer is read under the steps. To the left: it lost.")
        figure = draw(changes)
        st.plotly_chart(figure, key="what-if-words", width="stretch", config={"displayModeBar": False})
        page.take_away(changes, figure, key="what-if-words-away", title=title, snippet=_snippet(question, now.steps))
    with right:
        _map(question, answered, number, base, now)


def _map(question: Question, answered: Answered, number: int, base: Outcome, now: Outcome) -> None:
    from ui.figures import draw
    from ui.results.whatif import map_change
    from ui.viewer import map_view

    if not answered.pictures:
        return
    title = f"Change of the map of “{answered.answer.words[number].text}”"
    st.markdown(f"**{plain(title)}**", help="Attention when the word is decided, mean over layers and heads: after less before.")
    image = _placed(base, number)
    try:
        shown: TokenMap = map_change(base, now, number, image)
    except ValueError as error:
        st.info(str(error), icon=":material/block:")
        return
    map_view(answered.pictures[image].image, shown, key="what-if-change", height=HEIGHT, title="")
    over = partial(draw, shown, image=answered.pictures[image].array)
    snippet = _snippet(question, now.steps, (number, image))
    page.take_away(shown, over, key="what-if-map-away", title=title, snippet=snippet)


def _placed(base: Outcome, number: int) -> int:
    """The picture that the chosen word looked at most, of those it was shown."""
    from ui.results.fix import map_of_word

    there = sorted({int(n) for n in base.read.prompt.image[base.read.prompt.placed] if n >= 0})
    return max(there or [0], key=lambda image: float(map_of_word(base.read, number, image).values.sum()))


def marked(found: Outcome) -> str:
    """The answer as Markdown, its new words marked."""
    pieces = []
    for word, same, gap in zip(found.words, found.same, found.gaps, strict=True):
        pieces.append((" " if gap else "") + (plain(word) if same else f":orange-background[{plain(word)}]"))
    return "".join(pieces).strip()


def steps(question: Question, history: History, base: Outcome) -> None:
    """What was done, a card each; any of them can be gone back to."""
    st.subheader("Steps", anchor=False)
    if not whatif_state.in_link(history):
        st.caption("These steps are too long for the link.")
    count = len(history.steps)
    for first in range(0, count + 1, ACROSS):
        for column, place in zip(st.columns(ACROSS), range(first, min(first + ACROSS, count + 1)), strict=False):
            with column, st.container(border=True, height="stretch"):
                _step(question, history, place, base)


def _step(question: Question, history: History, place: int, base: Outcome) -> None:
    from ui.figures.frame import humane
    from ui.results.whatif import word_changes

    title = plain(history.steps[place - 1].words) if place else "as it is"
    now, undone = place == history.at, place > history.at
    st.markdown(f"**{place}** {f':gray[{title}]' if undone else title}{' :green-badge[now]' if now else ''}")
    found = whatif_asked.known(question, history.steps[:place])
    if found is None:
        st.caption("Not asked yet in this visit.")
    else:
        st.markdown(marked(found) or "*nothing*")
        if place:
            lost = float(word_changes(base, found).change.sum())
            sign = "+" if lost > 0 else "−"
            st.caption(f"log-probability of what it said: {sign}{humane(abs(lost))} nats")
    if not now:
        label, go = ("Take again" if undone else "Back to here"), whatif_state.back
        st.button(label, key=f"step-{place}", type="tertiary", icon=":material/history:", on_click=go, args=(place,))


def _snippet(question: Question, taken: tuple[Step, ...], place: tuple[int, int] | None = None) -> str:
    from ui.results.whatif_snippet import whatif_snippet

    return whatif_snippet(_asked(question), taken, place=place, film=question.film)


def _asked(question: Question) -> Asking:
    from ui.results.fix_snippet import Asking

    return Asking(question.model, question.weights, question.pictures, question.text, question.longest, question.decoding)
