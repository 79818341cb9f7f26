"""The constants that lead from the heads of a plain vision transformer to one class score, read off its modules.

Blocks must be x + attention(norm(x)), then x + MLP(norm(x)), as in timm's `VisionTransformer`: only then is the score a sum
over heads. Others are refused with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from model_adapters.errors import AdapterError


@dataclass(frozen=True, eq=False)
class ReadoutParts:
    """What leads from the heads to the stream and from the stream to one score. Scales of branches are multiplied in."""

    projections: tuple[np.ndarray, ...]
    """Per layer [H, d_h, d]: the output projection, split by head."""
    biases: tuple[np.ndarray, ...]
    """Per layer [d]."""
    gain: np.ndarray
    """[d] of the final norm; ones where there is none."""
    shift: np.ndarray
    """[d]."""
    direction: np.ndarray
    """[d], or [N, d] where tokens are read by classifiers of their own."""
    offset: float
    pool: np.ndarray
    """[N]: how the tokens are put together."""
    score: float
    """The model's own score."""
    epsilon: float
    norm: str
    """"layer", "rms" or "none"."""
    pool_first: bool
    """Tokens are put together before the norm."""


def readout(module: nn.Module, target: int, tokens: int, score: float) -> ReadoutParts:
    """The constants of one class.

    Args:
        module: a `VisionTransformer` of timm, or its distilled form.
        target: the class.
        tokens: how many tokens its blocks work on.
        score: the model's own score of the class.
    """
    reason = why_no_readout(module)
    if reason:
        raise AdapterError(reason)
    vit: Any = module
    norm, pool_first = (vit.norm, False) if _is_nothing(vit.fc_norm) else (vit.fc_norm, True)
    width = int(vit.head.in_features)
    pool, heads = _pooling(vit, tokens)
    scales = [_scale(block) for block in vit.blocks]
    gain, shift = getattr(norm, "weight", None), getattr(norm, "bias", None)
    return ReadoutParts(
        projections=tuple(_projection(block, scale) for block, scale in zip(vit.blocks, scales, strict=True)),
        biases=tuple(_bias(block.attn.proj, width) * scale for block, scale in zip(vit.blocks, scales, strict=True)),
        gain=np.ones(width) if gain is None else _array(gain),
        shift=np.zeros(width) if shift is None else _array(shift),
        direction=_direction(heads, target, tokens),
        offset=float(np.mean([_bias(head, head.out_features)[target] for head in heads])),
        pool=pool,
        score=score,
        epsilon=float(getattr(norm, "eps", 0.0) or 0.0),
        norm=_norm_kind(norm) or "none",
        pool_first=pool_first,
    )


def why_no_readout(module: nn.Module) -> str | None:
    """Why the score of a module is no sum over its heads, or is not known to be; None where it is."""
    from timm.models.vision_transformer import Block, VisionTransformer

    name = type(module).__name__
    if not isinstance(module, VisionTransformer):
        return f"{name} is no plain VisionTransformer of timm: how its heads lead to the score is not known."
    vit: Any = module
    if not isinstance(vit.head, nn.Linear):
        return f"{name} has no linear classifier: there is no class score to take apart."
    for number, block in enumerate(vit.blocks):
        if type(block) is not Block or not _plain_attention(block.attn):
            return f"block {number} of {name} is not x + attention + MLP with one linear output projection."
    if vit.attn_pool is not None or vit.global_pool not in ("token", "avg"):
        return f"{name} pools its tokens by {vit.global_pool!r}; a class token or the mean of the tokens can be followed."
    if not _is_nothing(vit.norm) and not _is_nothing(vit.fc_norm):
        return f"{name} has two norms in front of its classifier; one can be kept fixed."
    unknown = next((n for n in (vit.norm, vit.fc_norm) if _norm_kind(n) is None), None)
    if unknown is not None:
        return f"the final norm of {name} is a {type(unknown).__name__}; a LayerNorm, an RMSNorm or none can be kept fixed."
    return None


def _plain_attention(attention: Any) -> bool:
    """Whether the heads' outputs go through one linear projection and nothing else."""
    from timm.layers import Attention

    return type(attention) is Attention and _is_nothing(attention.norm) and attention.gate is None


def _pooling(vit: Any, tokens: int) -> tuple[np.ndarray, list[nn.Linear]]:
    """[N] the share of each token in what is read, and the classifiers that read."""
    if isinstance(getattr(vit, "head_dist", None), nn.Linear):
        return np.eye(tokens)[:2].sum(0) / 2, [vit.head, vit.head_dist]
    if vit.global_pool == "token":
        return np.eye(tokens)[0], [vit.head]
    pool = np.ones(tokens)
    pool[: 0 if vit.pool_include_prefix else vit.num_prefix_tokens] = 0
    return pool / pool.sum(), [vit.head]


def _direction(heads: list[nn.Linear], target: int, tokens: int) -> np.ndarray:
    rows = [_array(head.weight)[target] for head in heads]
    if len(rows) == 1:
        return rows[0]
    each = np.zeros((tokens, len(rows[0])))
    each[: len(rows)] = rows
    return each


def _projection(block: Any, scale: np.ndarray) -> np.ndarray:
    weight = _array(block.attn.proj.weight) * scale[:, None]
    return weight.T.reshape(block.attn.num_heads, -1, len(weight))


def _scale(block: Any) -> np.ndarray:
    """[d]: what LayerScale multiplies the attention with."""
    gamma = getattr(block.ls1, "gamma", None)
    return np.ones(block.attn.proj.out_features) if gamma is None else _array(gamma)


def _bias(linear: nn.Linear, width: int) -> np.ndarray:
    return np.zeros(width) if linear.bias is None else _array(linear.bias)


def _is_nothing(module: object) -> bool:
    return isinstance(module, nn.Identity)


def _norm_kind(norm: nn.Module) -> str | None:
    from timm.layers import RmsNorm

    if _is_nothing(norm):
        return "none"
    if isinstance(norm, nn.LayerNorm):
        return "layer"
    return "rms" if isinstance(norm, nn.RMSNorm | RmsNorm) else None


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()
