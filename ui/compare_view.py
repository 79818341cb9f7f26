"""The main picture of the page Compare: two maps with their difference between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ui import compare_words, page, pickers, session, state
from ui.compare_asked import ROWS, WORD, Wish
from ui.compare_snippets import snippet
from ui.jobs import Progress
from ui.results import compare

if TYPE_CHECKING:
    from analysis.results import TokenMap
    from ui.recording import Layer, View

HEIGHT = 380
Rows = tuple[int | None, int | None]
"""A row on each side; None is the mean of all patches."""


def maps(asked: Wish) -> None:
    """Left, right, and between them the difference."""
    if asked.methods[0] == ROWS:
        _attention(asked)
    elif asked.methods[0] == WORD:
        _of_word(asked)
    else:
        _of_methods(asked)


def _view(asked: Wish, number: int) -> View:
    side, subject = asked.sides[number], asked.subjects[number]

    def make(progress: Progress) -> View:
        return compare.view_of_run(subject, side.picture, asked.tower, progress)

    return session.get(("compared view", side.run, asked.tower), make, label=f"Looking at every head: {asked.titles[number]}")


def _attention(asked: Wish) -> None:
    from ui.pair_map import Column, pair_map, starts

    views = _view(asked, 0), _view(asked, 1)
    columns = [
        Column(title, view, layer, head)
        for title, view, layer, head in zip(asked.titles, views, asked.layers, asked.heads, strict=True)
    ]
    layers = [view.layers[layer] for view, layer in zip(views, asked.layers, strict=True)]
    for layer in layers:
        if layer.quality == "none":
            st.info(f"{layer.name} cannot be shown on the picture: {layer.reason}", icon=":material/info:")
            return
    offered = starts(layers[0], layers[1], last="the token that says the next word" if asked.tower != "vision" else "")
    now = state.chosen()

    def follow() -> None:
        state.choose(query=str(st.session_state["pair"].query))

    pair_map(
        *columns, key="pair", asked=offered, query=now.query, bare=asked.differs == "picture", height=HEIGHT, on_change=follow
    )
    shown = rows_asked(now.query, offered, views, layers)
    if shown is None:
        st.caption("The right has no patch where the chosen one lies: there is no difference to take away. Choose another patch.")
        return
    pair = session.get(
        ("compared rows", *asked.key, asked.layers, asked.heads, shown), lambda _: _rows(asked, shown), label="Comparing"
    )
    _told(asked, pair, "Attention", shown)


def rows_asked(query: str, offered: list[Any], views: tuple[View, View], layers: list[Layer]) -> Rows | None:
    """The rows that are shown before anything is hovered, as the picture itself decides it; None where one side has none."""
    if query == "mean":
        return None, None
    if query.isdigit() and int(query) < len(layers[0].queries) and layers[0].queries.placed[int(query)]:
        found = _same_place(views, layers, int(query))
        return None if found is None else (int(query), found)
    row = int(query) if query.isdigit() else None
    named = [s for s in offered if s.rows[0] == row] if row is not None else [s for s in offered if s.label == query]
    return (named or offered)[0].rows


def _same_place(views: tuple[View, View], layers: list[Layer], row: int) -> int | None:
    """The smallest patch on the right that lies where the middle of a patch on the left is; places are parts of the pictures."""
    first, second = (layer.queries.boxes.astype(np.float64) for layer in layers)
    sizes = [np.array([view.picture.width, view.picture.height], float) for view in views]
    middle = (first[row, :2] + first[row, 2:]) / 2 / sizes[0] * sizes[1]
    inside = np.flatnonzero((second[:, :2] <= middle).all(1) & (middle < second[:, 2:]).all(1))
    areas = (second[inside, 2:] - second[inside, :2]).prod(1)
    return int(inside[areas.argmin()]) if len(inside) else None


def _rows(asked: Wish, rows: Rows) -> compare.MapPair:
    one, two = (
        compare.rows_of(subject, asked.tower, layer, head, row)
        for subject, layer, head, row in zip(asked.subjects, asked.layers, asked.heads, rows, strict=True)
    )
    return compare.paired(one, two, asked.titles, scale=False, stretch=asked.differs == "picture")


def targets(asked: Wish) -> tuple[int, int]:
    """The class that each map is about: the chosen one; else what each sees in its own picture, and the left in both runs."""
    first, second = (pickers.target_index(s.model, s.scores) if s.classes else 0 for s in asked.subjects)
    same = asked.differs not in ("picture", "text") and asked.subjects[0].classes == asked.subjects[1].classes
    return first, first if same else second


def _of_methods(asked: Wish) -> None:
    from ui.pair_map import Column, pair_map

    aims = targets(asked)
    found = [_one_map(asked, number, aims[number]) for number in (0, 1)]
    first, second = found
    if first is None or second is None:
        return
    key = ("compared maps", *asked.key, asked.methods, aims)
    pair, shown = session.get(key, lambda _: _drawn(asked, first, second), label="Comparing")
    titles = _method_titles(asked, aims)
    columns = [Column(title, view) for title, view in zip(titles, shown[:2], strict=True)]
    pair_map(
        *columns, key="pair", difference=shown[2], bare=asked.differs == "picture", own_scales=asked.differs == "method",
        height=HEIGHT,
    )  # fmt: skip
    if pair.difference is None:
        st.info(f"There is no difference to show: {pair.reason}", icon=":material/info:")
    else:
        _told(asked, pair, _title_of(asked.methods[0]), aims)


def _drawn(asked: Wish, one: TokenMap, two: TokenMap) -> tuple[compare.MapPair, list[Any]]:
    from ui.viewer.from_capture import map_of

    pair = compare.paired(one, two, asked.titles, scale=True, stretch=asked.differs == "picture")
    shown: list[Any] = [map_of(each, side.picture.image) for each, side in zip((one, two), asked.sides, strict=True)]
    return pair, [*shown, None if pair.difference is None else map_of(pair.difference, asked.sides[0].picture.image)]


def _one_map(asked: Wish, number: int, target: int) -> TokenMap | None:
    import analysis

    subject, method = asked.subjects[number], asked.methods[number]
    key = ("compared map", asked.sides[number].run, asked.tower, method, target)
    aim = target if subject.classes else None
    return session.part(
        key, lambda _: analysis.explain(subject, method, target=aim, tower=asked.tower),
        label=f"{_title_of(method)}: {asked.titles[number]}",
    )  # fmt: skip


def _of_word(asked: Wish) -> None:
    from ui.pair_map import Column, pair_map

    found = [compare_words.part(asked, number) for number in (0, 1)]
    first, second = found
    if first is None or second is None:
        return
    words = compare_words.chosen(first, second)
    if words is None:
        return
    pair, shown = session.get(
        ("compared word", *asked.key, words),
        lambda _: _drawn(asked, compare.word_map_of(first, words[0]), compare.word_map_of(second, words[1])), label="Comparing",
    )  # fmt: skip
    titles = [f"{title}: “{a.answer.words[n].text}”" for title, a, n in zip(asked.titles, (first, second), words, strict=True)]
    columns = [Column(title, view) for title, view in zip(titles, shown[:2], strict=True)]
    pair_map(*columns, key="pair", difference=shown[2], bare=asked.differs == "picture", height=HEIGHT)
    _told(asked, pair, "Image map of a word", words)


def _title_of(method: str) -> str:
    import analysis

    return analysis.find(method).title


def _method_titles(asked: Wish, aims: tuple[int, int]) -> list[str]:
    from ui.results.heads import name_of

    told = []
    for number, side in enumerate(asked.sides):
        what = _title_of(asked.methods[number]) if asked.differs == "method" else asked.titles[number]
        about = name_of(side.model, side.text, aims[number]) if asked.subjects[number].classes else ""
        told.append(f"{what} for “{about}”" if about else what)
    return told


def _told(asked: Wish, pair: compare.MapPair, title: str, chosen: tuple[int | None, int | None]) -> None:
    """One line about both maps, and what can be taken away."""
    from analysis.map_agreement import similarity
    from ui.figures import draw

    with st.container(horizontal=True, vertical_alignment="center"):
        try:
            alike = similarity(pair.first, pair.second) if asked.differs != "picture" else float("nan")
            said = f"Rank correlation of left and right: {alike:.2f}." if alike == alike else ""
        except ValueError as error:
            said = str(error)
        if pair.difference is None:
            st.caption(f"{said} No single table of the difference: {pair.reason}")
            return
        if not np.nan_to_num(pair.difference.values).any():
            said = _nothing_differs(asked)
        st.caption(f"{said} {pair.lacking}".strip())
        page.take_away(
            pair.difference, lambda: draw(pair.difference, image=None), key="pair-away", title=f"{title}: right minus left",
            snippet=snippet(asked, chosen),
        )  # fmt: skip


def _nothing_differs(asked: Wish) -> str:
    if asked.differs == "text" and asked.tower == "vision":
        return "Nothing differs: the vision tower does not read the question. The other tower does."
    if asked.differs == "edit":
        return "Nothing differs in this layer: an edit changes what comes after it. Edit an earlier layer."
    return "Nothing differs here: both sides do exactly the same."
