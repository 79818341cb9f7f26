"""Studies and the pages' runs on Ray: two workers against one core of this process, and thirty who ask at once."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import ray
import torch

import model_adapters as ma
from benchmarks.cases import Row
from studies import Study, study_of
from studies.conduct import conduct
from studies.ray_engine import RayEngine
from studies.serving import Question, Server, named
from studies.store import Store

VIT = {"name": "timm:vit_small_patch16_224", "weights": "random"}
RECORDS, SHARD = 1600, 20
USERS = 30
QUESTION = "what is in the picture?"


def two_workers() -> Iterator[Row]:
    """The same study in this process on one core, and by two workers on one each; told without the start of the workers."""
    with tempfile.TemporaryDirectory() as folder:
        with _cores(1):
            alone = _rate(_study(Path(folder) / "local"), None)
        engine = RayEngine(workers=2)
        try:
            together = _rate(_study(Path(folder) / "ray"), engine)
        finally:
            engine.close()
        same = _rows(Path(folder) / "local") == _rows(Path(folder) / "ray") == RECORDS
    ratio = together / alone
    measured = f"{ratio:.2f}x ({together:.1f} images/s against {alone:.1f})"
    what = "ViT-S/16 on Ray, 2 workers with one core each, against local with one core"
    yield Row(what, measured, ">= 1.8x", ratio >= 1.8 and same)


def thirty_at_once() -> Iterator[Row]:
    """Thirty visits ask one worker at the same moment, each of its own picture; every answer is held against this process."""
    from studies.ray_serving import RayCrew
    from world.datasets import TEST_UNBIASED
    from world.rendering import render

    model = ma.load("bundled:lvlm")
    asked = [model.prepare(image=render(TEST_UNBIASED[n], 384).image, text=QUESTION) for n in range(USERS)]
    expected = [ma.generate(model, inputs, max_new_tokens=16, decoding=ma.Greedy()).text for inputs in asked]
    spec = named(model)
    assert spec is not None
    server, together = Server(RayCrew(workers=1)), threading.Barrier(USERS)

    def ask(number: int) -> tuple[str, float]:
        together.wait()
        began = time.perf_counter()
        found = server.ask(Question(spec, asked[number], 16, ma.Greedy()), _Visit(f"visit {number}"))
        return found.result.text, time.perf_counter() - began

    try:
        server.ask(Question(spec, asked[0], 16, ma.Greedy()), _Visit("first"))  # the model is there from now on
        with ThreadPoolExecutor(USERS) as pool:
            said = list(pool.map(ask, range(USERS)))
    finally:
        ray.shutdown()
    waits = np.array([seconds for _, seconds in said])
    right = sum(text == wanted for (text, _), wanted in zip(said, expected, strict=True))
    ratio = waits.max() / waits.mean()
    measured = f"{ratio:.2f}x (longest {waits.max():.1f} s, mean {waits.mean():.1f} s; {right} of {USERS} answers right)"
    what = "30 users asking at once on one worker: longest wait against the mean"
    yield Row(what, measured, "<= 2x", ratio <= 2 and right == USERS)


class _Visit:
    """Waits patiently."""

    def __init__(self, visit: str) -> None:
        self.visit = visit

    def check(self) -> None:
        """Goes on."""

    def step(self, done: float, note: str = "") -> None:
        """Is told nothing that matters here."""


@contextmanager
def _cores(count: int) -> Iterator[None]:
    """Everything begun here, processes too, runs on so many cores; torch with one thread."""
    threads, allowed = torch.get_num_threads(), os.sched_getaffinity(0)
    torch.set_num_threads(1)
    os.sched_setaffinity(0, sorted(allowed)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
        torch.set_num_threads(threads)


def _study(store: Path) -> Study:
    told = {"name": "bench", "models": [VIT], "data": {"kind": "world", "count": RECORDS}, "measures": ["strength", "sinks"]}
    return study_of({**told, "batch": 4, "shard": SHARD, "store": str(store)})


def _rate(study: Study, engine: RayEngine | None) -> float:
    """Records per second once every worker is at work, without the start and the loading of the model."""
    moments: list[float] = []
    warm = RECORDS // SHARD // 2  # by then the second worker has its libraries and its model

    def note(progress) -> None:  # noqa: ANN001  a conduct.Progress
        if progress.last is not None:
            moments.append(time.perf_counter())
        if engine is not None and len(moments) == 1:
            _one_core_each()

    conduct(study, *([engine] if engine else []), report=note)
    return (len(moments) - 1 - warm) * SHARD / (moments[-1] - moments[warm])


def _one_core_each() -> None:
    """Every worker keeps to a core of its own; Ray's other processes run where they like."""
    workers = [p for p in psutil.Process().children(recursive=True) if "ray::_Worker" in " ".join(p.cmdline())]
    for worker, core in zip(workers, sorted(os.sched_getaffinity(0)), strict=False):
        for thread in worker.threads():
            os.sched_setaffinity(thread.id, {core})


def _rows(store: Path) -> int:
    from studies.reading import connection

    with connection(Store(str(store))) as con:
        return con.execute("SELECT count(*) FROM images").fetchall()[0][0]
