"""A view from what one run of a model showed. Takes a capture as it is and imports no model library."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ui.map_payload import MapView
from ui.recording import Chip, Layer, Picture, Tokens, View

if TYPE_CHECKING:
    from PIL import Image

    from analysis.results import TokenMap
    from model_adapters import Capture, Layout, Rows

_SIDE = 2048
"""A picture's longer side on the page; more is not visible."""
_JPEG_QUALITY = 92


def view_of(
    capture: Capture,
    image: Image.Image,
    *,
    title: str = "",
    statistics: Mapping[str, Sequence[Sequence[float]]] | None = None,
    chips: Sequence[Chip] = (),
    meta: Mapping[str, Any] | None = None,
    image_index: int = 0,
) -> View:
    """What the viewer shows of a capture of one input.

    Args:
        capture: with rows of weights, and without a batch axis.
        image: the picture that was given, of any size: boxes are scaled to it.
        title: stands above exported figures; the model's name by default.
        statistics: name -> one number per head of each kept site, for sorting.
        chips: words and other rows to offer, beside class and register tokens.
        meta: what a reader needs to make it again: versions, seed, weights.
        image_index: which of the given pictures `image` is; tokens of others have no place on it.
    """
    if not capture.sites:
        raise ValueError("this capture kept no rows of attention; capture with Keep() first.")
    first = capture.weights[capture.sites[0]]
    if first.ndim != 3:
        raise ValueError(f"a view shows one input; this capture has a batch: weights {first.shape}. Give one image, not a list.")
    picture, shown = picture_of(image)
    layers = tuple(_layer(capture, site, shown, image_index) for site in capture.sites)
    labels, probabilities = _answer(capture)
    return View(
        title=title or capture.model,
        picture=picture,
        layers=layers,
        load=lambda position: capture.weights[capture.sites[position]],
        labels=labels,
        probabilities=probabilities,
        statistics={name: tuple(tuple(map(float, row)) for row in rows) for name, rows in (statistics or {}).items()},
        chips=tuple(chips),
        meta={"model": capture.model, **_noted(capture), **(meta or {})},
    )


def map_of(token_map: TokenMap, image: Image.Image, *, title: str = "") -> MapView:
    """An analysis' map over its picture, for `map_view`."""
    picture, shown = picture_of(image)
    tokens = _tokens(token_map.rows, token_map.size, shown, 0)
    return MapView(
        title=title or token_map.label,
        picture=picture,
        tokens=tokens,
        values=np.asarray(token_map.values, np.float32),
        signed=token_map.signed,
        unit=token_map.unit,
    )


def _layer(capture: Capture, site: Any, shown: tuple[int, int], image_index: int) -> Layer:
    rows = capture.rows[site]
    heads = capture.weights[site].shape[0]
    try:
        layout = capture.layouts[site]
    except KeyError as error:
        return _without_layout(capture, site, rows, str(error.args[0]))
    if capture.weights[site].shape[2] * layout.windows != len(layout.keys):
        return _without_layout(capture, site, rows, "Its keys are not the tokens that the geometry met.")
    per_window = len(layout.queries) // layout.windows
    size = layout.size if all(layout.size) else capture.size or shown
    quality, reason = _said(layout)
    return Layer(
        name=site.name, tower=site.tower, number=site.layer, heads=heads,
        queries=_tokens(layout.queries.take(rows), size, shown, image_index),
        keys=_tokens(layout.keys, size, shown, image_index),
        windows=layout.windows, window_of=(rows // per_window).astype(np.int32), quality=quality, reason=reason,
    )  # fmt: skip


def _said(layout: Layout) -> tuple[str, str]:
    if layout.quality != "none" and not layout.keys.placed.any():
        return "none", "None of the tokens that are looked at has a place on the image."
    return layout.quality, layout.reason


def _without_layout(capture: Capture, site: Any, rows: np.ndarray, reason: str) -> Layer:
    heads, _, keys = capture.weights[site].shape
    nowhere = [Tokens(("unknown",) * n, np.full((n, 4), np.nan, np.float32)) for n in (len(rows), keys)]
    return Layer(site.name, site.tower, site.layer, heads, nowhere[0], nowhere[1], quality="none", reason=reason)


def _tokens(rows: Rows, size: tuple[int, int], shown: tuple[int, int], image_index: int) -> Tokens:
    scale = np.array([shown[0] / size[0], shown[1] / size[1]] * 2, np.float32)
    boxes = rows.boxes.astype(np.float32) * scale
    boxes[(rows.image != image_index) & (rows.image >= 0)] = np.nan
    return Tokens(tuple(str(role) for role in rows.roles), boxes)


def _noted(capture: Capture) -> dict[str, Any]:
    """What the capture itself says of what it does not show."""
    notes = tuple(getattr(capture, "notes", ()))
    return {"notes": list(notes)} if notes else {}


def _answer(capture: Capture) -> tuple[tuple[str, ...], tuple[float, ...]]:
    if capture.labels is None or capture.logits.shape != (len(capture.labels),):
        return (), ()
    powers = np.exp(capture.logits.astype(np.float64) - capture.logits.max())
    return tuple(capture.labels), tuple((powers / powers.sum()).tolist())


def picture_of(image: Image.Image) -> tuple[Picture, tuple[int, int]]:
    """The picture as PNG where that is small, else JPEG; and its size."""
    image = image.convert("RGB")
    if max(image.size) > _SIDE:
        image.thumbnail((_SIDE, _SIDE))
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)  # five times as fast as the default, a quarter larger
    if stream.tell() > 400_000:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return Picture(stream.getvalue(), *image.size), image.size
