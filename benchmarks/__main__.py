"""Measure, show and write docs/benchmarks.md: `python -m benchmarks [case ...]`."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import torch

from benchmarks.cases import CASES, Row
from benchmarks.gpu import GPU_CASES
from benchmarks.machine import machine

TARGET = Path(__file__).parent.parent / "docs" / "benchmarks.md"


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
        TARGET.write_text(_page(rows))


def _page(rows: list[Row]) -> str:
    lines = [f"| {r.what} | {r.measured} | {r.reach} | {'yes' if r.met else '**no**'} |" for r in rows]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            f"Written by `make bench` on {date.today().isoformat()}: {machine()}.",
            "Ratios compare runs that alternate in one process. A time is met when the ratio by the clock or by processor",
            "time is; the second is less disturbed by what else the machine does.",
            "",
            "| what | measured | reach | met |",
            "|---|---|---|---|",
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
