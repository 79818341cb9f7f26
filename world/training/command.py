"""The command line by which each model is trained."""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from world.training.loop import Schedule, Task, train
from world.training.together import join, rank_and_count

MakeTask = Callable[[str, Path, int, int | None], Task]
"""(name, work folder, seed, batch or None for the usual one) -> what is trained."""


def train_by_command(plans: Mapping[str, Schedule], make: MakeTask, description: str | None) -> None:
    """Train the model that the command names and leave its checkpoint in the work folder."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("name", choices=list(plans))
    parser.add_argument("--work", type=Path, default=Path(".cache/world"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--batch", type=int)
    options = parser.parse_args()
    join()
    logging.basicConfig(level=logging.INFO if rank_and_count()[0] == 0 else logging.WARNING, format="%(asctime)s %(message)s")
    options.work.mkdir(parents=True, exist_ok=True)
    plan = plans[options.name]
    plan = replace(plan, steps=options.steps or plan.steps, seconds=options.seconds)
    task = make(options.name, options.work, options.seed, options.batch)
    done, seconds = train(task, plan, options.work / f"{options.name}-{options.seed}.pt")
    logging.info("%s: %d steps in %.0f s", options.name, done, seconds)
