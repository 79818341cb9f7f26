"""Patterns, sinks, projections and token reduction on small models of several kinds: they run, or say why not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import model_adapters as ma
from analysis import METHODS, offers
from tests.zoo import build
from tests.zoo.shake import scene
from tests.zoo.timm_models import TIMM_FAMILIES, build_timm

MODELS = (
    "deit_tiny_distilled_patch16_224",
    "vit_small_patch14_reg4_dinov2",
    "swin_tiny_patch4_window7_224",
    "crossvit_tiny_240",
    "clip",
)
TOKENS = ("evit", "class_top", "tome", "ats", "mctf", "random_tokens", "even_tokens")


def asked(name, captures):
    """The method called as a page would call it."""
    capture, function = captures[0], METHODS[name].function
    site = [s for s in capture.sites if s.tower == "vision"][-1]
    if name in ("position_artefact", "head_measures", "aligned_maps", "hidden_embedding", "patch_colours"):
        return function(captures)
    if name == "head_types":
        return function(METHODS["head_measures"].function(captures))
    if name in ("pattern_pca", "pattern_autoencoder", "head_embedding"):
        maps = METHODS["aligned_maps"].function(captures)
        return function(maps, steps=10) if name == "pattern_autoencoder" else function(maps)
    if name == "query_key_embedding":
        return function(captures, site, 0)
    if name == "cleaned_attention":
        return function(capture, site)
    if name in TOKENS:
        return function(capture, layers=(0, 1))
    return function(capture)


NAMES = (
    "token_norms", "sinks_by_norm", "sinks_by_attention", "sinks_by_massive_dimensions", "massive_activations",
    "position_artefact", "cleaned_attention", "aligned_maps", "pattern_pca", "pattern_autoencoder", "head_measures",
    "head_types", "query_key_embedding", "hidden_embedding", "head_embedding", "patch_colours", *TOKENS,
)  # fmt: skip
NOT_SQUARE = {"sinks_by_attention", "cleaned_attention", "query_key_embedding", *TOKENS}
REFUSED = {"swin_tiny_patch4_window7_224": NOT_SQUARE, "crossvit_tiny_240": NOT_SQUARE}
ELSEWHERE = {
    "crossvit_tiny_240": {
        "sinks_by_norm", "sinks_by_massive_dimensions", "position_artefact", "hidden_embedding", "patch_colours"
    }
}  # fmt: skip
"""What needs another layer than the last one, which holds a class token alone."""


def loaded(name):
    if name == "clip":
        return ma.wrap(*build(name), name=name), (320, 200), {"text": "a dog"}
    return ma.wrap(build_timm(name), name=name), (TIMM_FAMILIES[name].img_size,) * 2, {}


@pytest.mark.parametrize("name", MODELS)
def test_every_method_runs_or_says_why_not(name):
    model, size, text = loaded(name)
    pictures = [scene(size), scene(size).rotate(180)]
    captures = [ma.capture(model, model.prepare(p, **text), want={"hidden", "values", "queries"}) for p in pictures]
    offered = offers(captures[0])
    refused = {m: reason for m in NAMES if (reason := METHODS[m].why_not(offered))}
    assert set(refused) == REFUSED.get(name, set()) and all(" needs " in r for r in refused.values())
    for method in set(NAMES) - set(refused):
        if method in ELSEWHERE.get(name, set()):
            with pytest.raises(ValueError, match="are needed"):
                asked(method, captures)
        else:
            check(asked(method, captures), method)


def check(result, method):
    """Numbers came out, and none of them is infinite."""
    arrays = [v for f in dataclasses.fields(result) if isinstance(v := getattr(result, f.name), np.ndarray)]
    floats = [a for a in arrays if a.dtype.kind == "f"]
    assert not any(np.isinf(a).any() or np.isnan(a).all() for a in floats), method
