"""Attention rows as one byte per weight, for the wire and for session files."""

from __future__ import annotations

import numpy as np

STEPS = 255
DECODE = (np.arange(STEPS + 1, dtype=np.float32) / STEPS) ** 2
"""[256]: the share of the row's largest weight that each byte stands for."""


def quantised(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of weights as bytes: v = round(255 sqrt(w / rowmax)).

    The root gives small weights finer steps: a weight is off by at most rowmax (sqrt(w / rowmax) / 255 + 1 / 510^2),
    so by less than 0.4 % of the row's largest weight, and weights near zero by less than 0.0004 %.

    Args:
        weights: [H, Q, K], not negative.

    Returns:
        codes uint8 [H, Q, K] and the rows' largest weights float32 [H, Q].
    """
    if weights.ndim != 3 or not weights.shape[2]:
        raise ValueError(f"weights must be [heads, queries, keys] with at least one key. Got shape {weights.shape}.")
    codes, largest = np.empty(weights.shape, np.uint8), np.empty(weights.shape[:2], np.float32)
    for head, rows in enumerate(weights):
        rows = rows.astype(np.float32)
        if not np.isfinite(rows).all() or rows.min(initial=0) < 0:
            raise ValueError(f"weights must be finite and not negative. Head {head} holds other numbers.")
        largest[head] = rows.max(1, initial=0)
        rows /= np.maximum(largest[head], np.finfo(np.float32).tiny)[:, None]
        np.sqrt(rows, out=rows)
        rows *= STEPS
        codes[head] = np.rint(rows, out=rows)
    return codes, largest


def restored(codes: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """The weights [H, Q, K] float32 that the bytes stand for."""
    return DECODE[codes] * largest[:, :, None].astype(np.float32)
