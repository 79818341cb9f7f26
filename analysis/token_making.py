"""A plan of token reduction in the making: in which layers steps are taken, how much each is given, and what it reads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analysis.token_plan import Look, Step, TokenPlan, Tokens
from analysis.token_rows import patches_of
from model_adapters import Capture, Rows

Choose = Callable[[Tokens, int, float], Step]
"""(tokens, layer, keep rate or number of merges there) -> what happens there."""
ONE_PASS = " Without `look`, later steps read the attention of the whole sequence."


def quarters(capture: Capture) -> tuple[int, ...]:
    """The layers after a quarter, half and three quarters of the tower: (3, 6, 9) of 12, as EViT has it."""
    known = layers_of_tower(capture)
    return tuple(sorted({known[len(known) * part // 4] for part in (1, 2, 3)}))


def later(capture: Capture, share: float) -> tuple[int, ...]:
    """All layers but the first ones, at least one of them: 3 to 11 of 12 for a quarter, as ATS has it."""
    known = layers_of_tower(capture)
    return tuple(known[min(max(1, round(share * len(known))), len(known) - 1) :])


def layers_of_tower(capture: Capture) -> list[int]:
    """The layers with attention of the tower that a capture is of."""
    tower = capture.sites[0].tower
    return sorted({s.layer for s in capture.sites if s.tower == tower})


def planned(
    capture: Capture,
    layers: tuple[int, ...] | None,
    amount: float,
    schedule: tuple[float, ...],
    choose: Choose,
    look: Look | None,
    left_out: str,
    *,
    proportional: bool = False,
) -> TokenPlan:
    """A plan made step by step.

    Args:
        capture: of the whole sequence.
        layers: where steps are taken; all by default.
        amount: what each step is given.
        schedule: another amount for each of the layers.
        choose: what happens in a layer.
        look: edits to a capture under them, so that later steps read the reduced model.
        left_out: what of the original is left out.
        proportional: whether merged tokens weigh as much in attention as what is in them.
    """
    rows = rows_of_plan(capture)
    tower, known = capture.sites[0].tower, layers_of_tower(capture)
    amounts = _by_layer(sorted(layers or known), amount, schedule)
    if missing := sorted(set(layers or ()) - set(known)):
        raise ValueError(f"layers {missing} were asked for, but the capture has attention of layers {known}.")
    everything = len(rows)
    tokens = Tokens(capture, tower, np.arange(everything), np.ones(everything), ~patches_of(rows, everything))
    steps: list[Step] = []
    sources = [tokens.source]
    weighed = tuple(known) if proportional else ()

    def made(said: str = "") -> TokenPlan:
        return TokenPlan(tuple(steps), np.stack(sources), rows, tower, said, weighed)

    for layer, here in amounts.items():
        if look is not None and steps:
            tokens = Tokens(look(made().edits), tower, tokens.source, tokens.share, tokens.protected, fresh=True)
        steps.append(choose(tokens, layer, here))
        tokens = tokens.after(steps[-1].groups, steps[-1].weights)
        sources.append(tokens.source)
    return made(left_out + ("" if look is not None else ONE_PASS))


def _by_layer(layers: list[int], amount: float, schedule: tuple[float, ...]) -> dict[int, float]:
    """What each layer is given: its entry of the schedule, or the same amount everywhere."""
    if schedule and len(schedule) != len(layers):
        raise ValueError(f"a schedule needs one entry for each of {len(layers)} layers. Got {len(schedule)}.")
    return dict(zip(layers, schedule or (amount,) * len(layers), strict=True))


def rows_of_plan(capture: Capture) -> Rows:
    """[N] the first tokens, which must all see each other."""
    layout = capture.layouts[capture.sites[0]]
    if not layout.square:
        raise ValueError(
            f"tokens can be reduced where attention is square and global; {capture.sites[0].name} attends otherwise."
        )
    return layout.keys
