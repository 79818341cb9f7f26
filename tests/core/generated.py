"""Attention modules as people write them, drawn part by part, and their answer worked out by hand.

A module follows its `Recipe` through folds, axis orders and ways of writing. `by_hand` knows none of these: it computes
every item and head by itself from the same parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn

TOKENS, CLASSES = 6, 3
FOLDS = ("b h", "(b h)", "(h b)", "h b", "(b w) h", "(w b) h", "b w h", "b h w")
WINDOWED = tuple(fold for fold in FOLDS if "w" in fold)
ORDERS = ("q k", "k q", "heads last")
WRITINGS = ("sdpa", "tensor", "functional", "module", "sequential", "torch", "exp", "log")
SEEN = WRITINGS[:6]
POSTS = ("none", "talking", "top", "again", "in place", "sink", "twice", "turned")
CHANGES = ("talking", "top", "again", "in place", "sink")
NAMES = ("Attention", "TokenMixer", "Mixer", "Block", "MHA", "Router", "WithGate")


@dataclass(frozen=True)
class Recipe:
    """One way of writing attention."""

    writing: str = "tensor"
    fold: str = "b h"
    order: str = "q k"
    heads: int = 2
    width: int = 4
    shared: bool = False
    """All heads share one set of keys and values."""
    mask: str = "none"
    scale: str = "after"
    post: str = "none"
    separate: bool = False
    declares: bool = True
    name: str = "Attention"
    seed: int = 0


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Recipes that can be written down."""
    writing = draw(st.sampled_from(WRITINGS))
    fold = draw(st.sampled_from(FOLDS))
    order = draw(st.sampled_from(ORDERS if fold == "b h" and writing != "sdpa" else ORDERS[:1]))
    free = writing != "sdpa" and order == "q k" and fold in ("b h", "h b")
    # As many windows as heads, each on an axis of its own, cannot be told apart by any look at the tensors.
    heads = draw(st.sampled_from((1, 3) if fold in ("b w h", "b h w") else (1, 2, 3)))
    return Recipe(
        writing, fold, order, heads, draw(st.sampled_from((4, 5))), draw(st.booleans()),
        draw(st.sampled_from(("none", "causal", "bias"))) if fold not in WINDOWED else "none",
        draw(st.sampled_from(("before", "after"))), draw(st.sampled_from(POSTS)) if free else "none",
        draw(st.booleans()), draw(st.booleans()), draw(st.sampled_from(NAMES)), draw(st.integers(0, 5)),
    )  # fmt: skip


class Written(nn.Module):
    """Attention as a recipe says."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe, size = recipe, recipe.heads * recipe.width
        if recipe.declares:
            self.num_heads = recipe.heads
        if recipe.separate:
            self.q, self.k, self.v = (nn.Linear(size, size) for _ in range(3))
        else:
            self.qkv = nn.Linear(size, 3 * size)
        self.out, self.talk = nn.Linear(size, size), nn.Linear(recipe.heads, recipe.heads, bias=False)
        self.sink = nn.Parameter(torch.zeros(recipe.heads))
        self.bias = nn.Parameter(torch.zeros(TOKENS, TOKENS))
        self.places = nn.Parameter(torch.zeros(TOKENS, recipe.width))
        if recipe.writing == "module":
            self.soft = nn.Softmax(dim=-1)
        if recipe.writing == "sequential":
            self.attend = nn.Sequential(nn.Softmax(dim=-1), nn.Dropout(0.1))

    def sides(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Queries, keys and values [B, H, T, D]."""
        parts = [self.q(x), self.k(x), self.v(x)] if self.recipe.separate else self.qkv(x).chunk(3, -1)
        found = [p.unflatten(-1, (self.recipe.heads, -1)).transpose(1, 2) for p in parts]
        if self.recipe.shared:
            found[1:] = [side[:, :1].expand(-1, self.recipe.heads, -1, -1) for side in found[1:]]
        return found

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (_folded(side, self.recipe.fold) for side in self.sides(x))
        mixed = self._fused(q, k, v) if self.recipe.writing == "sdpa" else self._explicit(q, k, v)
        mixed = _unfolded(mixed, self.recipe.fold, x.shape[0], self.recipe.heads)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _fused(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        mask = self.recipe.mask
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=self.bias if mask == "bias" else None, is_causal=mask == "causal"
        )

    def _explicit(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        recipe = self.recipe
        scale = recipe.width**-0.5
        q = q * scale if recipe.scale == "before" else q
        last = recipe.order == "heads last"
        if last:
            scores = torch.einsum("bhqd,bhkd->bqkh", q, k)
        else:
            scores = k @ q.transpose(-1, -2) if recipe.order == "k q" else q @ k.transpose(-1, -2)
        scores = scores if recipe.scale == "before" else scores * scale
        scores = self._masked(scores)
        if recipe.post == "sink":
            sink = self.sink.view(-1, *(1,) * (2 if recipe.fold == "b h" else 3)).expand(*scores.shape[:-1], 1)
            scores = torch.cat([scores, sink], -1)
        weights = self._softmax(scores, {"q k": -1, "k q": -2, "heads last": 2}[recipe.order])
        weights = self._post(weights)
        if last:
            return torch.einsum("bqkh,bhkd->bhqd", weights, v)
        if recipe.order == "k q":
            return weights.transpose(-1, -2) @ v
        if recipe.post == "turned":
            return (v.transpose(-1, -2) @ weights.transpose(-1, -2)).transpose(-1, -2)
        return weights @ v + weights @ self.places if recipe.post == "twice" else weights @ v

    def _masked(self, scores: torch.Tensor) -> torch.Tensor:
        if self.recipe.mask == "none":
            return scores
        mask = self.bias if self.recipe.mask == "bias" else torch.full((TOKENS, TOKENS), -torch.inf).triu(1)
        turned = {"q k": mask, "k q": mask.T, "heads last": mask[..., None]}
        return scores + turned[self.recipe.order]

    def _softmax(self, scores: torch.Tensor, dim: int) -> torch.Tensor:
        writing = self.recipe.writing
        if writing == "exp":
            raised = (scores - scores.amax(dim, keepdim=True)).exp()
            return raised / raised.sum(dim, keepdim=True)
        if writing == "log":
            return scores.log_softmax(dim).exp()
        if writing in ("module", "sequential") and dim == -1:
            return self.soft(scores) if writing == "module" else self.attend(scores)
        if writing == "tensor":
            return scores.softmax(dim)
        return torch.softmax(scores, dim) if writing == "torch" else F.softmax(scores, dim=dim)

    def _post(self, weights: torch.Tensor) -> torch.Tensor:
        post, heads = self.recipe.post, 1 if self.recipe.fold == "b h" else 0
        if post == "talking":
            return self.talk(weights.movedim(heads, -1)).movedim(-1, heads)
        if post == "top":
            best = weights.topk(3, dim=-1)
            return torch.zeros_like(weights).scatter_(-1, best.indices, best.values)
        if post == "again":
            kept = weights * (weights > 0.1)
            return kept / kept.sum(-1, keepdim=True)
        if post == "in place":
            weights[..., 0] = 0.0
            return weights.mul_(2.0)
        return weights[..., :-1] if post == "sink" else weights


def _folded(side: torch.Tensor, fold: str) -> torch.Tensor:
    """[B, H, T, D] as the fold has it."""
    if "w" in fold:
        cut = side.unflatten(2, (2, -1))  # b h w t d
        return {
            "(b w) h": lambda: cut.permute(0, 2, 1, 3, 4).flatten(0, 1),
            "(w b) h": lambda: cut.permute(2, 0, 1, 3, 4).flatten(0, 1),
            "b w h": lambda: cut.permute(0, 2, 1, 3, 4), "b h w": lambda: cut,
        }[fold]()  # fmt: skip
    return {
        "b h": lambda: side, "(b h)": lambda: side.flatten(0, 1), "h b": lambda: side.transpose(0, 1),
        "(h b)": lambda: side.transpose(0, 1).flatten(0, 1),
    }[fold]()  # fmt: skip


def _unfolded(mixed: torch.Tensor, fold: str, batch: int, heads: int) -> torch.Tensor:
    """Back to [B, H, T, D]."""
    if "w" in fold:
        cut = {
            "(b w) h": lambda: mixed.unflatten(0, (batch, 2)).permute(0, 2, 1, 3, 4),
            "(w b) h": lambda: mixed.unflatten(0, (2, batch)).permute(1, 2, 0, 3, 4),
            "b w h": lambda: mixed.permute(0, 2, 1, 3, 4), "b h w": lambda: mixed,
        }[fold]()  # fmt: skip
        return cut.flatten(2, 3)
    return {
        "b h": lambda: mixed, "(b h)": lambda: mixed.unflatten(0, (batch, heads)), "h b": lambda: mixed.transpose(0, 1),
        "(h b)": lambda: mixed.unflatten(0, (heads, batch)).transpose(0, 1),
    }[fold]()  # fmt: skip


class Net(nn.Module):
    """Two blocks of written attention, the second one plain, and a classifier."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        size = recipe.heads * recipe.width
        kind = type(recipe.name, (Written,), {})
        self.blocks = nn.ModuleList([nn.ModuleDict({"norm": nn.LayerNorm(size), "mix": kind(recipe)}) for _ in range(2)])
        self.head = nn.Linear(size, CLASSES)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.add_(0.5 * torch.randn(parameter.shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + block["mix"](block["norm"](x))
        return self.head(x.mean(1))


def built(recipe: Recipe) -> Net:
    """A network whose weights follow from the recipe's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return Net(recipe).eval().requires_grad_(False)


def by_hand(net: Net, recipe: Recipe, x: torch.Tensor, gate: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The logits with gates [H] on the heads of both blocks, and the weights [B, H, Q, K] that meet the values."""
    seen = []
    for block in net.blocks:
        mix = block["mix"]
        q, k, v = mix.sides(block["norm"](x))
        weights = torch.stack([_weights(mix, recipe, q[i], k[i]) for i in range(len(x))])
        weights = weights.requires_grad_() if torch.is_grad_enabled() else weights
        shown = v + mix.places if recipe.post == "twice" else v
        heads = torch.einsum("bhqk,bhkd->bhqd", weights, shown) * gate[:, None, None]
        x = x + mix.out(torch.cat([heads[:, h] for h in range(recipe.heads)], -1))
        seen.append(weights)
    return net.head(x.mean(1)), seen


def _weights(mix: Written, recipe: Recipe, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """[H, T, T] of one item; tokens of other windows get none."""
    scores = torch.einsum("hqd,hkd->hqk", q, k) / recipe.width**0.5
    half = torch.arange(TOKENS) // (TOKENS // 2)
    if recipe.fold in WINDOWED:
        scores = scores.masked_fill(half[:, None] != half, -torch.inf)
    if recipe.mask == "bias":
        scores = scores + mix.bias
    if recipe.mask == "causal":
        scores = scores.masked_fill(torch.arange(TOKENS) > torch.arange(TOKENS)[:, None], -torch.inf)
    raised = scores.exp()
    beside = mix.sink.exp()[:, None, None] if recipe.post == "sink" else 0.0
    made = raised / (raised.sum(-1, keepdim=True) + beside)
    if recipe.post == "talking":
        made = torch.einsum("gh,hqk->gqk", mix.talk.weight, made)
    if recipe.post == "top":
        made = torch.where(made >= made.sort(-1, descending=True).values[..., 2:3], made, 0.0)
    if recipe.post == "again":
        made = torch.where(made > 0.1, made, 0.0)
        made = made / made.sum(-1, keepdim=True)
    if recipe.post == "in place":
        made = torch.cat([torch.zeros_like(made[..., :1]), 2 * made[..., 1:]], -1)
    return made
