"""Ratios of times measured side by side: the runs alternate, so that a noisy machine disturbs them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """How long something takes, relative to the plain run beside it."""

    wall: float
    """Median of the ratios of neighbouring runs, by the clock."""
    cpu: float
    """Ratio of the least processor seconds: less disturbed by what else the machine does."""
    plain: float
    """Seconds of the plain run, median."""


def against(plain: Callable[[], object], others: list[Callable[[], object]], rounds: int = 5) -> list[Ratio]:
    """The ratio of each other run to the plain one."""
    runs = [plain, *others]
    for run in runs:
        run()
    walls: list[list[float]] = [[] for _ in runs]
    cpus: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for index, run in enumerate(runs):
            clock, processor = time.perf_counter(), time.process_time()
            run()
            walls[index].append(time.perf_counter() - clock)
            cpus[index].append(time.process_time() - processor)
    plain_wall = statistics.median(walls[0])
    return [
        Ratio(statistics.median(a / b for a, b in zip(walls[i], walls[0], strict=True)), min(cpus[i]) / min(cpus[0]), plain_wall)
        for i in range(1, len(runs))
    ]
