"""Heads / Strength: rings and averages against sums by hand, the page, its options and refusals."""

from __future__ import annotations

import numpy as np
import pytest

import analysis
import model_adapters as ma
from tests.app.pages import opened, settled
from tests.app.small_models import small_vit_without_class_token
from ui import pictures
from ui.jobs import Progress
from ui.results import heads, strength


@pytest.fixture(scope="module")
def vit():
    return ma.load("bundled:vit")


@pytest.fixture(scope="module")
def scene():
    return pictures.picture("scene:3")


@pytest.fixture(scope="module")
def capture(vit, scene):
    return heads.subject_for(vit, scene).capture()


def hops_by_hand(row: int) -> np.ndarray:
    """[145] hops from a patch on the 12 x 12 grid behind the class token; -1 for the token itself."""
    y, x = np.divmod(np.arange(144), 12)
    here = row - 1
    return np.concatenate([[-1], np.maximum(abs(y - here // 12), abs(x - here % 12))])


def test_rings_are_sums_over_the_grid(capture):
    site, head, row = capture.sites[3], 1, 40
    found = strength.rings(capture, site, head, row)
    away, weights = hops_by_hand(row), capture.weights[site][head, row]
    expected = [weights[away == hop].sum() for hop in range(12)]
    assert found.mass == pytest.approx(expected, abs=1e-6)
    assert found.elsewhere == pytest.approx(float(weights[0]), abs=1e-5)
    near = weights[away == 1].mean()
    assert found.map.values[(away[1:] == 1)] == pytest.approx(near, abs=1e-6)
    every = np.mean(
        [[capture.weights[site][head, r][hops_by_hand(r) == hop].sum() for hop in range(12)] for r in range(1, 145)], 0
    )
    assert found.usual == pytest.approx(every, abs=1e-6)


def test_the_first_patch_lies_on_the_largest_object_and_a_chosen_one_is_kept(capture, scene):
    site = capture.sites[0]
    mask = max(scene.objects, key=lambda item: item[1].sum())[1]
    first = strength.row_at(capture, site, "", scene)
    x0, y0, x1, y1 = capture.layouts[site].queries.boxes[first].astype(int)
    assert mask[y0:y1, x0:x1].mean() > 0.5
    assert strength.row_at(capture, site, "17", scene) == 17
    assert strength.row_at(capture, site, "999", scene) == first


def test_a_set_is_the_mean_of_its_scenes_with_an_interval_around_it(vit):
    method = analysis.find("attention_entropy")
    ids = heads.scene_ids(4)
    found = strength.strength_over(vit, ids, None, method, "vision", {"rows": "class"}, Progress())
    single = []
    for id in ids:
        weights = ma.capture(vit, vit.prepare(image=pictures.picture(id).array)).weights
        rows = np.stack([weights[site][:, 0].astype(float) for site in found.sites])
        single.append(-(rows * np.log(rows)).sum(-1) / np.log(145))
    assert found.values == pytest.approx(np.mean(single, 0), abs=1e-5)
    assert (found.low <= found.values).all() and (found.values <= found.high).all()
    profile = strength.profile_over(vit, ids, None, "vision", False, Progress())
    assert strength.trend(profile).values[:, 0] == pytest.approx(profile.values.mean(1))


def test_every_strength_is_offered_or_says_why_not(vit, capture, scene):
    names = [method.name for method in strength.strengths()]
    assert names[0] == "attention_distance" and "ablation_importance" not in names and "weight_norms" not in names
    subject = heads.subject_for(vit, scene)
    for method in strength.strengths():
        assert strength.why_not(method, capture, "vision", scene, {}) is None
        assert np.isfinite(strength.strength(subject, scene, method, "vision", {}).values).all()
    photo = pictures.picture("photo:cat")
    assert "drawn scene" in strength.why_not(analysis.find("object_energy"), capture, "vision", photo, {})
    share = analysis.find("attention_share")
    assert "no registers" in strength.why_not(share, capture, "vision", scene, {"to": "registers"})


def told(page) -> list[str]:
    return [caption.value for caption in page.caption if "place" in caption.value]


def test_the_page_shows_the_chosen_heads_number_and_follows_the_metric(capture):
    page = settled(opened("heads/strength", layer="3", head="1"), told)
    expected = analysis.find("attention_distance").function(capture).values
    place = int((expected > expected[3, 1]).sum()) + 1
    assert f"**{expected[3, 1]:.1f} px**" in told(page)[0] and f"place {place} of 24" in told(page)[0]
    page.selectbox(key="strength").set_value("attention_share")
    page = settled(page, lambda page: told(page) and "Attention share" in told(page)[0])
    assert any(button.key == "attention_share-to" for button in page.segmented_control)


def test_windows_and_missing_class_tokens_are_refused_with_a_sentence():
    page = settled(opened("heads/strength", model="bundled:swin", strength="object_energy"), lambda page: page.info)
    assert any("lie in windows" in info.value for info in page.info)
    page = settled(opened("heads/strength", model="bundled:swin", strength="attention_share"), lambda page: page.info)
    assert any("this tower has none" in info.value for info in page.info)


def test_a_shaken_model_without_a_class_token_shows_its_distances(monkeypatch, own_jobs):
    model = small_vit_without_class_token()
    monkeypatch.setattr(ma, "load", lambda name, **options: model)
    page = settled(opened("heads/strength", model="timm:small", layer="9", head="9"), told)
    assert "place" in told(page)[0] and any("Layer 1, head 1" in text.value for text in page.markdown)


def test_over_scenes_a_photograph_does_not_matter():
    link = {"image": "photo:cat", "strength": "object_energy", "scenes": "8"}
    page = settled(opened("heads/strength", **link), lambda page: page.info)
    assert any("drawn scene" in info.value for info in page.info)
    page = settled(opened("heads/strength", over="scenes", **link), lambda page: any("times its area" in t for t in told(page)))
    assert any("times its area" in text and "95 % over scenes" in text for text in told(page))


def test_rows_without_a_place_are_refused_with_a_sentence():
    page = settled(opened("heads/strength", model="bundled:clip", tower="text"), lambda page: page.info)
    assert not page.error and any("tokens that lie on the image" in info.value for info in page.info)
