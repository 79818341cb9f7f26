"""Maps over pictures: few cells where the grid is even, the same drawing at any number of them; pictures come back."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from analysis.results import TokenMap
from model_adapters import Rows
from ui import figures
from ui.figures.pixels import SIDE, cells_of, picture_trace, pixels_of
from ui.inline_picture import read


def grid(columns: int, rows: int, width: float, height: float) -> np.ndarray:
    """[N, 4]: the boxes of an even grid."""
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    corners = np.stack([x, y, x + 1, y + 1], -1).reshape(-1, 4)
    return (corners * np.array([width / columns, height / rows] * 2)).astype(np.float32)


def map_over(boxes: np.ndarray, size: tuple[int, int]) -> TokenMap:
    count = len(boxes)
    where = np.zeros(count, np.int16)
    rows = Rows(np.array(["patch"] * count), boxes, where, where, where)
    return TokenMap(np.random.default_rng(0).random(count), rows, size)


@pytest.mark.parametrize("shape", [(14, 14, 224, 224), (14, 14, 500, 333), (3, 7, 1000, 90), (37, 37, 518, 518), (1, 1, 10, 10)])
def test_an_even_grid_needs_one_cell_for_a_token(shape):
    columns, rows, width, height = shape
    assert cells_of(grid(*shape), (width, height)) == (columns, rows)


def test_tokens_that_overlap_by_half_need_cells_of_half_their_size():
    boxes = grid(4, 4, 64, 64)[[0, 1, 4, 5]]
    assert cells_of(np.concatenate([boxes, boxes + 8]), (64, 64)) == (8, 8)


@pytest.mark.parametrize("boxes", [[[0, 0, 10, 10], [10, 0, 33.3, 10]], [[0, 0, 0.02, 100], [0.02, 0, 100, 100]]])
def test_uneven_tokens_are_drawn_finely(boxes):
    assert cells_of(np.array(boxes, np.float32), (1000, 1000))[0] == SIDE


def test_no_token_on_the_picture_is_one_empty_cell():
    assert cells_of(np.zeros((0, 4), np.float32), (640, 480)) == (1, 1)


@pytest.mark.parametrize("boxes", [grid(6, 4, 96, 64), np.concatenate([grid(6, 4, 96, 64), grid(3, 2, 96, 64)])])
def test_few_cells_show_what_every_pixel_shows(boxes):
    result = map_over(boxes, (96, 64))
    cells = figures.draw(result).data[0]
    drawn = np.asarray(cells.z)
    assert drawn.shape == (4, 6)
    np.testing.assert_allclose(np.kron(drawn, np.ones((16, 16))), result.raster(), atol=1e-12)
    assert (cells.x0, cells.dx, cells.y0, cells.dy) == (8, 16, 8, 16)


def test_a_picture_comes_back_over_the_units_that_were_asked_for():
    wide = np.zeros((600, 1200, 3), np.uint8)
    wide[:, 600:] = (200, 30, 90)
    trace = picture_trace(Image.fromarray(wide), (300, 150)).to_plotly_json()
    pixels = pixels_of(trace)
    assert pixels.shape == (448, 896, 3) and np.array_equal(read(trace["source"]), pixels)
    assert trace["dx"] * 896 == pytest.approx(300) and trace["dy"] * 448 == pytest.approx(150)
    assert (trace["x0"], trace["y0"]) == (trace["dx"] / 2, trace["dy"] / 2)
    assert abs(pixels[100, 800].astype(int) - (200, 30, 90)).max() < 6 and pixels[100, 100].max() < 6


def test_a_picture_of_numbers_is_read_too():
    assert pixels_of({"type": "image", "z": [[[1, 2, 3]]]}).tolist() == [[[1, 2, 3]]]


def test_a_picture_that_lies_elsewhere_is_not_fetched():
    with pytest.raises(ValueError, match="somewhere else"):
        pixels_of({"type": "image", "source": "https://elsewhere.example/x.jpg"})
