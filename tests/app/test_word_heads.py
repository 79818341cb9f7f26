"""Figures and tables of sinks, heads and cut edges hold the numbers of their results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.app import results_by_hand as made
from ui import figures
from ui.take_away.tables import table

RESULTS = made.word_head_results()


def test_a_dot_lies_on_every_sink_that_holds_image_and_on_no_other():
    result = RESULTS["sinks of a prompt"]
    cells, dots = figures.draw(result).data
    assert cells.zmin == 0 and cells.zmax == result.score.max()
    assert {(y, x) for x, y in zip(dots.x, dots.y, strict=True)} == {
        (layer, token) for layer in range(3) for token in range(4, 9) if result.score[layer, token] > 20
    }


def test_a_model_without_massive_dimensions_is_told_to_have_no_sink():
    none = np.zeros((3, 9), bool)
    result = replace(RESULTS["sinks of a prompt"], dimensions=(), is_sink=none, visual=none)
    figure = figures.draw(result)
    assert "there is no sink" in figure.layout.xaxis.title.text and not figure.layout.showlegend


def test_what_sinks_get_and_give_shares_one_scale():
    result = RESULTS["sink contribution"]
    got, given = [t for t in figures.draw(result).data if t.type == "heatmap"]
    assert got.zmin == given.zmin == 0
    assert got.zmax == given.zmax == max(np.nanmax(result.weight), np.nanmax(result.contribution))
    assert np.array_equal(got.z, result.weight, equal_nan=True)
    assert np.array_equal(given.z, result.contribution, equal_nan=True)


def test_chosen_heads_are_dotted_in_both_matrices():
    result = RESULTS["image heads"]
    dots = [t for t in figures.draw(result).data if (t.name or "").startswith("chosen")]
    chosen = {(result.attention.sites.index(site), head) for site, head in result.heads()}
    assert len(dots) == 2 and all(set(zip(t.y, t.x, strict=True)) == chosen for t in dots)
    assert dots[0].name == f"chosen: {len(chosen)} heads" and (dots[0].showlegend, dots[1].showlegend) == (True, False)


def test_alignment_is_centred_on_zero_with_the_image_down():
    result = RESULTS["alignment"]
    cells = figures.draw(result).data[0]
    assert cells.zmax == -cells.zmin == abs(result.values).max() and cells.z[1][3] == result.values[1, 3]
    columns = table(result)
    place = (columns["image_layer"] == 1) & (columns["text_layer"] == 3)
    assert columns["cosine"][place] == result.values[1, 3]


@pytest.mark.parametrize(("window", "text"), [(1, "Layer that is cut"), (3, "First of 3 layers that are cut")])
def test_every_route_has_its_curve(window, text):
    result = replace(RESULTS["knock-out"], window=window)
    figure = figures.draw(result)
    assert figure.layout.xaxis.title.text == text
    assert {line.name: list(line.y) for line in figure.data} == {name: drops.tolist() for name, drops in result.drops.items()}
    columns = table(result)
    place = (columns["route"] == "image to answer") & (columns["first_layer"] == 2)
    assert columns["fall [nats]"][place] == result.drops["image to answer"][2] and set(columns["window [layers]"]) == {window}


def test_agreement_stands_beside_chance():
    figure = figures.draw(RESULTS["encoder and decoder"])
    assert figure.layout.shapes[0].y0 == 0.25 and figure.layout.annotations[0].text == "overlap by chance 0.25"
    assert [line.name for line in figure.data] == ["rank correlation", "overlap of the top 3"]


def test_shuffling_shows_the_mean_and_the_ends_of_its_orders():
    result = RESULTS["order of tokens"]
    bars = figures.draw(result, names=list("abcdef")).data[0]
    for token in range(6):
        falls = sorted(float(order[token]) for order in result.drops)
        assert bars.y[token] == pytest.approx(sum(falls) / 5)
        assert bars.y[token] + bars.error_y.array[token] == pytest.approx(falls[-1])
        assert bars.y[token] - bars.error_y.arrayminus[token] == pytest.approx(falls[0])
    assert len(table(result)["stays"]) == 30
