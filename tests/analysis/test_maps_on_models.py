"""Maps on real architectures with random weights: against independent references, or refused with their sentence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import model_adapters as ma
from analysis import methods, offers
from analysis.captum_maps import Pixels, patch_ablation
from analysis.compare import attention_change
from analysis.faithfulness import faithfulness, faithfulness_cost
from analysis.logit_attribution import head_contributions, path_contributions
from analysis.maps import raw_attention
from analysis.registry import find
from analysis.relevance import gradient_attention_relevance, token_grad_cam
from analysis.rollout import rollout
from analysis.runs import scorer
from tests.zoo import hf
from tests.zoo.shake import scene
from tests.zoo.timm_models import build_timm

from .test_logit_attribution import readout_of

EVERYTHING = {"hidden", "values", "heads", "gradients"}
LARGE = {"attention_flow"}
"""Solved once per token."""
SQUARE = {"rollout", "attention_flow", "gradient_attention_relevance", "gradient_rollout", "token_grad_cam"}
REFUSED = {
    "vit_tiny_patch16_224": set(),
    "deit_tiny_distilled_patch16_224": set(),
    "vit_small_patch14_reg4_dinov2": set(),
    "bundled:vit": LARGE,
    "hf:clip": set(),
    "swin_tiny_patch4_window7_224": SQUARE,
    "crossvit_tiny_240": SQUARE,
    "pvt_v2_b0": SQUARE,
}
"""Which map methods each model refuses."""


def model_of(name: str) -> ma.Model:
    if name.startswith("bundled:"):
        return ma.load(name)
    if name.startswith("hf:"):
        module, processor = hf.build(name[3:])
        return ma.wrap(module, processor, name=name, kind="dual", verify=False)
    return ma.wrap(build_timm(name), name=name, verify=False)


@pytest.mark.parametrize("name", REFUSED)
def test_every_map_of_a_capture_runs_or_says_why_not(name):
    model = model_of(name)
    inputs = model.prepare(image=scene(), **({"text": ["a red circle"]} if model.kind == "dual" else {}))
    target = None if model.classes else lambda features: features.amax(-1).sum()
    capture = ma.capture(model, inputs, want=EVERYTHING, target=target)
    offered = offers(capture)
    refused = set()
    for made in methods("map"):
        if "module" in made.needs or "pixels" in made.needs or made.function.__module__ not in MAP_MODULES:
            continue
        if sentence := made.why_not(offered):
            assert sentence.startswith(made.title) and sentence.endswith(".")
            refused.add(made.name)
            continue
        site = {"site": next(s for s in reversed(capture.sites) if s.tower == "vision")} if "site" in KEYWORDS(made) else {}
        shown = made.function(capture, **site)
        raster = shown.raster()
        assert raster.shape == (200, 320) and np.isfinite(raster).mean() > 0.3, made.name
        assert np.isfinite(shown.values).all() and np.ptp(shown.values) > 0, made.name
    assert refused == REFUSED[name]


MAP_MODULES = {"analysis.maps", "analysis.rollout", "analysis.flow", "analysis.relevance"}


def KEYWORDS(made) -> set[str]:
    return set(made.function.__kwdefaults__ or ())


@pytest.fixture(scope="module")
def vit():
    model = ma.wrap(build_timm("vit_tiny_patch16_224"), name="vit", verify=False)
    inputs = model.prepare(image=scene())
    return model, inputs, ma.capture(model, inputs, want=EVERYTHING, target=7)


def seen_by_hooks(model, inputs, target):
    """Weights and their gradients from the library's own unfused attention."""
    module = build_timm("vit_tiny_patch16_224")
    kept = []
    for block in module.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda _, __, out: kept.append(out))
    score = module(inputs.tensors["x"])[0, target]
    return [w[0].detach() for w in kept], [g[0] for g in torch.autograd.grad(score, kept)]


def test_rollout_and_relevance_against_an_independent_reference(vit):
    model, inputs, capture = vit
    weights, gradients = seen_by_hooks(model, inputs, 7)
    tokens = weights[0].shape[-1]
    rolled, relevance = torch.eye(tokens), torch.eye(tokens)
    for weight, gradient in zip(weights, gradients, strict=True):
        step = weight.mean(0) + torch.eye(tokens)
        rolled = step / step.sum(-1, keepdim=True) @ rolled
        relevance = relevance + (gradient * weight).clamp(min=0).mean(0) @ relevance
    assert np.allclose(rollout(capture).values, rolled[0, 1:], rtol=1e-4)
    assert np.allclose(gradient_attention_relevance(capture).values, relevance[0, 1:], rtol=1e-3, atol=1e-9)


class Tail(nn.Module):
    """A ViT whose patch tokens before the last block pass through a layer as a picture of features."""

    def __init__(self, vit: nn.Module) -> None:
        super().__init__()
        self.vit, self.layer = vit, nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        vit = self.vit
        tokens = vit.blocks[:-1](vit.norm_pre(vit._pos_embed(vit.patch_embed(x))))
        side = int((tokens.shape[1] - 1) ** 0.5)
        picture = self.layer(tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side)))
        tokens = torch.cat([tokens[:, :1], picture.flatten(2).transpose(1, 2)], 1)
        return vit.forward_head(vit.norm(vit.blocks[-1:](tokens)))


def test_grad_cam_is_captums(vit):
    from captum.attr import LayerGradCam

    model, inputs, capture = vit
    tail = Tail(model.module)
    x = inputs.tensors["x"].clone().requires_grad_()
    assert torch.allclose(tail(x), model.module(x), atol=1e-5)
    expected = LayerGradCam(tail, tail.layer).attribute(x, 7, relu_attributions=True).detach().flatten()
    assert expected.max() > 0
    assert np.allclose(token_grad_cam(capture).values, expected, rtol=1e-3, atol=1e-6 * float(expected.max()))


def test_shifted_windows_are_laid_back_as_the_library_does():
    from timm.models.swin_transformer import window_reverse

    model = ma.wrap(build_timm("swin_tiny_patch4_window7_224"), name="swin", verify=False)
    inputs = model.prepare(image=scene())
    capture = ma.capture(model, inputs)
    site = next(s for s in capture.sites if s.name == "layers.0.blocks.1.attn")
    shift = model.module.layers[0].blocks[1].shift_size
    assert shift == (3, 3)
    weights = torch.from_numpy(capture.weights[site]).mean(0).view(16, 49, 49)
    windows = weights.mean(1).view(16, 7, 7, 1)
    grid = torch.roll(window_reverse(windows, (7, 7), 28, 28), shift, (1, 2))[0, :, :, 0].numpy()
    shown = raw_attention(capture, site=site)
    for value, (x0, y0, x1, y1) in zip(shown.values, shown.rows.boxes, strict=True):
        row, column = round(shown_row(y0, y1, shown)), round(shown_row(x0, x1, shown, 0))
        assert value == pytest.approx(grid[row, column], rel=1e-4)


def shown_row(low, high, shown, axis=1):
    """Which of 28 lines a box is, by its middle between the outermost edges of the map."""
    edges = shown.rows.boxes[:, [axis, axis + 2]]
    return ((low + high) / 2 - edges.min()) / (edges.max() - edges.min()) * 28 - 0.5


def test_a_score_taken_apart_on_what_the_tap_keeps(vit):
    model, _, capture = vit
    readout = readout_of(model.module, capture.hidden["vision", 0], 7, float(capture.logits[7]))
    assert path_contributions(capture, readout).values.sum() == pytest.approx(capture.logits[7], abs=1e-4)
    assert head_contributions(capture, readout).values.shape == (2, 4)


def test_faithfulness_and_captum_on_a_model(vit):
    model, inputs, capture = vit
    image = np.asarray(scene())
    options = {"fills": ("mean",), "steps": 4, "orders": 2, "samples": 3}
    found = faithfulness(scorer(ma.run, model, 7, logits=True), rollout(capture), image, **options)
    assert found.cost == faithfulness_cost(**options) and found.infidelity >= 0
    assert found.deletion["mean"].curve.values[0] == pytest.approx(capture.logits[7], abs=1e-4)
    pixels = Pixels(inputs.tensors["x"][0], 16, (60, 0, 260, 200), (320, 200))
    assert np.ptp(patch_ablation(model.module, pixels, 7).values) > 0


def test_a_windowed_model_is_refused_with_the_place_where_it_fails():
    model = ma.wrap(build_timm("swin_tiny_patch4_window7_224"), name="swin", verify=False)
    capture = ma.capture(model, model.prepare(image=scene()))
    assert find("rollout").why_not(offers(capture)) == (
        "Attention rollout needs square attention over one global set of tokens; here queries and keys differ, or lie in windows."
    )
    with pytest.raises(ValueError, match="layers.0.blocks.0.attn needs square attention"):
        rollout(capture)


def test_the_decoder_reads_the_image_from_its_last_token():
    module, processor = hf.build("llava")
    model = ma.wrap(module, processor, name="llava", kind="lvlm", verify=False)
    capture = ma.capture(model, model.prepare(image=scene(), text="Is there a red circle?"), want={"gradients"})
    sites = [s for s in capture.sites if s.tower == "decoder"]
    images = capture.layouts[sites[0]].keys.where("image")
    product = np.eye(len(capture.layouts[sites[0]].keys))
    for site in sites:
        product = (0.5 * capture.weights[site].astype(float).mean(0) + 0.5 * np.eye(len(product))) @ product
    shown = rollout(capture, tower="decoder")
    assert np.allclose(shown.values, product[-1, images], rtol=1e-4) and shown.values.min() > 0
    relevance = gradient_attention_relevance(capture, tower="decoder")
    assert len(relevance.values) == len(images) and np.ptp(relevance.values) > 0
    assert {"square", "gradients", "grid"} <= offers(capture, "decoder")


def test_an_edit_shows_where_it_acted(vit):
    model, inputs, capture = vit
    edit = ma.edits.Block(ma.Where(layers=(1,), heads=(2,), queries="class", keys=(3, 4)))
    change = attention_change(capture, ma.capture(model, inputs, edits=edit)).values
    assert np.array_equal(np.argwhere(change > 1e-6), [[1, 2]])
    mass = capture.weights[1][2, 0, [3, 4]].sum()
    assert change[1, 2] == pytest.approx(mass / 17, rel=1e-3)
