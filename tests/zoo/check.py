"""Build every model of the zoo, run it once and print a table: `python -m tests.zoo.check [names...]`."""

from __future__ import annotations

import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from transformers.utils import logging

from . import FAMILIES, TIMM_FAMILIES, build, build_timm, inputs, timm_image

LIMIT_SECONDS = 60
TOKENS = 3


@dataclass
class Row:
    """How far one family came."""

    name: str
    builds: bool = False
    forward: bool = False
    generated: str = ""
    seconds: float = 0.0
    error: str = ""

    @property
    def passed(self) -> bool:
        return not self.error

    def __str__(self) -> str:
        marks = "".join(f"{'yes' if done else 'no':>8}" for done in (self.builds, self.forward))
        return f"{self.name:40}{marks}  {self.generated:22}{self.seconds:7.2f}  {self.error}"


def check(name: str) -> Row:
    """Build, run and, where it generates, generate: within a minute."""
    row = Row(name)
    kind, _, model = name.partition(":")
    started = time.perf_counter()
    steps: Callable[[str, Row], None] = _timm if kind == "timm" else _transformers
    try:
        with time_limit(LIMIT_SECONDS), torch.no_grad():
            steps(model, row)
    except Exception as error:
        row.error = _one_line(error)
    row.seconds = time.perf_counter() - started
    return row


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in the body after `seconds`."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def names() -> tuple[str, ...]:
    """Every model of the zoo, with the library it is of."""
    return tuple(f"hf:{name}" for name in FAMILIES) + tuple(f"timm:{name}" for name in TIMM_FAMILIES)


def main(chosen: list[str]) -> int:
    """Write the table; return the number of families that failed."""
    logging.set_verbosity_error()
    sys.stdout.write(f"{'name':40}{'builds':>8}{'forward':>8}  {'generates':22}{'seconds':>7}\n")
    failed = 0
    for name in chosen or names():
        row = check(name if ":" in name else f"{'timm' if name in TIMM_FAMILIES else 'hf'}:{name}")
        failed += not row.passed
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
    return failed


def _timm(name: str, row: Row) -> None:
    model = build_timm(name)
    row.builds = True
    model(timm_image(name))
    row.forward = True


def _transformers(name: str, row: Row) -> None:
    model, processor = build(name)
    row.builds = True
    tensors = inputs(name, model, processor)
    model(**tensors)
    row.forward = True
    if FAMILIES[name].generates:
        made = model.generate(**tensors, max_new_tokens=TOKENS, min_new_tokens=TOKENS, do_sample=False)
        ids = made if isinstance(made, torch.Tensor) else made.sequences
        row.generated = " ".join(str(number) for number in ids[0, -TOKENS:].tolist())


def _one_line(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join(str(error).split())[:160]
    return f"{type(error).__name__}: {said} ({place.filename.rsplit('/', 1)[-1]}:{place.lineno})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
