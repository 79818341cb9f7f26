"""The table of what steps did to each word."""

from __future__ import annotations

import numpy as np

from ui.results.whatif import WordChanges
from ui.take_away.columns import Table, table


@table.register
def _(result: WordChanges) -> Table:
    return {
        "word": np.array(result.words, str), "log-probability before": result.before, "log-probability after": result.after,
        "change [nats]": result.change,
    }  # fmt: skip
