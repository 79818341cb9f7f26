"""Edits: what can be changed in attention, as frozen data.

An edit says where (a `Where`) and what. Edits can be printed, compared, hashed and stored, so they are cache keys, URL
state, captions and test ids. They act in a stated order: hidden states at the block's entry, then scores (these
renormalise by themselves), then weights, then head outputs, then the residual stream (token reduction, skipped
branches). Within a stage they act in the order in which they are given.
"""

from __future__ import annotations

from typing import Any

from model_adapters.edits.edit import Edit, Stage, Values
from model_adapters.edits.outputs import Gate, ReplaceHeads
from model_adapters.edits.scores import Block, Boost, Identity, Temperature, Uniform
from model_adapters.edits.tokens import AddTokens, DropTokens, MergeTokens, SetHidden, Skip
from model_adapters.edits.weights import Redistribute, ReplaceWeights, ScalePairs, ScaleWeights

__all__ = [
    "EDITS", "STAGES", "AddTokens", "Block", "Boost", "DropTokens", "Edit", "Gate", "Identity", "MergeTokens", "Redistribute",
    "ReplaceHeads", "ReplaceWeights", "ScalePairs", "ScaleWeights", "SetHidden", "Skip", "Stage", "Temperature", "Uniform",
    "Values", "check_edits",
]  # fmt: skip

STAGES: tuple[Stage, ...] = ("hidden", "scores", "weights", "output", "residual")
EDITS: dict[str, type[Edit]] = {
    kind.__name__: kind
    for kind in (
        Block, Boost, Temperature, Uniform, Identity, ScaleWeights, ScalePairs, ReplaceWeights, Redistribute, Gate, ReplaceHeads,
        SetHidden, AddTokens, DropTokens, MergeTokens, Skip,
    )
}  # fmt: skip
"""Every edit by name: what can be written in a study file or a link."""


def check_edits(edits: Any) -> tuple[Edit, ...]:
    """Edits as a tuple, each checked to be one."""
    given = (edits,) if isinstance(edits, Edit) else tuple(edits)
    for edit in given:
        if not isinstance(edit, Edit) or not hasattr(type(edit), "stage"):
            raise ValueError(f"edits must be of {sorted(EDITS)}. Got {edit!r} instead.")
    return given
