"""Measure, show and write docs/benchmarks.md: `python -m benchmarks [case ...]`."""

from __future__ import annotations

import platform
import sys
from datetime import date
from pathlib import Path

import timm
import torch
import transformers

from benchmarks.cases import CASES, Row
from benchmarks.gpu import GPU_CASES

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
            f"Written by `make bench` on {date.today().isoformat()}: {_machine()}.",
            "Ratios compare runs that alternate in one process. A time is met when the ratio by the clock or by processor",
            "time is; the second is less disturbed by what else the machine does.",
            "",
            "| what | measured | reach | met |",
            "|---|---|---|---|",
            *lines,
            "",
        ]
    )


def _machine() -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} threads"
    versions = f"torch {torch.__version__}, timm {timm.__version__}, transformers {transformers.__version__}"
    return f"{_processor()}, {device}, Python {platform.python_version()}, {versions}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        named = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if named:
            return named[0]
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main(sys.argv[1:])
