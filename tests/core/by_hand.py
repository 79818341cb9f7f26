"""Attention written out by hand: small modules that call the kernels in every way, and a slow reading of them.

`slow` computes the same network head by head and row by row with nothing but products, exponentials and sums, and takes
a function for each place where an edit may act.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

import model_adapters as ma

WIDTH, HEADS, TOKENS, CLASSES, BLOCKS = 16, 4, 6, 5, 2
WAYS = ("sdpa", "softmax", "fused", "windows_first", "heads_first", "folded")
"""How a module lays out its axes before it calls the kernel."""
WHOLE = ("sdpa", "softmax", "fused")
"""The ways in which every token may see every other."""
WINDOWS = 2


class Attention(nn.Module):
    """Self-attention in one of several ways."""

    def __init__(self, way: str = "sdpa") -> None:
        super().__init__()
        self.way, self.num_heads = way, HEADS
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = getattr(self, f"_{self.way}")(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(b, t, WIDTH))

    def _sdpa(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v)

    def _softmax(self, q, k, v):
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return weights @ v

    def _fused(self, q, k, v):
        """Heads inside the batch axis, as bmm wants it."""
        fq, fk, fv = (x.flatten(0, 1) for x in (q, k, v))
        weights = F.softmax(torch.bmm(fq * q.shape[-1] ** -0.5, fk.transpose(1, 2)), dim=-1)
        return torch.bmm(weights, fv).unflatten(0, q.shape[:2])

    def _windows_first(self, q, k, v):
        """[B, W, H, t, D]"""
        parts = (x.unflatten(2, (WINDOWS, -1)).transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2, 3)

    def _heads_first(self, q, k, v):
        """[B, H, W, t, D]"""
        parts = (x.unflatten(2, (WINDOWS, -1)) for x in (q, k, v))
        return F.scaled_dot_product_attention(*parts).flatten(2, 3)

    def _folded(self, q, k, v):
        """[B * W, H, t, D]"""
        parts = (x.unflatten(2, (WINDOWS, -1)).transpose(1, 2).flatten(0, 1) for x in (q, k, v))
        made = F.scaled_dot_product_attention(*parts)
        return made.unflatten(0, (-1, WINDOWS)).transpose(1, 2).flatten(2, 3)


class Block(nn.Module):
    """A pre-norm block."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(WIDTH), Attention(way)
        self.norm2, self.mlp = nn.LayerNorm(WIDTH), nn.Sequential(nn.Linear(WIDTH, 32), nn.GELU(), nn.Linear(32, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Net(nn.Module):
    """Two blocks and a classifier over the mean token; takes tokens [B, T, WIDTH]."""

    def __init__(self, way: str = "sdpa", seed: int = 0) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(way) for _ in range(BLOCKS))
        self.head = nn.Linear(WIDTH, CLASSES)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.add_(0.4 * torch.randn(parameter.shape, generator=generator))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


def net(way: str = "sdpa", seed: int = 0) -> ma.Model:
    """A wrapped network whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ma.wrap(Net(way, seed).eval().requires_grad_(False), name=f"by hand, {way}", classes=CLASSES, verify=False)


def tokens(batch: int = 1, seed: int = 0, count: int = TOKENS) -> ma.Inputs:
    """Random tokens."""
    x = torch.randn(batch, count, WIDTH, generator=torch.Generator().manual_seed(seed))
    return ma.Inputs({"x": x}, batch=batch, many=batch > 1)


Change = Callable[[torch.Tensor, int, int], torch.Tensor]
"""change(tensor, layer, head): scores [T, T], weights [T, T] or head output [T, D] of one item, perhaps changed."""


def unchanged(tensor: torch.Tensor, layer: int, head: int) -> torch.Tensor:
    return tensor


def slow(
    model: ma.Model,
    x: torch.Tensor,
    scores: Change = unchanged,
    weights: Change = unchanged,
    output: Change = unchanged,
    hidden: Callable[[torch.Tensor, int], torch.Tensor] = lambda x, layer: x,
    reduced: Callable[[torch.Tensor, int], torch.Tensor] = lambda x, layer: x,
    without: frozenset[tuple[int, str]] = frozenset(),
) -> torch.Tensor:
    """Logits [B, C] computed slowly; `reduced` acts between attention and MLP, `without` leaves branches out."""
    answers = []
    for item in x:
        for layer, block in enumerate(model.module.blocks):
            item = hidden(item, layer)
            if (layer, "attention") not in without:
                item = item + _attended(block, item, layer, scores, weights, output)
            item = reduced(item, layer)
            if (layer, "mlp") not in without:
                item = item + block.mlp(block.norm2(item))
        answers.append(model.module.head(item.mean(0)))
    return torch.stack(answers)


def _attended(
    block: Block, item: torch.Tensor, layer: int, scores: Change, weights: Change, output: Change
) -> torch.Tensor:
    width = WIDTH // HEADS
    qkv = block.norm1(item) @ block.attn.qkv.weight.T + block.attn.qkv.bias
    mixed = []
    for head in range(HEADS):
        q, k, v = (qkv[:, part * WIDTH + head * width :][:, :width] for part in range(3))
        made = torch.stack([torch.stack([(a * b).sum() / width**0.5 for b in k]) for a in q])
        raised = scores(made, layer, head).exp()
        shares = weights(raised / raised.sum(-1, keepdim=True), layer, head)
        mixed.append(output(shares @ v, layer, head))
    return torch.cat(mixed, -1) @ block.attn.proj.weight.T + block.attn.proj.bias
