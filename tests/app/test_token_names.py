"""Names of tokens: grids with and without a class token, windows, and tokens of no grid."""

from __future__ import annotations

import numpy as np
import pytest

import model_adapters as ma
from model_adapters import Rows
from tests.app.results_by_hand import rows as grid
from ui import pictures
from ui.results.token_names import patch_name, token_name


@pytest.mark.parametrize("name", ["bundled:vit", "bundled:vit-registers", "bundled:swin"])
def test_a_patch_is_named_by_its_place_on_the_picture(name):
    model = ma.load(name)
    capture = ma.capture(model, model.prepare(image=pictures.picture("scene:3").array))
    rows = capture.layouts[capture.sites[0]].queries
    side = rows.boxes[rows.placed][0, 2] - rows.boxes[rows.placed][0, 0]
    for row in np.flatnonzero(rows.placed)[::7]:
        x, y = rows.boxes[row, :2]
        assert token_name(rows, row) == f"row {round(y / side)}, column {round(x / side)}"


def test_what_has_no_place_is_named_by_its_role():
    rows = grid(3, 2)
    roles = np.array(["class", "register", "register"], object)
    nowhere = np.full(3, -1, np.int16)
    both = Rows(
        np.concatenate([roles, rows.roles[1:]]), np.concatenate([np.full((3, 4), np.nan, np.float32), rows.boxes[1:]]),
        *(np.concatenate([nowhere, getattr(rows, field)[1:]]) for field in ("image", "tile", "frame")),
    )  # fmt: skip
    names = [token_name(both, n) for n in range(4)]
    assert names == ["class token", "register token 0", "register token 1", "row 0, column 0"]
    assert patch_name(both, 8) == "the patch in row 1, column 2" and patch_name(both, 0) == "the class token"
    assert token_name(None, 7) == "token 7"


def test_patches_of_no_grid_keep_their_number():
    boxes = np.array([[0, 0, 8, 8], [8, 0, 10, 8], [10, 0, 40, 8]], np.float32)
    zeros = np.zeros(3, np.int16)
    assert token_name(Rows(np.array(["patch"] * 3, object), boxes, zeros, zeros, zeros), 1) == "patch 1"
