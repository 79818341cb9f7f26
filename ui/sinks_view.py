"""The parts of the page Sinks: what is asked, the film over the layers, and what explains it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import streamlit as st

from ui import again, controls, page, pickers, picture_picker, session
from ui.film import Frame, film
from ui.pictures import Picture
from ui.results import sinks
from ui.results.sinks import SIGNS, UNITS, Layer, Sign
from ui.results.token_names import token_name

if TYPE_CHECKING:
    from model_adapters import Capture, Model

PLANTED = "bundled:vit-sinks"
MODES = {
    "scores": "what tells sinks",
    "raw": "class attention",
    "sinks removed": "sinks removed",
    "relative": "relative",
}


@dataclass(frozen=True)
class Wish:
    """What the controls say."""

    sign: Sign
    tower: str
    mode: str
    deviations: float
    multiple: float | None


def wish(capture: Capture, tower: str) -> Wish:
    """The row of controls."""
    if tower not in (able := sinks.towers_of(capture)):
        other = f"The tower {able[0]!r} has some." if able else "This model attends to no patch of the picture."
        st.info(f"The tower {tower!r} has no patches of the picture, so none can be a sink. {other}", icon=":material/info:")
        st.stop()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        sign = controls.pick("sign", "Sinks by", get_args(Sign), format=lambda s: SIGNS[s].capitalize())
        mode = controls.pick(
            "mode", "Picture shows", list(MODES), format=lambda m: MODES[m].capitalize(),
            help="The score that tells sinks; or where the class token attends: as it is, without the sinks, or relative to what "
            "each patch receives from all patches.",
        )  # fmt: skip
        with st.popover("Threshold", icon=":material/tune:"):
            multiple, deviations = _threshold(sign)
    return Wish(sign, tower, mode, deviations, multiple)


def _threshold(sign: Sign) -> tuple[float | None, float]:
    """By hand, or what is found from the numbers."""
    base = sinks.BASES[sign]
    st.caption(
        f"Found from the numbers: the median and so many median absolute deviations of the logarithms. Because one is "
        f"always found, a sink must also reach {sinks.LEAST[sign]:.0f} times {base}: our definition."
    )
    deviations = controls.slide("deviations", "Deviations", 1.0, 20.0, 6.0, step=0.5)
    by_hand = controls.flag("by-hand", "Set it by hand")
    if not by_hand:
        return None, deviations
    return controls.slide("threshold", f"Threshold, times {base}", 0.5, 60.0, sinks.LEAST[sign], step=0.5), deviations


def frames(capture: Capture, found: list[Layer], asked: Wish) -> list[Frame]:
    """One map per layer."""
    if asked.mode == "scores":
        return [_score_frame(layer) for layer in found]
    attended = {s.layer for s in capture.sites if s.tower == asked.tower}
    made = []
    for layer in found:
        if layer.number in attended:
            values, boxes = sinks.class_attention(capture, layer.number, asked.mode, layer.sinks, tower=asked.tower)
            made.append(Frame(layer.title, values, boxes))
    return made


def _score_frame(layer: Layer) -> Frame:
    rows = layer.found.rows
    if rows is None:
        raise ValueError(f"Nothing is known of where the {len(layer.patches)} tokens of {layer.title} lie on the picture.")
    placed = layer.patches[rows.placed[layer.patches]]
    marked = tuple(int(np.flatnonzero(placed == row)[0]) for row in layer.sinks if row in placed)
    return Frame(layer.title, layer.found.score[0][placed], rows.boxes[placed], marked)


def show_film(picture: Picture, made: list[Frame], start: int, asked: Wish, name: str) -> int:
    """The picture with its scrubber; the layer that it was stopped at."""
    given = st.query_params.get("at", "")
    at = int(given) if given.isdecimal() and int(given) < len(made) else min(start, len(made) - 1)
    key = f"film-{name}-{asked.sign}-{asked.tower}-{len(made)}"

    def follow() -> None:
        st.query_params["at"] = str(int(st.session_state[key].at))

    return film(picture.image, made, at=at, unit=_unit(asked), key=key, on_change=follow)


def away(picture: Picture, shown: Frame, layer: Layer, model: Model, asked: Wish) -> None:
    """The menu of the picture that the film was stopped at."""
    title = f"{MODES[asked.mode].capitalize()}, {shown.title}"
    away_of(picture, shown, _unit(asked), key="film-away", title=title, snippet=_snippet(model, layer, asked, asked.mode))


def away_of(picture: Picture, shown: Frame, unit: str, *, key: str, title: str, snippet: str) -> None:
    """The menu of one map of a film."""
    from analysis.results import TokenMap
    from model_adapters import Rows
    from ui.figures import draw

    count = len(shown.values)
    one = np.zeros(count, np.int16)
    rows = Rows(np.full(count, "patch", object), shown.boxes.astype(np.float32), one, one - 1, one)
    map = TokenMap(np.asarray(shown.values, float), rows, picture.image.size, label=unit)
    page.take_away(map, lambda: draw(map, image=picture.array), key=key, title=title, snippet=snippet)


def _snippet(model: Model, layer: Layer, asked: Wish, mode: str = "scores") -> str:
    """The sinks of one layer, or the class token's attention with or without them."""
    name = sinks.METHODS[asked.sign]
    given = {"tower": asked.tower, "layer": layer.number, "threshold": float(layer.found.threshold.value)}
    lines = [
        'capture = ma.capture(model, subject.inputs, keep=ma.Keep(heads="mean"), want=("hidden",))',
        f"shown = {again.called(f'analysis.sinks.{name}', 'capture', deviations=asked.deviations, **given)}",
    ]
    if mode != "scores":
        query = "class" if layer.found.rows is not None and len(layer.found.rows.where("class")) else "mean"
        cleaned = again.called(
            "analysis.position_artefact.cleaned_attention", "capture", "site", "sinks=shown.of_image()", mode=mode, query=query
        )
        lines += [
            f"site = next(s for s in capture.sites if (s.tower, s.layer) == {(asked.tower, layer.number)!r})",
            f"shown = {cleaned}",
        ]
    return again.of_picture((pickers.model_name(), pickers.weights()), picture_picker.chosen_id(), pickers.text(model), lines)


def _unit(asked: Wish) -> str:
    return {"scores": UNITS[asked.sign], "relative": "times what it gets from all"}.get(asked.mode, "share of the row")


def show_verdict(layer: Layer, found: list[Layer], model: Model, asked: Wish) -> None:
    """Is there a sink, how clear is it, and where the threshold cuts."""
    from ui.figures import draw

    st.markdown(sinks.verdict(layer))
    if everywhere := sinks.over_layers(found):
        st.caption(everywhere)
    figure = draw(layer.found).update_layout(height=230, annotations=[])
    ends = [*layer.found.threshold.edges[[0, -1]], layer.found.threshold.value]
    low, high = float(min(ends) * 0.9), float(max(ends) * 1.15)
    marks = [mark * 10.0**power for power in range(-6, 7) for mark in (1, 2, 5) if low <= mark * 10.0**power <= high]
    figure.update_xaxes(
        title={"text": UNITS[asked.sign].replace(" (", "<br>(")}, range=[np.log10(low), np.log10(high)],
        tickvals=marks, ticktext=[f"{mark:g}" for mark in marks],
    )  # fmt: skip
    st.plotly_chart(figure, key="histogram", width="stretch", config={"displayModeBar": False})
    title = f"Sinks by {SIGNS[asked.sign]}, {layer.title}"
    page.take_away(layer.found, figure, key="histogram-away", title=title, snippet=_snippet(model, layer, asked))
    given = " (set by hand)" if asked.multiple is not None else ""
    alone = f"found from the numbers alone: {layer.automatic:.3g}"
    st.caption(f"Threshold {layer.found.threshold.value:.3g}{given}; {alone}.")
    if nowhere := sinks.none_anywhere(found, model.name):
        st.info(nowhere, icon=":material/info:")
        if model.name != PLANTED:
            st.button(f"Try {PLANTED}", icon=":material/water_drop:", on_click=_choose_model, args=(PLANTED,))
    for note in model.card.notes:
        if "sink" in note.lower() and not note.startswith("tried"):
            st.caption(f":material/info: {note}")


def _choose_model(name: str) -> None:
    st.session_state["model"] = name


def show_signs(capture: Capture, layer: Layer, asked: Wish) -> None:
    """What each of the three signs finds, and how far they agree."""
    rows, shared = sinks.agreement(capture, layer.number, tower=asked.tower, deviations=asked.deviations)
    st.subheader("Three signs", anchor=False)
    lines = ["| Sign | Patches found | Highest patch |", "|---|---|---|"]
    for row in rows:
        tokens = ", ".join(token_name(layer.found.rows, t) for t in row.tokens[:2]) + (" …" if len(row.tokens) > 2 else "")
        peak = "–" if row.refused else f"{sinks.number(row.peak)} × {sinks.BASES[row.sign]}"
        lines.append(f"| {SIGNS[row.sign].capitalize()} | {'not offered' if row.refused else tokens or 'none'} | {peak} |")
    st.markdown("\n".join(lines))
    for row in rows:
        if row.refused:
            st.caption(row.refused)
    said = [
        f"{SIGNS[a]} and {SIGNS[b]}: " + ("neither finds any" if share is None else f"{share:.0%} of what either finds")
        for (a, b), share in shared.items()
    ]
    st.caption("Agreement in this layer, thresholds as found. " + "; ".join(said) + ".")


def show_massive(capture: Capture, layer: Layer, asked: Wish) -> None:
    """The largest scalars of the layer."""
    st.subheader("Massive dimensions", anchor=False)
    table = sinks.massive_table(capture, layer.number, tower=asked.tower)
    st.dataframe(
        table, hide_index=True, width="stretch",
        column_config={
            "value": st.column_config.NumberColumn(format="%.1f"),
            "times median": st.column_config.NumberColumn(format="%.0f ×"),
        },
    )  # fmt: skip
    if not any(row["stands out"] for row in table):
        st.caption("No dimension of this layer stands out from the others: there is nothing massive here.")
    st.caption("Published: above 100, and 1,000 times the median magnitude. That rule is of large models.")


def part_of_scenes(name: str, weights: str, model: Model, asked: Any) -> Any:
    """What several scenes show; None while it is computed."""
    from ui.results.sinks_set import over_scenes

    return session.part(
        ("sink-scenes", name, weights, asked), lambda progress: over_scenes(model, asked, progress),
        label=f"Looking at {asked.scenes} scenes", estimate="One pass per scene.",
    )  # fmt: skip


def class_names(model: Model, numbers: np.ndarray) -> list[str]:
    """What the answers are called."""
    from ui.results.heads import name_of

    return [name_of(model, pickers.text(model), int(n)) for n in numbers]
