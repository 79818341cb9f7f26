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
NOT_SQUARE = {"sinks_by_attention", "cleaned_attention", *TOKENS}
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


@pytest.fixture(scope="module", params=["bundled:vit", "bundled:lvlm"])
def head_codes(request):
    """One point per vision head of a bundled model: the first components of its mean aligned map over four pictures."""
    model = ma.load(request.param)
    text = {"text": "is there a boat in the picture ?"} if model.kind == "lvlm" else {}
    pictures = [scene((192, 192)).rotate(90 * turn) for turn in range(4)]
    captures = [ma.capture(model, model.prepare(image=p, **text)) for p in pictures]
    return METHODS["pattern_pca"].function(METHODS["aligned_maps"].function(captures)).codes


def test_density_finds_groups_of_real_heads_or_says_that_all_is_noise(head_codes):
    found = METHODS["density_clusters"].function(head_codes)
    assert len(found.labels) == len(head_codes) and set(found.labels) <= set(range(-1, len(found.exemplars)))
    for group in range(len(found.exemplars)):
        members = np.flatnonzero(found.labels == group)
        assert len(members) >= 4 and found.exemplars[group] in members
        inside = np.linalg.norm(head_codes[members] - head_codes[members].mean(0), axis=1).mean()
        assert inside < np.linalg.norm(head_codes - head_codes[members].mean(0), axis=1).mean()
    assert np.isnan(found.silhouette) == (len(found.exemplars) < 2)
    far = head_codes + 1e3 * np.eye(len(head_codes), head_codes.shape[1])[:, :1]  # one head thrown far out belongs to none
    assert METHODS["density_clusters"].function(far).labels[0] == -1


def test_k_means_of_real_heads_splits_them_better_than_lots_do(head_codes):
    found = METHODS["k_means"].function(head_codes)
    assert found.silhouette == pytest.approx(np.nanmax(found.scores)) and set(found.labels) == set(range(len(found.exemplars)))
    rng = np.random.default_rng(0)
    spread = lambda labels: sum(head_codes[labels == g].var(0).sum() * (labels == g).sum() for g in set(labels))  # noqa: E731
    assert all(spread(found.labels) < spread(rng.permutation(found.labels)) for _ in range(20))
