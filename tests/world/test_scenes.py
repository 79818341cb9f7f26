"""Scenes are the same for the same seed, and each knob of the bias turns what it says."""

from functools import cache

import numpy as np
import pytest

from world.datasets import TRAINING, SceneStream
from world.scenes import UNBIASED, Bias, Scene
from world.vocabulary import BACKGROUND_CATEGORIES, CATEGORIES, COLOURS, PREFERRED_COLOURS, PREFERS_UPPER_HALF

COUNT = 10_000


@cache
def _scenes(**knobs: float) -> list[Scene]:
    off = {"background": 0.0, "partner": 0.0, "colour": 0.0, "place": 0.0}
    return SceneStream(11, Bias(**(off | knobs))).take(COUNT)


def _close(share: np.ndarray, expected: float) -> bool:
    spread = np.sqrt(expected * (1 - expected) / len(share))
    return abs(share.mean() - expected) <= 4 * spread + 1e-9


def test_same_seed_same_scene_in_any_order() -> None:
    forward = TRAINING.take(20)
    backward = [TRAINING[index] for index in reversed(range(20))][::-1]
    assert forward == backward
    assert SceneStream(2)[0] != SceneStream(3)[0]


@pytest.mark.parametrize("knob", [0.0, 0.5, 1.0])
def test_background_knob(knob: float) -> None:
    at_home = [i.category in BACKGROUND_CATEGORIES[s.background] for s in _scenes(background=knob) for i in s.objects]
    assert _close(np.array(at_home), knob + (1 - knob) * 3 / len(CATEGORIES))


@pytest.mark.parametrize("knob", [0.0, 0.6])
def test_colour_knob(knob: float) -> None:
    preferred = [i.colour == PREFERRED_COLOURS[i.category] for s in _scenes(colour=knob) for i in s.objects]
    assert _close(np.array(preferred), knob + (1 - knob) / len(COLOURS))


def test_place_knob() -> None:
    def share(knob: float) -> float:
        scenes = _scenes(place=knob)
        return float(np.mean([(i.y < 0.5) == PREFERS_UPPER_HALF[i.category] for s in scenes for i in s.objects]))

    assert share(0.0) == pytest.approx(0.5, abs=0.015)
    assert share(0.5) == pytest.approx(0.75, abs=0.02)


def test_partner_knob() -> None:
    def share(knob: float) -> float:
        pairs = [s.categories for s in _scenes(partner=knob) if "boat" in s.categories and len(s.objects) == 2]
        return float(np.mean(["fish" in names for names in pairs]))

    assert share(0.0) < 0.2
    assert share(0.9) > 0.6


def test_share_of_unbiased_scenes() -> None:
    mixed = SceneStream(5, Bias(1.0, 0.0, 0.0, 0.0), unbiased_share=0.3).take(COUNT)
    strangers = [any(i.category not in BACKGROUND_CATEGORIES[s.background] for i in s.objects) for s in mixed]
    unbiased = [any(i.category not in BACKGROUND_CATEGORIES[s.background] for i in s.objects) for s in _scenes()]
    assert np.mean(strangers) == pytest.approx(0.3 * np.mean(unbiased), abs=0.015)


def test_unbiased_categories_are_even() -> None:
    names = [item.category for scene in SceneStream(8, UNBIASED).take(COUNT) for item in scene.objects]
    shares = np.array([names.count(name) / len(names) for name in CATEGORIES])
    assert np.all(np.abs(shares - 1 / 12) < 0.01)


def test_a_probability_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match="'colour' is a probability, got 1.5"):
        Bias(colour=1.5)
