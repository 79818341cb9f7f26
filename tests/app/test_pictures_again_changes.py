"""The Python in the menus of Sinks, Prune and Models gives the numbers of what was asked for or switched over there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.app.pages import opened, settled
from tests.app.test_pictures_again import shown
from ui.figures.pixels import pixels_of

SINKS = {"model": "bundled:vit-sinks", "scenes": "4", "at": "3"}


def again(test, key: str) -> tuple[Any, Any]:
    """What the picture shows, and what its Python makes."""
    picture = shown(test, {key})[key]
    made: dict[str, Any] = {}
    exec(picture.about.snippet, made)  # noqa: S102
    return picture.result, made["shown"]


def pressed(test, button: str, key: str):
    """The page with what a button asks for."""
    found = settled(test, lambda test: any(b.label == button for b in test.button), 60)
    next(b for b in found.button if b.label == button).click()
    return settled(found, lambda test: shown(test, {key}), 180)


@pytest.mark.parametrize("places", ["share of scenes", "position artefact"])
def test_places_of_sinks_over_scenes(places):
    test = settled(opened("tokens/sinks", **SINKS, places=places), lambda test: shown(test, {"places-away"}), 60)
    found, made = again(test, "places-away")
    assert len(found.values) == 144 and found.values.max() > 0
    np.testing.assert_allclose(made, found.values, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["block the columns", "set them to their mean"])
def test_one_what_if_of_sinks(name):
    test = settled(opened("tokens/sinks", **SINKS), lambda test: shown(test, {"outcome-away"}), 60)
    if name != "block the columns":
        test.session_state["what-if"] = name
        test = settled(test, lambda test: shown(test, {"outcome-away"})["outcome-away"].about.title.endswith(name), 30)
    found, made = again(test, "outcome-away")
    assert len(found["before"]) >= 5 and not np.allclose(found["before"], found["random"], atol=1e-6)
    for column in ("before", "after", "random", "random_deviation"):
        np.testing.assert_allclose(made[column], found[column], rtol=1e-3, atol=1e-5, err_msg=column)


def test_all_what_ifs_of_sinks():
    test = pressed(opened("tokens/sinks", **SINKS), "All of them over 4 scenes", "effects-away")
    found, made = again(test, "effects-away")
    assert [row.name for row in made] == [row.name for row in found] and len(found) > 2
    for one, other in zip(made, found, strict=True):
        expected = [other.sinks.kl, *(draw.kl for draw in other.random)]
        np.testing.assert_allclose([one.sinks.kl, *(draw.kl for draw in one.random)], expected, rtol=1e-3, atol=1e-5)


def test_curves_of_pruning():
    test = pressed(opened("change/prune", n="8", rankings="gate_gradient,norm_output"), "Compare rankings", "curves-away")
    found, made = again(test, "curves-away")
    assert made.metrics == found.metrics and made.steps.tolist() == found.steps.tolist()
    assert found.values.min() < found.values.max()
    np.testing.assert_allclose(made.values, found.values)
    np.testing.assert_allclose(made.random, found.random)


def test_the_search_for_a_smaller_model():
    test = pressed(opened("change/prune", n="8", target="90", search="mlp"), "Search", "search-away")
    found, made = again(test, "search-away")
    assert len(found.points) > 1 and [p.removed for p in made.points] == [p.removed for p in found.points]
    np.testing.assert_allclose([p.cost for p in made.points], [p.cost for p in found.points])
    np.testing.assert_allclose([p.effect.kl for p in made.points], [p.effect.kl for p in found.points], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("more", [{}, {"rule": "tome", "look": "false"}])
def test_fewer_tokens(more):
    keys = {"tokens-away", "tried-away"}
    test = settled(opened("change/prune", what="tokens", n="8", **more), lambda test: shown(test, keys).keys() == keys, 60)
    found, made = again(test, "tokens-away")
    assert found.counts[-1] < found.counts[0]
    assert np.array_equal(made.sources, found.sources)
    assert pixels_of(shown(test, keys)["tokens-away"].drawn().data[-1].to_plotly_json()).std() > 10
    table, effect = again(test, "tried-away")
    assert max(table["kl"]) > 0
    np.testing.assert_allclose(effect.kl, max(table["kl"]), rtol=1e-3, atol=1e-6)


def test_where_tokens_lie():
    test = settled(opened("about/models"), lambda test: shown(test, {"tokens-lie-away"}), 60)
    found, made = again(test, "tokens-lie-away")
    assert found["role"].tolist() == made.roles.tolist() and len(found["token"]) == 145
    boxes = np.stack([found[f"{name} [px]"] for name in ("x0", "y0", "x1", "y1")], axis=1)
    np.testing.assert_allclose(boxes, made.boxes, atol=1e-3)
    assert np.nanmax(boxes) > 300
    assert pixels_of(shown(test, {"tokens-lie-away"})["tokens-lie-away"].drawn().data[0].to_plotly_json()).shape[1] == 768
