"""The pieces of the page Flow: bands, exit curve, the lens as a grid, and the words of the patches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ui import asking, controls, flow_asked, page
from ui.head_choice import clicked
from ui.sentences import share

if TYPE_CHECKING:
    from analysis.words.exit_curve import ExitCurve
    from ui.flow_asked import Asked
    from ui.results.flow import Bands, Spoken

_BARE = {"displayModeBar": False}
_SHOWN = {"likeliest": "their likeliest word", "chosen": "the chosen word"}


def show_bands(asked: Asked, found: Bands, layer: int | None) -> None:
    """The bands; a click on a block looks at its layer."""
    from ui.figures.flow import bands_figure

    figure = bands_figure(found, layer)
    _clickable(figure, "flow-bands", lambda place, _: flow_asked.look_at(found.layers[place]))
    names = {"the question": "group_flow(answer)", "the answer": "group_flow(answer)"}
    made = names.get(found.reader, f"word_shares(answer, {asked.word.index})")
    from_ = "group_flow" if made.startswith("group") else "word_shares"
    result = asked.reading.groups if from_ == "group_flow" else _shares(asked)
    _menu(asked, result, figure, "flow-bands", f"Attention of {found.reader}", [f"from analysis.words.{from_} import {from_}"],
          [f"shown = {made}"])  # fmt: skip


def _shares(asked: Asked) -> Any:
    from analysis.words.word_shares import word_shares

    return word_shares(asked.reading.answer, asked.word)


def explain(asked: Asked, found: Bands, layer: int | None) -> None:
    """What the bands say, in words, and the four flows that tell how far the answer has come."""
    from ui.figures.flow import flows_figure

    st.markdown("\n".join(f"- {line}" for line in sentences(found, layer)))
    st.markdown("**Four flows**")
    figure = flows_figure(asked.reading.groups)
    st.plotly_chart(figure, key="four-flows", width="stretch", config=_BARE)
    _menu(
        asked, asked.reading.groups, figure, "four-flows", "Flow between groups",
        ["from analysis.words.group_flow import group_flow"], ["shown = group_flow(answer)"],
    )  # fmt: skip


def sentences(found: Bands, layer: int | None) -> list[str]:
    """The bands in words, each with its numbers."""
    image, even = found.image, found.tokens[found.groups.index("image")]
    most, least = int(np.nanargmax(image)), int(np.nanargmin(image))
    name = found.reader
    told = [
        f"{name[:1].upper() + name[1:]} looks at the image most in layer **{found.layers[most]}** ({share(image[most])} of its "
        f"attention) and least in layer **{found.layers[least]}** ({share(image[least])}).",
        f"The image holds {share(even)} of the tokens: that is what even attention would give it.",
    ]
    if layer in found.layers:
        row = found.shares[found.layers.index(layer)]
        parts = [f"{share(value)} {group}" for group, value in zip(found.groups, row, strict=True) if value >= 0.005]
        told.append(f"Layer **{layer}**: {', '.join(parts)}.")
    return told


def show_exit(asked: Asked, found: ExitCurve) -> None:
    """The exit curve and its numbers."""
    from ui.figures.flow import exit_figure
    from ui.results.flow import STAYS

    at, last = found.exit(STAYS), int(found.layers[-1])
    left, right = st.columns([2, 1], gap="medium")
    with left:
        figure = exit_figure(found, asked.word, at)
        st.plotly_chart(figure, key="exit-curve", width="stretch", config=_BARE)
    with right:
        first = int(found.layers[0])
        st.metric("Layers that need the image", f"{at - first} of {last - first}", border=True)
        kept = f"Hidden from layer {at} on, {share(STAYS)} or more of the tokens stay the likeliest."
        if at == last:
            kept = f"From whichever layer on it is hidden, fewer than {share(STAYS)} of the tokens stay the likeliest."
        st.caption(
            f"{kept} Hidden from all layers, {share(float(found.same[0].mean()))} stay. “{asked.word.text}” "
            + ("stays" if found.same[0, asked.word.steps[0]] else "does not stay")
            + " the likeliest when no layer sees the image."
        )
        _menu(
            asked, found, figure, "exit-curve", "Exit curve",
            ["from analysis.words import answer_runner", "from analysis.words.exit_curve import exit_curve"],
            ["run = answer_runner(ma.run, model, ma.continued(model, inputs, answer.ids.tolist()), len(answer))",
             "shown = exit_curve(answer, run)"],
        )  # fmt: skip


def show_lens(asked: Asked, said: Spoken, layer: int) -> None:
    """The grid of layers and words; a click on a cell opens its patches."""
    from ui.figures.flow import lens_grid

    column = next((n for n, word in enumerate(said.words) if word.index == asked.word.index), None)
    row = said.reading.layers.index(layer)

    def open_cell(row: int, column: int) -> None:
        flow_asked.look_at(said.reading.layers[row])
        asking.choose_word(said.words[column].index)

    figure = lens_grid(said, None if column is None else (row, column))
    _clickable(figure, "lens-grid", open_cell)
    text, menu = st.columns([9, 1])
    text.caption(f"{decided_in_words(said, column)} A click on a cell shows the patches of its layer.")
    with menu:
        _menu(
            asked, said.reading, figure, "lens-grid", "What each layer would say",
            ["from analysis.words.logit_lens import answer_lens"], ["shown = answer_lens(answer, ma.lens(model, inputs))"],
        )  # fmt: skip


def show_settled(said: Spoken) -> None:
    """From which layer on words are decided."""
    from ui.figures.flow import settled_figure

    st.plotly_chart(settled_figure(said.settled()), key="settled", width="stretch", config=_BARE)
    st.caption("Words that the lens reads there already, and that stay. An early exit there would not change them.")


def depth_name(said: Spoken, layer: int) -> str:
    """What a depth is called: states are read at the input of a layer, and at the output of the last one."""
    return "the output" if layer == said.reading.layers[-1] else f"the input of layer {layer}"


def decided_in_words(said: Spoken, column: int | None) -> str:
    """From which layer on words are decided."""
    layers, settled = said.reading.layers, said.settled().values
    half = np.flatnonzero(settled >= 0.5)
    told = ["Few words are decided before the end"]
    if len(half):
        told = [f"Half of the words are decided at the input of layer {layers[half[0]]}"]
    early = [n for n in (len(layers) // 2, len(layers) - 2) if n > 0]
    told += [f"{share(float(settled[n]))} at the input of layer {layers[n]}" for n in dict.fromkeys(early)]
    own = ""
    if column is not None:
        at = int(said.decided[column])
        word = said.words[column].text
        own = f" “{word}” is decided at layer {at}." if at >= 0 else f" “{word}” is never the lens's own choice."
    return "; ".join(told) + "." + own


def show_patches(asked: Asked, said: Spoken, layer: int) -> None:
    """Which word each patch predicts at a layer, on the picture."""
    from ui.figures import draw
    from ui.figures.flow import patch_words_figure
    from ui.results import flow

    count = flow.images(asked.reading.answer)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = controls.pick("patches", "Patches show", tuple(_SHOWN), format=lambda each: _SHOWN[each])
        image = controls.pick("picture-number", "Picture", tuple(range(count)), format=lambda n: str(n + 1)) if count > 1 else 0
    picture = asked.answered.pictures[min(image, len(asked.answered.pictures) - 1)]
    try:
        if kind == "likeliest":
            result: Any = flow.patches(asked.reading, said, layer, image)
            figure, call = patch_words_figure(result, picture.array), f"patch_words(answer, lens, layer={layer}, image={image})"
        else:
            result = flow.word_patches(asked.reading, said, asked.word, layer, image)
            figure = draw(result, image=picture.array)
            call = f"lens_word_map(answer, lens, {asked.word.index}, layer={layer}, image={image})"
    except ValueError as error:
        st.info(str(error), icon=":material/info:")
        return
    st.plotly_chart(figure, key="patch-words", width="stretch", config=_BARE)
    name = call.partition("(")[0]
    _menu(asked, result, figure, "patch-words", f"Patches at the input of layer {layer}",
          [f"from analysis.words.logit_lens import {name}"], ["lens = ma.lens(model, inputs)", f"shown = {call}"])  # fmt: skip


def _clickable(figure: Any, key: str, choose: Callable[[int, int], None]) -> None:
    """A figure whose points carry two numbers."""

    def chosen() -> None:
        place = clicked(st.session_state.get(key))
        if place is not None:
            choose(*place)

    st.plotly_chart(figure, key=key, on_select=chosen, selection_mode="points", width="stretch", config=_BARE)


def _menu(asked: Asked, result: Any, figure: Any, key: str, title: str, imports: list[str], lines: list[str]) -> None:
    from ui.results.flow_snippet import read_again

    snippet = read_again(asked.question, imports, lines)
    page.take_away(result, figure, key=key, title=title, snippet=snippet)
