"""Views and maps from real captures of small models: the same weights, and places on the picture that is shown."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

import model_adapters as ma
from analysis.rollout import rollout
from tests.zoo.shake import shaken
from ui.payload import layer_payload, thumbnails
from ui.session_file import read_view, write_view
from ui.viewer.from_capture import map_of, view_of
from ui.viewer.statistics import statistics_of


def captured(module, image):
    model = ma.wrap(module, name="mine")
    return ma.capture(model, model.prepare(image))


@pytest.fixture
def windowed():
    from timm.models import SwinTransformer

    torch.manual_seed(0)
    module = SwinTransformer(img_size=32, patch_size=4, window_size=4, embed_dim=16, depths=(2,), num_heads=(2,), num_classes=5)
    module.pretrained_cfg = {"input_size": (3, 32, 32), "crop_pct": 1.0, "num_classes": 5}
    return shaken(module).requires_grad_(False)


def test_a_view_holds_what_the_capture_holds(tiny_vit, picture):
    capture = captured(tiny_vit, picture)
    view = view_of(capture, picture)
    assert [layer.name for layer in view.layers] == [site.name for site in capture.sites]
    assert np.array_equal(view.weights(1), capture.weights[1])
    assert view.layers[0].queries.roles == ("class",) + ("patch",) * 16
    first = view.layers[0].queries.boxes[1:]
    assert (first[:, 0].min(), first[:, 2].max()) == pytest.approx((10, 50), abs=0.1), "the sides are cropped"
    assert (first[:, 1].min(), first[:, 3].max()) == pytest.approx((0, 40), abs=0.1)
    assert view.picture.width == 60 and view.title == "mine" and view.meta["model"] == "mine"


def test_boxes_follow_the_picture_that_is_shown(tiny_vit, picture):
    capture = captured(tiny_vit, picture)
    plain, large = view_of(capture, picture), view_of(capture, picture.resize((600, 400)))
    found, tenfold = plain.layers[0].keys.boxes, large.layers[0].keys.boxes
    assert np.allclose(10 * found, tenfold, equal_nan=True) and large.picture.width == 600


def test_rows_that_were_not_kept_are_not_offered(tiny_vit, picture):
    model = ma.wrap(tiny_vit, name="mine")
    capture = ma.capture(model, model.prepare(picture), keep=ma.Keep(queries=(0, 7)))
    view = view_of(capture, picture)
    layer = view.layers[0]
    assert layer.queries.roles == ("class", "patch") and len(layer.keys) == 17
    assert view.weights(0).shape == (4, 2, 17)
    full = view_of(captured(tiny_vit, picture), picture).layers[0]
    assert np.array_equal(layer.queries.boxes[1], full.queries.boxes[7])


def test_windows_keep_their_keys(windowed):
    y, x = np.mgrid[0:32, 0:32]
    image = Image.fromarray(np.stack([x * 8, y * 8, (x * y) % 256], -1).astype(np.uint8))
    capture = captured(windowed, image)
    view = view_of(capture, image)
    layer = view.layers[0]
    assert layer.windows == 4 and layer.keys_per_row == 16 and len(layer.keys) == 64
    for row in (0, 17, 63):
        met = capture.layouts[0].keys_of(row).boxes
        window = layer.windows_of_rows[row]
        assert np.array_equal(layer.keys.boxes[16 * window : 16 * window + 16], met)
    assert len(layer_payload(view, 1)) > 0 and len(thumbnails(view, "5,5")) > 0


def test_a_batch_or_an_empty_capture_is_refused_in_words(tiny_vit, picture):
    model = ma.wrap(tiny_vit, name="mine")
    empty = ma.capture(model, model.prepare(picture), keep=ma.Keep(sites="none"))
    with pytest.raises(ValueError, match="kept no rows"):
        view_of(empty, picture)
    many = ma.capture(model, model.prepare([picture, picture]))
    with pytest.raises(ValueError, match="one input"):
        view_of(many, picture)


def test_probabilities_are_the_softmax_of_the_logits(tiny_vit, picture):
    model = ma.wrap(tiny_vit, name="mine")
    model.labels = ("a", "b", "c", "d", "e")
    capture = ma.capture(model, model.prepare(picture))
    view = view_of(capture, picture)
    expected = [math.exp(float(v)) for v in capture.logits]
    assert view.probabilities == pytest.approx([v / sum(expected) for v in expected], rel=1e-4)


def test_statistics_belong_to_every_head(tiny_vit, picture):
    capture = captured(tiny_vit, picture)
    found = statistics_of(capture)
    view = view_of(capture, picture, statistics=found)
    share = capture.weights[1][2, 1:, 0].mean()
    assert view.statistics["share on class"][1][2] == pytest.approx(share, rel=1e-4)
    assert [len(rows) for rows in found["distance (px)"]] == [4, 4]


def test_a_recorded_capture_shows_the_same(tiny_vit, picture, tmp_path):
    view = view_of(captured(tiny_vit, picture), picture)
    write_view(tmp_path / "a.zip", view)
    found = read_view(tmp_path / "a.zip")
    assert np.abs(found.weights(0) - view.weights(0)).max() <= 0.004 * view.weights(0).max()
    assert found.layers[0].keys.roles == view.layers[0].keys.roles


def test_an_analysis_map_keeps_its_values_and_places(tiny_vit, picture):
    capture = captured(tiny_vit, picture)
    result = rollout(capture)
    shown = map_of(result, picture, title="Rollout")
    assert np.allclose(shown.values, result.values) and len(shown.tokens) == len(result.rows)
    assert np.allclose(shown.tokens.boxes, result.rows.boxes, equal_nan=True) and shown.title == "Rollout"


def test_a_large_picture_is_made_smaller_with_its_boxes(tiny_vit):
    image = Image.effect_noise((4000, 2000), 80).convert("RGB")
    view = view_of(captured(tiny_vit, image), image)
    assert (view.picture.width, view.picture.height) == (2048, 1024) and view.picture.mime == "image/jpeg"
    assert np.nanmax(view.layers[0].keys.boxes) <= 2048 * 1.02
