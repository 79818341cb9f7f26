"""Controls: changes that know nothing of the image, which a fix has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from analysis.fixes.options import FixOptions, options
from analysis.registry import Range, method
from model_adapters import Keep
from model_adapters.decoding import Sample
from model_adapters.edits import Edit, Gate
from model_adapters.where import Where


@dataclass(frozen=True)
class RandomHeads:
    """Heads of the decoder, chosen by lot over all layers."""

    share: float = 0.1
    value: float = 0.0
    seed: int = 0

    def plan(self, glance: Any) -> tuple[Edit, ...]:
        """One gate per layer that has chosen heads."""
        shapes = glance.capture(keep=Keep(sites="none")).shapes
        heads = [(site, head) for site in shapes if site.tower == "decoder" for head in range(site.heads)]
        drawn = np.random.default_rng(self.seed).permutation(len(heads))[: round(self.share * len(heads))]
        chosen: dict[str, list[int]] = {}
        for index in sorted(drawn):
            site, head = heads[index]
            chosen.setdefault(site.name, []).append(head)
        return tuple(Gate(Where(sites=(name,), heads=tuple(found)), self.value) for name, found in chosen.items())


@method(
    title="Sampling with a temperature",
    kind="fix",
    range="keywords for `generate`; one pass for a token",
    needs={"generation"},
    misleads="One draw says little: the same temperature gives other answers from other seeds.",
)
def sampled(*, temperature: Annotated[float, Range(0.01, 5)] = 0.7, seed: int = 0) -> FixOptions:
    """A control: tokens are drawn, and the image is no part of it.

    Args:
        temperature: below 1 sharpens, above 1 flattens.
        seed: of the draw.
    """
    return options(decoding=Sample(temperature=temperature, seed=seed))


@method(
    title="Random heads silenced",
    kind="fix",
    range="keywords for `generate`; one pass for a token, and one over the prompt before",
    needs={"generation", "run"},
    misleads="Which heads are hit matters: try several seeds before a fix is said to beat it.",
)
def random_heads_silenced(*, share: Annotated[float, Range(0, 1)] = 0.1, seed: int = 0) -> FixOptions:
    """A control: a share of the decoder's heads, chosen by lot, says nothing.

    Args:
        share: of all heads of the decoder.
        seed: of the lot.
    """
    return options(edits=(RandomHeads(share, 0.0, seed),)) if share else options()
