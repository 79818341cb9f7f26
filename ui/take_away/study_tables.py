"""The table of a study's groups."""

from __future__ import annotations

import numpy as np

from ui.results.study_groups import Groups
from ui.take_away.columns import Table, table


@table.register
def _(result: Groups) -> Table:
    return {
        "group": np.array(result.names, str), "rows": result.counts, result.label: result.values, "low": result.low,
        "high": result.high,
    }  # fmt: skip
