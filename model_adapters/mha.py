"""torch's own MultiheadAttention taken apart: its arguments say everything that is needed to compute it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from model_adapters.errors import AdapterError
from model_adapters.events import SDPA, Sdpa


@dataclass(frozen=True, eq=False)
class Opened:
    """One call of `multi_head_attention_forward` as projections around an ordinary attention."""

    given: dict[str, Any]
    call: Sdpa
    """[B, H, Q, D] queries, keys and values, with one mask."""

    @classmethod
    def of(cls, given: dict[str, Any], name: str) -> Opened:
        """Read the arguments, whose tensors are [tokens, batch, width] or, for one input, [tokens, width]."""
        if given.get("training", True) and given["dropout_p"] > 0:
            raise AdapterError(f"{name} drops attention at random (training mode); call model.eval() first.")
        query, key, value = (_batched(given[side]) for side in ("query", "key", "value"))
        projected = _projected(given, query, key, value)
        sides = [_split(side, given["num_heads"]) for side in projected]
        keys, values, added = _with_more_keys(given, sides[1], sides[2])
        mask = _mask(given, sides[0], added)
        call = Sdpa(sides[0], keys, values, mask, False, sides[0].shape[-1] ** -0.5, False, 0.0)
        return cls(given, call)

    def attended(self) -> torch.Tensor:
        """The head outputs [B, H, Q, D]."""
        call = self.call
        return SDPA(call.query, call.key, call.value, attn_mask=call.mask, scale=call.scale)

    def result(self, output: torch.Tensor, weights: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What the function returns for these head outputs, and the weights where it was asked for them."""
        b, h, q, d = output.shape
        joined = output.permute(2, 0, 1, 3).reshape(q, b, h * d)
        made = F.linear(joined, self.given["out_proj_weight"], self.given["out_proj_bias"])
        single = self.given["query"].dim() == 2
        made = made[:, 0] if single else made
        if not self.given.get("need_weights", True):
            return made, None
        shown = weights().to(made.dtype)
        shown = shown.mean(1) if self.given.get("average_attn_weights", True) else shown
        return made, shown[0] if single else shown


def _batched(side: torch.Tensor) -> torch.Tensor:
    return side[:, None] if side.dim() == 2 else side


def _projected(given: dict[str, Any], *sides: torch.Tensor) -> list[torch.Tensor]:
    """Queries, keys and values through their projections."""
    bias = given["in_proj_bias"]
    biases = (None, None, None) if bias is None else bias.chunk(3)
    if given.get("use_separate_proj_weight"):
        weights = [given[f"{side}_proj_weight"] for side in ("q", "k", "v")]
    else:
        weights = list(given["in_proj_weight"].chunk(3))
    return [F.linear(side, weight, own) for side, weight, own in zip(sides, weights, biases, strict=True)]


def _split(side: torch.Tensor, heads: int) -> torch.Tensor:
    """[T, B, heads * D] -> [B, heads, T, D]."""
    return side.unflatten(-1, (heads, -1)).permute(1, 2, 0, 3)


def _with_more_keys(given: dict[str, Any], keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Keys and values that the module adds to those it is given: a learned one, one of zeros."""
    if given.get("static_k") is not None or given.get("static_v") is not None:
        raise AdapterError("MultiheadAttention was given static keys or values, which are not read; leave them out.")
    before = keys.shape[-2]
    if given.get("bias_k") is not None:
        more = [_split(given[f"bias_{side}"], keys.shape[1]).expand(keys.shape[0], -1, -1, -1) for side in ("k", "v")]
        keys, values = torch.cat([keys, more[0]], -2), torch.cat([values, more[1]], -2)
    if given.get("add_zero_attn"):
        keys, values = F.pad(keys, (0, 0, 0, 1)), F.pad(values, (0, 0, 0, 1))
    return keys, values, keys.shape[-2] - before


def _mask(given: dict[str, Any], query: torch.Tensor, added: int) -> torch.Tensor | None:
    """One additive mask [B, H or 1, Q, K] of the two that the function takes."""
    b, h, q, _ = query.shape
    mask, padding = given.get("attn_mask"), given.get("key_padding_mask")
    parts = []
    if mask is not None:
        parts.append(_additive(mask, query).reshape(*((b, h) if mask.dim() == 3 and mask.shape[0] == b * h else (1, 1)), q, -1))
    if padding is not None:
        parts.append(_additive(padding, query).reshape(-1, 1, 1, padding.shape[-1]))
    if not parts:
        return None
    whole = parts[0] if len(parts) == 1 else parts[0] + parts[1]
    return F.pad(whole, (0, added)) if added else whole


def _additive(mask: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, float("-inf"))

