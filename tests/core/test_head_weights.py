"""Weights by head, found by what they make."""

from __future__ import annotations

import numpy as np
import pytest

import model_adapters as ma
from analysis.importance_free import weight_norms
from model_adapters.head_weights import head_weights
from tests import zoo
from tests.core.by_hand import HEADS, WIDTH, net, tokens


def test_slices_are_the_rows_and_columns_of_the_projections():
    model = net()
    found = head_weights(model, tokens(2))
    width = WIDTH // HEADS
    for site, slices in found.items():
        module = model.module.blocks[site.layer].attn
        for part, name in enumerate(("query", "key", "value")):
            for head in range(HEADS):
                start = part * WIDTH + head * width
                assert np.array_equal(slices[name][head], module.qkv.weight[start : start + width].numpy())
        for head in range(HEADS):
            assert np.array_equal(slices["output"][head], module.proj.weight[:, head * width : (head + 1) * width].numpy())
    assert [site.layer for site in found] == [0, 1]
    assert weight_norms(found).values.mean(1) == pytest.approx([1, 1])


def test_separate_projections_are_told_apart():
    module, processor = zoo.build("vit")
    model = ma.wrap(module, processor=processor, name="vit")
    found = head_weights(model, model.prepare(image=zoo.scene()))
    weights = dict(module.named_parameters())
    for slices in found.values():
        assert set(slices) == {"query", "key", "value", "output"}
        for name in ("query", "key", "value"):
            flat = slices[name].reshape(-1, slices[name].shape[-1])
            assert any(w.shape == flat.shape and np.array_equal(w.detach().numpy(), flat) for w in weights.values()), name


def test_rotated_queries_have_no_slices_and_say_so():
    model = ma.wrap(zoo.build_timm("eva02_tiny_patch14_224"), name="eva02", verify=False)
    found = head_weights(model, ma.Inputs({"x": zoo.timm_image("eva02_tiny_patch14_224")}))
    assert len(found) == 2 and all("query" not in slices and "value" in slices for slices in found.values())
    with pytest.raises(ValueError, match="'query' weights"):
        weight_norms(found, module="query")
