"""Compare: differences against slow ones, reasons, the snippet, every thing that can differ, and linked hover in Chromium."""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

import model_adapters as ma
from analysis.compare import map_difference
from tests.app.browser import chromium, needs_chromium, serving, settle, watched_page
from tests.app.pages import opened, settled
from ui import pictures
from ui.jobs import Progress
from ui.results import compare
from ui.take_away import as_csv

SCENE = pictures.picture("scene:3")


@pytest.fixture(scope="module")
def vit():
    return ma.load("bundled:vit")


@pytest.fixture(scope="module")
def subjects(vit):
    return [compare.subject_of(model, SCENE, None) for model in (vit, ma.load("bundled:vit-sinks"))]


def test_the_difference_of_rows_is_right_minus_left(subjects):
    one, two = (compare.rows_of(subject, "vision", 4, 2, 0) for subject in subjects)
    pair = compare.paired(one, two, ("a", "b"), scale=False)
    by_hand = []
    for subject in subjects:
        capture = subject.capture()
        weights = capture.weights[capture.sites[4]][2, 0]
        by_hand.append(weights[1:])  # the class token has no place
    np.testing.assert_allclose(pair.difference.values, by_hand[1] - by_hand[0], atol=1e-6)
    assert np.abs(pair.difference.values).max() > 0.01


def test_the_mean_row_is_that_of_patches(subjects):
    shown = compare.rows_of(subjects[0], "vision", 3, None, None)
    weights = subjects[0].capture().weights[subjects[0].capture().sites[3]]
    np.testing.assert_allclose(shown.values, weights[:, 1:, 1:].mean((0, 1)), rtol=1e-4, atol=1e-6)


def test_pictures_of_other_sizes_are_laid_over_each_other_only_where_it_is_asked(vit):
    photo = pictures.picture("photo:" + next(iter(pictures._licences())))
    maps = [compare.rows_of(compare.subject_of(vit, each, None), "vision", 5, None, 0) for each in (SCENE, photo)]
    pair = compare.paired(*maps, ("a", "b"), scale=False)
    assert pair.difference is None and "size" in pair.reason
    assert len(compare.paired(*maps, ("a", "b"), scale=False, stretch=True).difference.values) == len(maps[0].values)


def test_a_silent_layer_changes_what_comes_after_it_and_nothing_before(vit, subjects):
    site = vit.report.seen[2]
    changed = compare.subject_of(vit, SCENE, None, compare.edits_of("layer", site, 0))
    found = compare.changed_heads(subjects[0], changed, "vision").values
    assert found[:3].max() == 0 and found[3:].min() > 0
    by_hand = ma.capture(vit, vit.prepare(image=SCENE.array), edits=compare.edits_of("layer", site, 0))
    weights = [c.weights[c.sites[4]] for c in (subjects[0].capture(), by_hand)]
    both = zip(*(w[1] for w in weights), strict=True)
    slow = [sum(max(float(a) - float(b), 0) for a, b in zip(*rows, strict=True)) for rows in both]
    np.testing.assert_allclose(found[4, 1], np.mean(slow), rtol=1e-4)


def test_answers_under_an_edit_are_those_of_a_run_with_it(vit):
    edits = compare.edits_of("even", vit.report.seen[5], 0)
    under = compare.subject_of(vit, SCENE, None, edits)
    np.testing.assert_allclose(under.scores, ma.run(vit, vit.prepare(image=SCENE.array), edits)[0].numpy(), rtol=1e-5)
    with pytest.raises(ValueError, match="edit"):
        import analysis

        analysis.explain(under, "integrated_gradients")


def test_an_edit_without_heads_is_refused(vit):
    with pytest.raises(ValueError, match="sent"):
        compare.edits_of("sent", vit.report.seen[0], 0)


def test_rankings_move_by_what_they_say(subjects):
    found = compare.rankings(*subjects, "attention_distance", "vision")
    order = [np.argsort(np.argsort(-m.values.ravel())) for m in (found.first, found.second)]
    np.testing.assert_array_equal(found.moved.values.ravel(), order[0] - order[1])
    assert found.correlation == pytest.approx(spearmanr(found.first.values.ravel(), found.second.values.ravel())[0])
    np.testing.assert_allclose(found.difference.values, found.second.values - found.first.values)


def test_other_tokens_cannot_be_ranked_and_say_why(subjects):
    registers = compare.subject_of(ma.load("bundled:vit-registers"), SCENE, None)
    for call in (lambda: compare.changed_heads(subjects[0], registers, "vision"),
                 lambda: compare.rankings(subjects[0], registers, "attention_entropy", "vision")):  # fmt: skip
        with pytest.raises(ValueError, match="shape"):
            call()


def test_answers_of_other_classes_are_not_compared(subjects):
    other = compare.subject_of(ma.load("bundled:clip"), SCENE, ("a ball", "a boat"))
    with pytest.raises(ValueError, match="other classes"):
        compare.answers(subjects[0], other, (tuple(subjects[0].model.labels), ("a ball", "a boat")))


def test_words_that_one_side_says_are_marked():
    base, tuned = (ma.load(f"bundled:{name}") for name in ("lvlm", "lvlm-tuned"))
    picture, text = pictures.picture("scene:5"), "what is in the picture?"
    one, two = (compare.answer_of_run(model, picture, text, (), Progress()) for model in (base, tuned))
    found = compare.held_together(one, two)
    assert "boat" in [w for w, gone in zip(found.first, found.gone, strict=True) if gone] and "boat" not in found.second
    # One more "blue" is said on the right, and a cross that the left does not name.
    assert [w for w, new in zip(found.second, found.new, strict=True) if new] == ["blue", "cross"]
    assert compare.held_together(one, one).sentence.startswith("Both say the same")
    pairs = compare.word_pairs(one, two)
    box = found.first.index("box")
    assert found.second[pairs[box]] == "box" and compare.first_pair(one, pairs) == box
    rows = one.answer.rows[one.answer.words[box].steps[0]]
    by_hand = np.mean([row[:, : len(one.answer.image)][:, one.answer.image] for row in rows], (0, 1))
    np.testing.assert_allclose(compare.word_map_of(one, box).values, by_hand, rtol=1e-5)


def page(**query):
    return opened("compare/compare", **query)


def done(test):
    return any("How to read" in e.label for e in test.expander) and not test.get("progress")


def code_of(test):
    return next(c.value for c in test.code if "map_difference" in c.value)


@pytest.mark.parametrize(
    "query, told",
    [
        ({}, "Rank correlation"),
        ({"other-model": "bundled:vit-registers", "beside": "heads"}, "shape"),
        ({"other-model": "bundled:vit", "beside": "layers"}, "Nothing differs"),
        ({"differs": "picture", "beside": "layers"}, "the pictures are the ones that differ"),
        ({"differs": "layer"}, "How alike the layers are"),
        ({"differs": "head"}, "two of its heads"),
        ({"differs": "method"}, "Rank correlation"),
        ({"differs": "edit", "beside": "ranks"}, "rank correlation"),
        ({"differs": "edit", "shown": "rollout", "edit": "even"}, "Rank correlation"),
        ({"model": "bundled:lvlm", "question": "what is in the picture?", "shown": "word"}, "Rank correlation"),
        ({"model": "bundled:lvlm", "differs": "edit", "edit-layer": "1", "shown": "word"}, "Rank correlation"),
        ({"model": "bundled:swin", "query": "40"}, "rank correlation|Rank correlation"),
    ],
)
def test_everything_that_can_differ_has_a_page(query, told):
    test = settled(page(**query), done)
    texts = [e.value for kind in (test.caption, test.info, test.markdown) for e in kind]
    assert any(re.search(told, text) for text in texts), texts
    space: dict = {}
    exec(code_of(test), space)
    assert space["shown"].signed and np.isfinite(space["shown"].values).all()


def test_the_snippet_gives_what_is_shown():
    test = settled(page(differs="edit", query="40", layer="5", head="2", fused="single"), done)
    space: dict = {}
    exec(code_of(test), space)
    vit = ma.load("bundled:vit")
    sides = [compare.subject_of(vit, SCENE, None, e) for e in ((), compare.edits_of("layer", vit.report.seen[3], 0))]
    maps = [compare.rows_of(side, "vision", 5, 2, 40) for side in sides]
    np.testing.assert_allclose(space["shown"].values, map_difference(maps[1], maps[0], scale=False).values, atol=1e-6)


OTHER_GRIDS = {"model": "timm:test_vit", "other-model": "bundled:vit", "query": "40", "layer": "1"}
"""Patches of another size, of a crop; random weights."""


def moved_by_hand(row: int) -> float:
    """Half the sum of all differences, in percent, pixel by pixel: each patch spreads its share evenly over its pixels."""
    left, right = (ma.load("timm:test_vit", weights="random"), ma.load("bundled:vit"))
    spread, boxes = [], []
    for model in (left, right):
        capture = ma.capture(model, model.prepare(image=SCENE.array))
        site = capture.sites[1]
        keys = capture.layouts[site].keys
        if not boxes:
            middle = (keys.boxes[row, :2] + keys.boxes[row, 2:]) / 2
            asked = row
        else:
            asked = next(n for n, b in enumerate(keys.boxes) if (b[:2] <= middle).all() and (middle < b[2:]).all())
        boxes.append(keys.boxes)
        raster = np.zeros((3840, 3840), np.float32)
        for weight, box in zip(capture.weights[site].mean(0)[asked], keys.boxes, strict=True):
            if np.isfinite(box).all():
                x0, y0, x1, y1 = np.round(10 * box).astype(int)
                raster[y0:y1, x0:x1] = weight / ((x1 - x0) * (y1 - y0))
        spread.append(raster)
    change = spread[1] - spread[0]
    there = [np.round(10 * box).astype(int) for box in boxes[0] if np.isfinite(box).all()]
    return 50 * sum(abs(change[y0:y1, x0:x1].sum()) for x0, y0, x1, y1 in there)


def half_the_sum(values) -> float:
    return 50 * float(np.nansum(np.abs(values)))


@pytest.mark.parametrize("extra", [{}, {"model": "bundled:swin", "query": "70"}], ids=["other patches", "windows"])
def test_the_table_and_the_script_say_the_same_on_other_grids(extra):
    query = OTHER_GRIDS | extra
    test = settled(page(**query), done)
    space: dict = {}
    exec(code_of(test), space)
    shown = next(each.result for each in test.session_state["seen results"].values() if "right minus left" in each.about.title)
    table = next(iter(pd.read_csv(io.BytesIO(as_csv(shown))).filter(like="−").items()))[1]
    np.testing.assert_allclose(space["shown"].values, shown.values, atol=1e-6)
    np.testing.assert_allclose(table, shown.values, atol=1e-6)
    if not extra:
        assert half_the_sum(table) == pytest.approx(moved_by_hand(40), abs=0.1)


def test_a_tuned_language_model_answers_beside_its_base():
    test = page(model="bundled:lvlm", question="what is in the picture?")
    settled(test, lambda t: done(t) and any("Greedy" in c.value for c in t.caption))
    assert test.session_state["compared"] == "decoder"
    test = settled(page(model="bundled:lvlm", differs="text"), done)
    assert not test.exception


@pytest.mark.browser
@needs_chromium
def test_hover_is_linked():
    with serving("app.py") as server, chromium() as browser, watched_page(browser, server) as page:
        page.goto(f"{server}/compare-compare")
        page.wait_for_selector(".pair .starts button", timeout=120_000)
        settle(page)
        assert "Class" in page.inner_text(".pair .readout")
        box = page.locator(".pair .second .heat").bounding_box()
        page.mouse.move(box["x"] + box["width"] * 4.5 / 12, box["y"] + box["height"] * 6.5 / 12)
        outlined = [page.get_attribute(f".pair .{side}", "data-outlined") for side in ("first", "between", "second")]
        assert outlined == [str(1 + 6 * 12 + 4)] * 3
        told = page.inner_text(".pair .readout")
        assert told.startswith("Patch (row 6, column 4)")
        subjects = [compare.subject_of(ma.load(f"bundled:{n}"), SCENE, None) for n in ("vit", "vit-sinks")]
        rows = [compare.rows_of(each, "vision", 5, None, 77).values for each in subjects]
        moved = 0.5 * np.abs(rows[1] - rows[0]).sum()
        assert float(re.search(r"differences is (\d+(\.\d+)?)", told)[1]) == pytest.approx(100 * moved, abs=1.1)
        page.mouse.click(box["x"] + box["width"] * 4.5 / 12, box["y"] + box["height"] * 6.5 / 12)
        page.wait_for_function("() => location.search.includes('query=77')")


@pytest.mark.browser
@needs_chromium
def test_the_picture_says_what_the_table_says_on_other_grids():
    with serving("app.py") as server, chromium() as browser, watched_page(browser, server) as page:
        page.goto(f"{server}/compare-compare?" + "&".join(f"{name}={value}" for name, value in OTHER_GRIDS.items()))
        page.wait_for_selector(".pair .starts button", timeout=120_000)
        settle(page)
        page.wait_for_selector(".pair .readout:has-text('differences')")
        told = page.inner_text(".pair .readout")
    assert told.startswith("Patch (row 3, column 9)")
    assert float(re.search(r"differences is (\d+(\.\d+)?)", told)[1]) == pytest.approx(moved_by_hand(40), abs=0.6)
