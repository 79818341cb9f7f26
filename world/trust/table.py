"""The benchmark's figures, as they lie in `assets`: what a page reads to say how far a method can be believed.

Nothing here needs a model, or torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow.parquet as pq

ASSETS = Path(__file__).resolve().parents[2] / "assets"


@dataclass(frozen=True)
class Score:
    """One figure of the report.

    Attributes:
        kind: map, importance, types, pruner, signal or fix.
        method: the name of the method of `analysis`; empty where there is none.
        title: how the participant is called: a method may take part several times, with other options.
        model: the bundled model it was tried on.
        score: what was measured.
        value: the score with its 95 % interval `low` to `high` over images.
        chance: what is reached by chance; NaN where that means nothing.
        count: how many images it rests on.
        baseline: whether the participant is there to be beaten.
        against: what it is held to, where participants of one kind are held to different things.
    """

    kind: str
    method: str
    title: str
    model: str
    score: str
    value: float
    low: float
    high: float
    chance: float
    count: int
    baseline: bool
    against: str = ""

    def __str__(self) -> str:
        chance = f"; chance {self.chance:.2f}" if self.chance == self.chance else ""
        return f"{self.score} {self.value:.2f} ({self.low:.2f} to {self.high:.2f}{chance})"


def scores(method: str, *, model: str | None = None, full: bool = False) -> tuple[Score, ...]:
    """All figures of one method of `analysis`; none where it took no part.

    Args:
        method: its registered name.
        model: only those on this bundled model, such as "vit".
        full: from the long benchmark rather than the short one.
    """
    return tuple(s for s in table(full=full) if s.method == method and model in (None, s.model))


def baselines(like: Score, *, full: bool = False) -> tuple[Score, ...]:
    """What the baselines reached in the same test as this figure."""
    place = (like.kind, like.model, like.score, like.against)
    return tuple(s for s in table(full=full) if s.baseline and (s.kind, s.model, s.score, s.against) == place)


def table(*, full: bool = False, assets: Path = ASSETS) -> tuple[Score, ...]:
    """All figures of the benchmark; none where it was not run."""
    path = assets / ("trust-full.parquet" if full else "trust.parquet")
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else ()


@lru_cache(maxsize=4)
def _read(path: Path, _changed: int) -> tuple[Score, ...]:
    return tuple(Score(**row) for row in pq.read_table(path).to_pylist())
