"""Extra peak memory: each run in a process of its own, so that one run's peak does not hide another's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

import model_adapters as ma
from benchmarks import models


def extra_peak(case: str) -> float:
    """Bytes of resident memory at the peak of the captured run beyond that of the plain run."""
    return _peak(case, "captured") - _peak(case, "plain")


def _peak(case: str, mode: str) -> float:
    done = subprocess.run([sys.executable, "-m", "benchmarks.memory", case, mode], capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def _reset_peak() -> None:
    """Forget the peak so far (building a model takes more memory than running it)."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak_now() -> int:
    """The highest resident memory since the last reset, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _run(case: str, mode: str) -> None:
    if case == "decoder":
        model, inputs = models.decoder(2048)
        keep = ma.Keep(queries=tuple(range(2048 - 64, 2048)))
    else:
        model, inputs = models.dinov2_large()
        keep = ma.Keep(queries=(0,))
    _reset_peak()
    if mode == "captured":
        ma.capture(model, inputs, keep=keep)
    else:
        with torch.no_grad():
            model.forward(inputs)


if __name__ == "__main__":
    _run(*sys.argv[1:3])
    sys.stdout.write(f"{_peak_now()}\n")
