"""Measure, show and write docs/benchmarks.md: `python -m benchmarks [case ...]`."""

from __future__ import annotations

import sys

import torch

from benchmarks.cases import CASES, Row
from benchmarks.gpu import GPU_CASES
from benchmarks.page import write

_SAID = (
    "Ratios compare runs that alternate in one process. A time is met when the ratio by the clock or by processor\n"
    "time is; the second is less disturbed by what else the machine does."
)


def main(names: list[str]) -> None:
    """Run the cases named (all by default; those of a GPU where there is one)."""
    available = [*CASES, *(GPU_CASES if torch.cuda.is_available() else ())]
    chosen = [case for case in available if not names or case.__name__ in names]
    rows: list[Row] = []
    for case in chosen:
        for row in case():
            sys.stdout.write(f"{row.what}: {row.measured} (reach {row.reach}){'' if row.met else '  NOT MET'}\n")
            sys.stdout.flush()
            rows.append(row)
    if not names:
        write("benchmarks.md", "Benchmarks", "make bench", rows, _SAID)


if __name__ == "__main__":
    main(sys.argv[1:])
