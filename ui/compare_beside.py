"""What differs beside the maps of the page Compare: answers, heads, rankings, layers; or why it cannot be compared."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import compare_words, controls, head_choice, session
from ui.jobs import Progress
from ui.results import compare

if TYPE_CHECKING:
    from ui.compare_asked import Side, Wish

_BARE: Any = {"displayModeBar": False}
BESIDE = {"answers": "Answers", "heads": "Heads", "ranks": "Rankings", "layers": "Layers"}


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
    from model_adapters import AdapterError

    def guarded(progress: Progress) -> Any:
        try:
            return make(progress)
        except (ValueError, AdapterError) as error:
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


def _names(side: Side) -> tuple[str, ...]:
    import model_adapters as ma

    return ma.class_names(side.model, side.text)


def _spoken(asked: Wish) -> list[str]:
    first, second = (compare_words.part(asked, number) for number in (0, 1))
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
