"""Tables of what the page Truth lets people take away."""

from __future__ import annotations

import numpy as np

from ui.results.triage import TriageTable
from ui.results.truth import Places
from ui.take_away.columns import Table, table


@table.register
def _(result: Places) -> Table:
    among = {"true": result.among_true, "made-up": result.among_made_up}
    shares = {
        f"{kind} words doubted {which} [share]": np.array([pair[n] for pair in pairs], float)
        for kind, pairs in among.items()
        for n, which in enumerate(("less", "more"))
    }
    apart = [result.reference.separation[name] for name in result.names]
    measured = {name: np.array([each[n] for each in apart], float) for n, name in enumerate(("AUROC", "low", "high"))}
    return {"signal": np.array(result.names, str), "value": result.values, **shares, **measured}


@table.register
def _(result: TriageTable) -> Table:
    signals = {name: result.values[:, n] for n, name in enumerate(result.names)}
    return {
        "picture": result.picture, "answer": result.answer, "word": result.word, "names a thing": result.thing,
        "truth": result.truth, "doubt": result.doubt, **signals,
    }  # fmt: skip


__all__ = ["Table"]
