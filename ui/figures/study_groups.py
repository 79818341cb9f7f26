"""The groups of a study: a dot and an interval each."""

from __future__ import annotations

import plotly.graph_objects as go

from ui.figures.bars import forest
from ui.figures.rules import Look, rule
from ui.results.study_groups import Groups


@rule.register
def _(result: Groups, look: Look) -> go.Figure:
    names = [f"{name} ({count:,})" for name, count in zip(result.names, result.counts, strict=True)]
    return forest(names, result.values, result.low, result.high, label=result.label)
