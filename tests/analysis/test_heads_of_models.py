"""Strength and importance on real architectures with random weights: each method runs, or says why not."""

from __future__ import annotations

import numpy as np
import pytest

import model_adapters as ma
from analysis import importance_exact, importance_free, importance_gradient, strength, strength_maps, trends
from analysis.importance_partial import partial_pruning
from analysis.offers import offers
from analysis.registry import find
from analysis.runs import runner
from model_adapters.ablation import ablate
from tests import zoo
from tests.zoo.timm_models import build_timm

FROM_CAPTURE = {
    f.__name__: f
    for f in (
        strength.ring_profile, strength.ring_strength, strength.attention_distance, strength.attention_entropy,
        strength.attention_share, strength.top_mass, strength.cumulative_mass, strength_maps.mutual_information,
        strength_maps.map_rank, strength_maps.head_similarity, trends.strength_map, importance_free.confidence,
        importance_gradient.gate_gradient, importance_gradient.gate_times_gradient,
        importance_gradient.squared_gradient, importance_gradient.layer_relevance,
    )
}  # fmt: skip
NO_CLASS_TOKEN = {"top_mass": {"rows": "patches"}, "cumulative_mass": {"rows": "patches"}, "attention_share": {"to": "self"}}
"""Methods that read the class token's rows, or what it is given, unless told otherwise."""
MODELS = (
    "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "vit_small_patch14_reg4_dinov2",
    "swin_tiny_patch4_window7_224", "crossvit_tiny_240", "pvt_v2_b0", "hf:clip", "bundled:vit",
)  # fmt: skip


@pytest.fixture(scope="module", params=MODELS)
def seen(request):
    if request.param.startswith("hf:"):
        module, processor = zoo.build(request.param.removeprefix("hf:"))
        model = ma.wrap(module, processor=processor, name=request.param)
    elif request.param.startswith("bundled:"):
        model = ma.load(request.param)
    else:
        model = ma.wrap(build_timm(request.param), name=request.param)
    inputs = model.prepare(image=zoo.scene(), text=["a", "b"] if model.kind == "dual" else None)
    target = None if model.classes else lambda features: features.amax(-1).sum()
    return model, inputs, ma.capture(model, inputs, want={"heads", "gradients"}, target=target)


def test_methods_run_on_a_capture_or_say_why_not(seen):
    model, _, capture = seen
    offered = offers(capture)
    for name, function in FROM_CAPTURE.items():
        refusal = find(name).why_not(offered)
        if refusal is not None:
            assert refusal.startswith(find(name).title)
            continue
        options = NO_CLASS_TOKEN.get(name, {}) if "class_token" not in offered else {}
        options = {**options, "site": 0} if name == "strength_map" else options
        values = function(capture, **options).values
        assert np.isfinite(values).any(), f"{name} says nothing of {model.name}"
    assert {"weights", "grid", "heads", "gradients"} <= offered


def test_heads_can_be_silenced(seen):
    model, inputs, _ = seen
    done = ablate(model, inputs, moved=False)
    found = importance_exact.ablation_importance(done, measure="Jensen-Shannon distance").values
    assert np.isfinite(found).sum() == sum(site.heads for site in done.sites)
    assert np.nanmin(found) >= 0 and np.nanmax(found) > 1e-4


def test_parts_of_heads_can_be_pruned(seen):
    model, inputs, capture = seen
    site = capture.sites[-1]
    run = runner(ma.run, model, inputs)
    if not capture.layouts[site].square:
        with pytest.raises(ValueError, match="square attention"):
            partial_pruning(run, site, capture.layouts[site])
        return
    found = partial_pruning(run, site, capture.layouts[site], heads=(0,), most_hops=0, measure="Jensen-Shannon distance")
    assert found.parts[0] == "whole head" and found.values[0, 0] > 1e-6
