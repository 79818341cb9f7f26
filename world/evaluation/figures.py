"""A measured figure with its bootstrap interval over images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval, and how many images it rests on."""

    value: float
    low: float
    high: float
    images: int

    def as_record(self) -> dict[str, float]:
        """For the card, rounded to what the interval can bear."""
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


def resamples(count: int, rounds: int = 1000, seed: int = 0) -> np.ndarray:
    """How often each of `count` images is drawn in each bootstrap round, [rounds, count]."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=rounds)


def ratio(parts: Sequence[float], wholes: Sequence[float] | None = None, rounds: int = 1000, seed: int = 0) -> Figure:
    """Sum of `parts` over sum of `wholes` (1 each by default), one entry per image.

    >>> ratio([1, 1, 0, 0]).value
    0.5
    """
    part = np.asarray(parts, dtype=float)
    whole = np.ones_like(part) if wholes is None else np.asarray(wholes, dtype=float)
    if part.shape != whole.shape or not part.size:
        raise ValueError(f"one part and one whole per image, got shapes {part.shape} and {whole.shape}")
    drawn = resamples(len(part), rounds, seed)
    values = (drawn @ part) / np.maximum(drawn @ whole, 1e-12)
    low, high = np.quantile(values, [0.025, 0.975])
    return Figure(float(part.sum() / max(whole.sum(), 1e-12)), float(low), float(high), len(part))


def change_of_ratio(
    before: tuple[Sequence[float], Sequence[float]], after: tuple[Sequence[float], Sequence[float]], rounds: int = 1000
) -> Figure:
    """How much a ratio of sums has changed on the same images, which are resampled together.

    >>> change_of_ratio(([1, 1], [1, 1]), ([0, 1], [1, 1])).value
    -0.5
    """
    parts = [np.asarray(values, dtype=float) for values in (*before, *after)]
    drawn = resamples(len(parts[0]), rounds)
    sums = [drawn @ values for values in parts]
    values = sums[2] / np.maximum(sums[3], 1e-12) - sums[0] / np.maximum(sums[1], 1e-12)
    low, high = np.quantile(values, [0.025, 0.975])
    whole = parts[2].sum() / max(parts[3].sum(), 1e-12) - parts[0].sum() / max(parts[1].sum(), 1e-12)
    return Figure(float(whole), float(low), float(high), len(parts[0]))
