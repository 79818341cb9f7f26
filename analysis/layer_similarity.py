"""Are layers alike? Linear centred kernel alignment between the layers of two runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.registry import method
from model_adapters import Capture


@dataclass(frozen=True, eq=False)
class LayerSimilarity:
    """How alike the layers of two towers are."""

    values: np.ndarray
    """[L, L']: layers of the first down, of the second across."""
    first: tuple[int, ...]
    """[L] the layer whose input each row is; the last is the output."""
    second: tuple[int, ...]
    label: str = ""


@method(
    title="CKA of layers",
    kind="comparison",
    cites=("kornblith2019",),
    needs={"hidden"},
    range="0 to 1",
    misleads="High by chance when tokens are fewer than features, and ruled by a few very long tokens: use many images.",
)
def layer_cka(first: Sequence[Capture], second: Sequence[Capture], *, tower: str = "vision") -> LayerSimilarity:
    """How alike the geometry of the tokens is, layer by layer: linear centred kernel alignment.

    It does not change when features are rotated or scaled, so models of different width can be compared.

    Args:
        first: captures with hidden states, one per image.
        second: captures of the same images. Layers of other numbers of tokens are not compared: NaN.
        tower: which tower.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"captures must be of the same images. Got {len(first)} and {len(second)}.")
    one, two = (_stacked(captures, tower) for captures in (first, second))
    rows = [{len(h) for h in each.values()} for each in (one, two)]
    if not (shared := sorted(rows[0] & rows[1])):
        counts = [", ".join(f"{n // len(first):,}" for n in sorted(each)) for each in rows]
        raise ValueError(
            f"Layers are compared token by token, and the first has {counts[0]} tokens per image, the second {counts[1]}. "
            "Two models with the same grid of patches (input size and patch size) and the same extra tokens can be compared."
        )
    values = np.array([[linear_cka(a, b) if len(a) == len(b) else np.nan for b in two.values()] for a in one.values()])
    over = f"{shared[0]}" if len(shared) == 1 else f"{shared[0]} to {shared[-1]}"
    return LayerSimilarity(values, tuple(one), tuple(two), f"linear CKA over {over} tokens")


def linear_cka(first: np.ndarray, second: np.ndarray) -> float:
    """Linear CKA of two sets of features [P, D] and [P, D'] of the same points; NaN where one is constant."""
    if len(first) != len(second) or len(first) < 3:
        raise ValueError(f"CKA needs the same points in both, at least 3. Got shapes {first.shape} and {second.shape}.")
    one, two = (x - x.mean(0) for x in (first.astype(np.float64), second.astype(np.float64)))
    if max(one.shape[1], two.shape[1]) > len(one):
        kernels = one @ one.T, two @ two.T
        cross, own = (kernels[0] * kernels[1]).sum(), [np.linalg.norm(k) for k in kernels]
    else:
        cross, own = np.linalg.norm(one.T @ two) ** 2, [np.linalg.norm(x.T @ x) for x in (one, two)]
    return float(cross / (own[0] * own[1])) if min(own) > 0 else float("nan")


def _stacked(captures: Sequence[Capture], tower: str) -> dict[int, np.ndarray]:
    """Layer -> [tokens of all images, D]."""
    depths = [n for name, n in captures[0].hidden if name == tower]
    if not depths:
        raise ValueError(f"hidden states of the tower {tower!r} are needed. Capture with want={{'hidden'}}.")
    return {n: np.concatenate([_flat(c.hidden[tower, n]) for c in captures]) for n in sorted(depths)}


def _flat(hidden: np.ndarray) -> np.ndarray:
    return hidden.reshape(-1, hidden.shape[-1])
