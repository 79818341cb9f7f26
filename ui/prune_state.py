"""What is off on the page Prune, for the visit and in the link; and every setting that was tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from ui import state
from ui.results.prune import Parts

if TYPE_CHECKING:
    from model_adapters import Site
    from ui.results.prune_effect import Costs, Judged
    from ui.results.tokens import Fewer

_OFF = "off"
"""Place in the link of what is off beside heads."""


def parts(sites: Sequence[Site]) -> Parts:
    """What is off now: heads that were gathered here or on other pages, and branches."""
    heads = [f"h{row}.{head}" for row, head in state.chosen().heads]
    return Parts.of([*heads, *st.query_params.get(_OFF, "").split(",")]).within(sites)


def set_parts(wanted: Parts) -> None:
    """Switch these off, and everything else on."""
    state.choose(heads=wanted.heads)
    if wanted.branches:
        st.query_params[_OFF] = wanted.branches
    elif _OFF in st.query_params:
        del st.query_params[_OFF]


def set_heads(heads: Sequence[tuple[int, int]], now: Parts) -> None:
    """Switch exactly these heads off and leave the branches as they are."""
    set_parts(Parts(tuple(sorted(heads)), now.attention, now.mlp, now.layer))


@dataclass(frozen=True, eq=False)
class Tried:
    """One setting and what it was worth."""

    setting: Parts | Fewer
    judged: Judged
    costs: Costs | None

    @property
    def accuracy(self) -> float:
        """Of right answers; without labels, of answers as the whole model gives."""
        return self.judged.effect.accuracy

    @property
    def operations(self) -> float | None:
        """As a share of the whole model's."""
        if self.costs is None or self.costs.small is None:
            return None
        return self.costs.small.flops / self.costs.whole.flops

    @property
    def milliseconds(self) -> float | None:
        """Per picture."""
        return None if self.costs is None or self.costs.small is None else self.costs.milliseconds(self.costs.small)


def tried(key: tuple) -> dict[Parts | Fewer, Tried]:
    """Everything that was tried with this model on this set, in order."""
    return st.session_state.setdefault("tried-settings", {}).setdefault(key, {})


def remember(key: tuple, found: Tried) -> None:
    """Keep a point for the plot; the whole model stands at its beginning."""
    points = tried(key)
    if Parts() not in points and found.costs is not None:
        points[Parts()] = Tried(Parts(), found.judged.of_whole, found.costs.of_whole)
    tried(key)[found.setting] = found
