"""Bytes for weights, and session files: what is written comes back, and what is hostile is refused."""

from __future__ import annotations

import io
import json
import math
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from tests.app.browser import ROOT
from tests.app.made_views import registers, square, towers, windows
from ui import archive
from ui.quantise import quantised, restored
from ui.recording import Layer, Picture, Tokens, View
from ui.session_file import read_view, write_view
from ui.viewer.record import LIMIT, START


def attention(shape, seed=0, sharpness=3.0):
    scores = sharpness * np.random.default_rng(seed).standard_normal(shape)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("sharpness", [0.0, 0.5, 3.0, 20.0])
def test_a_weight_comes_back_within_the_bound(sharpness):
    weights = attention((3, 50, 200), sharpness=sharpness)
    codes, largest = quantised(weights)
    assert codes.dtype == np.uint8 and largest.dtype == np.float32
    peak = weights.max(-1, keepdims=True)
    bound = peak * (np.sqrt(weights / peak) / 255 + 1 / 510**2)
    assert (np.abs(restored(codes, largest) - weights) <= bound + 1e-7 * peak).all()


def test_the_bytes_are_those_of_the_formula():
    weights = attention((2, 5, 9), seed=4)
    codes, largest = quantised(weights)
    for h, q, k in np.ndindex(weights.shape):
        row = [float(w) for w in weights[h, q]]
        assert largest[h, q] == np.float32(max(row))
        assert abs(int(codes[h, q, k]) - 255 * math.sqrt(row[k] / max(row))) <= 0.5 + 1e-3


def test_the_largest_weight_is_exact_and_packing_twice_changes_nothing():
    codes, largest = quantised(attention((2, 30, 40)))
    again, largest_again = quantised(restored(codes, largest))
    assert np.array_equal(codes, again) and np.array_equal(largest, largest_again)
    assert (codes.max(-1) == 255).all()


def test_a_row_of_zeros_stays_zero():
    weights = attention((1, 3, 4))
    weights[0, 1] = 0
    assert (restored(*quantised(weights))[0, 1] == 0).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.1])
def test_numbers_that_are_no_weights_are_refused(wrong):
    weights = attention((2, 3, 4))
    weights[1, 2, 3] = wrong
    with pytest.raises(ValueError, match="Head 1"):
        quantised(weights)


@pytest.mark.parametrize("make", [registers, windows, towers], ids=["registers", "windows", "towers"])
def test_a_view_comes_back(make, tmp_path):
    view = make()
    write_view(tmp_path / "a.zip", view)
    found = read_view(tmp_path / "a.zip")
    assert found.recorded and found.title == view.title and found.picture == view.picture
    for number, (layer, other) in enumerate(zip(view.layers, found.layers, strict=True)):
        assert (layer.name, layer.heads, layer.windows, layer.quality) == (other.name, other.heads, other.windows, other.quality)
        assert layer.queries.roles == other.queries.roles and layer.keys.roles == other.keys.roles
        assert np.array_equal(layer.keys.boxes, other.keys.boxes, equal_nan=True)
        assert np.array_equal(layer.windows_of_rows, other.windows_of_rows)
        weights = view.weights(number)
        assert np.abs(found.weights(number) - weights).max() < 0.004 * weights.max()
    assert found.statistics == view.statistics and found.chips == view.chips


def test_the_same_view_is_the_same_file(tmp_path):
    for name in ("a.zip", "b.zip"):
        write_view(tmp_path / name, registers())
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_number_that_is_missing_stays_missing(tmp_path):
    view = square(2, layers=1, heads=2)
    view = View(view.title, view.picture, view.layers, view.load, statistics={"x": ((math.nan, 1.0),)})
    write_view(tmp_path / "a.zip", view)
    assert math.isnan(read_view(tmp_path / "a.zip").statistics["x"][0][0])


def test_the_start_picture_is_small_and_shows_the_bundled_model():
    assert START.stat().st_size <= LIMIT
    view = read_view(START)
    assert view.meta["model"] == "bundled:vit" and min(view.picture.width, view.picture.height) >= 384
    assert len(view.labels) == len(view.probabilities) == 12 and sum(view.probabilities) == pytest.approx(1)
    for number in range(len(view.layers)):
        assert np.abs(view.weights(number).sum(-1) - 1).max() < 0.02
    assert "distance (px)" in view.statistics


def test_reading_needs_neither_torch_nor_streamlit():
    command = (
        "import sys, ui.recording, ui.tensors; sys.exit(repr(sorted({'torch', 'timm', 'streamlit', 'PIL'} & set(sys.modules))))"
    )
    found = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stderr.strip().splitlines()[-1] == "[]"


@pytest.fixture
def members(tmp_path):
    """The members of a good session file, to be spoilt."""
    write_view(tmp_path / "good.zip", registers())
    with zipfile.ZipFile(tmp_path / "good.zip") as good:
        return {name: good.read(name) for name in good.namelist()}


def zipped(members, compression=zipfile.ZIP_DEFLATED) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(name), data, compression)
    return io.BytesIO(stream.getvalue())


def changed(members, **changes) -> dict[str, bytes]:
    header = json.loads(members["session.json"]) | changes
    return members | {"session.json": json.dumps(header).encode()}


def spoilt(members, **changes) -> dict[str, bytes]:
    """The view of the file says something else."""
    view = json.loads(members["session.json"])["views"][0]
    return changed(members, views=[view | changes])


def first_layer(members) -> dict:
    return json.loads(members["session.json"])["views"][0]["layers"][0]


def test_the_unspoilt_members_are_read(members):
    assert read_view(zipped(members)).title == registers().title


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def npz(**arrays: bytes) -> bytes:
    return zipped({f"{name}.npy": data for name, data in arrays.items()}, zipfile.ZIP_STORED).getvalue()


FIRST_LAYER = "views/000/layers/000.npz"
OTHER_SIZE = {"file": "views/000/picture.png", "width": 5, "height": 5}
HOSTILE = {
    "foreign zip": (lambda m: zipped({"readme.txt": b"hello"}), "lacks 'view.json'"),
    "no zip": (lambda m: io.BytesIO(b"hello" * 100), "not a session file"),
    "empty": (lambda m: io.BytesIO(b""), "not a session file"),
    "cut off": (lambda m: io.BytesIO(zipped(m).getvalue()[:-200]), "cut off"),
    "path upwards": (lambda m: zipped(m | {"../../evil": b"x"}), "names a path"),
    "absolute path": (lambda m: zipped(m | {"/etc/evil": b"x"}), "names a path"),
    "windows path": (lambda m: zipped(m | {"c:\\evil": b"x"}), "names a path"),
    "folder": (lambda m: zipped(m | {"folder/": b""}), "names a path"),
    "packed oddly": (lambda m: zipped(m, zipfile.ZIP_LZMA), "packed in a way"),
    "too many files": (lambda m: zipped(m | {f"{n}": b"" for n in range(archive.MAX_MEMBERS)}), "at most"),
    "no json": (lambda m: zipped(m | {"session.json": b"\xff\xfe not json"}), "is not JSON"),
    "deep json": (lambda m: zipped(m | {"session.json": b"[" * 100_000}), "is not JSON"),
    "json list": (lambda m: zipped(m | {"session.json": b"[1]"}), "no JSON object"),
    "version no number": (lambda m: zipped(changed(m, version=[2])), "version"),
    "first version in the place of the second": (lambda m: zipped(changed(m, version=1)), "version 1"),
    "empty session": (lambda m: zipped(changed(m, views=[])), "is empty"),
    "views no list": (lambda m: zipped(changed(m, views={"0": 1})), "damaged or too large"),
    "link to elsewhere": (lambda m: zipped(changed(m, link="//evil.example/x")), "does not lead to a page"),
    "number without end": (lambda m: zipped(spoilt(m, labels=["a"], probabilities=[10**400])), "damaged"),
    "more names than probabilities": (lambda m: zipped(spoilt(m, labels=["a"])), "as many probabilities"),
    "sink of no key": (lambda m: zipped(spoilt(m, sinks={"0": [10**6]})), "no sinks"),
    "other format": (lambda m: zipped(changed(m, format="other")), "not a Headlight session"),
    "later version": (lambda m: zipped(changed(m, version=3)), "version 3"),
    "chip of no row": (lambda m: zipped(spoilt(m, chips=[["word", "1; drop", None, ""]])), "damaged"),
    "no layers": (lambda m: zipped(spoilt(m, layers=[])), "at least one layer"),
    "layers garbled": (lambda m: zipped(spoilt(m, layers=[7])), "damaged"),
    "layer missing": (lambda m: zipped({k: v for k, v in m.items() if "001.npz" not in k}), "lacks 'views/000/layers/001.npz'"),
    "layer no npz": (lambda m: zipped(m | {FIRST_LAYER: b"PK nonsense"}), "is no NPZ"),
    "picture no picture": (lambda m: zipped(m | {"views/000/picture.png": b"<svg onload=alert(1)>"}), "neither PNG nor JPEG"),
    "picture of other size": (lambda m: zipped(spoilt(m, picture=OTHER_SIZE)), "size"),
    "pickled array": (
        lambda m: zipped(m | {FIRST_LAYER: npz(codes=npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"))}),
        "holds object",
    ),
    "array of many more": (
        lambda m: zipped(
            m | {FIRST_LAYER: npz(codes=npy("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999, 99999), }"))}
        ),
        "claims shape",
    ),
    "array that runs code": (
        lambda m: zipped(m | {FIRST_LAYER: npz(codes=npy("__import__('os').abort()"))}),
        "no array of numbers",
    ),
    "roles without end": (
        lambda m: zipped(spoilt(m, layers=[first_layer(m) | {"queries": [["patch", 10**12]]}])),
        "damaged",
    ),
    "wrong heads": (lambda m: zipped(spoilt(m, layers=[first_layer(m) | {"heads": 9}])), "should hold"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_with_a_sentence(kind, members):
    make, words = HOSTILE[kind]
    with pytest.raises(ValueError, match=words):
        read_view(make(members))


def test_every_cut_and_many_flipped_bytes_are_refused_or_harmless(members):
    good = zipped(members).getvalue()
    rng = np.random.default_rng(0)
    for _ in range(150):
        spoilt = bytearray(good)
        spoilt[rng.integers(len(good))] ^= int(rng.integers(1, 256))
        for data in (bytes(spoilt), good[: rng.integers(len(good))]):
            try:
                assert isinstance(read_view(io.BytesIO(data)), View)
            except ValueError as error:
                assert str(error)


def test_a_bomb_is_not_unpacked(members):
    bomb = zipped(members | {FIRST_LAYER: b"\0" * (archive.MAX_UNPACKED + 1)})
    assert len(bomb.getvalue()) < 2 * 2**20
    with pytest.raises(ValueError, match="would unpack to more"):
        read_view(bomb)


def test_a_file_that_lies_about_its_size_is_refused(members):
    """The header says 100 bytes; the stream holds far more."""
    data = bytearray(zipped(members | {"session.json": b" " * 10_000 + members["session.json"]}).getvalue())
    size = struct.pack("<I", 10_000 + len(members["session.json"]))
    assert size in data
    with pytest.raises(ValueError, match="damaged|cut off"):
        read_view(io.BytesIO(bytes(data).replace(size, struct.pack("<I", 100))))


def test_an_encrypted_member_is_refused(members):
    data = bytearray(zipped(members).getvalue())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    with pytest.raises(ValueError, match="encrypted"):
        read_view(io.BytesIO(bytes(data)))


def test_too_large_a_file_is_not_opened(tmp_path):
    large = tmp_path / "large.zip"
    with large.open("wb") as file:
        file.truncate(archive.MAX_FILE + 1)
    with pytest.raises(ValueError, match="at most 64 MB"):
        read_view(large)


def test_a_view_says_what_does_not_fit():
    nowhere = Tokens(("class",), np.full((1, 4), np.nan, np.float32))
    layer = Layer("a", "vision", 0, 2, nowhere, nowhere)
    picture = Picture(b"\x89PNG", 1, 1)
    view = View("x", picture, (layer,), lambda _: np.ones((2, 1, 2), np.float32))
    with pytest.raises(ValueError, match=r"must be \(2, 1, 1\).*Got \(2, 1, 2\)"):
        view.weights(0)
    with pytest.raises(ValueError, match="one number per head"):
        View("x", picture, (layer,), view.load, statistics={"distance": ((1.0,),)})
    with pytest.raises(ValueError, match="3 windows"):
        Layer("a", "vision", 0, 2, nowhere, nowhere, windows=3)


@pytest.mark.parametrize("size", [(40, 30), (333, 17)])
def test_the_size_of_pictures_is_read_from_their_headers(size):
    from PIL import Image

    for kind in ("PNG", "JPEG"):
        stream = io.BytesIO()
        Image.new("RGB", size).save(stream, kind)
        found = Picture.read(stream.getvalue())
        assert (found.width, found.height) == size and found.mime == f"image/{kind.lower()}"
