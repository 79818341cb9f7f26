"""The ways of computing attention that need care: packed heads while decoding, torch's own MultiheadAttention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import model_adapters as ma
from tests.core.by_hand import WIDTH
from tests.core.comparing import close, wrapped
from tests.zoo import hf

GROUPED = ("qwen2_5_vl", "llava_onevision", "smolvlm")


def padded(name):
    """Two prompts of different length, padded on the left."""
    model, inputs = wrapped(name)
    text_config = model.config.get_text_config()
    assert text_config.num_key_value_heads < text_config.num_attention_heads
    tensors = inputs.tensors
    pad = model.processor.tokenizer.pad_token_id
    ids = tensors["input_ids"]
    twins = {key: torch.cat([value, value]) for key, value in tensors.items()}
    fill = {"input_ids": pad, "attention_mask": 0, "mm_token_type_ids": 0}
    for key in fill.keys() & twins.keys():
        front = torch.full((2, 3), fill[key], dtype=ids.dtype)
        rows = torch.cat([front, twins[key]], 1)
        rows[1] = torch.cat([twins[key][1, :1].expand(1), twins[key][1, :1].expand(2), twins[key][1]])
        twins[key] = rows
    return model, twins


def decoded(model, tensors, steps=3, **options):
    """Weights per (step, site) as the tap sees them while two prompts are answered at once."""
    with (
        torch.no_grad(),
        ma.AttentionTap(model.module, batch=2, labels=model.tap_labels, towers=frozenset({"decoder"})) as tap,
    ):
        out = model.module.generate(**tensors, max_new_tokens=steps, min_new_tokens=steps, do_sample=False,
                                    return_dict_in_generate=True, **options)  # fmt: skip
    return out, {key: record.weights for key, record in tap.recorder.records.items() if record.weights is not None}


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("name", GROUPED)
def test_grouped_heads_while_decoding_with_a_mask(name, cache):
    """With one query and a mask the heads of a group lie in the query axis; they are heads all the same."""
    model, tensors = padded(name)
    options = {} if cache == "dynamic" else {"cache_implementation": "static"}
    out, seen = decoded(model, tensors, **options)
    reference = hf.build(name, attn_implementation="eager")[0]
    with torch.no_grad():
        eager = reference.generate(**tensors, max_new_tokens=3, min_new_tokens=3, do_sample=False,
                                   return_dict_in_generate=True, output_attentions=True, **options)  # fmt: skip
    assert torch.equal(out.sequences, eager.sequences)
    assert {step for step, _ in seen} == {0, 1, 2}
    for (step, site), weights in seen.items():
        expected = eager.attentions[step][site.layer]
        assert weights.shape == expected.shape, "heads and queries are told apart"
        filled = weights.sum(-1, keepdim=True) > 0
        torch.testing.assert_close(weights, torch.where(filled, expected, 0.0), atol=1e-5, rtol=0)


class Hidden(nn.Module):
    """One block around torch's own MultiheadAttention."""

    def __init__(self, batch_first: bool, need_weights: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 4, batch_first=batch_first)
        self.batch_first, self.need_weights = batch_first, need_weights
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, WIDTH] -> [B, 3]"""
        tokens = x if self.batch_first else x.transpose(0, 1)
        mixed, _ = self.attention(tokens, tokens, tokens, need_weights=self.need_weights)
        mixed = mixed if self.batch_first else mixed.transpose(0, 1)
        return self.head((x + mixed).mean(1))


@pytest.fixture(params=[(first, need) for first in (True, False) for need in (True, False)], ids=str)
def multihead(request):
    torch.manual_seed(0)
    module = Hidden(*request.param).eval()
    x = torch.randn(2, 5, WIDTH)
    return ma.wrap(module, name="torch's own", verify=False), ma.Inputs({"x": x}, batch=2, many=True)


def test_multihead_attention_is_captured_without_changing_the_answer(multihead):
    model, inputs = multihead
    capture = ma.capture(model, inputs)
    with torch.no_grad():
        close(torch.from_numpy(capture.logits), model.forward(inputs), within=1e-6)
        attention, x = model.module.attention, inputs.tensors["x"]
        x = x if model.module.batch_first else x.transpose(0, 1)
        _, expected = attention(x, x, x, need_weights=True, average_attn_weights=False)
    assert [site.kind for site in capture.sites] == ["mha"]
    np.testing.assert_allclose(capture.weights[0], expected.numpy(), atol=1e-6)


def by_formula(model, x, gate, weights=lambda w: w):
    """The module's answer from its parameters, head by head."""
    inner = model.module.attention
    q, k, v = (side.unflatten(-1, (4, -1)).transpose(1, 2) for side in
               (x @ inner.in_proj_weight.T + inner.in_proj_bias).chunk(3, -1))  # fmt: skip
    shares = weights((q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1))
    heads = (shares @ v) * gate[:, None, None]
    mixed = heads.transpose(1, 2).flatten(2) @ inner.out_proj.weight.T + inner.out_proj.bias
    return model.module.head((x + mixed).mean(1)), heads, (q, k, v)


def test_multihead_attention_is_edited_as_its_formula_says(multihead):
    model, inputs = multihead
    x, gate = inputs.tensors["x"], torch.ones(4)
    gate[2] = 0.0
    with torch.no_grad():
        expected, _, _ = by_formula(model, x, gate)
        close(ma.run(model, inputs, ma.edits.Gate(ma.Where(heads=(2,)), 0.0)), expected)
        even, _, _ = by_formula(model, x, torch.ones(4), lambda w: torch.full_like(w, 1 / w.shape[-1]))
        close(ma.run(model, inputs, ma.edits.Uniform()), even)


def test_multihead_attention_gives_values_heads_and_gradients(multihead):
    model, inputs = multihead
    x = inputs.tensors["x"]
    want = {"queries", "values", "heads", "gradients"}
    capture = ma.capture(model, inputs, want=want, target=lambda logits: logits[:, 1].sum())
    shares = []
    answer, heads, (q, k, v) = by_formula(model, x, torch.ones(4), lambda w: shares.append(w.requires_grad_()) or shares[0])
    (gradient,) = torch.autograd.grad(answer[:, 1].sum(), shares)
    kept = (capture.queries, capture.keys, capture.values, capture.head_outputs, capture.gradients)
    for found, expected in zip(kept, (q, k, v, heads, gradient), strict=True):
        close(torch.from_numpy(found[0]), expected.detach())


def test_dropout_refuses_edits():
    """In training mode a fused kernel drops weights at random, which an explicit one cannot repeat."""

    class Dropping(nn.Module):
        num_heads = 2

        def forward(self, x):
            q = x.unflatten(-1, (2, -1)).transpose(1, 2)
            return nn.functional.scaled_dot_product_attention(q, q, q, dropout_p=0.5)

    model = ma.wrap(nn.Sequential(Dropping()), verify=False)
    inputs = ma.Inputs({"input": torch.randn(1, 4, 8)})
    with pytest.raises(ma.AdapterError, match="training mode"):
        ma.run(model, inputs, ma.edits.Uniform())


class SharedKeys(nn.Module):
    """Four heads that share one set of keys and values, as torch's kernel allows without being told."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.both = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH // 2)

    def parts(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        query = self.query(x).unflatten(-1, (4, WIDTH // 4)).transpose(1, 2)
        key, value = self.both(x)[:, None].chunk(2, -1)
        return query, key, value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(*self.parts(x)).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("reduce", [None, "received"])
def test_heads_that_share_their_keys_are_seen_one_by_one(reduce):
    torch.manual_seed(0)
    module, x = SharedKeys().eval(), torch.randn(3, 9, WIDTH)
    with torch.no_grad(), ma.AttentionTap(module, keep=ma.Keep(reduce=reduce), batch=3) as tap:
        module(x)
    query, key, _ = module.parts(x)
    expected = (query @ key.transpose(-2, -1) / (WIDTH // 4) ** 0.5).softmax(-1)
    (record,) = tap.recorder.records.values()
    close(record.weights, expected if reduce is None else expected.mean(2))
