"""What figures hold: arrays, ends of scales, marks; never their pixels."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from scipy.stats import spearmanr

import analysis
from analysis.fixes import FixOptions
from analysis.results import Curve, HeadMatrix, Profile
from model_adapters import Site
from tests.app import results_by_hand as made
from ui import figures
from ui.figures.frame import humane, limits

RESULTS = made.by_hand()
WITHOUT_PICTURE = {
    float: "one number says nothing alone: the page shows it among those of true and made-up words",
    FixOptions: "keywords that a model answers with: the page shows the two answers",
}
"""Results that are no picture, with the reason."""


@pytest.mark.parametrize("method", analysis.methods(), ids=lambda m: m.name)
def test_the_result_of_every_method_has_a_drawing(method):
    drawn = figures.has_rule(method.result)
    assert drawn != (method.result in WITHOUT_PICTURE), (
        f"{method.name} returns {method.result}: write a rule in ui/figures for it"
    )


def test_every_drawn_type_is_tried_here():
    import ui.figures.every_rule  # noqa: F401
    from ui.figures.rules import rule

    tried = {type(result) for result in RESULTS.values()}
    assert set(rule.registry) - {object} <= tried


@pytest.mark.parametrize("name", RESULTS)
def test_a_drawing_is_clear_and_can_be_sent(name):
    figure = figures.draw(RESULTS[name], chosen=(1, 2))
    sent = json.loads(figure.to_json())
    assert sent["data"] and figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.font.color is None and figure.layout.title.text is None


def test_an_unknown_result_is_refused_with_what_is_drawn():
    with pytest.raises(TypeError, match="no drawing for a dict.*HeadMatrix"):
        figures.draw({})
    assert not figures.has_rule(dict) and not figures.has_rule(tuple[int, ...])


def test_a_head_matrix_starts_at_zero_shows_gaps_and_takes_clicks():
    values = np.array([[0.2, 0.4], [0.3, np.nan]])
    sites = (Site("a", layer=0, heads=2), Site("b", layer=2, heads=1))
    figure = figures.draw(HeadMatrix(values, sites, label="share", unit="%", low=values - 0.1, high=values + 0.1), chosen=(1, 0))
    cells, touch = figure.data
    assert (cells.zmin, cells.zmax) == (0, 0.4) and np.isnan(cells.z[1][1]) and cells.colorbar.title.text == "Share (%)"
    assert [tuple(pair) for pair in touch.customdata] == [(0, 0), (0, 1), (1, 0)]
    assert touch.text[0].startswith("Share: 20 %") and touch.marker.color == "rgba(0,0,0,0)"
    assert list(figure.layout.yaxis.ticktext) == ["0", "2"] and figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    inside = {tuple(round(end, 2) for end in (s.x0, s.x1, s.y0, s.y1)) for s in figure.layout.shapes}
    assert inside == {(-0.44, 0.44, 0.56, 1.44)}  # within the cell of row 1, head 0: at an edge nothing is cut off
    assert "event" in figure.layout.clickmode


def test_signed_numbers_are_centred():
    cells = figures.draw(HeadMatrix(np.array([[-0.5, 2.0]]), made.SITES[:1], signed=True)).data[0]
    assert (cells.zmin, cells.zmax) == (-2, 2) and cells.colorscale[32][1] == "#f5f5f5"
    shown = figures.draw(made.token_map(True)).data[0]
    assert shown.zmin == -shown.zmax


@pytest.mark.parametrize(
    ("values", "signed", "ends"),
    [
        ([1, 3], False, (0, 3)),
        ([-1, 3], False, (-1, 3)),
        ([-4, 3], True, (-4, 4)),
        ([np.nan], False, (0, 1)),
        ([0.0], True, (-1, 1)),
    ],
)
def test_limits(values, signed, ends):
    assert limits(values, signed) == ends


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.8312, "", "0.83"), (0.1234, "%", "12 %"), (1240.4, "ms", "1,240 ms"), (12.34, "", "12.3"), (3.0, "", "3"),
     (0.00012345, "", "0.00012"), (np.nan, "", "–"), (-0.5, "", "-0.50"), (123.4, "px", "123 px")],
)  # fmt: skip
def test_numbers_are_written_as_people_do(value, unit, text):
    assert humane(value, unit) == text


def test_a_curve_has_its_band():
    curve = Curve(np.arange(3.0), np.array([3.0, 2, 1]), np.array([2.0, 1, 0]), np.array([4.0, 3, 2]))
    band, line = figures.draw(curve).data
    assert list(band.x) == [0, 1, 2, 2, 1, 0] and list(band.y) == [4, 3, 2, 0, 1, 2]
    assert list(line.y) == [3, 2, 1] and len(figures.draw(Curve(curve.steps, curve.values)).data) == 1


def test_a_map_lies_where_its_tokens_lie():
    result = made.token_map()
    figure = figures.draw(result, image=np.full((30, 40, 3), 99, np.uint8))
    picture, cells = figure.data
    assert picture.type == "image" and cells.opacity < 1 and tuple(figure.layout.yaxis.range) == (30, 0)
    x = cells.x0 + cells.dx * np.arange(len(cells.z[0]))
    y = cells.y0 + cells.dy * np.arange(len(cells.z))
    for value, box in zip(result.values[1:], result.rows.boxes[1:], strict=True):
        column, row = np.argmin(abs(x - (box[0] + box[2]) / 2)), np.argmin(abs(y - (box[1] + box[3]) / 2))
        assert cells.z[row][column] == pytest.approx(value)


def test_a_pair_shares_its_scale_where_it_counts_the_same():
    first, second = made.matrix(), made.matrix()
    pair = [t for t in figures.draw_matrix_pair(first, second, chosen=(0, 1)).data if t.type == "heatmap"]
    assert pair[0].zmax == pair[1].zmax == np.nanmax([first.values, second.values]) and not pair[0].showscale
    other = [t for t in figures.draw_matrix_pair(first, made.matrix(label="norm")).data if t.type == "heatmap"]
    assert other[0].showscale and other[0].zmax == np.nanmax(first.values)
    with pytest.raises(ValueError, match="one shape"):
        figures.draw_matrix_pair(first, HeadMatrix(np.zeros((1, 2)), made.SITES[:1]))


def test_exact_against_cheap_tells_the_rank_correlation():
    exact, cheap = made.matrix(), made.matrix(label="gate")
    figure = figures.draw_scatter(exact, cheap, chosen=(0, 1))
    there = np.isfinite(exact.values)
    expected = spearmanr(exact.values[there], cheap.values[there]).statistic
    assert f"rank correlation {humane(expected)}" in figure.layout.xaxis.title.text
    assert len(figure.data[0].x) == there.sum() and len(figure.data[1].x) == 1
    flat = HeadMatrix(np.ones((3, 4)), made.SITES, label="flat")
    assert "rank correlation –" in figures.draw_scatter(exact, flat).layout.xaxis.title.text


def test_144_sparklines_are_made_at_once():
    sites = tuple(Site(f"b{n}", layer=n, heads=12) for n in range(12))
    values = np.random.default_rng(0).random((12, 12, 16))
    values[3, 4] = np.nan
    profile = Profile(values, np.arange(16), sites, "mass", "", "hop")
    figures.draw_sparklines(profile)
    start = time.perf_counter()
    figure = figures.draw_sparklines(profile, chosen=(1, 1))
    assert time.perf_counter() - start < 0.1
    curves, touch = figure.data
    x, y = np.array(curves.x).reshape(12, 12, -1), np.array(curves.y).reshape(12, 12, -1)
    assert np.isnan(x[3, 4]).all() and len(touch.text) == 143
    own = y[2, 5, 1:-2]  # higher values lie higher, and the highest of all reaches the top of its cell
    assert (np.diff(own)[np.diff(values[2, 5]) > 0] < 0).all() and np.nanmin(y - np.arange(12)[:, None, None]) == pytest.approx(
        -0.4
    )
    assert np.nanmax(abs(x - np.arange(12)[None, :, None])) < 0.5


def test_a_forest_is_sorted_and_shows_chance_and_baselines():
    figure = figures.draw_forest(["a", "b", "c"], [0.2, 0.6, 0.1], [0.1, 0.5, 0.0], [0.3, 0.8, 0.2], chance=0.25, baselines=["c"])
    dots = figure.data[0]
    assert list(dots.y) == ["b", "a", "c"] and list(dots.error_x.array) == pytest.approx([0.2, 0.1, 0.1])
    assert list(dots.error_x.arrayminus) == pytest.approx([0.1, 0.1, 0.1]) and dots.marker.color[2] != dots.marker.color[0]
    assert figure.layout.shapes[0].x0 == 0.25 and figure.layout.annotations[0].text == "chance 0.25"


def test_types_have_one_layer_of_cells_each_and_a_count():
    figure = figures.draw(made.head_types())
    cells = [t for t in figure.data if t.type == "heatmap"]
    covered = sum(np.isfinite(np.array(t.z, float)).astype(int) for t in cells)
    assert (covered == (made.head_types().types != "")).all()
    assert "local 2" in [t.name for t in figure.data]


def test_an_aligned_pattern_lies_in_its_head_and_layer():
    result = made.aligned()
    mosaic = np.array(figures.draw(result).data[0].z, float)
    pattern = result.values[5]  # layer 1, head 1 of patterns with 5 x 7 offsets
    assert np.allclose(mosaic[6:11, 8:15], pattern / np.nanmax(pattern), equal_nan=True)


def test_a_plan_counts_what_is_left():
    assert list(figures.draw(made.plan()).data[0].y) == [13, 7, 4]
