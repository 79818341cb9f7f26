"""Answers written from a smaller cache: the prompt is read whole, then most of its keys and values are forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from transformers.cache_utils import Cache, DynamicLayer

from model_adapters.errors import AdapterError
from model_adapters.generate import Generation, generate
from model_adapters.inputs import Inputs
from model_adapters.model import Model
from model_adapters.site import Keep

Merge = Literal["pivotal", "averaged", "dropped"]
"""What becomes of a forgotten key and its value: they move the nearest kept one halfway, or fully, or are gone."""


@dataclass(frozen=True, eq=False)
class FromLess:
    """An answer, and how much of the prompt it was written from."""

    generation: Generation
    cache_bytes: int
    """Keys and values that are held of the prompt."""
    whole_bytes: int
    """Those of the whole prompt."""


def generate_from_less(
    model: Model, inputs: Inputs, kept: Sequence[np.ndarray], *, merge: Merge = "pivotal", max_new_tokens: int = 64
) -> FromLess:
    """Answer greedily from a cache that forgets most of the prompt once it is read; the first token knows all of it.

    Positions stay those of the whole prompt. Attention is not kept: with masks of the same tokens it can be.

    Args:
        model: an LVLM whose decoder keeps the keys of all its layers.
        inputs: one prompt.
        kept: per decoder layer the tokens of the prompt that stay, the same number in all.
        merge: what becomes of the others.
        max_new_tokens: the longest answer.
    """
    if merge not in get_args(Merge):
        raise ValueError(f"merge must be one of {get_args(Merge)}. Got {merge!r} instead.")
    text = model.config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ["full_attention"])
    if getattr(model.config, "is_encoder_decoder", False) or kinds != {"full_attention"}:
        raise AdapterError(f"{model.name} keeps other things than its prompt's keys ({sorted(kinds)}): none can be left out.")
    rows = [np.unique(np.asarray(one, int)) for one in kept]
    if len(rows) != text.num_hidden_layers or len({len(one) for one in rows}) != 1 or not len(rows[0]):
        raise ValueError(
            f"each of {text.num_hidden_layers} layers must keep the same number of tokens, at least one. "
            f"Got {[len(one) for one in rows]}."
        )
    layers = [_Forgetful(torch.from_numpy(one), merge) for one in rows]
    said = generate(
        model, inputs.with_tensors(past_key_values=Cache(layers=layers)), max_new_tokens=max_new_tokens, keep=Keep(sites="none")
    )
    if idle := [number for number, layer in enumerate(layers) if not layer.whole]:
        raise AdapterError(f"layers {idle} of {len(layers)} kept no keys: {model.name} has a cache of another kind.")
    return FromLess(said, sum(layer.held for layer in layers), sum(layer.whole for layer in layers))


def shrunk(
    keys: torch.Tensor, values: torch.Tensor, kept: torch.Tensor, merge: Merge
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values [B, H, T, D] of the kept tokens, with the others merged into the one of the likest key of their head."""
    kept = kept.to(keys.device)
    gone = torch.ones(keys.shape[-2], dtype=torch.bool, device=keys.device).index_fill(0, kept, False).nonzero().flatten()
    mine = keys.index_select(-2, kept), values.index_select(-2, kept)
    if merge == "dropped" or not len(gone):
        return mine
    lost = keys.index_select(-2, gone), values.index_select(-2, gone)
    alike = torch.nn.functional.normalize(lost[0].float(), dim=-1) @ torch.nn.functional.normalize(mine[0].float(), dim=-1).mT
    nearest = alike.argmax(-1, keepdim=True)
    count = torch.ones_like(nearest[..., :1, :], dtype=keys.dtype).expand(*mine[0].shape[:-1], 1).clone()
    count.scatter_add_(-2, nearest, torch.ones_like(nearest, dtype=keys.dtype))
    one, other = (_merged(own, away, nearest, count, merge) for own, away in zip(mine, lost, strict=True))
    return one, other


def _merged(own: torch.Tensor, away: torch.Tensor, nearest: torch.Tensor, count: torch.Tensor, merge: Merge) -> torch.Tensor:
    """The mean of each kept vector and of what comes to it: the lost ones, or the points halfway to them."""
    into = nearest.expand(*nearest.shape[:-1], own.shape[-1])
    coming = (away + own.gather(-2, into)) / 2 if merge == "pivotal" else away
    return own.clone().scatter_add_(-2, into, coming) / count


class _Forgetful(DynamicLayer):
    """One layer's cache: what is read first is seen whole once, and then only what is kept of it."""

    def __init__(self, kept: torch.Tensor, merge: Merge) -> None:
        super().__init__()
        self.kept, self.merge = kept, merge
        self.seen = self.whole = self.held = 0

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """All keys and values there are; those of the prompt are cut down behind its pass."""
        first, count = self.seen == 0, key_states.shape[-2]
        if first and int(self.kept.max()) >= count:
            raise AdapterError(f"token {int(self.kept.max())} was to be kept of a prompt of {count} tokens.")
        self.seen += count
        keys, values = super().update(key_states, value_states, *args, **kwargs)
        if first:
            self.whole = _bytes(keys, values)
            self.keys, self.values = shrunk(keys, values, self.kept, self.merge)
            self.held = _bytes(self.keys, self.values)
        return keys, values

    def get_seq_length(self) -> int:
        """How many tokens were read: positions go on from there."""
        return self.seen

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """How many keys there are for the next queries."""
        return (int(self.keys.shape[-2]) if self.seen else 0) + query_length, 0


def _bytes(*tensors: torch.Tensor) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
