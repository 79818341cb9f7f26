"""Colours are measured here with formulas of their own: CIELAB, WCAG's contrast, Machado's deuteranopia."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from ui import colours

ROOT = Path(__file__).resolve().parents[2]
THEME = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
JUST_SEEN = 2.3
"""The difference in CIELAB that people just notice."""
DEUTERANOPIA = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])


def linear(colour: str) -> np.ndarray:
    value = np.array([int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB under D65, from linear sRGB."""
    to_xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
    x, y, z = (to_xyz @ np.clip(rgb, 0, 1)) / np.array([0.95047, 1.0, 1.08883])
    fx, fy, fz = (np.cbrt(v) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


def contrast(first: str, second: str) -> float:
    light = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (first, second))
    return (light[1] + 0.05) / (light[0] + 0.05)


def test_the_sequential_scale_grows_lighter_in_even_steps():
    lightness = np.array([lab(linear(c))[0] for c in colours.sequential(64)])
    steps = np.diff(lightness)
    assert (steps > 0).all() and lightness[0] < 15 and lightness[-1] > 90
    assert steps.max() < 3 * steps.mean()


def test_the_sequential_scale_keeps_its_order_for_deuteranopes():
    seen = [lab(DEUTERANOPIA @ linear(c))[0] for c in colours.sequential(32)]
    assert (np.diff(seen) > 0).all()


def test_the_diverging_scale_is_lightest_in_the_middle_and_falls_alike_to_both_sides():
    lightness = np.array([lab(linear(c))[0] for c in colours.diverging(65)])
    assert lightness.argmax() == 32 and lightness[32] > 95
    assert (np.diff(lightness[:33]) > 0).all() and (np.diff(lightness[32:]) < 0).all()
    assert np.abs(lightness - lightness[::-1]).max() < 12
    middle = lab(linear(colours.diverging(65)[32]))
    assert np.hypot(*middle[1:]) < 2


def test_the_ends_of_the_diverging_scale_differ_for_deuteranopes():
    low, high = (lab(DEUTERANOPIA @ linear(colours.diverging(65)[n])) for n in (8, 56))
    assert np.linalg.norm(low - high) > 40


@pytest.mark.parametrize("simulated", [np.eye(3), DEUTERANOPIA], ids=["all", "deuteranopes"])
def test_ten_categories_stay_apart(simulated):
    seen = [lab(simulated @ linear(c)) for c in colours.CATEGORICAL]
    nearest = min(np.linalg.norm(a - b) for n, a in enumerate(seen) for b in seen[:n])
    assert len(seen) == len(set(colours.SYMBOLS)) == len(colours.TYPES) == 10 and nearest > 3 * JUST_SEEN


def test_the_types_are_those_that_are_measured():
    from analysis.head_measures import MEASURES

    assert colours.TYPES == MEASURES
    assert colours.colour_of("hybrid") == colours.colour_of("unclear") == colours.NEUTRAL


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_accent_can_be_read_and_marks_be_seen(scheme):
    theme = THEME[scheme]
    assert colours.ACCENT[scheme] == theme["primaryColor"]
    for ground in (theme["backgroundColor"], theme["secondaryBackgroundColor"]):
        assert contrast(theme["textColor"], ground) >= 7
        assert contrast(theme["primaryColor"], ground) >= 4.5
    assert all(contrast(c, theme["backgroundColor"]) >= 2.8 for c in (*colours.CATEGORICAL, colours.NEUTRAL))


def test_the_browser_draws_the_same_anchors():
    text = (ROOT / "ui" / "viewer" / "scales.js").read_text()
    for name in ("sequential", "diverging"):
        body = re.search(rf"const {name.upper()} = (\[.*?\]);", text, re.S)
        assert json.loads(re.sub(r",\s*\]", "]", body[1])) == colours.ANCHORS[name]
    at = re.search(r"const DIVERGING_AT = (\[.*?\]);", text)
    assert json.loads(at[1]) == colours.ANCHORS["diverging_at"]
    assert json.loads(json.dumps(colours.ANCHORS)) == colours.ANCHORS


def test_a_scale_for_plotly_runs_from_nought_to_one():
    for signed in (False, True):
        scale = colours.plotly_scale(signed)
        assert scale[0][0] == 0 and scale[-1][0] == 1 and all(re.fullmatch("#[0-9a-f]{6}", c) for _, c in scale)
