"""Expectations written by hand: where tokens lie according to the papers, without any dye."""

from __future__ import annotations

import numpy as np


def grid(height: int, width: int, tile: float) -> np.ndarray:
    """Boxes [height * width, 4] of square tiles in raster order."""
    y, x = np.mgrid[0:height, 0:width].reshape(2, -1) * tile
    return np.stack([x, y, x + tile, y + tile], axis=1).astype(np.float32)


def shifted_windows(height: int, width: int, window: tuple[int, int], shift: tuple[int, int], tile: float) -> np.ndarray:
    """Boxes [rows, 4] of a shifted-window attention, window by window; NaN for rows of padding.

    The map is rolled first and padded at the right and lower edge afterwards, as timm does.
    """
    number = np.arange(height * width).reshape(height, width)
    number = np.roll(number, (-shift[0], -shift[1]), axis=(0, 1))
    below, right = -height % window[0], -width % window[1]
    number = np.pad(number, ((0, below), (0, right)), constant_values=-1)
    rows = []
    for top in range(0, number.shape[0], window[0]):
        for left in range(0, number.shape[1], window[1]):
            rows.append(number[top : top + window[0], left : left + window[1]].ravel())
    order = np.concatenate(rows)
    boxes = np.full((len(order), 4), np.nan, np.float32)
    boxes[order >= 0] = grid(height, width, tile)[order[order >= 0]]
    return boxes


def grid_attention(height: int, width: int, cells: int, tile: float) -> np.ndarray:
    """Boxes of MaxViT's grid attention: every window takes one token of each of cells x cells regions."""
    boxes = grid(height, width, tile).reshape(height, width, 4)
    step_y, step_x = height // cells, width // cells
    rows = [boxes[y::step_y, x::step_x].reshape(-1, 4) for y in range(step_y) for x in range(step_x)]
    return np.concatenate(rows)


def blocks(height: int, width: int, side: int, tile: float) -> np.ndarray:
    """Boxes in blocks of side x side tokens, block by block."""
    return shifted_windows(height, width, (side, side), (0, 0), tile)
