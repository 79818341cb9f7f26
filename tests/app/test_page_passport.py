"""Heads / Passport: sentences from figures, typical pictures, relatives, the answer without the head, the page."""

from __future__ import annotations

import numpy as np
import pytest

import model_adapters as ma
from model_adapters import edits
from tests.app.pages import opened, settled
from tests.app.small_models import small_vit_without_class_token
from ui import overlays, pictures, sentences
from ui.jobs import Progress
from ui.results import heads, passport


@pytest.fixture(scope="module")
def vit():
    return ma.load("bundled:vit")


@pytest.fixture(scope="module")
def found(vit):
    return passport.portraits(vit, heads.scene_ids(8), None, "vision", Progress())


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (("local", ("local",), (0, 1)), "looks at its direct neighbours"),
        (("diagonal", ("diagonal",), (-1, 0)), "looks at the patch 1 patch up"),
        (("diagonal", ("diagonal",), (2, -3)), "looks at the patch 2 patches down and 3 left"),
        (("hybrid", ("row", "local"), (0, 1)), "looks partly along its row and partly to its direct neighbours"),
        (("unclear", ("unclear",), (0, 0), "content"), "closest to one that looks where the picture's content tells it to"),
    ],
)
def test_a_type_becomes_words(parts, says):
    assert says in sentences.looks(*parts)


def test_every_type_has_words():
    from analysis.head_measures import MEASURES

    for name in MEASURES:
        assert sentences.looks(name, (name,), (1, 0)) and sentences.MIXED[name]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (0.91, 0.44, "removing it lowers “boat” from 0.91 to 0.44"),
        (0.2, 0.35, "removing it raises “boat” from 0.20 to 0.35"),
        (0.5, 0.503, "removing it leaves “boat” at 0.50"),
        (0.999, 0.993, "removing it lowers “boat” from above 0.99 to 0.99"),
        (0.6041, 0.5989, "removing it lowers “boat” by 0.005, from 0.604"),
        (0.001, 0.0, "removing it leaves “boat” at below 0.01"),
    ],
)
def test_an_effect_names_both_numbers(before, after, says):
    assert sentences.effect("boat", before, after) == says


@pytest.mark.parametrize(
    ("place", "of", "says"),
    [(1, 20, "among the 5 % most"), (6, 24, "among the 25 % most"), (24, 24, "among the 4 % least"), (12, 24, "place 12 of 24")],
)
def test_a_rank_becomes_a_share(place, of, says):
    assert says in sentences.rank(place, of)


def test_the_answer_without_a_head_is_that_of_a_run_with_its_gate_at_zero(vit):
    scene = pictures.picture("scene:3")
    site = heads.sites_of(vit, "vision")[3]
    known = passport.without(vit, heads.subject_for(vit, scene), None, site, 1, 7)
    gate = edits.Gate(ma.Where(sites=(site.name,), heads=(1,)), 0.0)
    for shares, changes in ((known.before, ()), (known.after, (gate,))):
        expected = ma.run(vit, vit.prepare(image=scene.array), changes).softmax(-1)[0]
        assert shares == pytest.approx([float(expected[vit.labels.index(name)]) for name in known.names], abs=1e-5)
    assert known.names[known.target] == "ball" and len(set(known.names)) == passport.ANSWERS


def test_evidence_and_typical_pictures_are_those_with_the_largest_measure(vit, found):
    site = heads.sites_of(vit, "vision")[0]
    kind = passport.kind_of(found, site, 0)
    assert kind.type == "global"
    assert all(value >= limit for name, value, limit in kind.evidence if name == kind.type)
    shown = passport.typical(found, site, 0)
    entropies = []
    for id in found.ids:
        weights = ma.capture(vit, vit.prepare(image=pictures.picture(id).array)).weights[site][0, 1:].astype(float)
        entropies.append(float(-(weights * np.log(weights)).sum(-1).mean() / np.log(145)))
    order = np.argsort(entropies)[::-1][: len(shown.ids)]
    assert list(shown.ids) == [found.ids[i] for i in order]
    assert shown.values == pytest.approx([entropies[i] for i in order], abs=1e-4)
    assert "global" in shown.reason and "8 drawn scenes" in shown.reason


def test_what_patches_receive_is_the_mean_of_their_column(vit):
    site = heads.sites_of(vit, "vision")[4]
    shown = passport.received(vit, "scene:3", None, site, 2)
    weights = ma.capture(vit, vit.prepare(image=pictures.picture("scene:3").array)).weights[site][2]
    assert shown.values == pytest.approx(weights[1:, 1:].mean(0), abs=1e-6)


def test_a_twin_is_the_nearest_relative(vit, found):
    from dataclasses import replace

    sites = heads.sites_of(vit, "vision")
    values = found.maps.values.copy()
    one, two = (found.maps.heads.index(place) for place in ((sites[1], 3), (sites[5], 0)))
    values[two] = 3 * values[one]
    twins = replace(found, maps=replace(found.maps, values=values))
    best = passport.relatives(twins, sites, sites[1], 3)[0]
    assert (best.layer, best.head) == (5, 0) and best.alike == pytest.approx(1)


def test_overlays_keep_the_picture_where_there_is_no_token_and_scale_to_the_largest():
    values = np.array([[0.0, 1.0], [2.0, np.nan]])
    drawn = overlays.coloured(values)
    assert np.isnan(drawn[1, 1]).all() and drawn[1, 0].sum() > drawn[0, 1].sum() > drawn[0, 0].sum()
    assert overlays.thumbnail(values, 8).size == (8, 8)


def sentence(page) -> str:
    return next((text.value for text in page.markdown if text.value.startswith("##### Layer")), "")


def complete(page) -> bool:
    return bool(page.get("image")) and "most important" in sentence(page)


def test_the_page_says_who_the_head_is_and_another_head_is_another_page():
    page = settled(opened("heads/passport", layer="3", head="1"), complete)
    assert "removing it lowers “ball” from 0.99 to 0.40; the answer turns from “ball” to “heart”" in sentence(page)
    page.selectbox(key="passport-layer").set_value(0)
    page = settled(page, lambda page: "Layer 0, head 1" in sentence(page) and "everywhere" in sentence(page))
    assert page.session_state["chosen"].layer == 0


def test_windows_have_passports_too():
    page = settled(opened("heads/passport", model="bundled:swin", layer="5", head="1", portrait="8"), sentence)
    page = settled(page, lambda page: "looks" in sentence(page))
    assert "Layer 5, head 1" in sentence(page)


def test_a_model_without_answers_has_a_portrait_and_says_what_is_missing(monkeypatch, own_jobs):
    model = small_vit_without_class_token(classes=0)
    monkeypatch.setattr(ma, "load", lambda name, **options: model)
    page = settled(opened("heads/passport", model="timm:small", portrait="8"), lambda page: page.info and sentence(page))
    assert any("shows in an answer" in info.value for info in page.info)
    assert "removing" not in sentence(page)


def test_a_tower_without_patches_says_so_and_still_tells_what_a_head_is_worth():
    page = settled(opened("heads/passport", model="bundled:clip", tower="text", layer="1", head="1"), sentence)
    assert any("no pattern and no type" in info.value for info in page.info)
    assert "removing it" in sentence(page)
