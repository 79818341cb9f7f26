"""What sinks are for: take them away in several ways, and the same number of random tokens beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np

from analysis.edit_effects import Effect, effect
from analysis.registry import Range, method
from analysis.runs import Run
from analysis.token_rows import hidden_of
from model_adapters import Capture, Where
from model_adapters.edits import AddTokens, Block, Edit, SetHidden, Values


@dataclass(frozen=True)
class SinkWhatIf:
    """One intervention on the sinks, and on random tokens."""

    name: str
    sinks: Effect
    """Mean over images."""
    random: tuple[Effect, ...]
    """One per draw of random tokens: mean over images."""

    @property
    def rank(self) -> float:
        """Share of random draws that moved the answer at least as much (KL): small means that the sinks matter."""
        return float(np.mean([r.kl >= self.sinks.kl for r in self.random]))


def interventions(
    tokens: Sequence[int],
    dims: Sequence[int],
    *,
    tower: str = "vision",
    layer: int,
    means: np.ndarray | None = None,
    blocked: tuple[int, ...] | Literal["all"] = "all",
    added: bool = False,
) -> dict[str, tuple[Edit, ...]]:
    """The edits by name: block the tokens as keys, zero their massive dimensions, set those to their usual values.

    With `added` also: block the tokens and add empty ones that may take their part, or move their massive dimensions to
    added tokens (registers at test time).

    Blocking acts in the `blocked` layers, the others at the entry of `layer` alone; as many tokens are added as there are
    sinks. What is added and how is our definition.
    """
    tokens, dims = tuple(int(t) for t in tokens), tuple(int(d) for d in dims)
    here = Where(tower=tower, layers=(layer,), queries=tokens)
    block = Block(Where(tower=tower, layers=blocked, keys=tokens))
    found: dict[str, tuple[Edit, ...]] = {"block the columns": (block,)}
    if added:
        found["block the columns and add empty tokens"] = (block, AddTokens(replace(here, queries="all"), count=len(tokens)))
    if dims:
        found["zero the massive dimensions"] = (SetHidden(here, dims=dims, value=0.0),)
    if dims and added:
        found["move the massive dimensions to added tokens"] = (AddTokens(here, count=len(tokens), takes=dims),)
    if dims and means is not None:
        found["set them to their mean"] = (SetHidden(here, dims=dims, value=Values(means)),)
    return found


def usual_sink(captures: Sequence[Capture], sinks: Sequence[Sequence[int]], *, tower: str = "vision", layer: int) -> np.ndarray:
    """[D]: the mean hidden state of the sink tokens over images, as `means` of the interventions."""
    states = [hidden_of(c, tower, layer)[0][list(s)] for c, s in zip(captures, sinks, strict=True) if len(s)]
    if not states:
        raise ValueError("no image has a sink token, so there is no usual one.")
    return np.concatenate(states).mean(0)


@method(
    title="What sinks are for",
    kind="whatif",
    cites=("sun2024",),
    needs={"run", "hidden"},
    range="KL from 0; flips and accuracy from 0 to 1",
    misleads="Blocking a token in one run says nothing of a model trained without sinks.",
)
def sink_whatifs(
    runs: Sequence[Run],
    sinks: Sequence[Sequence[int]],
    candidates: Sequence[int],
    *,
    dims: Sequence[int] = (),
    means: np.ndarray | None = None,
    tower: str = "vision",
    layer: int = 0,
    blocked: tuple[int, ...] | Literal["all"] = "all",
    added: bool = False,
    draws: Annotated[int, Range(1, 100)] = 5,
    seed: int = 0,
) -> tuple[SinkWhatIf, ...]:
    """How much the answer moves without the sinks, against the same number of random tokens.

    Args:
        runs: one callable per image, because the sinks of each image are others.
        sinks: the sink tokens of each image; images without any are left out.
        candidates: the tokens among which random ones are drawn (the patches).
        dims: the massive dimensions.
        means: [D] usual hidden state of a sink, from `usual_sink`.
        tower: where the tokens are.
        layer: at whose entry the dimensions are set.
        blocked: the layers in which the columns are blocked.
        added: also try added tokens; needs a tower of one plain sequence of tokens, without positions inside its blocks.
        draws: how many random sets of tokens per image.
        seed: of the random tokens.
    """
    cases = [(run, tuple(s)) for run, s in zip(runs, sinks, strict=True) if len(s)]
    if not cases:
        raise ValueError("no image has a sink token, so there is nothing to take away.")
    draw = np.random.default_rng(seed)

    def changes(tokens: Sequence[int]) -> dict[str, tuple[Edit, ...]]:
        return interventions(tokens, dims, tower=tower, layer=layer, means=means, blocked=blocked, added=added)

    effects: dict[str, list[list[Effect]]] = {name: [] for name in changes((0,))}
    for run, tokens in cases:
        before, sets = run(()), [tokens, *_others(tokens, candidates, draws, draw)]
        for name, per in effects.items():
            per.append([effect(before, run(changes(s)[name])) for s in sets])
    return tuple(SinkWhatIf(name, _mean(per, 0), tuple(_mean(per, i + 1) for i in range(draws))) for name, per in effects.items())


def _others(
    tokens: tuple[int, ...], candidates: Sequence[int], draws: int, draw: np.random.Generator
) -> list[tuple[int, ...]]:
    """Sets of as many tokens that are none of these."""
    pool = np.setdiff1d(np.asarray(candidates), tokens)
    if len(pool) < len(tokens):
        raise ValueError(f"{len(tokens)} random tokens are needed, but only {len(pool)} candidates are no sinks.")
    return [tuple(draw.choice(pool, len(tokens), replace=False)) for _ in range(draws)]


def _mean(per_image: list[list[Effect]], draw: int) -> Effect:
    rows = np.array([[e[draw].kl, e[draw].flips, e[draw].probability_drop, e[draw].accuracy] for e in per_image])
    return Effect(*(float(v) for v in rows.mean(0)))
