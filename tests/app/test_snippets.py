"""Snippets are run, and give what the direct call gives."""

from __future__ import annotations

import ast

import numpy as np
import pytest

import analysis
import model_adapters as ma
from ui import pictures
from ui.snippets import Shown, picture_lines, snippet_for
from ui.take_away.tables import table

SHOWN = Shown("bundled:vit", "scene:3", target=4, layer=2, head=1)
ASKED = Shown("bundled:lvlm", "scene:3", text="is there a ball?")
SLOW = {"attention_flow", "pattern_autoencoder"}
OPTIONS = {
    "rollout": {"residual": 0.3}, "gate_gradient": {"per": "gate"}, "strength_map": {"head": 1},
    "integrated_gradients": {"steps": 4}, "gradient_shap": {"samples": 2}, "occlusion": {"window": 4},
    "evit": {"layers": (1, 3)}, "class_top": {"layers": (1, 3)}, "random_tokens": {"layers": (1, 3)},
    "even_tokens": {"layers": (1, 3)},
}  # fmt: skip
NOT_OF_A_VIT = {"co_attention_relevance"}


@pytest.fixture(scope="module")
def model():
    return ma.load("bundled:vit")


@pytest.fixture(scope="module")
def lvlm():
    return ma.load("bundled:lvlm")


def snippets():
    for method in analysis.methods():
        if method.name not in SLOW | NOT_OF_A_VIT and "generation" not in method.needs:
            speaks = "text" in method.needs or method.kind == "visual tokens"
            text = snippet_for(ASKED if speaks else SHOWN, method.name, OPTIONS.get(method.name))
            if text is not None:
                yield pytest.param(method.name, text, id=method.name)


@pytest.mark.parametrize(("name", "text"), list(snippets()))
def test_a_snippet_runs_and_names_its_result(name, text, model, lvlm, monkeypatch):
    loaded = {"bundled:vit": model, "bundled:lvlm": lvlm}
    monkeypatch.setattr(ma, "load", lambda wanted: loaded[wanted])
    space: dict = {}
    exec(text, space)
    assert len(next(iter(table(space["shown"]).values())))
    assert np.array_equal(space["image"], pictures.picture("scene:3").array)


def direct(subject, name, **options):
    return analysis.explain(subject, name, target=4, **options).values


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rollout", lambda s: direct(s, "rollout", residual=0.3)),
        ("gradient_attention", lambda s: direct(s, "gradient_attention")),
        ("gate_gradient", lambda s: analysis.importance_gradient.gate_gradient(
            s.capture(frozenset({"heads", "gradients"}), 4), per="gate").values),
        ("attention_distance", lambda s: analysis.strength.attention_distance(s.capture()).values),
        ("ablation_importance", lambda s: analysis.importance_exact.ablation_importance(ma.ablate(s.model, s.inputs)).values),
        ("token_norms", lambda s: analysis.sinks.token_norms(s.capture(frozenset({"hidden"}))).values),
    ],
)  # fmt: skip
def test_a_snippet_gives_the_numbers_of_the_direct_call(name, expected, model, monkeypatch):
    monkeypatch.setattr(ma, "load", lambda wanted: model)
    space: dict = {}
    exec(snippet_for(SHOWN, name, OPTIONS.get(name)), space)
    subject = ma.subject(model, pictures.picture("scene:3").array)
    assert np.allclose(space["shown"].values, expected(subject), rtol=1e-4, atol=1e-6, equal_nan=True)


def test_what_needs_more_than_one_picture_has_no_snippet():
    for name in ("map_difference", "position_artefact", "map_agreement", "k_means", "faithfulness"):
        assert snippet_for(SHOWN, name) is None


def test_an_unknown_option_is_refused():
    with pytest.raises(ValueError, match="no option 'speed'"):
        snippet_for(SHOWN, "rollout", {"speed": 1})


def test_what_is_chosen_stands_in_the_text():
    shown = Shown('hf:a"b', "photo:cat", weights="random", text=("a cat", "a dog"), target=1, tower="text")
    text = snippet_for(shown, "rollout", {"residual": 0.1})
    ast.parse(text)
    assert 'ma.load("hf:a\\"b", weights=\'random\')' in text and "ma.subject(model, image, ['a cat', 'a dog'])" in text
    assert "analysis.explain(subject, \"rollout\", target=1, tower='text', residual=0.1)" in text


@pytest.mark.parametrize(
    ("id", "line"),
    [
        ("biased:4", "render(TEST_BIASED[4], 384).image"),
        ("photo:cat", 'Image.open("assets/images/cat.jpg").convert("RGB")'),
        ("upload:1", 'Image.open("picture.png").convert("RGB")'),
    ],
)
def test_pictures_have_their_line(id, line):
    assert picture_lines(id)[1] == line
