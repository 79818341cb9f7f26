"""Heads / Patterns: maps of pairs, the query line, the map's bytes, and the page with its thresholds and refusals."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

import model_adapters as ma
from analysis.head_query import Condition, OfType
from analysis.head_types import head_types
from analysis.patterns import aligned_maps, pattern_pca
from tests.app.pages import opened, settled
from tests.app.small_models import small_vit_without_class_token
from ui import pictures
from ui.head_map import head_map
from ui.jobs import Progress
from ui.point_map.points import STEPS, pattern_bytes, trimmed
from ui.results import heads, passport, patterns, patterns_query

IDS = heads.scene_ids(3)


@pytest.fixture(scope="module", params=["bundled:vit", "bundled:swin"])
def model(request):
    return ma.load(request.param)


@pytest.fixture(scope="module")
def vit():
    return ma.load("bundled:vit")


@pytest.fixture(scope="module")
def found(vit):
    return passport.portraits(vit, IDS, None, "vision", Progress())


def captures_of(model):
    return [ma.subject(model, pictures.picture(id).array).capture() for id in IDS]


def test_mean_weights_of_pairs_are_those_of_the_analysis(model):
    captures = captures_of(model)
    made = patterns.of_pairs(model, aligned_maps(captures), pictures.picture(IDS[0]), None)
    expected = aligned_maps(captures, value="strength")
    np.testing.assert_allclose(made.values, expected.values, rtol=1e-6)


def test_a_trimmed_pattern_keeps_the_query_in_the_middle():
    whole = np.full((9, 11), np.nan)
    whole[3:5, 4:6] = 1.0  # one row and one column further than the middle on one side only
    cut = trimmed(whole)
    assert cut.shape == (3, 3) and np.isnan(cut[2]).all()
    assert cut[1, 1] == 1.0


def test_bytes_of_patterns_are_scaled_each_to_its_own_largest():
    maps = np.zeros((2, 3, 3))
    maps[0, 1, 1], maps[0, 0, 0], maps[1, 2, 2] = 4.0, 2.0, 0.1
    codes = pattern_bytes(maps)
    assert codes[0, 1, 1] == STEPS and codes[0, 0, 0] == round(STEPS / 2) and codes[1, 2, 2] == STEPS
    coarse = pattern_bytes(np.pad(np.ones((1, 1, 1)), ((0, 0), (60, 60), (60, 60))))
    assert coarse.shape == (1, 80, 80) and coarse.max() == STEPS
    middle = np.argwhere(coarse[0] == STEPS).mean(0)
    np.testing.assert_allclose(middle, 39.5, atol=1)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("importance: top 10 %", Condition("importance", top=0.1)),
        ("distance lowest 25%", Condition("distance", bottom=0.25)),
        ("On object > 1.5", Condition("on object", least=1.5)),
        ("self <= -0.25", Condition("self", most=-0.25)),
        ("row ≥ 40 %", Condition("row", least=0.4)),
        ("local", OfType(("local",))),
        ("only row or column", OfType(("row", "column"), alone=True)),
    ],
)
def test_conditions_mean_what_they_say(text, expected):
    assert patterns_query.condition(text, ("importance", "distance", "on object", "self", "row")) == expected


@pytest.mark.parametrize("text", ["", "loca", "size > 3", "row >", "importance: top 0 %", "__import__('os')", "hybrid"])
def test_what_is_no_condition_is_refused_with_what_would_work(text):
    with pytest.raises(ValueError, match=r"“.*”"):
        patterns_query.condition(text, ("importance", "row"))


def test_found_heads_meet_all_conditions_by_hand(found):
    table = patterns.known_of(found, found.types)
    got = {(h.site.layer, h.head) for h in patterns_query.found(table, ["distance: bottom 50 %", "entropy < 0.93", "layer > 1"])}
    distance, entropy = found.distance.values, found.entropy.values
    limit = np.sort(distance.ravel())[distance.size // 2 - 1]
    met = (entropy <= 0.93) & (distance <= limit) & (np.arange(6)[:, None] >= 1)
    by_hand = {(int(row), int(head)) for row, head in np.argwhere(met)}
    assert got == by_hand and by_hand


def test_the_lowest_come_first_when_the_lowest_are_asked_for(found):
    heads_found = patterns_query.found(patterns.known_of(found, found.types), ["distance: bottom 25 %"])
    values = [dict(head.evidence)["distance"] for head in heads_found]
    assert len(values) == 6 and values == sorted(values)


def test_importance_is_the_mean_slope_over_scenes(vit):
    from ui.results import importance

    made = patterns.importance(vit, IDS, None, "vision", Progress())
    each = []
    for id in IDS:
        picture = pictures.picture(id)
        subject = heads.subject_for(vit, picture)
        label = heads.label_of(vit, picture, None, subject)
        each.append(importance.cheap(vit, subject, label, "vision").each["gate_times_gradient"][0])
    np.testing.assert_allclose(made.values, np.mean(each, 0), rtol=1e-5)


def test_the_map_frames_each_head_in_the_colour_of_its_type(vit, found):
    places = patterns.places_of(found.maps.heads, heads.sites_of(vit, "vision"))
    at = patterns.placed(found.maps, patterns.summarised(found.maps, "pca", 4), "pca", "pca")
    shown = head_map(found.maps, at, places, found.types)
    for place, group in zip(places, shown.group, strict=True):
        assert shown.legend[group].name == found.types.types[place.row, place.head]
    assert sum(entry.count or 0 for entry in shown.legend) == 24
    data = shown.packed(chosen=3)
    header = json.loads(data[8 : 8 + struct.unpack("<I", data[4:8])[0]])
    assert header["chosen"] == 3 and header["arrays"]["patterns"]["shape"] == [24, 23, 23]
    clusters = patterns.grouped(patterns.summarised(found.maps, "pca", 4).codes, "k-means", 3)
    by_group = head_map(found.maps, at, places, found.types, by="group", clusters=clusters)
    assert [entry.count for entry in by_group.legend] == np.bincount(clusters.labels).tolist()
    assert by_group.id == shown.id


@pytest.mark.parametrize("how, by", [("pca", "t-sne"), ("autoencoder", "pca"), ("autoencoder", "t-sne")])
def test_every_summary_and_projection_places_every_head(found, how, by):
    summary = patterns.summarised(found.maps, how, 4)
    assert summary.codes.shape == (24, 4) and 0 <= summary.total_error < 0.5
    placed = patterns.placed(found.maps, summary, how, by)
    assert placed.points.shape == (24, 2) and np.isfinite(placed.points).all()


def test_dense_groups_may_leave_heads_out(found):
    clusters = patterns.grouped(patterns.summarised(found.maps, "pca", 4).codes, "density", 3)
    sizes = np.unique(clusters.labels[clusters.labels >= 0], return_counts=True)[1]
    assert (sizes >= 3).all() and len(clusters.labels) == 24


def types_told(page):
    return next(m.value for m in page.markdown if m.value.startswith("**") and " · **" in m.value)


def test_the_page_counts_types_again_when_a_threshold_moves(found):
    page = settled(
        opened("heads/patterns", **{"pattern-scenes": "8"}), lambda page: any("Find heads" in s.value for s in page.subheader)
    )
    wide = passport.portraits(ma.load("bundled:vit"), heads.scene_ids(8), None, "vision", Progress())
    for least in (0.9, 0.5):
        page.slider(key="limit-head_types-everywhere").set_value(least)
        page.run()
        counted = patterns.counts(head_types(wide.types.measures, everywhere=least))
        assert types_told(page) == " · ".join(f"**{n}** {name}" for name, n in counted.items())
    assert any(button.label == "Send to Prune" for button in page.button)


def test_the_page_finds_heads_and_a_card_chooses_one_for_all_pages():
    page = opened("heads/patterns", **{"pattern-scenes": "8", "find": "distance: bottom 10 %,layer > 0"})
    settled(page, lambda page: any(b.key.startswith("card-") for b in page.button))
    card = next(b for b in page.button if b.key.startswith("card-"))
    row, head = map(int, card.key.split("-")[1:])
    card.click()
    page.run()
    chosen = page.session_state["chosen"]
    assert (chosen.layer, chosen.head) == (row, head)
    assert any(s.value == f"Layer {row}, head {head}" for s in page.subheader)


def test_a_senseless_condition_is_a_sentence():
    page = opened("heads/patterns", **{"pattern-scenes": "8", "find": "size > 3"})
    settled(page, lambda page: page.warning)
    assert "no number “size” is known" in page.warning[0].value


def test_windows_have_no_object_but_a_map():
    page = opened("heads/patterns", model="bundled:swin", **{"pattern-scenes": "8"})
    settled(page, lambda page: any("Find heads" in s.value for s in page.subheader))
    assert any("distance: bottom 10 %" in m.value for m in page.multiselect)
    assert not any("on object" in option for m in page.multiselect if m.key == "find" for option in m.options)


def test_a_tower_of_words_is_refused_with_what_works():
    page = opened("heads/patterns", model="bundled:clip", tower="text")
    settled(page, lambda page: page.info)
    assert "no patches attend to each other" in page.info[0].value and "bundled:vit" in page.info[0].value


def test_a_model_without_classes_or_class_token_has_types_and_no_importance(monkeypatch, own_jobs):
    bare = small_vit_without_class_token(classes=0)
    monkeypatch.setattr(ma, "load", lambda name, **options: bare)
    page = opened("heads/patterns", model="timm:bare", **{"pattern-scenes": "8"})
    settled(page, lambda page: any("Find heads" in s.value for s in page.subheader))
    assert any("Importance is not known here" in c.value for c in page.caption)
    codes = pattern_pca(patterns.of_pairs(bare, aligned_maps(captures_of(bare)), pictures.picture(IDS[0]), None))
    assert len(codes.heads) == sum(site.heads for site in bare.report.seen)
