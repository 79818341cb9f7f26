"""A class score taken apart: parts that add up, against hooks on a real model and a planted head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.logit_attribution import Readout, head_contributions, patch_contributions, path_contributions

from .hand_made import grid_rows, layout_of, made


def split_projection(weight: torch.Tensor, heads: int) -> np.ndarray:
    return weight.detach().double().numpy().T.reshape(heads, -1, len(weight))


def readout_of(vit, final: np.ndarray, target: int, score: float, pooling: str = "class") -> Readout:
    tokens = len(final)
    pool = np.eye(tokens)[0] if pooling == "class" else np.r_[0, np.full(tokens - 1, 1 / (tokens - 1))]
    norm = vit.norm if pooling == "class" else vit.fc_norm
    array = lambda tensor: tensor.detach().double().numpy()  # noqa: E731
    return Readout(
        projections=tuple(split_projection(b.attn.proj.weight, b.attn.num_heads) for b in vit.blocks),
        biases=tuple(array(b.attn.proj.bias) for b in vit.blocks),
        gain=array(norm.weight),
        shift=array(norm.bias),
        direction=array(vit.head.weight)[target],
        offset=float(vit.head.bias.detach()[target]),
        pool=pool,
        score=score,
        epsilon=norm.eps,
        pool_first=pooling != "class",
    )


def look(vit, seed=0):
    """A capture of a timm ViT by hooks of the test's own, with its MLP outputs and logits."""
    seen = {"qkv": [], "hidden": [], "mlp": []}
    handles = []
    for block in vit.blocks:
        handles += [
            block.register_forward_pre_hook(lambda _, args: seen["hidden"].append(args[0])),
            block.attn.qkv.register_forward_hook(lambda _, __, out: seen["qkv"].append(out)),
            block.mlp.register_forward_hook(lambda _, __, out: seen["mlp"].append(out)),
        ]
    handles.append(vit.blocks[-1].register_forward_hook(lambda _, __, out: seen["hidden"].append(out)))
    with torch.no_grad():
        logits = vit(torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(seed)))[0]
    for handle in handles:
        handle.remove()
    heads = vit.blocks[0].attn.num_heads
    split = [q[0].view(17, 3, heads, -1).permute(1, 2, 0, 3) for q in seen["qkv"]]
    weights = [(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1).numpy() for q, k, _ in split]
    values = [v.numpy() for _, _, v in split]
    capture = made(
        weights,
        layout_of(grid_rows(4, 4, (32, 32)), (32, 32)),
        values=values,
        head_outputs=[w @ v for w, v in zip(weights, values, strict=True)],
        hidden={("vision", n): h[0].numpy() for n, h in enumerate(seen["hidden"])},
        logits=logits.numpy(),
    )
    return capture, [m[0].numpy() for m in seen["mlp"]]


@pytest.fixture(scope="module", params=["class", "mean"])
def seen(request, tiny_vit):
    from timm.models import VisionTransformer

    from tests.zoo.shake import shaken

    vit = tiny_vit
    if request.param == "mean":
        torch.manual_seed(1)
        options = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 3, "num_heads": 4, "num_classes": 5}
        vit = shaken(VisionTransformer(global_pool="avg", **options)).requires_grad_(False)
    capture, mlps = look(vit)
    return capture, readout_of(vit, capture.hidden["vision", 0], 3, float(capture.logits[3]), request.param), mlps


def through_the_norm(capture, readout, state):
    """The score of a part, with the norm's statistics of the whole: written token by token."""
    final = capture.hidden["vision", len(readout.projections)].astype(float)
    rows = [readout.pool @ final] if readout.pool_first else list(final)
    parts = [readout.pool @ state] if readout.pool_first else list(state)
    shares = [1.0] if readout.pool_first else readout.pool
    total = 0.0
    for row, part, share in zip(rows, parts, shares, strict=True):
        std = np.sqrt(row.var() + readout.epsilon)
        total += share * ((part - part.mean()) / std * readout.gain) @ readout.direction
    return total


def test_paths_add_up_and_are_what_hooks_see(seen):
    capture, readout, mlps = seen
    parts = path_contributions(capture, readout)
    assert parts.values.sum() == pytest.approx(capture.logits[3], abs=1e-5)
    named = dict(zip(parts.names, parts.values, strict=True))
    assert named["embedding"] == pytest.approx(
        through_the_norm(capture, readout, capture.hidden["vision", 0].astype(float)), abs=1e-5
    )
    for layer, mlp in enumerate(mlps):
        assert named[f"MLP {layer}"] == pytest.approx(through_the_norm(capture, readout, mlp.astype(float)), abs=1e-4)


def test_heads_are_what_their_slice_of_the_projection_writes(seen):
    capture, readout, _ = seen
    matrix = head_contributions(capture, readout)
    paths = dict(zip(*(lambda p: (p.names, p.values))(path_contributions(capture, readout)), strict=True))
    for layer, projection in enumerate(readout.projections):
        for head in range(4):
            written = capture.head_outputs[layer][head].astype(float) @ projection[head]
            assert matrix.values[layer, head] == pytest.approx(through_the_norm(capture, readout, written), abs=1e-5)
        bias = through_the_norm(capture, readout, np.tile(readout.biases[layer], (17, 1)))
        assert matrix.values[layer].sum() + bias == pytest.approx(paths[f"attention {layer}"], abs=1e-5)


def test_patches_and_class_token_add_up_to_the_heads(seen):
    capture, readout, _ = seen
    shown = patch_contributions(capture, readout)
    total = np.zeros(17)
    for layer, projection in enumerate(readout.projections):
        for key in range(17):
            for head in range(4):
                fetched = capture.weights[layer][head][:, [key]] * capture.values[layer][head][key] @ projection[head]
                total[key] += through_the_norm(capture, readout, fetched.astype(float))
    assert np.allclose(shown.values, total[1:], atol=1e-4)
    assert total.sum() == pytest.approx(head_contributions(capture, readout).values.sum(), abs=1e-4)
    last = patch_contributions(capture, readout, first_layer=len(readout.projections) - 1)
    assert not np.allclose(last.values, shown.values)


def test_a_readout_that_does_not_fit_is_refused(seen):
    capture, readout, _ = seen
    wrong = (
        replace(readout, score=readout.score + 1),
        replace(readout, norm="rms"),
        replace(readout, pool=np.roll(readout.pool, 1)),
        replace(readout, direction=readout.direction * 2),
    )
    for other in wrong:
        with pytest.raises(ValueError, match="the readout does not fit this model"):
            path_contributions(capture, other)
    swapped = made(
        [w[::-1] for w in capture.weights.values()],
        capture.layouts[capture.sites[0]],
        **{k: list(getattr(capture, k).values()) for k in ("values", "head_outputs")},
        hidden=capture.hidden,
    )
    with pytest.raises(ValueError, match="fetches from its keys"):
        patch_contributions(swapped, readout)
    with pytest.raises(ValueError, match="one more hidden state"):
        path_contributions(capture, replace(readout, projections=readout.projections[:1], biases=readout.biases[:1]))


def test_a_planted_head_is_the_only_one_that_writes():
    """Two heads, no norm: head 1 copies patch 2's value, which is the class direction, into the class token."""
    weights = np.full((2, 7, 7), 1 / 7, np.float32)
    weights[1] = 0
    weights[1, :, 3] = 1
    values = np.zeros((2, 7, 2), np.float32)
    values[1, 3] = [5, 0]
    outputs = weights @ values
    projection = np.zeros((2, 2, 4))
    projection[:, 0, 0] = projection[:, 1, 1] = 1
    final = np.zeros((7, 4))
    final[:, 0] = 5
    zeros = np.zeros(4)
    capture = made(
        [weights],
        layout_of(grid_rows(3, 2)),
        values=[values],
        head_outputs=[outputs],
        hidden={("vision", 0): np.zeros((7, 4)), ("vision", 1): final},
    )
    readout = Readout((projection,), (zeros,), np.ones(4), zeros, np.eye(4)[0], 0.25, np.eye(7)[0], 5.25, norm="none")
    assert head_contributions(capture, readout).values.tolist() == [[0, 5]]
    assert head_contributions(capture, readout).ranking()[0][1] == 1
    assert patch_contributions(capture, readout).values.tolist() == [0, 0, 5, 0, 0, 0]
    assert path_contributions(capture, readout).values.tolist() == [0, 5, 0, 0.25]
