"""Extra peak memory: each run in a process of its own, so that one run's peak does not hide another's."""

from __future__ import annotations

import resource
import subprocess
import sys

import torch

import model_adapters as ma
from benchmarks import models


def extra_peak(case: str) -> float:
    """Bytes of resident memory at the peak of the captured run beyond that of the plain run."""
    return _peak(case, "captured") - _peak(case, "plain")


def _peak(case: str, mode: str) -> float:
    done = subprocess.run([sys.executable, "-m", "benchmarks.memory", case, mode], capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def _run(case: str, mode: str) -> None:
    if case == "decoder":
        model, inputs = models.decoder(2048)
        keep = ma.Keep(queries=tuple(range(2048 - 64, 2048)))
    else:
        model, inputs = models.dinov2_large()
        keep = ma.Keep(queries=(0,))
    if mode == "captured":
        ma.capture(model, inputs, keep=keep)
    else:
        with torch.no_grad():
            model.forward(inputs)


if __name__ == "__main__":
    _run(*sys.argv[1:3])
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}\n")
