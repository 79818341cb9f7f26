"""Visual attention redistribution: what sinks get is given to the rest of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from analysis.fixes.move_sinks import MoveSinks
from analysis.fixes.options import FixOptions, options
from analysis.registry import Range, method
from analysis.words.visual_sinks import TAU, relative
from model_adapters import Keep
from model_adapters.edits import Edit
from model_adapters.where import Where


@dataclass(frozen=True)
class SinksMoved:
    """Sinks are found in the prompt, layer by layer, and stay the same for the whole answer."""

    move: MoveSinks
    first_layer: int = 2
    dimensions: tuple[int, ...] | None = None
    tau: float | None = None

    def plan(self, glance: Any) -> tuple[Edit, ...]:
        """One edit per layer that has sinks; the last layer is left alone."""
        seen = glance.capture(keep=Keep(sites="none"), want={"hidden"})
        states = [np.abs(relative(np.asarray(seen.hidden["decoder", n], np.float64))) for n in range(glance.depth)]
        limit = self._limit(states[0].shape[-1])
        dims = self.dimensions
        if dims is None:
            dims = sink_dimensions(states, int(np.argmax(glance.roles != "pad")), limit)
        found = []
        for layer in range(self.first_layer, glance.depth - 1):
            sinks = np.flatnonzero(states[layer][:, list(dims)].max(-1) > limit) if dims else ()
            if len(sinks):
                where = Where(tower="decoder", layers=(layer,), queries=("question", "answer"))
                move = self.move
                found.append(MoveSinks(where, tuple(int(i) for i in sinks), move.p, move.rho, move.least, move.variant))
        return tuple(found)

    def _limit(self, width: int) -> float:
        reach = float(np.sqrt(width))
        if self.tau is None:
            return TAU if reach > TAU else reach / 2
        return self.tau


def sink_dimensions(states: list[np.ndarray], first: int, limit: float) -> tuple[int, ...]:
    """Dimensions in which the first token is massive at the input of at least half of the middle layers."""
    middle = states[len(states) // 4 : len(states) - len(states) // 4]
    above = np.mean([state[first] > limit for state in middle], axis=0)
    return tuple(int(d) for d in np.flatnonzero(above >= 0.5))


@method(
    title="Attention moved off sinks",
    kind="fix",
    cites=("kang2025",),
    needs={"generation", "run", "hidden"},
    range="keywords for `generate`; one pass for a token, and one over the prompt before",
    misleads="Where no token is a sink by its massive dimensions, nothing is moved and nothing is said about why.",
)
def attention_moved_off_sinks(
    *,
    variant: Literal["code", "paper"] = "code",
    p: Annotated[float, Range(0, 1)] = 0.6,
    rho: Annotated[float, Range(0, 1)] = 0.5,
    least: Annotated[float, Range(0, 1)] = 0.2,
    first_layer: Annotated[int, Range(0, 200)] = 2,
    tau: Annotated[float | None, Range(1, 200)] = None,
    dimensions: tuple[int, ...] | None = None,
) -> FixOptions:
    """In rows behind the image that look at it beside its sinks, the sinks' weight goes to its other tokens.

    The last layer is spared, as the release means to; as written it never passes that setting on, and edits the last layer too.

    Args:
        variant: the release (default): image and text sinks keep p, and at most `rho` of a row's attention to the image may
            lie on sinks. The paper, as notes on it have it: image sinks give p, and at least `rho` must lie beside them.
        p: 0.6 in both.
        rho: 0.5 in the release.
        least: attention to the image that a row must have.
        first_layer: layers 2 to the last but one in the release.
        tau: the threshold of sinks; 20 as published, half of what is reachable in narrow models.
        dimensions: the sink dimensions; found at the first token by default (our rule).
    """
    if p == (0 if variant == "paper" else 1):
        return options()
    move = MoveSinks(p=p, rho=rho, least=least, variant=variant)
    return options(edits=(SinksMoved(move, first_layer, dimensions, tau),))
