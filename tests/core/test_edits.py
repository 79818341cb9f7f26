"""Every edit against the same network computed slowly by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import model_adapters as ma
from model_adapters.edits import (
    EDITS,
    AddTokens,
    Block,
    Boost,
    DropTokens,
    Gate,
    Identity,
    MergeTokens,
    Redistribute,
    ReplaceHeads,
    ReplaceWeights,
    ScalePairs,
    ScaleWeights,
    SetHidden,
    Skip,
    Temperature,
    Uniform,
    Values,
)  # fmt: skip
from model_adapters.where import Where
from tests.core.by_hand import HEADS, TOKENS, WHOLE, WIDTH, net, slow, tokens
from tests.core.comparing import close, wrapped, wrapped_timm

INF = float("inf")
PLACE = Where(layers=(1,), heads=(0, 2), queries=(1, 4), keys=(0, 3))
AT = 1, (0, 2), (1, 4), (0, 3)


def only(change, layers=(0, 1), heads=range(HEADS)):
    """A slow change that acts in some layers and heads."""
    return lambda x, layer, head: change(x, head) if layer in layers and head in heads else x


def at_place(change):
    """A slow change of single entries, at the place that `PLACE` names."""

    def slowly(x, head):
        x = x.clone()
        for query in AT[2]:
            for key in AT[3]:
                x[query, key] = change(x[query, key])
        return x

    return only(slowly, (AT[0],), AT[1])


def redistributed(x, head):
    """From keys 0 and 3 to keys 1 and 5, in proportion to what they hold."""
    x = x.clone()
    for query in AT[2]:
        taken = 0.6 * (x[query, 0] + x[query, 3])
        held = x[query, 1] + x[query, 5]
        x[query, 1], x[query, 5] = (x[query, key] + taken * x[query, key] / held for key in (1, 5))
        x[query, 0], x[query, 3] = 0.4 * x[query, 0], 0.4 * x[query, 3]
    return x


def brought_back(x, head):
    """Keys 0 and 3 of rows 1 and 4 scaled by 0.2, and the row divided by its new sum."""
    x = x.clone()
    for query in AT[2]:
        for key in AT[3]:
            x[query, key] *= 0.2
        x[query] = x[query] / x[query].sum()
    return x


MAPS = torch.rand(HEADS, TOKENS, TOKENS, generator=torch.Generator().manual_seed(3))
MAPS = MAPS / MAPS.sum(-1, keepdim=True)
OUTPUTS = torch.randn(HEADS, TOKENS, WIDTH // HEADS, generator=torch.Generator().manual_seed(4))


def rows_of(given):
    """A slow change that puts given rows 1 and 4 in place."""

    def slowly(x, head):
        x = x.clone()
        for query in AT[2]:
            x[query] = given[head][query]
        return x

    return only(slowly, (1,), (0, 2))


CASES = {
    "block": (Block(PLACE), {"scores": at_place(lambda s: -INF)}),
    "boost": (Boost(PLACE, alpha=0.7), {"scores": at_place(lambda s: s + 0.7 * abs(s))}),
    "temperature": (Temperature(PLACE, value=2.5), {"scores": at_place(lambda s: s / 2.5)}),
    "uniform": (Uniform(Where(layers=(0,), queries=(2,))), {
        "scores": only(lambda s, h: torch.where(torch.arange(TOKENS)[:, None] == 2, 0.0, s), (0,))}),
    "identity": (Identity(PLACE), {}),
    "scaled": (ScaleWeights(PLACE, factor=0.3), {"weights": at_place(lambda w: 0.3 * w)}),
    "scaled, sum kept": (ScaleWeights(PLACE, factor=0.2, renormalise=True), {"weights": only(brought_back, (1,), (0, 2))}),
    "a factor per pair": (ScalePairs(Where(layers=(1,), heads=(0, 2)), Values(MAPS[0])), {
        "weights": only(lambda w, h: w * MAPS[0], (1,), (0, 2))}),
    "a factor per pair and head, sum kept": (ScalePairs(Where(layers=(0,)), Values(MAPS), renormalise=True), {
        "weights": only(lambda w, h: w * MAPS[h] / (w * MAPS[h]).sum(-1, keepdim=True), (0,))}),
    "pairs": (
        ScalePairs(Where(layers=(1,)), factors=Values(1 - np.eye(TOKENS))),
        {"weights": only(lambda w, h: w * (1 - torch.eye(TOKENS)), (1,))},
    ),
    "pairs, sum kept": (
        ScalePairs(Where(layers=(1,)), factors=Values(MAPS), renormalise=True),
        {"weights": only(lambda w, h: w * MAPS[h] / (w * MAPS[h]).sum(-1, keepdim=True), (1,))},
    ),
    "redistributed": (Redistribute(PLACE, to=(1, 5), share=0.6), {"weights": only(redistributed, (1,), (0, 2))}),
    "one map": (ReplaceWeights(Where(layers=(1,)), Values(MAPS[0])), {"weights": only(lambda w, h: MAPS[0], (1,))}),
    "a map per head": (ReplaceWeights(Where(layers=(0,)), Values(MAPS)), {"weights": only(lambda w, h: MAPS[h], (0,))}),
    "rows of a map": (
        ReplaceWeights(Where(layers=(1,), heads=(0, 2), queries=(1, 4)), Values(MAPS)), {"weights": rows_of(MAPS)}),
    "gate": (Gate(Where(layers=(1,), heads=(-1,)), 0.4), {"output": only(lambda o, h: 0.4 * o, (1,), (HEADS - 1,))}),
    "gates": (Gate(Where(layers=(0,)), (1.0, 0.0, 2.0, 0.5)), {
        "output": only(lambda o, h: (1.0, 0.0, 2.0, 0.5)[h] * o, (0,))}),
    "gate of rows": (Gate(Where(heads=(1,), queries=(0,)), 0.0), {
        "output": only(lambda o, h: torch.where(torch.arange(TOKENS)[:, None] == 0, 0.0, o), heads=(1,))}),
    "a vector per head": (ReplaceHeads(Where(layers=(1,), heads=(2,)), Values(OUTPUTS[:, 0])), {
        "output": only(lambda o, h: OUTPUTS[h, 0].expand_as(o), (1,), (2,))}),
    "a vector per row": (
        ReplaceHeads(Where(layers=(1,), heads=(0, 2), queries=(1, 4)), Values(OUTPUTS)), {"output": rows_of(OUTPUTS)}),
}  # fmt: skip


@pytest.mark.parametrize("way", WHOLE)
@pytest.mark.parametrize("case", CASES)
def test_edit_equals_its_slow_computation(case, way):
    edit, changes = CASES[case]
    model, inputs = net(way), tokens(2)
    expected = slow(model, inputs.tensors["x"], **changes)
    close(ma.run(model, inputs, edit), expected)
    moved = float((expected - model.forward(inputs)).abs().max())
    assert moved > 1e-3 or case == "identity", "the case moves nothing, so it would not notice a missing edit"


def test_every_edit_is_tested_here():
    kinds = {type(edit) for edit, _ in CASES.values()} | {SetHidden, AddTokens, DropTokens, MergeTokens, Skip}
    assert kinds == set(EDITS.values())


WINDOWED = ("windows_first", "heads_first", "folded")


@pytest.mark.parametrize("way", WINDOWED)
def test_edits_number_the_rows_of_windows_one_after_the_other(way):
    """Row 4 of 6 is row 1 of the second window: keys of it are 0 to 2 there, named 3 to 5."""
    model, inputs = net(way), tokens(2)
    edit = Block(Where(layers=(0,), heads=(1,), queries=(4,), keys=(3,)))

    def windowed(scores, layer, head):
        scores = scores.clone()
        scores[:3, 3:] = scores[3:, :3] = -INF
        if (layer, head) == (0, 1):
            scores[4, 3] = -INF
        return scores

    close(ma.run(model, inputs, edit), slow(model, inputs.tensors["x"], scores=windowed))
    without = ma.run(model, inputs)
    assert float((without - ma.run(model, inputs, edit)).abs().max()) > 1e-4


NOTHING_DONE = {
    "gate 1": Gate(value=1.0),
    "gates of ones": Gate(value=(1.0,) * HEADS),
    "boost 0": Boost(alpha=0.0),
    "temperature 1": Temperature(value=1.0),
    "share 0": Redistribute(Where(keys=(0,)), share=0.0),
    "factor 1": ScaleWeights(factor=1.0),
    "no heads": Block(Where(heads=())),
    "no queries": Gate(Where(queries=()), 0.0),
    "no keys": ScaleWeights(Where(keys=()), 0.0),
    "no layers": Block(Where(layers=())),
    "another tower": Gate(Where(tower="decoder"), 0.0),
    "no sites": Uniform(Where(sites=())),
    "no dimensions": SetHidden(dims=()),
    "no tokens": DropTokens(Where(queries=())),
    "each token its own group": MergeTokens(groups=tuple(range(TOKENS))),
}


@pytest.mark.parametrize("way", WHOLE)
@pytest.mark.parametrize("name", NOTHING_DONE)
def test_values_that_change_nothing_change_nothing(name, way):
    """Bit for bit what the identity edit gives, or what the model gives where the kernel is left alone."""
    model, inputs = net(way), tokens(2)
    edit = NOTHING_DONE[name]
    same = Identity(edit.where) if edit.stage in ("scores", "weights") and not isinstance(edit, Block) else ()
    assert torch.equal(ma.run(model, inputs, edit), ma.run(model, inputs, same))
    torch.testing.assert_close(ma.run(model, inputs, edit), model.forward(inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("way", WHOLE)
def test_rows_of_blocked_and_redistributed_weights_sum_to_one(way):
    model, inputs = net(way), tokens()
    for edit in (
        Block(PLACE),
        Redistribute(PLACE, to=(1, 5), share=0.6),
        Redistribute(Where(keys=(2,))),
        Boost(alpha=3.0),
    ):
        for rows in ma.capture(model, inputs, edits=edit).weights.values():
            np.testing.assert_allclose(rows.sum(-1), 1, atol=1e-6)


def test_redistribution_moves_exactly_the_share():
    model, inputs = net(), tokens()
    before = ma.capture(model, inputs).weights[0]
    after = ma.capture(model, inputs, edits=Redistribute(Where(layers=(0,), keys=(0,)), to=(2,), share=0.25)).weights[0]
    np.testing.assert_allclose(after[..., 0], 0.75 * before[..., 0], atol=1e-6)
    np.testing.assert_allclose(after[..., 2], before[..., 2] + 0.25 * before[..., 0], atol=1e-6)
    np.testing.assert_allclose(after[..., [1, 3, 4, 5]], before[..., [1, 3, 4, 5]], atol=1e-6)


def test_redistribution_to_nobody_leaves_the_rows():
    model, inputs = net(), tokens()
    edit = Redistribute(Where(keys=(0,)), to=(0,))
    assert np.array_equal(
        ma.capture(model, inputs, edits=edit).weights[0], ma.capture(model, inputs, edits=Identity()).weights[0]
    )


def test_redistribution_to_empty_receivers_shares_evenly():
    model, inputs = net(), tokens()
    edits = ScaleWeights(Where(keys=(1, 5)), 0.0), Redistribute(Where(keys=(0,)), to=(1, 5))
    rows = ma.capture(model, inputs, edits=edits).weights[0]
    assert float(rows[..., 1].min()) > 0
    np.testing.assert_array_equal(rows[..., 1], rows[..., 5])


def test_all_keys_blocked_gives_zeros_and_no_nan():
    rows = ma.capture(net(), tokens(), edits=Block(Where(queries=(2,)))).weights[0]
    assert np.array_equal(rows[:, 2], np.zeros_like(rows[:, 2]))
    np.testing.assert_allclose(rows[:, [0, 1, 3, 4, 5]].sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize("way", WHOLE)
def test_pruned_head_equals_zeroed_columns_of_the_projection(way):
    model, pruned, inputs = net(way), net(way), tokens(2)
    width = WIDTH // HEADS
    with torch.no_grad():
        pruned.module.blocks[0].attn.proj.weight[:, 2 * width : 3 * width] = 0
    edited = ma.run(model, inputs, Gate(Where(layers=(0,), heads=(2,)), 0.0))
    torch.testing.assert_close(edited, pruned.forward(inputs), atol=1e-5, rtol=1e-5)


def test_all_heads_pruned_leave_the_bias_of_the_projection():
    model, inputs, seen = net(), tokens(2), []
    attention = model.module.blocks[1].attn
    handle = attention.register_forward_hook(lambda module, args, output: seen.append(output))
    ma.run(model, inputs, Gate(Where(layers=(1,)), 0.0))
    handle.remove()
    torch.testing.assert_close(seen[0], attention.proj.bias.expand_as(seen[0]), atol=0, rtol=0)


# ---- the stated order


def test_stages_act_in_the_stated_order_however_they_are_given():
    """Hidden states, then scores, then weights, then head outputs, then the stream."""
    model, inputs = net(), tokens(2)
    edits = (SetHidden(Where(layers=(1,)), dims=(3,)), Boost(PLACE, alpha=0.7), ScaleWeights(PLACE, 0.3),
             Gate(Where(layers=(1,), heads=(0,)), 0.5), DropTokens(Where(layers=(1,), queries=(2,))))  # fmt: skip
    expected = slow(
        model, inputs.tensors["x"],
        hidden=lambda x, layer: without_dimension(x, 3) if layer == 1 else x,
        scores=CASES["boost"][1]["scores"],
        weights=CASES["scaled"][1]["weights"],
        output=only(lambda o, h: 0.5 * o, (1,), (0,)),
        reduced=lambda x, layer: x[[0, 1, 3, 4, 5]] if layer == 1 else x,
    )  # fmt: skip
    for order in (edits, edits[::-1]):
        close(ma.run(model, inputs, order), expected)


def test_edits_of_one_stage_act_in_the_order_given():
    model, inputs = net(), tokens()
    halve, move = ScaleWeights(Where(keys=(0,)), 0.5), Redistribute(Where(keys=(0,)), to=(1,))
    first, second = (ma.capture(model, inputs, edits=edits).weights[0] for edits in ((halve, move), (move, halve)))
    np.testing.assert_allclose(first.sum(-1), 1 - 0.5 * ma.capture(model, inputs).weights[0][..., 0], atol=1e-6)
    np.testing.assert_allclose(second.sum(-1), 1, atol=1e-6)


# ---- hidden states and the residual stream


def without_dimension(x, dimension):
    x = x.clone()
    x[:, dimension] = 0
    return x


HIDDEN = {
    "one dimension": (SetHidden(dims=(3,)), lambda x, layer: without_dimension(x, 3)),
    "from the end": (
        SetHidden(Where(layers=(1,)), dims=[-1]),
        lambda x, layer: without_dimension(x, -1) if layer else x,
    ),
    "mean over tokens": (
        SetHidden(Where(layers=(0,)), value="mean"),
        lambda x, layer: x if layer else x.mean(0).expand_as(x),
    ),
    "one token": (
        SetHidden(Where(layers=(1,), queries=(2,)), dims=(0, 1), value=2.0),
        lambda x, layer: (
            torch.where((torch.arange(TOKENS) == 2)[:, None] & (torch.arange(WIDTH) < 2), 2.0, x) if layer else x
        ),
    ),
    "given values": (
        SetHidden(Where(layers=(1,)), value=Values(np.arange(WIDTH))),
        lambda x, layer: torch.arange(WIDTH).float().expand_as(x) if layer else x,
    ),
}


@pytest.mark.parametrize("case", HIDDEN)
def test_hidden_states_are_set(case):
    edit, change = HIDDEN[case]
    model, inputs = net(), tokens(2)
    close(ma.run(model, inputs, edit), slow(model, inputs.tensors["x"], hidden=change))


def taken_over(x):
    """Dimensions 3 and 5 of tokens 1, 2 and 4 go to two new tokens: for each the entry that is farthest from zero."""
    x, new = x.clone(), torch.full((2, WIDTH), 0.25)
    for dim in (3, 5):
        farthest = max((x[token, dim] for token in (1, 2, 4)), key=abs)
        new[:, dim] = farthest
        for token in (1, 2, 4):
            x[token, dim] = 0
    return torch.cat([x, new])


VECTORS = np.arange(3 * WIDTH).reshape(3, WIDTH) / 20
ADDED = {
    "one of zeros": (AddTokens(Where(layers=(0,))), 0, lambda x: torch.cat([x, torch.zeros(1, WIDTH)])),
    "two later": (AddTokens(Where(layers=(1,)), count=2, value=0.5), 1, lambda x: torch.cat([x, torch.full((2, WIDTH), 0.5)])),
    "given ones": (
        AddTokens(Where(layers=(0,)), count=3, value=Values(VECTORS)), 0,
        lambda x: torch.cat([x, torch.from_numpy(VECTORS).float()]),
    ),
    "dimensions taken over": (AddTokens(Where(layers=(0,), queries=(1, 2, 4)), 2, 0.25, [3, 5]), 0, taken_over),
}  # fmt: skip


@pytest.mark.parametrize("way", WHOLE)
@pytest.mark.parametrize("case", ADDED)
def test_tokens_are_added_and_taken_off_behind_the_last_block(case, way):
    """MLPs see one token at a time, so it is the same to take them off in front of the last MLP."""
    edit, at, change = ADDED[case]
    model, inputs = net(way), tokens(2)
    expected = slow(
        model,
        inputs.tensors["x"],
        hidden=lambda x, layer: change(x) if layer == at else x,
        reduced=lambda x, layer: x[:TOKENS] if layer == 1 else x,
    )
    close(ma.run(model, inputs, edit), expected)
    assert float((ma.run(model, inputs, edit) - model.forward(inputs)).abs().max()) > 1e-4


def test_added_tokens_reach_a_vision_transformer_as_if_they_had_been_put_in_by_hand():
    model, inputs = wrapped_timm("deit_tiny_distilled_patch16_224")
    vit, x = model.module, inputs.tensors["x"]
    with torch.no_grad():
        stream = vit.blocks[0](vit._pos_embed(vit.patch_embed(x)))
        stream = vit.blocks[1](torch.cat([stream, torch.zeros(1, 2, stream.shape[-1])], 1))[:, :-2]
        expected = vit.forward_head(vit.norm(stream))
    edit = AddTokens(Where(layers=(1,)), count=2)
    close(ma.run(model, inputs, edit), expected)
    capture = ma.capture(model, inputs, edits=edit, want={"hidden"})
    before, after = capture.sites
    plain = capture.layouts[before].queries
    assert capture.weights[after].shape[1:] == (len(plain) + 2,) * 2 and capture.hidden["vision", 2].shape[0] == len(plain)
    rows = capture.layouts[after].queries
    assert rows.roles.tolist() == [*plain.roles, "register", "register"] and not rows.placed[-2:].any()
    assert np.allclose(capture.weights[after].sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("beit_base_patch16_224", "a bias for each pair of tokens"),
        ("vit_small_patch16_dinov3", "its argument 'rope'"),
        ("swin_tiny_patch4_window7_224", r"a sequence \[B, T, D\]"),
        ("pit_ti_224", "needs its own number of tokens"),
        ("convit_tiny", "needs its own number of tokens"),
        ("hiera_tiny_224", "needs its own number of tokens"),
        ("cait_xxs24_224", "over one sequence of tokens"),
    ],
)
def test_tokens_are_not_added_where_every_token_has_its_place(name, sentence):
    model, inputs = wrapped_timm(name)
    with pytest.raises((ValueError, ma.AdapterError), match=sentence):
        ma.run(model, inputs, AddTokens(Where(layers=(0,))))
    close(ma.run(model, inputs), model.logits(model.forward(inputs)))


def test_tokens_are_not_added_and_dropped_in_one_run():
    with pytest.raises(ma.AdapterError, match="one of the two works"):
        ma.run(net(), tokens(), (AddTokens(Where(layers=(0,))), DropTokens(Where(layers=(0,), queries=(1,)))))


def merged(x, layer):
    """Tokens 0 and 1 (shares 3 to 1) into one; 2; 3, 4 and 5 into one: in the first block only."""
    return x if layer else torch.stack([(3 * x[0] + x[1]) / 4, x[2], (x[3] + x[4] + x[5]) / 3])


def test_tokens_are_dropped():
    model, inputs = net(), tokens(2)
    expected = slow(model, inputs.tensors["x"], reduced=lambda x, layer: x if layer else x[[0, 2, 3, 5]])
    close(ma.run(model, inputs, DropTokens(Where(layers=(0,), queries=(1, 4)))), expected)


def test_tokens_are_merged():
    model, inputs = net(), tokens(2)
    edit = MergeTokens(Where(layers=(0,)), groups=(0, 0, 1, 2, 2, 2), weights=(3, 1, 1, 1, 1, 1))
    close(ma.run(model, inputs, edit), slow(model, inputs.tensors["x"], reduced=merged))


@pytest.mark.parametrize("part", ["attention", "mlp", "both"])
@pytest.mark.parametrize("layer", [0, 1])
def test_branches_are_left_out(part, layer):
    model, inputs = net(), tokens(2)
    left_out = frozenset({(layer, p) for p in ("attention", "mlp") if part in (p, "both")})
    expected = slow(model, inputs.tensors["x"], without=left_out)
    close(ma.run(model, inputs, Skip(Where(layers=(layer,)), part)), expected)


# ---- roles as selections


@pytest.mark.parametrize(
    ("role", "rows"), [("class", (0,)), ("prefix", (0,)), ("patch", tuple(range(1, 17))), ("last", (16,))]
)
@pytest.mark.parametrize("side", ["queries", "keys"])
def test_roles_mean_rows(role, rows, side):
    model, inputs = wrapped_timm("vit_tiny_patch16_224", 2)
    by_role, by_number = (ma.run(model, inputs, Block(Where(**{side: chosen}))) for chosen in (role, rows))
    assert torch.equal(by_role, by_number)
    assert not torch.equal(by_role, ma.run(model, inputs))


@pytest.mark.parametrize("edit", [SetHidden(Where(queries="class")), DropTokens(Where(layers=(0,), queries="patch"))])
def test_roles_mean_tokens_of_the_stream(edit):
    model, inputs = wrapped_timm("vit_tiny_patch16_224")
    rows = (0,) if edit.where.queries == "class" else tuple(range(1, 17))
    numbered = replace(edit, where=replace(edit.where, queries=rows))
    assert torch.equal(ma.run(model, inputs, edit), ma.run(model, inputs, numbered))
    assert not torch.equal(ma.run(model, inputs, edit), ma.run(model, inputs))


def test_roles_of_a_prompt_mean_its_tokens():
    model, inputs = wrapped("llava")
    ids = inputs.tensors["input_ids"][0]
    image = tuple(torch.nonzero(ids == model.config.image_token_id).flatten().tolist())
    text = tuple(sorted(set(range(len(ids))) - set(image)))
    by_role = ma.run(model, inputs, Block(Where(tower="decoder", queries="text", keys="image")))
    by_number = ma.run(model, inputs, Block(Where(tower="decoder", queries=text, keys=image)))
    assert torch.equal(by_role, by_number)
    assert not torch.equal(by_role, ma.run(model, inputs))


# ---- edits are data


def test_edits_are_equal_by_content_and_hash_so():
    twins = [(edit, replace(edit)) for edit, _ in CASES.values()]
    assert all(one is not other and one == other and hash(one) == hash(other) for one, other in twins)
    assert len({edit for edit, _ in CASES.values()}) == len(CASES)
    assert ReplaceWeights(values=Values(np.eye(3))) == ReplaceWeights(values=Values(torch.eye(3).numpy()))
    assert ReplaceWeights(values=Values(np.eye(3))) != ReplaceWeights(values=Values(np.eye(4)))
    assert Values(np.zeros((2, 3))) != Values(np.zeros((3, 2)))


def test_edits_print_their_place_and_value():
    text = repr(Gate(Where(tower="decoder", layers=range(2), heads=3), 0.0))
    assert text.startswith("Gate(") and "tower='decoder'" in text and "layers=(0, 1)" in text and "heads=(3,)" in text
    assert "2x2" in repr(Values(np.zeros((2, 2)))) and len(repr(Values(np.zeros((900, 900))))) < 60


def test_edits_cannot_be_changed():
    with pytest.raises(AttributeError):
        Gate().value = 2.0


# ---- wrong arguments

WRONG = {
    "head": (Block(Where(heads=(4,))), r"heads \[4\] of blocks.0.attn were asked for, but it has heads 0 to 3"),
    "query": (Gate(Where(queries=(6,))), r"queries \[6\] of blocks.0.attn were asked for, but it has rows 0 to 5"),
    "key": (Block(Where(keys=(-7,))), r"keys \[-7\] of blocks.0.attn were asked for, but it has rows 0 to 5"),
    "map": (ReplaceWeights(values=Values(np.zeros((3, 3)))), r"shape \(3, 3\) .* has 4 heads, 6 query rows and 6 keys"),
    "maps": (ReplaceWeights(values=Values(np.zeros((3, 6, 6)))), r"shape \(3, 6, 6\) .* has 4 heads"),
    "pairs": (ScalePairs(factors=Values(np.zeros((6, 5)))), r"factors of shape \(6, 5\) were given"),
    "outputs": (ReplaceHeads(values=Values(np.zeros((4, 5)))), r"\[4, 4\] or \[4, 6, 4\] would work"),
    "gates": (Gate(value=(1.0, 0.0)), "2 gates were given for blocks.0.attn, which has 4 heads"),
    "gate map": (Gate(value=torch.ones(2, 2)), r"one number or one per head. Got a tensor of shape \(2, 2\)"),
    "dimensions": (SetHidden(dims=(16,)), r"dimensions \(16,\) were asked for, but hidden states have 16"),
    "added to all layers": (AddTokens(), r"at the entry of one block; layers=\(0,\), say. Got layers='all'"),
    "added to two": (AddTokens(Where(layers=(0, 1))), r"Got layers=\(0, 1\)"),
    "added vectors": (
        AddTokens(Where(layers=(0,)), value=Values(np.zeros((2, 16)))), r"\[16\] or \[1, 16\]. Got shape \(2, 16\)",
    ),  # fmt: skip
    "taken dimensions": (AddTokens(Where(layers=(0,)), takes=(16,)), r"dimensions \(16,\) were asked for, but .* have 16"),
    "groups": (MergeTokens(groups=(0, 1)), "2 groups were given for 6 tokens"),
    "no tokens left": (DropTokens(), "dropping all tokens leaves nothing"),
    "every token": (DropTokens(Where(queries=tuple(range(6)))), r"\[0, 0\] tokens would be left"),
    "no edit": ("block", "edits must be of .*'Block'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_edit_gets_its_sentence(case):
    edit, sentence = WRONG[case]
    with pytest.raises(ValueError, match=sentence):
        ma.run(net(), tokens(2), edit)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Temperature(value=0.0), "above 0. Got 0.0"),
        (lambda: Redistribute(share=1.5), "between 0 and 1. Got 1.5"),
        (lambda: Skip(part="norm"), "'attention', 'mlp' or 'both'. Got 'norm'"),
        (lambda: AddTokens(count=0), "at least 1 token must be added. Got 0"),
        (lambda: MergeTokens(groups=(0, 2)), "without gaps"),
        (lambda: MergeTokens(groups=(0, 1), weights=(1.0,)), "1 weights were given for 2 tokens"),
        (lambda: Where(phase="later"), "'prompt' or 'new'. Got 'later'"),
    ],
)
def test_wrong_value_is_refused_when_the_edit_is_made(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_where_no_blocks_are_found_an_edit_at_their_border_is_refused():
    class Attention(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.scaled_dot_product_attention(x, x, x)

    class Flat(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = Attention()

        def forward(self, x):
            return self.attention(x.flatten(2)[:, None, :, :16]).mean((1, 2))

    model = ma.wrap(Flat(), name="flat", verify=False)
    inputs = ma.Inputs({"x": torch.randn(1, 3, 8, 8)}, 1, False)
    assert ma.run(model, inputs).shape == (1, 16)
    with pytest.raises(ma.AdapterError, match="DropTokens acts where a block begins"):
        ma.run(model, inputs, ma.edits.DropTokens(where=ma.Where(queries=(1,))))
