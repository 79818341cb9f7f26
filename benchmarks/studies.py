"""Studies: speed beside the plain model, memory, resuming, opening: `python -m benchmarks.studies [case ...]`."""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import torch
from PIL import Image

from benchmarks.ablation import ablation
from benchmarks.cases import Row
from benchmarks.page import write
from benchmarks.timing import against
from studies import Study, study_of
from studies.conduct import Progress, conduct, resume
from studies.reading import connection
from studies.spec import plain
from studies.statistics import moments
from studies.store import Store
from studies.totals import Totals

LOOKS = 4
"""Looks at the memory, one after each shard: the highest of many is higher than that of few, with nothing growing."""
MEASURES = ["strength", "sinks", "class_attention"]
TINY = {"name": "timm:test_vit", "weights": "random"}


def throughput() -> Iterator[Row]:
    """ViT-B/16: a shard with three measures against forward passes over the same reader, alternating."""
    from studies.conduct import _shards
    from studies.data import opened
    from studies.held import held, identity
    from studies.measures.batch import together
    from studies.running import batches, read_ahead
    from studies.work import Work, run_shard

    with tempfile.TemporaryDirectory() as folder:
        data = {"kind": "images", "path": str(_pictures(Path(folder) / "data", 64))}
        model = {"name": "timm:vit_base_patch16_224", "weights": "random"}
        told = _study(Path(folder) / "store", data, models=[model], batch=8, shard=64)
        work, shard = Work(told, told.store, (identity(told.models[0]),)), next(_shards(told))

        def plainly() -> None:
            own = held(told.models[0])[0]
            for group in batches(read_ahead(opened(told.data), shard, own, told.batch), told.batch, []):
                with torch.no_grad():
                    own.forward(together([one.inputs for one in group]))

        ratio = against(plainly, [lambda: run_shard(work, shard)], rounds=3)[0]
    wall, cpu = 1 / ratio.wall, 1 / ratio.cpu
    measured = f"{wall:.2f}x (processor time {cpu:.2f}x; plain {64 / ratio.plain:.1f} images/s)"
    what = "ViT-B/16: study of strength, sinks, class token, against plain passes"
    yield Row(what, measured, ">= 0.90x", max(wall, cpu) >= 0.9)


def memory() -> Iterator[Row]:
    """The most memory that a process has at 1,000 and at 10,000 records, a tiny model, over as many looks each."""
    needed = [_in_process(_needed, count) for count in (1_000, 10_000)]
    apart = needed[1] / needed[0] - 1
    measured = f"{needed[1] / 2**20:.0f} MB against {needed[0] / 2**20:.0f} MB ({apart:+.1%})"
    yield Row("Memory at 10,000 records against 1,000", measured, "within 5 %", abs(apart) <= 0.05)


def resuming() -> Iterator[Row]:
    """Going on after a kill at half, against the time that the other half takes in an undisturbed run."""
    with tempfile.TemporaryDirectory() as folder:
        told = _study(Path(folder) / "killed", {"kind": "world", "count": 2_000}, shard=100)
        moments_: list[float] = []
        whole = _study(Path(folder) / "whole", {"kind": "world", "count": 2_000}, shard=100)
        conduct(whole, report=lambda progress: moments_.append(time.perf_counter()))
        half = time.perf_counter() - moments_[10]
        _in_process(_killed_at_half, told)
        began = time.perf_counter()
        found = resume(told.store)
        again = time.perf_counter() - began
    measured = f"{again / half:.2f}x ({again:.1f} s against {half:.1f} s)"
    right = again / half <= 1.15 and found.done == 20
    yield Row("Resume after a kill at half, against the other half", measured, "<= 1.15x", right)


def opening() -> Iterator[Row]:
    """A finished study of 50,000 records x 144 heads: status, the aggregated heads, and SQL over all rows."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        _filled(store, 50_000)
        began = time.perf_counter()
        with connection(store) as con:
            count = len(con.execute('SELECT layer, head, mean FROM heads_all WHERE "column" = \'entropy\'').fetchall())
        first = time.perf_counter() - began
        began = time.perf_counter()
        with connection(store) as con:
            con.execute("SELECT layer, head, avg(entropy) FROM heads GROUP BY ALL").fetchall()
        every = time.perf_counter() - began
    what = "Opening 50,000 images x 144 heads: to the first aggregate"
    yield Row(what, f"{first:.2f} s (SQL over all 7.2 million rows {every:.2f} s)", "<= 2 s", first <= 2 and count == 144)


def two_workers() -> Iterator[Row]:
    """On Ray, which is not installed everywhere."""
    from benchmarks import studies_ray

    yield from studies_ray.two_workers()


def thirty_at_once() -> Iterator[Row]:
    """The pages' own runs on one Ray worker."""
    from benchmarks import studies_ray

    yield from studies_ray.thirty_at_once()


CASES: tuple[Callable[[], Iterator[Row]], ...] = (throughput, memory, resuming, opening, two_workers, thirty_at_once)


def _study(store: Path, data: dict, **more: object) -> Study:
    told = {"name": "bench", "models": [TINY], "data": data, "measures": MEASURES, "batch": 16, "shard": 250}
    return study_of({**told, "store": str(store), **more})


def _pictures(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8))
        small.resize((400, 300)).save(folder / f"{number:05d}.jpg")
    return folder


def _in_process(work: Callable, given: object) -> float:
    """What `work` puts into a pipe, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, given))
    process.start()
    theirs.close()
    try:
        return float(ours.recv())
    except EOFError:
        return float("nan")
    finally:
        process.join()


def _needed(pipe, count: int) -> None:  # noqa: ANN001  a pipe's end
    torch.set_num_threads(1)
    seen: deque[int] = deque(maxlen=LOOKS)

    def look(progress: Progress) -> None:
        seen.append(psutil.Process().memory_info().rss)

    with tempfile.TemporaryDirectory() as folder:
        conduct(_study(Path(folder), {"kind": "world", "count": count}), report=look)
    pipe.send(max(seen))


def _killed_at_half(pipe, told: Study) -> None:  # noqa: ANN001
    def look(progress: Progress) -> None:
        if progress.done == 10:
            psutil.Process().kill()

    conduct(told, report=look)


def _filled(store: Store, count: int) -> None:
    """A finished study of invented numbers."""
    rng, shard = np.random.default_rng(0), 1_000
    layer, head = np.repeat(np.arange(12), 12), np.tile(np.arange(12), 12)
    groups = [
        json.dumps({"model": 0, "tower": "vision", "layer": int(a), "call": 0, "site": f"blocks.{a}.attn", "head": int(b)})
        for a, b in zip(layer, head, strict=True)
    ]
    for number in range(count // shard):
        values = rng.random(shard * 144, np.float32)
        rows = {
            "model": np.zeros(shard * 144, np.int16), "record": np.repeat(np.arange(shard) + number * shard, 144),
            "layer": np.tile(layer, shard), "head": np.tile(head, shard), "entropy": values,
        }  # fmt: skip
        store.write_shard(f"00-{number:06d}", {"heads": pa.table(rows), "totals": _totals(values, groups, shard)}, _MARK)
    totals = Totals(store)
    totals.update()
    totals.write()
    study = plain(_study(Path(store.url), {"kind": "world", "count": count}))
    store.write_manifest({"study": study, "identity": {}, "shards": count // shard, "created": 0.0, "finished": 1.0})


_MARK = {"records": 1_000, "broken": 0, "seconds": 1.0, "notes": []}


def _totals(values: np.ndarray, groups: list[str], shard: int) -> pa.Table:
    from studies.gathering import told_moments

    return told_moments("heads", "entropy", groups, moments(values, np.tile(np.arange(144), shard), 144))


def main(names: list[str]) -> None:
    """Run the cases named; all of them write the page."""
    rows: list[Row] = []
    for case in (*CASES, ablation):
        if not names or case.__name__ in names:
            for row in case():
                sys.stdout.write(f"{row.what}: {row.measured} (reach {row.reach}){'' if row.met else '  NOT MET'}\n")
                sys.stdout.flush()
                rows.append(row)
    if not names:
        write("benchmarks-studies.md", "Benchmarks of studies", "make bench-studies", rows)


if __name__ == "__main__":
    main(sys.argv[1:])
