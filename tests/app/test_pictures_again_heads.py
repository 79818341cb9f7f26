"""The Python in the menus of the deeper looks at heads gives the numbers of their pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from analysis import intervals
from tests.app.pages import opened, settled
from tests.app.test_pictures_again import shown
from ui import session
from ui.figures.head_pages import beside
from ui.figures.pixels import pixels_of
from ui.results import heads
from ui.take_away.still import still

SCENES, ROUNDS = 2, 20
"""Scenes of every set, and draws of every interval: the page and its Python take so many, whatever else is said."""

PAGES = [
    ("heads/importance", {"below": "Agreement"}, {"away-believed", "away-alike"}),
    ("heads/importance", {"below": "Remove heads"}, {"away-removal"}),
    ("heads/importance", {"below": "By class", "over": "scenes", "scenes": "8", "metrics": "slope_layer"}, {"away-classes"}),
    ("heads/importance", {"below": "Agreement", "over": "scenes", "scenes": "8"}, {"away-believed", "away-alike"}),
    ("heads/importance", {"below": "Remove heads", "over": "scenes", "scenes": "8"}, {"away-removal"}),
    ("heads/passport", {"portrait": "8"}, {"away-ranks", "away-typical"}),
    ("heads/patterns", {}, {"away-silhouettes"}),
]
_NAMES = [f"{page}-{'-'.join(query.values())}" for page, query, _ in PAGES]


@pytest.fixture(autouse=True)
def small_sets(monkeypatch):
    whole, drawn = heads.scene_ids, intervals.resamples
    monkeypatch.setattr(heads, "scene_ids", lambda count: whole(SCENES))
    monkeypatch.setattr(intervals, "resamples", lambda count, rounds, seed: drawn(count, ROUNDS, seed))
    session.jobs.cache_clear()
    yield
    session.jobs.cache_clear()


def numbers(key: str, found: Any) -> np.ndarray:
    """What is drawn, as one row of numbers."""
    if key == "away-believed" and isinstance(found, dict):
        return np.ravel([found[end] for end in ("value", "low", "high")])
    if key == "away-believed":
        return np.ravel([[getattr(each, end) for each in found] for end in ("value", "low", "high")])
    if key == "away-ranks":
        return np.array(found["place"] if "place" in found else list(found.values()), float)
    if key == "away-removal":
        return np.concatenate([found.values, found.random]).ravel()
    if key == "away-typical" and isinstance(found, list):
        return np.concatenate([each.values for each in found])
    if key == "away-typical":
        return found["weight that the patch receives"]
    if key == "away-silhouettes":
        return found["silhouette"] if isinstance(found, dict) else found.scores
    return np.asarray(found.values, float).ravel()


@pytest.mark.parametrize(("page", "query", "keys"), PAGES, ids=_NAMES)
def test_the_python_of_a_menu_gives_the_numbers_of_its_picture(page, query, keys):
    test = settled(opened(page, **query), lambda test: keys == set(shown(test, keys)), 60)
    for key, picture in shown(test, keys).items():
        made: dict[str, Any] = {}
        exec(picture.about.snippet, made)  # noqa: S102
        expected = numbers(key, picture.result)
        assert len(expected)
        # Two heads that are as good as even may change places.
        nearest = 1.0 if key == "away-ranks" else 1e-4
        np.testing.assert_allclose(numbers(key, made["shown"]), expected, rtol=1e-3, atol=nearest, err_msg=key)


def test_typical_pictures_are_one_figure_with_their_names_below():
    images = tuple(Image.new("RGB", (60, 40 + n), colour) for n, colour in enumerate(("red", "blue")))
    drawn = beside(images, ["one: 0.25", "two: 0.50"])
    strip = pixels_of(drawn.data[0].to_plotly_json()).astype(int)
    for place, colour in (((20, 30), (255, 0, 0)), ((-1, 0), (255, 255, 255)), ((-1, -1), (0, 0, 255))):
        assert abs(strip[place] - colour).max() < 30
    assert b"two: 0.50" in still(drawn, "svg") and still(drawn, "png").startswith(b"\x89PNG")
