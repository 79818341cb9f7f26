"""The table of what two runs answer."""

from __future__ import annotations

import numpy as np

from ui.results.compare import Answers
from ui.take_away.columns import Table, table


@table.register
def _(result: Answers) -> Table:
    return {
        "class": np.array(result.names, str),
        "probability, left": result.first,
        "probability, right": result.second,
        "difference": result.second - result.first,
    }
