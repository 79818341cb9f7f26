"""Every kind of data, read from a disk, from memory and from an S3 server; broken records are listed and skipped."""

from __future__ import annotations

import json
import logging
import os

import fsspec
import numpy as np
import pytest
from PIL import Image

from studies import DataSpec, StudyError, Unreadable
from studies.conduct import conduct, resume
from studies.data import opened
from studies.reading import query
from studies.spec import frozen
from studies.store import Store
from studies.telling import report, status
from tests.studies.small import encoded, folder_of, jsonl_of, pictures, rows, same, study, tar_of


def source(kind: str, **options):
    return opened(DataSpec(kind, frozen(options, "data")))


def records(found, size: int = 4, limit: int | None = None) -> list:
    """(number, record or the reason why there is none), chunk by chunk, after a journey as JSON, as to a worker."""
    told = []
    for first, items in found.chunks(size, limit):
        for pending in found.pending(first, json.loads(json.dumps(items), parse_int=int)):
            try:
                told.append((pending.number, pending.read()))
            except Unreadable as error:
                told.append((pending.number, str(error)))
    return told


def test_a_folder(tmp_path):
    found = records(source("images", path=str(folder_of(tmp_path, 10)), question="Why?"))
    assert [number for number, _ in found] == list(range(10))
    assert [r.label for _, r in found] == ["cat"] * 5 + ["dog"] * 5
    assert found[0][1].key == "cat/0001.png" and found[0][1].question == "Why?"
    assert np.array_equal(np.asarray(found[0][1].image), np.asarray(pictures(10)[1]))
    assert len(records(source("images", path=str(tmp_path)), limit=3)) == 3


def coco_of(path, count: int = 5):
    (path / "images").mkdir()
    for number, picture in enumerate(pictures(count)):
        picture.save(path / "images" / f"{number}.png")
    document = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(count + 1)],
        "annotations": [{"image_id": n, "category_id": 1 + n % 2} for n in range(count)] + [{"image_id": 0, "category_id": 99}],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "fire_hydrant"}],
    }
    (path / "annotations.json").write_text(json.dumps(document))
    return path / "annotations.json"


def test_coco(tmp_path):
    found = records(source("coco", annotations=str(coco_of(tmp_path))))
    assert [r.objects for _, r in found[:5]] == [("dog",), ("fire hydrant",)] * 2 + [("dog",)]
    assert found[0][1].names == ("dog", "fire hydrant")
    assert found[5] == (5, "the picture is not there")
    assert "category 99" in found[6][1] and len(found) == 7


def test_lines(tmp_path):
    file = jsonl_of(tmp_path / "d", 9)
    bad = ["{", '{"question": "x"}', '{"image": "../../etc/passwd"}', '{"image": "images/none.png"}', "[1]", "", "null"]
    file.write_text(file.read_text() + "\n".join(bad) + "\n")
    for size in (1, 4, 100):
        found = records(source("questions", path=str(file)), size)
        assert [number for number, _ in found] == list(range(15))
        assert [r.answer for _, r in found[:9]] == ["yes", "no"] * 4 + ["yes"]
        assert found[8][1].question == "Is there a dog in 8?"
        assert np.array_equal(np.asarray(found[8][1].image), np.asarray(pictures(9)[8]))
        assert all(isinstance(one, str) for _, one in found[9:])
        assert "outside" in found[11][1] and "not there" in found[12][1]
    assert len(records(source("questions", path=str(file)), 4, limit=7)) == 7


def test_tars(tmp_path):
    tar_of(tmp_path / "a.tar", 5)
    tar_of(tmp_path / "b.tar", 4, 100)
    found = records(source("shards", path=str(tmp_path / "*.tar")))
    assert [number for number, _ in found] == [*range(5), *range(10_000_000, 10_000_004)]
    assert [r.label for _, r in found[:4]] == ["0", "1", "2", "0"]
    assert found[5][1].key == "b.tar/00100"
    assert len(records(source("shards", path=str(tmp_path)), limit=7)) == 7
    content = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(content[: len(content) // 2])
    cut = records(source("shards", path=str(tmp_path / "a.tar")))
    assert 0 < len(cut) < 6 and "cannot be read to its end" in cut[-1][1]


def test_a_hugging_face_data_set(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value
    from datasets import Image as Pictures

    features = Features({"photo": Pictures(), "label": ClassLabel(names=["dog", "cat"]), "question": Value("string")})
    shown = [{"bytes": encoded(p), "path": None} for p in pictures(5)] + [{"bytes": b"no", "path": None}]
    told = {"photo": shown, "label": [0, 1] * 3, "question": ["Why?"] * 6}
    Dataset.from_dict(told, features=features).save_to_disk(tmp_path / "set")
    found = records(source("dataset", path=str(tmp_path / "set")))
    assert [r.label for _, r in found[:5]] == ["dog", "cat", "dog", "cat", "dog"]
    assert found[0][1].question == "Why?" and isinstance(found[5][1], str)
    assert np.array_equal(np.asarray(found[4][1].image), np.asarray(pictures(5)[4]))
    with pytest.raises(StudyError, match="no column of pictures 'label'"):
        records(source("dataset", path=str(tmp_path / "set"), image="label"))


def test_the_world():
    found = records(source("world", count=6, seed=3))
    again = records(source("world", count=6, seed=3), size=2)
    assert all(np.array_equal(np.asarray(a.image), np.asarray(b.image)) for (_, a), (_, b) in zip(found, again, strict=True))
    assert all(r.label in r.objects and r.answer.startswith("a picture of") and len(r.names) == 12 for _, r in found)
    assert source("world", count=6, seed=4).fingerprint() != source("world", count=6, seed=3).fingerprint()


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("film", {}, "data is of a kind among images, coco"),
        ("images", {"path": "/nowhere"}, "no folder"),
        ("images", {}, "needs path"),
        ("images", {"path": 3}, "must be a str"),
        ("images", {"path": "/tmp", "colour": "red"}, "has no 'colour'"),
        ("questions", {"path": "/nowhere.jsonl"}, "not there"),
        ("shards", {"path": "/nowhere/*.tar"}, "no tar file"),
        ("coco", {"annotations": "/nowhere.json"}, "not there"),
        ("dataset", {"path": "/nowhere"}, "no data set"),
        ("images", {"path": "wrong://bucket"}, "cannot be reached"),
    ],
)
def test_data_that_is_not_there_is_one_sentence(kind, options, said):
    with pytest.raises(StudyError, match=said) as told:
        list(source(kind, **options).chunks(4, None))
    assert "\n" not in str(told.value)


def test_five_percent_of_broken_files(tmp_path):
    broken = (3, 24, 44, 50, 58)
    data = {"kind": "images", "path": str(folder_of(tmp_path / "d", 100, broken))}
    found = conduct(study(tmp_path / "s", data, shard=32))
    assert (found.records, found.broken) == (95, 5)
    faults = rows(tmp_path / "s", "faults")
    assert {key.rsplit("/", 1)[1] for key in faults["key"].to_pylist()} == {f"{n:04d}.png" for n in broken}
    measured = sorted(set(rows(tmp_path / "s", "heads")["record"].to_pylist()))
    assert measured == rows(tmp_path / "s", "images")["record"].to_pylist()
    assert "95 records, 5 broken" in status(Store(str(tmp_path / "s"))).line
    assert "## Broken records" in report(Store(str(tmp_path / "s")))


def test_memory_as_a_file_system_gives_the_same_rows(tmp_path):
    folder = folder_of(tmp_path / "d", 10, (4,))
    conduct(study(tmp_path / "s", {"kind": "images", "path": str(folder)}))
    fs = fsspec.filesystem("memory")
    fs.put(str(folder), "/studies-data", recursive=True)
    conduct(study("memory://studies-store", {"kind": "images", "path": "memory://studies-data"}))
    for table in ("images", "heads", "faults"):
        same(rows(tmp_path / "s", table), rows("memory://studies-store", table))
    columns, found = query(Store("memory://studies-store"), "SELECT count(*) AS n FROM heads")
    assert (columns, found) == (["n"], [(len(rows(tmp_path / "s", "heads")),)])
    fs.rm("/studies-data", recursive=True)
    fs.rm("/studies-store", recursive=True)


@pytest.fixture(scope="module")
def bucket():
    """A bucket on a real S3 server, which runs in this process for the module."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    told = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    before = {key: os.environ.get(key) for key in told}
    os.environ.update(told)
    fs = fsspec.filesystem("s3")
    fs.mkdir("studies")
    yield fs
    server.stop()
    fs.clear_instance_cache()
    for key, value in before.items():
        os.environ.pop(key) if value is None else os.environ.update({key: value})


def test_data_and_store_on_s3(bucket, tmp_path):
    folder, lines = folder_of(tmp_path / "d", 9, (4,)), jsonl_of(tmp_path / "l", 6)
    tar_of(tmp_path / "t.tar", 5)
    for file in (f for f in tmp_path.rglob("*") if f.is_file()):
        bucket.put_file(str(file), f"studies/{file.relative_to(tmp_path)}")
    data = {
        "images": ({"path": str(folder)}, {"path": "s3://studies/d"}),
        "questions": ({"path": str(lines)}, {"path": "s3://studies/l/questions.jsonl"}),
        "shards": ({"path": str(tmp_path / "t.tar")}, {"path": "s3://studies/t.tar"}),
    }
    for kind, (here, there) in data.items():
        conduct(study(tmp_path / kind, {"kind": kind, **here}))
        conduct(study(f"s3://studies/s-{kind}", {"kind": kind, **there}))
        for table in ("images", "heads"):
            same(rows(tmp_path / kind, table), rows(f"s3://studies/s-{kind}", table))
    store = Store("s3://studies/s-images")
    assert status(store).state == "finished"
    assert query(store, "SELECT count(*) FROM images")[1] == [(8,)]
    before = rows(store.url, "heads")
    bucket.pipe_file("studies/s-images/rows/heads/00-000000.parquet", store.file_of("heads", "00-000000").read()[:-9])
    assert "shard 00-000000 the file is cut short" in status(store).lacking[0]
    assert resume(store.url).done == 2 and not store.damage(whole=True)
    same(before, rows(store.url, "heads"))
    with pytest.raises(StudyError, match="holds another study"):
        conduct(study("s3://studies/s-images", {"kind": "images", "path": "s3://studies/d"}, seed=5))


def test_pictures_of_other_modes_are_read(tmp_path):
    for mode in ("L", "RGBA", "P", "CMYK", "I;16"):
        Image.new(mode, (20, 20)).save(tmp_path / f"{mode[0]}.{'tif' if mode in ('CMYK', 'I;16') else 'png'}")
    assert all(r.image.mode == "RGB" for _, r in records(source("images", path=str(tmp_path))))
