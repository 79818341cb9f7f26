"""Small studies, data in every form, and the rows of a store as plain arrays."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from studies import Study, study_of
from studies.store import Store, read_table

TABLES = ("images", "heads", "layers", "faults")
MODEL = {"name": "timm:test_vit", "weights": "random", "seed": 1}
"""timm's own tiny ViT: it loads in a moment."""


def pictures(count: int, size: int = 40, seed: int = 0) -> list[Image.Image]:
    """Noise of several sizes, so that no two pictures are alike."""
    rng = np.random.default_rng(seed)
    shapes = [(size + int(n), size + int(n) % 7) for n in rng.integers(0, 20, count)]
    return [Image.fromarray(rng.integers(0, 255, (*shape, 3), np.uint8)) for shape in shapes]


def encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def folder_of(path: Path, count: int, broken: tuple[int, ...] = ()) -> Path:
    """Pictures in two class folders; broken ones are cut short, empty, or text."""
    for number, picture in enumerate(pictures(count)):
        file = path / ("cat" if number % 2 else "dog") / f"{number:04d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        content = encoded(picture)
        faulty = [content[: len(content) // 2], b"", b"this is no picture"][number % 3]
        file.write_bytes(faulty if number in broken else content)
    return path


def jsonl_of(path: Path, count: int) -> Path:
    (path / "images").mkdir(parents=True)
    lines = []
    for number, picture in enumerate(pictures(count)):
        picture.save(path / "images" / f"{number}.png")
        told = {"image": f"images/{number}.png", "question": f"Is there a dog in {number}?", "answer": ["yes", "no"][number % 2]}
        lines.append(json.dumps(told))
    (path / "questions.jsonl").write_text("\n".join(lines) + "\n")
    return path / "questions.jsonl"


def tar_of(path: Path, count: int, first: int = 0) -> Path:
    with tarfile.open(path, "w") as tar:
        for number, picture in enumerate(pictures(count, seed=first), first):
            for ending, content in (("png", encoded(picture)), ("cls", str(number % 3).encode())):
                member = tarfile.TarInfo(f"{number:05d}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def study(store: Any, data: dict[str, Any], measures: tuple[Any, ...] = ("strength",), **more: Any) -> Study:
    told = {"name": "small", "models": [MODEL], "data": data, "measures": list(measures), "batch": 4, "shard": 8}
    return study_of({**told, "store": str(store), **more})


def rows(store: Any, table: str) -> pa.Table:
    """All rows of a table, ordered."""
    found = pa.concat_tables([read_table(file) for file in Store(str(store)).files(table)], promote_options="permissive")
    keys = [name for name in ("model", "record", "layer", "call", "head", "index") if name in found.column_names]
    return found.sort_by([(name, "ascending") for name in keys])


LOOSE = {"importance": 1e-5, "gate_times_gradient": 1e-5, "token_slope": 1e-5, "probability": 1e-5, "margin": 1e-5}
"""What is made of a model's scores: float32 scores of 10 themselves move by 1e-6 when another batch goes through a product."""


def same(first: pa.Table, second: pa.Table, apart: float = 1e-6) -> None:
    """Equal texts and whole numbers; numbers no further apart than that: processes may add up in another order."""
    assert first.column_names == second.column_names
    assert len(first) == len(second)
    for name in first.column_names:
        one, other = first[name], second[name]
        if pa.types.is_floating(one.type):
            a, b = one.to_numpy(), other.to_numpy()
            assert np.array_equal(np.isnan(a), np.isnan(b)), name
            scale = np.maximum(1, np.abs(np.nan_to_num(a)))
            assert (np.abs(np.nan_to_num(a) - np.nan_to_num(b)) <= LOOSE.get(name, apart) * scale).all(), name
        else:
            assert one.to_pylist() == other.to_pylist(), name


def equal(store: Any, undisturbed: Any) -> None:
    """The rows and the statistics of two stores; without quantiles, which come in steps."""
    for table in TABLES:
        same(rows(undisturbed, table), rows(store, table))
    for table in ("heads", "layers"):
        same(_summary(undisturbed, table), _summary(store, table))


def _summary(store: Any, table: str) -> pa.Table:
    found = pq.read_table(Path(str(store)) / "tables" / f"{table}.parquet")
    return found.drop_columns([name for name in found.column_names if name.startswith("q")])
