"""Views made by rule: their attention is known without a model."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from ui.map_payload import MapView
from ui.recording import Chip, Layer, Picture, Tokens, View
from ui.session_file import read_view
from ui.viewer.record import START


def drawn(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    stripes = np.stack([x * 255 // width, y * 255 // height, ((x // 24 + y // 24) % 2) * 160 + 40], -1)
    return Image.fromarray(stripes.astype(np.uint8))


def picture_of(image: Image.Image) -> Picture:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return Picture(stream.getvalue(), *image.size)


def boxes_of(rows: int, columns: int, width: float, height: float) -> np.ndarray:
    y, x = np.mgrid[0:rows, 0:columns]
    boxes = np.stack([x * width / columns, y * height / rows, (x + 1) * width / columns, (y + 1) * height / rows], -1)
    return boxes.reshape(-1, 4).astype(np.float32)


def tokens(prefix: tuple[str, ...], boxes: np.ndarray) -> Tokens:
    nowhere = np.full((len(prefix), 4), np.nan, np.float32)
    return Tokens(prefix + ("patch",) * len(boxes), np.concatenate([nowhere, boxes]))


def softmaxed(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


def square(side: int, layers: int = 4, heads: int = 12, prefix: tuple[str, ...] = ("class",)) -> View:
    """Heads that look at random places, reproducibly: every row has another strongest key."""
    all_tokens = tokens(prefix, boxes_of(side, side, 768, 768))
    n = len(all_tokens)

    def load(layer: int) -> np.ndarray:
        rng = np.random.default_rng(layer)
        return np.stack([softmaxed(2 * rng.standard_normal((n, n), np.float32)) for _ in range(heads)])

    records = tuple(Layer(f"blocks.{n}.attn", "vision", n, heads, all_tokens, all_tokens) for n in range(layers))
    numbers = np.random.default_rng(9).random((layers, heads))
    numbers[-1, -1] = 7.0
    return View(
        title=f"random {side} x {side}", picture=picture_of(drawn(768, 768)), layers=records, load=load,
        statistics={"distance": tuple(map(tuple, numbers.tolist())), "entropy": tuple(map(tuple, (-numbers).tolist()))},
    )  # fmt: skip


def registers() -> View:
    return square(8, layers=2, heads=3, prefix=("class", "register", "register"))


def sinks() -> View:
    """Patch 5 of layer 0 receives most of what everybody gives."""
    plain = square(6, layers=2, heads=2)

    def load(layer: int) -> np.ndarray:
        weights = plain.load(layer) * 0.4
        weights[:, :, 6] += 0.6
        return weights

    return View(title="sinks", picture=plain.picture, layers=plain.layers, load=load)


def windows() -> View:
    """2 x 2 windows of 4 x 4 patches on a wide picture, shifted by 2 patches; then a global layer of 4 x 4."""
    boxes = boxes_of(8, 8, 800, 600).reshape(8, 8, 4)
    rolled = np.roll(boxes, (-2, -2), (0, 1)).reshape(2, 4, 2, 4, 4).transpose(0, 2, 1, 3, 4).reshape(-1, 4)
    shifted, coarse = tokens((), rolled), tokens((), boxes_of(4, 4, 800, 600))

    def load(layer: int) -> np.ndarray:
        rng = np.random.default_rng(layer)
        return softmaxed(2 * rng.standard_normal(((3, 64, 16), (6, 16, 16))[layer]))

    records = (
        Layer("stage0", "vision", 0, 3, shifted, shifted, windows=4),
        Layer("stage1", "vision", 1, 6, coarse, coarse),
    )
    return View(title="windows", picture=picture_of(drawn(800, 600)), layers=records, load=load)


def towers() -> View:
    """Two layers that see, then two that read: the word "ball" asks in the second tower only."""
    seen = square(6, layers=4, heads=3)
    layers = tuple(replace(record, tower="vision" if n < 2 else "decoder", number=n % 2) for n, record in enumerate(seen.layers))
    return View("towers", seen.picture, layers, seen.load, chips=(Chip("ball", row=5, tower="decoder"),))


def nowhere() -> View:
    """Channels attend to channels: nothing to draw."""
    channels = Tokens(("channel",) * 8, np.full((8, 4), np.nan, np.float32))
    layer = Layer("xca", "vision", 0, 2, channels, channels, quality="none", reason="Channels attend to channels: no place.")
    load = lambda _: np.full((2, 8, 8), 1 / 8, np.float32)  # noqa: E731
    return View(title="channels", picture=picture_of(drawn(400, 300)), layers=(layer,), load=load)


def words() -> View:
    """Three answer words asking 5 x 4 patches of one picture, and the prompt before them."""
    keys = Tokens(
        ("bos",) + ("patch",) * 20 + ("question",) * 4,
        np.concatenate([np.full((1, 4), np.nan), boxes_of(4, 5, 640, 480), np.full((4, 4), np.nan)]).astype(np.float32),
    )
    queries = Tokens(("answer",) * 3, np.full((3, 4), np.nan, np.float32))
    rng = np.random.default_rng(0)
    weights = softmaxed(2 * rng.standard_normal((2, 3, 25)))
    layer = Layer("layers.0.self_attn", "language", 0, 2, queries, keys)
    chips = tuple(Chip(word, row=n) for n, word in enumerate(("a", "red", "circle")))
    return View(title="words", picture=picture_of(drawn(640, 480)), layers=(layer,), load=lambda _: weights, chips=chips)


def four_maps() -> list[tuple[Image.Image, MapView]]:
    image = drawn(480, 360)
    shown = []
    for number, (side, signed) in enumerate([(14, False), (14, True), (24, False), (7, True)]):
        rng = np.random.default_rng(number)
        values = rng.standard_normal(side * side).astype(np.float32)
        values = values if signed else values**2
        place = tokens((), boxes_of(side, side, 480, 360))
        shown.append(
            (image, MapView(f"Map {number}: a title that is rather long", picture_of(image), place, values, signed, "share"))
        )
    return shown


VIEWS = {
    "start": lambda: read_view(START),
    "14": lambda: square(14, layers=12), "24": lambda: square(24), "37": lambda: square(37, layers=3),
    "registers": registers, "sinks": sinks, "windows": windows, "nowhere": nowhere, "words": words, "towers": towers,
}  # fmt: skip
MAPS = four_maps
