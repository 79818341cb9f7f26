"""A plan of fewer visual tokens: which are left at the entry of each decoder layer, and which went into which."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.results import TokenMap
from model_adapters import Rows


@dataclass(frozen=True, eq=False)
class VisualStep:
    """What happens at the entry of one decoder layer, before its attention."""

    layer: int
    into: np.ndarray
    """[N] the visual token in whose place each one is from here on; -1 where it is gone."""
    share: np.ndarray
    """[N] the weight of each token that is still there in the mean that it goes into."""


@dataclass(frozen=True, eq=False)
class VisualPlan:
    """Which visual tokens survive, from which decoder layer on; nothing in it depends on the model it was made for."""

    method: str
    steps: tuple[VisualStep, ...]
    image: np.ndarray
    """[N] the numbers of the visual tokens among the rows of the prompt."""
    rows: Rows
    """[T] the rows of the prompt."""
    depth: int
    """How many layers the decoder has."""
    size: tuple[int, int]
    """(width, height) of the original image; (0, 0) where there are several or none."""
    left_out: str
    """What of the original method this plan leaves out."""
    window: int = 0
    """Where above 0, visual tokens see only visual tokens within a square of so many tokens (YOPO)."""
    blind: tuple[tuple[int, tuple[int, ...]], ...] = ()
    """(layer, heads) that read no visual token and say nothing in their rows (YOPO)."""
    cut: int = 0
    """Where above 0, no head from this layer on reads visual tokens, which stay (YOPO)."""
    rounds: np.ndarray | None = None
    """[depth, N] bool: the tokens that go round a layer and are back behind it (p-MoD)."""
    forgotten: tuple[int, ...] = ()
    """Layers whose caches, while the answer is written, remember only what the last layer reads (MustDrop)."""

    def __len__(self) -> int:
        return len(self.image)

    @cached_property
    def into(self) -> np.ndarray:
        """[depth, N] the visual token in whose place each one is in each layer; -1 once it is gone."""
        found = np.tile(np.arange(len(self)), (self.depth, 1))
        for step in self.steps:
            now = found[step.layer]
            found[step.layer :] = np.where(now >= 0, step.into[now], -1)
        return found

    @property
    def there(self) -> np.ndarray:
        """[depth, N] bool: the visual tokens that are in the sequence in front of each layer."""
        return self.into == np.arange(len(self))

    @property
    def alive(self) -> np.ndarray:
        """[depth, N] bool: the visual tokens that each layer reads as themselves."""
        return self.there if self.rounds is None else self.there & ~self.rounds

    @property
    def lasting(self) -> np.ndarray:
        """[depth, N] bool: the visual tokens that each layer reads, as themselves or as part of another."""
        return self.into >= 0 if self.rounds is None else (self.into >= 0) & ~self.rounds

    @property
    def merges(self) -> bool:
        """Whether tokens go into others."""
        return bool((self.lasting & ~self.alive).any())

    @property
    def counts(self) -> np.ndarray:
        """[depth] how many visual tokens each layer reads."""
        return self.alive.sum(1)

    @property
    def kept(self) -> int:
        """How many visual tokens the last layer reads."""
        return int(self.counts[-1])

    @property
    def mean_kept(self) -> float:
        """How many visual tokens a layer reads on average."""
        return float(self.counts.mean())

    @property
    def survivors(self) -> TokenMap:
        """The share of layers that read each visual token; what was merged shares the fate of what it went into."""
        lasted = self.lasting.mean(0)
        return TokenMap(lasted, self.rows.take(self.image), self.size, label="layers that read it", unit="share")
