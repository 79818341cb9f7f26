"""A measured figure with its bootstrap interval over images."""

from collections.abc import Callable, Sequence
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


def of_counts(counts: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], rounds: int = 1000, seed: int = 0) -> Figure:
    """A number made of counts [images, K] that are summed over images: `statistic` takes sums [..., K].

    It is NaN where it says nothing, as precision does when nothing was said to be there; so are its ends.
    """
    counts = np.asarray(counts, dtype=float)
    if counts.ndim != 2 or not len(counts):
        raise ValueError(f"counts must be [images, kinds] of at least one image. Got shape {counts.shape} instead.")
    values = statistic(resamples(len(counts), rounds, seed) @ counts)
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return Figure(float(statistic(counts.sum(0))), float(low), float(high), len(counts))


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part of whole, NaN where there is none."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)
