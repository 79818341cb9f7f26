"""Tokens that skip a branch or a whole block, against forwards made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import model_adapters as ma
from model_adapters.edits import Block, DropTokens, SetHidden, Skip, Values
from model_adapters.slimming import cut_of
from model_adapters.where import Where
from tests.core.by_hand import TOKENS, net, tokens
from tests.core.comparing import close, wrapped_timm
from tests.visual_tokens.small import LVLMS, asked, depth_of, image_of, rows_of

GONE = (1, 4)
STAY = [t for t in range(TOKENS) if t not in GONE]


def attended(block, x):
    return block.attn(block.norm1(x))


def mapped(block, x):
    return block.mlp(block.norm2(x))


def by_hand(module, x, layer, part):
    """Item by item: the tokens `GONE` skip a part of one block."""
    answers = []
    for item in x:
        now = item[None]
        for number, block in enumerate(module.blocks):
            chosen = torch.zeros(now.shape[1], 1, dtype=torch.bool)
            if number == layer:
                chosen[list(GONE)] = True
            if number == layer and part == "both":
                inside = now[:, STAY]
                inside = inside + attended(block, inside)
                inside = inside + mapped(block, inside)
                now = now.clone()
                now[:, STAY] = inside
                continue
            now = torch.where(chosen & (part == "attention"), now, now + attended(block, now))
            now = torch.where(chosen & (part == "mlp"), now, now + mapped(block, now))
        answers.append(module.head(now.mean(1))[0])
    return torch.stack(answers)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("part", ["attention", "mlp", "both"])
def test_chosen_tokens_skip_and_the_others_do_not(part, layer, batch):
    model, inputs = net(), tokens(batch)
    edit = Skip(Where(layers=(layer,), queries=GONE), part)
    x = inputs.tensors["x"]
    found, everyone = ma.run(model, inputs, edit), ma.run(model, inputs, replace(edit, where=Where(layers=(layer,))))
    close(found, by_hand(model.module, x, layer, part))
    assert float((found - everyone).abs().max()) > 1e-3 and float((found - ma.run(model, inputs)).abs().max()) > 1e-3


def vit_by_hand(vit, pictures, layer, gone):
    """timm's vision transformer, block by block, with the tokens `gone` taken out of one block and put back."""
    x = vit.patch_embed(pictures)
    x = vit.norm_pre(vit._pos_embed(x))
    stay = [t for t in range(x.shape[1]) if t not in gone]
    for number, block in enumerate(vit.blocks):
        if number != layer:
            x = block(x)
            continue
        inside, x = block(x[:, stay]), x.clone()
        x[:, stay] = inside
    return vit.forward_head(vit.norm(x))


@pytest.mark.parametrize("batch", [1, 2])
def test_patches_go_round_a_block_of_a_vision_transformer(batch):
    model, inputs = wrapped_timm("vit_tiny_patch16_224", batch)
    gone = (2, 3, 7, 16)
    pictures = next(iter(inputs.tensors.values()))
    capture = ma.capture(model, inputs, edits=Skip(Where(layers=(1,), queries=gone)), want={"hidden"})
    close(ma.run(model, inputs, Skip(Where(layers=(1,), queries=gone))), vit_by_hand(model.module, pictures, 1, gone))
    hidden = {layer: np.reshape(capture.hidden["vision", layer], (batch, 17, -1)) for layer in (1, 2)}
    assert np.array_equal(hidden[1][:, gone], hidden[2][:, gone]), "they come back as they were"
    assert [np.shape(capture.weights[layer])[-1] for layer in (0, 1)] == [17, 13], "the others do not see them"
    by_role = ma.run(model, inputs, Skip(Where(layers=(1,), queries="patch")))
    close(by_role, vit_by_hand(model.module, pictures, 1, tuple(range(1, 17))))


def test_tokens_go_round_where_others_are_gone_already():
    model, inputs = net(), tokens(2)
    edits = (DropTokens(Where(layers=(0,), queries=(0,))), Skip(Where(layers=(1,), queries=(2,))))
    answers = []
    for item in inputs.tensors["x"]:
        first, second = model.module.blocks
        x = item[None] + attended(first, item[None])
        x = x[:, 1:]
        x = x + mapped(first, x)
        inside = x[:, [0, 1, 3, 4]]
        inside = inside + attended(second, inside)
        inside = inside + mapped(second, inside)
        x[:, [0, 1, 3, 4]] = inside
        answers.append(model.module.head(x.mean(1))[0])
    close(ma.run(model, inputs, edits), torch.stack(answers))


def hidden_and_put_back(name, layer, gone):
    """The same said otherwise: nobody sees the tokens in this layer, and behind it they are set to what they were."""
    model, inputs = asked(name)
    numbers = tuple(int(n) for n in gone)
    others = tuple(int(n) for n in np.setdiff1d(np.arange(len(rows_of(name))), gone))
    here = Where(tower="decoder", layers=(layer,), keys=numbers)
    before = ma.capture(model, inputs, want={"hidden"}).hidden["decoder", layer]
    edits = [Block(replace(here, queries=others, phase="prompt")), Block(replace(here, phase="new"))]
    if layer + 1 < depth_of(name):
        behind = Where(tower="decoder", layers=(layer + 1,), queries=numbers, phase="prompt")
        edits.append(SetHidden(behind, value=Values(np.asarray(before, np.float64))))
    return tuple(edits)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", LVLMS)
def test_image_tokens_go_round_a_layer_of_a_decoder_while_an_answer_is_written(name, layer):
    model, inputs = asked(name)
    gone = image_of(name)[1::3]
    numbers = tuple(int(n) for n in gone)
    skip = Skip(Where(tower="decoder", layers=(layer,), queries=numbers, phase="prompt"))
    real = ma.generate(model, inputs, edits=skip, max_new_tokens=3)
    slow = ma.generate(model, inputs, edits=hidden_and_put_back(name, layer, gone), max_new_tokens=3)
    plain = ma.generate(model, inputs, max_new_tokens=1)
    assert [t.id for t in real.tokens] == [t.id for t in slow.tokens]
    for step, (one, other) in enumerate(zip(real.tokens, slow.tokens, strict=True)):
        np.testing.assert_allclose(one.logits, other.logits, atol=2e-5)
        lengths = [row.shape[1] for row in one.weights.values()]
        whole = len(rows_of(name)) + step
        assert lengths == [whole - len(gone) if n == layer else whole for n in range(depth_of(name))]
    assert np.abs(real.tokens[0].logits - plain.tokens[0].logits).max() > 1e-5


def test_single_new_tokens_cannot_go_round():
    model, inputs = asked("llava")
    with pytest.raises(ma.AdapterError, match="while an answer is written, whose cache then misses them"):
        ma.generate(model, inputs, edits=Skip(Where(tower="decoder", layers=(1,), queries="last")), max_new_tokens=3)


def test_on_a_grid_tokens_skip_branches_but_not_blocks():
    model, inputs = wrapped_timm("swin_tiny_patch4_window7_224", 2)
    with pytest.raises(ma.AdapterError, match="lie on a grid .* part='attention' or part='mlp' works"):
        ma.run(model, inputs, Skip(Where(layers=(0,), queries=(1, 2))))
    layers = {"layers": (0,)}
    first = ma.capture(model, inputs, want={"hidden"})
    count = int(np.prod(first.hidden["vision", 0].shape[1:-1]))
    mlp = ma.run(model, inputs, Skip(Where(**layers, queries=tuple(range(count))), "mlp"))
    close(mlp, ma.run(model, inputs, Skip(Where(**layers), "mlp")))
    part = ma.capture(model, inputs, edits=Skip(Where(**layers, queries=(3,)), "mlp"), want={"hidden"})
    changed = np.abs(np.asarray(part.hidden["vision", 1]) - first.hidden["vision", 1]).reshape(2, count, -1).max(-1) > 1e-6
    assert changed.nonzero()[1].tolist() == [3, 3]


def test_a_model_is_not_slimmed_by_what_only_some_tokens_skip():
    with pytest.raises(ma.AdapterError, match="both for all tokens"):
        cut_of([Skip(Where(layers=(0,), queries=(1,)))], 2, 4)
