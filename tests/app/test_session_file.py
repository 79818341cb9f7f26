"""Session files: what is kept comes back, whatever is hostile is refused, and nothing of a model is needed to look."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.app import made_sessions
from tests.app.browser import ROOT
from tests.app.made_views import towers
from ui import archive
from ui.session_file import Session, read_session, read_view, session_bytes, write_session
from ui.session_file_parts import About, SavedResult


@pytest.fixture(scope="module")
def data() -> bytes:
    return session_bytes(made_sessions.whole())


@pytest.fixture(scope="module")
def members(data) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def read(members: dict[str, bytes]) -> Session:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return read_session(io.BytesIO(stream.getvalue()))


def changed(members, change) -> dict[str, bytes]:
    header = json.loads(members["session.json"])
    change(header)
    return members | {"session.json": json.dumps(header).encode()}


def test_everything_comes_back(data):
    kept, found = made_sessions.whole(), read_session(io.BytesIO(data))
    assert (found.title, found.link) == (kept.title, kept.link)
    assert (dict(found.made), dict(found.references)) == (kept.made, kept.references)
    assert [view.title for view in found.views] == [view.title for view in kept.views] and all(v.recorded for v in found.views)
    for view, other in zip(kept.views, found.views, strict=True):
        for place in range(len(view.layers)):
            weights = view.weights(place)
            assert np.abs(other.weights(place) - weights).max() <= 0.004 * weights.max()
    (answer,), (other,) = kept.answers, found.answers
    assert (answer.about, answer.words, answer.groups, answer.view) == (other.about, other.words, other.groups, other.view)
    for one, other in zip(kept.maps, found.maps, strict=True):
        assert np.allclose(one.shown.values, other.shown.values) and one.shown.picture == other.shown.picture
        assert np.array_equal(one.shown.tokens.boxes, other.shown.tokens.boxes, equal_nan=True)
        assert (one.sentence, one.numbers, one.shown.signed) == (other.sentence, other.numbers, other.shown.signed)
    (one,), (other,) = kept.results, found.results
    assert one.about == other.about and one.figure == other.figure and list(one.columns) == list(other.columns)
    for name, column in one.columns.items():
        same = np.array_equal(column, other.columns[name], equal_nan=True) if column.dtype.kind == "f" else None
        assert same if same is not None else column.tolist() == other.columns[name].tolist()


def test_the_same_session_is_the_same_file_and_writing_again_changes_nothing(data, tmp_path):
    assert session_bytes(made_sessions.whole()) == data
    once = read_session(io.BytesIO(data))
    write_session(tmp_path / "a.zip", once)
    assert (tmp_path / "a.zip").read_bytes() == data and [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_a_file_of_the_first_version_is_read_as_a_session_of_one_view():
    start = ROOT / "assets" / "recorded" / "start.zip"
    with zipfile.ZipFile(start) as file:
        assert json.loads(file.read("view.json"))["version"] == 1
    found = read_session(start)
    assert len(found.views) == 1 and found.parts == 1 and "bundled:vit" in found.made["models"]
    assert read_view(start).title == found.title


def test_nothing_is_no_session():
    with pytest.raises(ValueError, match="nothing to keep"):
        session_bytes(Session("empty"))
    only_a_result = read_session(io.BytesIO(session_bytes(Session("one", results=(made_sessions.result(),)))))
    assert only_a_result.parts == 1
    with pytest.raises(ValueError, match="holds no view"):
        read_view(io.BytesIO(session_bytes(Session("one", results=(made_sessions.result(),)))))


words = st.text(st.characters(codec="utf-8"), max_size=20)
column = st.one_of(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=5).map(lambda v: np.array(v, float)),
    st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=5).map(lambda v: np.array(v, np.int64)),
    st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=1, max_size=5).map(lambda v: np.array(v, object)),
    st.lists(st.booleans(), min_size=1, max_size=5).map(lambda v: np.array(v, bool)),
)


@settings(max_examples=60, deadline=None)
@given(words, st.dictionaries(words, column))
def test_any_table_under_any_title_comes_back(title, columns):
    shortest = min((len(each) for each in columns.values()), default=0)
    columns = {name: each[:shortest] for name, each in columns.items()}
    session = Session(title, results=(SavedResult(About(title, snippet=title), columns),))
    (found,) = read_session(io.BytesIO(session_bytes(session))).results
    assert found.about.title == title and list(found.columns) == list(columns)
    for name, each in columns.items():
        same = np.array_equal(each, found.columns[name], equal_nan=True) if each.dtype.kind == "f" else None
        assert same if same is not None else each.tolist() == found.columns[name].tolist()


def put(*path, value):
    """A change of the header at a path."""

    def change(header):
        for step in path[:-1]:
            header = header[step]
        header[path[-1]] = value

    return change


SPOILT = {
    "a word of no row": (put("answers", 0, "words", 0, 1, value=99), "has no row 99"),
    "a word of a row that is text": (put("answers", 0, "words", 0, 1, value="0"), "has no row"),
    "a word of too few shares": (put("answers", 0, "words", 0, 5, value=[1.0]), "1 shares of 4"),
    "a word without end": (put("answers", 0, "words", value=[["x", None, None, None, [], [], {}]] * 4001), "at most 4000"),
    "an answer of no view": (put("answers", 0, "view", value=7), "belongs to view 7"),
    "an answer that is no list": (put("answers", 0, "words", value=3), "damaged"),
    "a probability beyond numbers": (put("answers", 0, "words", 0, 2, value=10**400), "damaged"),
    "a verdict that is text": (put("maps", 0, "numbers", value={"deletion": "<b>"}), "could not convert|damaged"),
    "a map of other arrays": (put("maps", 0, "arrays", value="results/000/table.npz"), "damaged"),
    "a map of other tokens": (put("maps", 0, "roles", value=[["patch", 3]]), "tokens need one box"),
    "arrays at a place that is no name": (put("maps", 0, "arrays", value=["x"]), "lacks"),
    "a table of other columns": (put("results", 0, "table", "columns", value=[["a", "text", []]] * 3), "damaged|column"),
    "a column of texts that are not there": (put("results", 0, "table", "columns", 3, 2, value=["a"]), "that are not there"),
    "a column of an unknown kind": (put("results", 0, "table", "columns", 0, 1, value="code"), "is said to be 'code'"),
    "a figure that is a picture": (put("results", 0, "figure", value="views/000/picture.png"), "is not JSON"),
    "a figure that is the header": (put("results", 0, "figure", value="session.json"), "damaged"),
    "sources that are a list": (put("references", value=["x"]), "damaged"),
    "too many results": (put("results", value=[{}] * 200), "at most 128 results"),
    "a link with marks": (put("link", value='look-attention?"><script>'), "does not lead"),
    "a link that runs code": (put("link", value="javascript:alert(1)"), "does not lead"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_a_header_that_does_not_fit_is_refused(name, members):
    change, words = SPOILT[name]
    with pytest.raises(ValueError, match=words):
        read(changed(members, change))


def test_two_members_of_one_name_are_refused(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("session.json", b"{}")
    with pytest.raises(ValueError, match="two files of one name"):
        read_session(io.BytesIO(stream.getvalue()))


def test_a_bomb_inside_an_array_file_is_not_unpacked(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("codes.npy", b"\0" * (archive.MAX_UNPACKED + 1))
    with pytest.raises(ValueError, match="would unpack to more"):
        read(members | {"views/000/layers/000.npz": stream.getvalue()})


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 255), st.booleans())
def test_cut_or_flipped_bytes_are_refused_or_harmless(data, place, flip, cut):
    spoilt = bytearray(data)
    spoilt[place % len(data)] ^= flip
    try:
        found = read_session(io.BytesIO(bytes(spoilt[: place % len(data)]) if cut else bytes(spoilt)))
    except ValueError as error:
        assert str(error)
    else:
        assert found.parts


leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({}))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_value_anywhere_in_the_header_is_refused_or_harmless(members, data):
    header = json.loads(members["session.json"])
    below, path = header, []
    while isinstance(below, (dict, list)) and below and (len(path) < 2 or data.draw(st.booleans())):
        step = data.draw(st.sampled_from(sorted(below) if isinstance(below, dict) else range(len(below))))
        path.append((below, step))
        below = below[step]
    place, step = path[-1]
    place[step] = data.draw(leaf)
    try:
        found = read(members | {"session.json": json.dumps(header).encode()})
    except ValueError as error:
        assert str(error)
    else:
        assert isinstance(found, Session)


ALONE = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "timm", "transformers", "torchvision"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from pathlib import Path
from ui.figures.recorded import figure_of, view_figure
from ui.payload import layer_payload, thumbnails
from ui.session_file import read_session
from ui.take_away import as_csv, as_npz
from ui.take_away.still import still
session = read_session(sys.argv[1])
out = Path(sys.argv[2])
for v, view in enumerate(session.views):
    for n in range(len(view.layers)):
        (out / f"layer-{v}-{n}").write_bytes(layer_payload(view, n))
    (out / f"thumbs-{v}").write_bytes(thumbnails(view, "mean"))
    (out / f"view-{v}.svg").write_bytes(still(view_figure(view, 0, 0, 0), "svg"))
for n, each in enumerate(session.maps):
    (out / f"map-{n}").write_bytes(each.shown.payload())
for n, each in enumerate(session.results):
    (out / f"result-{n}.svg").write_bytes(still(figure_of(each.figure), "svg"))
    (out / f"result-{n}.csv").write_bytes(as_csv(dict(each.columns)))
    (out / f"result-{n}.npz").write_bytes(as_npz(dict(each.columns)))
assert not {"torch", "timm", "transformers"} & set(sys.modules)
"""


def test_a_session_is_opened_and_drawn_where_no_torch_is(data, tmp_path):
    """What another process makes of the file without any model library is what this one makes of the live session."""
    from ui.payload import layer_payload

    file, out = tmp_path / "a.zip", tmp_path / "out"
    file.write_bytes(data)
    out.mkdir()
    done = subprocess.run([sys.executable, "-c", ALONE, file, out], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    session = made_sessions.whole()
    for v, view in enumerate(session.views):
        for n in range(len(view.layers)):
            assert (out / f"layer-{v}-{n}").read_bytes()[:4] == b"HLV1"
            assert header_of(out / f"layer-{v}-{n}") == json.loads(json.dumps(header_of_bytes(layer_payload(view, n))))
    assert (out / "map-0").read_bytes() == session.maps[0].shown.payload()
    assert b"<svg" in (out / "view-1.svg").read_bytes() and (out / "result-0.csv").read_text().startswith('"row","head","share"')


def header_of(path: Path) -> dict:
    return header_of_bytes(path.read_bytes())


def header_of_bytes(payload: bytes) -> dict:
    length = int.from_bytes(payload[4:8], "little")
    return json.loads(payload[8 : 8 + length])


def test_a_link_of_this_app_is_kept(members):
    for link in ("", "heads-patterns", "heads-patterns?model=bundled%3Avit&layer=2"):
        assert read(changed(members, put("link", value=link))).link == link


def test_views_of_several_towers_and_windows_stand_beside_each_other():
    session = replace(made_sessions.whole(), views=(towers(), *made_sessions.whole().views), answers=())
    found = read_session(io.BytesIO(session_bytes(session)))
    assert [len(view.layers) for view in found.views] == [len(view.layers) for view in session.views]
