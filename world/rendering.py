"""Draw a scene at any resolution, with exact masks of what is visible."""

from dataclasses import dataclass

import numpy as np

from world.backgrounds import draw_background
from world.scenes import Scene, SceneObject
from world.shapes import INSIDE
from world.vocabulary import COLOUR_VALUES

_SUBPIXELS = 3  # odd, so that the middle one is the pixel's centre, which decides the mask
_NOISE = 0.05


@dataclass(frozen=True, eq=False)
class Rendering:
    """A drawn scene.

    Attributes:
        image: uint8 RGB [size, size, 3].
        ids: which object is seen at each pixel's centre, int8 [size, size]; -1 is the background.
    """

    image: np.ndarray
    ids: np.ndarray

    def mask(self, index: int) -> np.ndarray:
        """Where object `index` is visible."""
        return self.ids == index

    def box(self, index: int) -> tuple[int, int, int, int] | None:
        """Left, top, right, bottom (exclusive) of the visible part; None when nothing is visible."""
        rows, columns = np.nonzero(self.ids == index)
        if not len(rows):
            return None
        return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1

    def areas(self, count: int) -> np.ndarray:
        """Visible pixels of each of `count` objects."""
        return np.bincount(self.ids[self.ids >= 0].ravel(), minlength=count)


def _window(item: SceneObject, size: int) -> tuple[slice, slice]:
    half = item.size / 2

    def span(centre: float) -> slice:
        first = max(0, int(np.floor((centre - half) * size)))
        return slice(first, max(first, min(size, int(np.ceil((centre + half) * size)))))

    return span(item.y), span(item.x)


def _subpixel_positions(span: slice, size: int) -> np.ndarray:
    first, count = span.start * _SUBPIXELS, (span.stop - span.start) * _SUBPIXELS
    return (np.arange(first, first + count, dtype=np.float32) + 0.5) / (size * _SUBPIXELS)


def _shade(item: SceneObject, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    if item.texture == "striped":
        return 1.0 - 0.32 * (np.sin(11.0 * (u + v)) > 0.2)
    if item.texture == "dotted":
        return 1.0 - 0.36 * (np.sin(10.0 * u) * np.sin(10.0 * v) > 0.35)
    return np.ones(np.broadcast_shapes(u.shape, v.shape), dtype=np.float32)


def _paint(canvas: np.ndarray, ids: np.ndarray, index: int, item: SceneObject) -> None:
    size = len(ids)
    rows, columns = _window(item, size)
    u = ((_subpixel_positions(columns, size) - item.x) * (2 / item.size))[None, :]
    v = ((_subpixel_positions(rows, size) - item.y) * (2 / item.size))[:, None]
    inside = INSIDE[item.category](u, v)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    cells = inside.reshape(height, _SUBPIXELS, width, _SUBPIXELS)
    coverage = (cells.sum(axis=(1, 3), dtype=np.float32) / _SUBPIXELS**2 * (1.0 - item.fade))[..., None]
    middle = _SUBPIXELS // 2
    shade = _shade(item, u[:, middle::_SUBPIXELS], v[middle::_SUBPIXELS])
    colour = np.array(COLOUR_VALUES[item.colour], dtype=np.float32)
    # In this form nothing of what lies below is left, not even a rounding error, where the coverage is 1.
    canvas[rows, columns] = canvas[rows, columns] * (1.0 - coverage) + coverage * (shade[..., None] * colour)
    ids[rows, columns][cells[:, middle, :, middle]] = index


def render(scene: Scene, size: int = 96) -> Rendering:
    """Draw `scene` at `size` x `size` pixels; edges are smooth, masks are decided at the pixels' centres.

    The noise depends on `scene.detail` and `size` only, so twins of a scene share it.
    """
    canvas = draw_background(scene.background, scene.detail, size).astype(np.float32)
    ids = np.full((size, size), -1, dtype=np.int8)
    for index, item in enumerate(scene.objects):
        _paint(canvas, ids, index, item)
    noise = np.random.default_rng([scene.detail, size]).integers(-127, 128, canvas.shape, dtype=np.int8)
    canvas = canvas * 255 + noise * np.float32(_NOISE * 255 / 127)
    np.clip(canvas, 0, 255, out=canvas)
    return Rendering(canvas.astype(np.uint8), ids)
