"""The four backgrounds, as functions of position, so that they look the same at any resolution."""

from functools import lru_cache

import numpy as np

# Muted colours: objects are saturated, so no object vanishes on its own background.
_TONES = {
    "sea": ((0.42, 0.60, 0.68), (0.22, 0.40, 0.52)),
    "field": ((0.58, 0.62, 0.42), (0.40, 0.46, 0.26)),
    "city": ((0.62, 0.60, 0.58), (0.42, 0.41, 0.42)),
    "night": ((0.10, 0.10, 0.18), (0.20, 0.17, 0.24)),
}


@lru_cache(maxsize=8)
def pixel_centres(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the pixel centres: x as a row and y as a column, in [0, 1]."""
    line = ((np.arange(size, dtype=np.float32) + 0.5) / size).astype(np.float32)
    return line[None, :], line[:, None]


def _sea(x: np.ndarray, y: np.ndarray, phase: np.ndarray) -> np.ndarray:
    swell = np.sin(6.3 * (x * (1 + phase[0]) + phase[1])) * 0.02
    return 0.09 * np.sin(6.3 * (y * (6 + 4 * phase[2]) + phase[3]) + 40 * swell)


def _field(x: np.ndarray, y: np.ndarray, phase: np.ndarray) -> np.ndarray:
    hills = 0.09 * np.tanh(9 * (y - 0.35 - 0.1 * phase[0] - 0.08 * np.sin(6.3 * (x * (1 + phase[1]) + phase[2]))))
    return hills + 0.05 * np.sin(6.3 * (x * (14 + 6 * phase[3]) + y * 3))


def _city(x: np.ndarray, y: np.ndarray, phase: np.ndarray) -> np.ndarray:
    columns = np.sin(6.3 * (x * (3 + 2 * phase[0]) + phase[1]))
    rows = np.sin(6.3 * (y * (4 + 2 * phase[2]) + phase[3]))
    return 0.11 * np.clip(3 * columns, -1, 1) * np.clip(3 * rows, -1, 1)


def _night(x: np.ndarray, y: np.ndarray, phase: np.ndarray) -> np.ndarray:
    glow = np.sin(6.3 * (x * (5 + 3 * phase[0]) + phase[1])) * np.sin(6.3 * (y * (5 + 3 * phase[2]) + phase[3]))
    return 0.30 * np.clip(glow - 0.88, 0, 1) / 0.12


_PATTERNS = {"sea": _sea, "field": _field, "city": _city, "night": _night}


def draw_background(name: str, detail: int, size: int) -> np.ndarray:
    """The empty background as float32 RGB [size, size, 3] in 0..1."""
    x, y = pixel_centres(size)
    phase = np.random.default_rng([detail, 1]).random(5, dtype=np.float32)
    upper, lower = (np.array(tone, dtype=np.float32) for tone in _TONES[name])
    pattern = _PATTERNS[name](x, y, phase) + (phase[4] - 0.5) * 0.12
    column = upper + y[..., None] * (lower - upper)
    return column + pattern[..., None]
