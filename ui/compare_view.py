"""The pieces of the page Compare: the two maps with their difference, and what differs beside them."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import controls, head_choice, page, pickers, session, state
from ui.compare_asked import ROWS, Wish
from ui.compare_snippets import snippet
from ui.jobs import Progress
from ui.results import compare

if TYPE_CHECKING:
    from analysis.results import TokenMap
    from ui.recording import View

HEIGHT = 380
_BARE: Any = {"displayModeBar": False}
BESIDE = {"answers": "Answers", "heads": "Heads", "ranks": "Rankings", "layers": "Layers"}


def maps(asked: Wish) -> None:
    """Left, right, and between them the difference."""
    if asked.methods[0] == ROWS:
        _attention(asked)
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
    shown = rows_asked(now.query, offered, layers)
    pair = session.get(
        ("compared rows", *asked.key, asked.layers, asked.heads, shown), lambda _: _rows(asked, shown), label="Comparing"
    )
    _told(asked, pair, "Attention", shown)


def rows_asked(query: str, offered: list[Any], layers: list[Any]) -> tuple[int | None, int | None]:
    """The rows that are shown before anything is hovered, as the picture itself decides it."""
    if query == "mean":
        return None, None
    if query.isdigit() and int(query) < len(layers[0].queries) and layers[0].queries.placed[int(query)]:
        return int(query), _same_place(layers, int(query))
    row = int(query) if query.isdigit() else None
    named = [s for s in offered if s.rows[0] == row] if row is not None else [s for s in offered if s.label == query]
    return (named or offered)[0].rows


def _same_place(layers: list[Any], row: int) -> int | None:
    import numpy as np

    first, second = (layer.queries for layer in layers)
    if len(first) == len(second) and np.array_equal(first.placed, second.placed):
        return row
    middle = (first.boxes[row, :2] + first.boxes[row, 2:]) / 2
    inside = (second.boxes[:, :2] <= middle).all(1) & (middle < second.boxes[:, 2:]).all(1)
    return int(np.flatnonzero(inside)[0]) if inside.any() else None


def _rows(asked: Wish, rows: tuple[int | None, int | None]) -> compare.MapPair:
    one, two = (
        compare.rows_of(subject, asked.tower, layer, head, row)
        for subject, layer, head, row in zip(asked.subjects, asked.layers, asked.heads, rows, strict=True)
    )
    return compare.paired(one, two, asked.titles, scale=False)


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

    pair = compare.paired(one, two, asked.titles, scale=True)
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
        if not pair.difference.values.any():
            said = _nothing_differs(asked)
        st.caption(said)
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


def beside(asked: Wish) -> list[str]:
    """One of the deeper looks; the methods that it stands on."""
    if asked.differs == "layer":
        return _layers(asked)
    if asked.one_run:
        what = {"head": "two of its heads", "method": "two methods"}[asked.differs]
        st.caption(
            f"Both sides are of one and the same run, in which {what} are held against each other: its answer and its layers are "
            "the same. They differ where the model, the picture, the text or an edit does."
        )
        return []
    shown = controls.pick("beside", "And what else differs?", tuple(BESIDE), format=lambda each: BESIDE[each])
    drawn: dict[str, Callable[[Wish], list[str]]] = {
        "answers": _answers, "heads": _heads, "ranks": _ranks, "layers": _layers,
    }  # fmt: skip
    return drawn[shown](asked)


def _part(key: str, asked: Wish, make: Callable[[Progress], Any], label: str, *more: Any, estimate: str = "") -> Any | None:
    """What can be compared, or the sentence that says why not."""
    def guarded(progress: Progress) -> Any:
        try:
            return make(progress)
        except ValueError as error:
            return str(error)

    found = session.part((key, *asked.key, *more), guarded, label=label, estimate=estimate)
    if isinstance(found, str):
        st.info(found, icon=":material/block:")
        return None
    return found


def _answers(asked: Wish) -> list[str]:
    if all(side.model.kind == "lvlm" for side in asked.sides):
        return _spoken(asked)
    from ui.figures import draw

    names = tuple(_names(side) for side in asked.sides)
    found = _part("compared answers", asked, lambda _: compare.answers(*asked.subjects, names), "Comparing answers")  # type: ignore[arg-type]
    if found is not None:
        found = replace(found, sides=asked.titles)
        figure = draw(found)
        with head_choice.titled("How likely each class is", found, figure, key="answers-away"):
            st.plotly_chart(figure, key="answers", width="stretch", config=_BARE)
    return []


def _names(side: Any) -> tuple[str, ...]:
    return tuple(side.text) if isinstance(side.text, tuple) else tuple(side.model.labels or ())


def _spoken(asked: Wish) -> list[str]:
    said = []
    for number, side in enumerate(asked.sides):
        subject = asked.subjects[number]
        key = ("compared speech", side.run)
        edits = side.edits

        def speak(progress: Progress, subject: Any = subject, edits: Any = edits) -> str:
            return compare.spoken(subject, edits) or " "

        said.append(session.part(key, speak, label=f"Answering: {asked.titles[number]}"))
    first, second = said
    if first is None or second is None:
        return []
    found = compare.held_together(first, second)
    for column, words, marks, title in zip(
        st.columns(2), (found.first, found.second), (found.gone, found.new), asked.titles, strict=True
    ):
        with column, st.container(border=True):
            st.caption(title)
            st.html(_marked(words, marks))
    st.caption(f"{found.sentence} Marked: what only one side says. Greedy, at most {compare.LONGEST} tokens.")
    return []


def _marked(words: tuple[str, ...], marks: tuple[bool, ...]) -> str:
    told = [
        f"<mark style='background:rgba(236,148,52,.4);color:inherit;padding:0 3px;border-radius:3px'>{html.escape(word)}</mark>"
        if mark else html.escape(word)
        for word, mark in zip(words, marks, strict=True)
    ]  # fmt: skip
    return f"<div style='font-size:1.05rem;line-height:1.7'>{' '.join(told) or '(nothing)'}</div>"


def _heads(asked: Wish) -> list[str]:
    found = _part(
        "compared heads", asked, lambda _: compare.changed_heads(*asked.subjects, asked.tower), "Comparing every head"
    )
    if found is None:
        return ["attention_change"]
    from ui.figures import draw

    model = asked.sides[0].model
    figure = draw(found, chosen=head_choice.outlined(found.sites, model, asked.tower))
    with head_choice.titled(
        "How much of each head's attention lies elsewhere", found, figure, key="heads-away",
        help="0: the same attention; 1: no weight in common. Mean over all rows of a head.",
    ):  # fmt: skip
        head_choice.chart(figure, "changed-heads", found.sites, model, asked.tower)
    most = found.ranking()[0]
    row = found.sites.index(most[0])
    told = f"Most changed: layer {row}, head {most[1]} ({found.values[row, most[1]]:.2f})."
    st.caption(f"{told} A click chooses a head for all pages.")
    return ["attention_change"]


def _ranks(asked: Wish) -> list[str]:
    from ui.figures import draw, draw_scatter

    metric = controls.pick("rank-by", "Heads ranked by", tuple(compare.METRICS), format=lambda each: compare.METRICS[each])
    found = _part(
        "compared ranks", asked, lambda _: compare.rankings(*asked.subjects, metric, asked.tower), "Ranking heads", metric
    )
    if found is None:
        return ["rank_change", "head_difference", metric]
    model = asked.sides[0].model
    chosen = head_choice.outlined(found.moved.sites, model, asked.tower)
    told = "constant on one side, so there is no rank correlation" if found.correlation != found.correlation else (
        f"rank correlation {found.correlation:.2f} over {found.heads} heads"
    )  # fmt: skip
    st.markdown(f"**{compare.METRICS[metric]}**: {told}.")
    left, right, last = st.columns(3, gap="medium")
    for column, matrix, title, key in (
        (left, found.difference, "Right minus left", "rank-difference"),
        (right, found.moved, "Places moved up on the right", "rank-moved"),
    ):
        figure = draw(matrix, chosen=chosen)
        figure.update_traces(colorbar={"title": {"text": ""}}, selector={"type": "heatmap"})
        with column, head_choice.titled(title, matrix, figure, key=f"{key}-away"):
            head_choice.chart(figure, key, matrix.sites, model, asked.tower)
    figure = draw_scatter(found.second, found.first, chosen=chosen).update_layout(height=300, annotations=[])
    figure.update_xaxes(title={"text": "left"}).update_yaxes(title={"text": "right"})
    with last:
        st.markdown("**Left against right**")
        head_choice.chart(figure, "rank-scatter", found.first.sites, model, asked.tower)
    return ["rank_change", "head_difference", metric]


def _layers(asked: Wish) -> list[str]:
    from ui.figures import draw

    if asked.differs == "picture":
        st.info(
            "Layers are compared token by token over the same pictures, and here the pictures are the ones that differ.",
            icon=":material/block:",
        )  # fmt: skip
        return ["layer_cka"]
    first, second = asked.sides

    def make(progress: Progress) -> Any:
        return compare.alike_layers(
            (first.model, second.model), (first.text, second.text), (first.edits, second.edits), first.picture, asked.tower,
            progress,
        )  # fmt: skip

    count = compare.SCENES + 1
    found = _part("compared layers", asked, make, f"Looking at {count} pictures", estimate=f"{2 * count} passes")
    if found is not None:
        figure = draw(found)
        figure.update_yaxes(title={"text": f"Layer, {asked.titles[0]}"}).update_xaxes(title={"text": f"Layer, {asked.titles[1]}"})
        with head_choice.titled("How alike the layers are (CKA)", found, figure, key="layers-away"):
            st.plotly_chart(figure, key="layers", width="stretch", config=_BARE)
        told = f"Over this picture and {compare.SCENES} drawn scenes."
        st.caption(f"{told} A number is the layer whose input is meant; the last is the output.")
    return ["layer_cka"]
