"""What the routes send, to whom, and for how long."""

from __future__ import annotations

import json
import struct
import threading

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tests.app.made_views import boxes_of, four_maps, registers, sinks, square, tokens, windows
from ui import tensors
from ui.payload import THUMB, mean_rows, row_of, sink_keys
from ui.recording import Layer


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shelf(monkeypatch, clock):
    shelf = tensors.Shelf(limit_bytes=10**9, limit_seconds=100, clock=clock)
    monkeypatch.setattr(tensors, "SHELF", shelf)
    return shelf


@pytest.fixture
def client(shelf):
    with TestClient(Starlette(routes=tensors.ROUTES)) as client:
        yield client


def unpacked(data: bytes):
    """A reader of its own: magic, length, JSON, arrays."""
    assert data[:4] == b"HLV1"
    (length,) = struct.unpack("<I", data[4:8])
    header = json.loads(data[8 : 8 + length])
    assert (8 + length) % 8 == 0
    arrays = {}
    for name, array in header["arrays"].items():
        assert array["at"] % 8 == 0
        count = int(np.prod(array["shape"]))
        arrays[name] = np.frombuffer(data, array["dtype"], count, 8 + length + array["at"]).reshape(array["shape"])
    return header, arrays


def test_a_layer_arrives_whole_and_not_compressed(client):
    view = registers()
    answer = client.get(tensors.url(tensors.publish(view)) + "/layer/1", headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200
    assert answer.headers["content-encoding"] == "identity"
    assert answer.headers["cache-control"] == "private, no-store"
    header, arrays = unpacked(answer.content)
    weights = view.weights(1)
    restored = (arrays["codes"] / 255.0) ** 2 * arrays["largest"][:, :, None]
    assert np.abs(restored - weights).max() < 0.004 * weights.max()
    assert np.allclose(arrays["mean"], weights[:, 3:].mean(1), atol=1e-6)
    assert np.array_equal(arrays["keyBoxes"], view.layers[1].keys.boxes, equal_nan=True)
    assert header["queryRoles"] == [["class", 1], ["register", 2], ["patch", 64]]


def test_pictures_that_nobody_looks_at_any_more_go_first(shelf):
    views = [registers() for _ in range(tensors.LEFT + 3)]
    names = [shelf.publish(view, "one visit") for view in views]
    assert [shelf.held(name) is not None for name in names] == [False, False, *[True] * (tensors.LEFT + 1)]


def test_a_picture_that_somebody_else_looks_at_stays(shelf):
    shared = registers()
    name = shelf.publish(shared, "one visit")
    assert shelf.publish(shared, "another visit") == name
    others = [registers() for _ in range(2 * tensors.LEFT)]
    for view in others:
        shelf.publish(view, "one visit")
    assert shelf.held(name) is not None
    for view in others:
        shelf.publish(view, "another visit")
    assert shelf.held(name) is None


def test_streamlit_leaves_the_answer_as_it_is(shelf):
    """Its compression would cost more than the transfer; it is in the way of every route of the app."""
    from starlette.middleware import Middleware
    from streamlit.web.server.starlette.starlette_gzip_middleware import SelectiveGZipMiddleware

    app = Starlette(routes=tensors.ROUTES, middleware=[Middleware(SelectiveGZipMiddleware, minimum_size=500)])
    with TestClient(app) as client:
        answer = client.get(tensors.url(tensors.publish(registers())) + "/layer/0", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "identity" and answer.content.startswith(b"HLV1")


@pytest.mark.parametrize("part", ["layer/0", "thumbs?query=mean", "thumbs?query=3", "map", "image"])
def test_an_unknown_id_gets_a_sentence(client, part):
    answer = client.get(f"/headlight/v/AAAAAAAAAAAAAAAAAAAAAA/{part}")
    assert answer.status_code == 404 and answer.text == tensors.GONE and answer.headers["content-type"].startswith("text/plain")


def test_what_a_view_does_not_have_gets_a_sentence(client):
    place = tensors.url(tensors.publish(registers()))
    assert "there are 2, numbered from 0" in client.get(f"{place}/layer/7").text
    assert client.get(f"{place}/layer/-1").status_code == 404
    assert client.get(f"{place}/map").status_code == 404
    bad = client.get(f"{place}/thumbs?query=<script>")
    assert bad.status_code == 404 and "query must be" in bad.text
    assert client.post(f"{place}/layer/0").status_code == 405


def test_ids_are_long_and_new_and_stay_with_their_view(shelf):
    view, other = registers(), registers()
    name = shelf.publish(view)
    assert shelf.publish(view) == name != shelf.publish(other)
    assert len(name) >= 22


def test_a_view_is_forgotten_when_nobody_reads_it(client, shelf, clock):
    view = registers()
    name = shelf.publish(view)
    clock.now = 90
    assert client.get(tensors.url(name) + "/image").status_code == 200
    clock.now = 180
    assert client.get(tensors.url(name) + "/image").status_code == 200, "a read keeps it"
    clock.now = 281
    assert client.get(tensors.url(name) + "/image").status_code == 404
    assert shelf.publish(view) != name


def test_the_least_recently_read_goes_first_when_there_is_too_much(clock):
    views = [registers() for _ in range(3)]
    size = tensors._weight(views[0])
    shelf = tensors.Shelf(limit_bytes=int(2.5 * size), limit_seconds=100, clock=clock)
    first, second = shelf.publish(views[0]), shelf.publish(views[1])
    assert shelf.held(first) and shelf.held(second) and shelf.held(first)
    third = shelf.publish(views[2])
    assert shelf.held(first) and shelf.held(third) and shelf.held(second) is None


def test_what_was_packed_counts(clock):
    view, other = registers(), registers()
    size = tensors._weight(view)
    shelf = tensors.Shelf(limit_bytes=int(2.2 * size), limit_seconds=100, clock=clock)
    first, second = shelf.publish(view), shelf.publish(other)
    assert shelf.packed(second, "large", lambda _: b"x" * size) is not None
    assert shelf.held(first) is None and shelf.held(second) is not None


def test_one_view_larger_than_the_limit_is_still_served(clock):
    shelf = tensors.Shelf(limit_bytes=1, limit_seconds=100, clock=clock)
    assert shelf.held(shelf.publish(registers()))


def test_many_threads_get_one_id_and_pack_once(shelf):
    view, names, made = registers(), [], []

    def work():
        names.append(shelf.publish(view))
        shelf.packed(names[-1], "part", lambda _: made.append(1) or b"x")

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 1 and len(names) == 16 and made == [1]


def test_the_image_is_the_picture(client):
    view = registers()
    answer = client.get(tensors.url(tensors.publish(view)) + "/image")
    assert answer.content == view.picture.data and answer.headers["content-type"] == "image/png"


def test_a_map_arrives(client):
    _, shown = four_maps()[1]
    header, arrays = unpacked(client.get(tensors.url(tensors.publish(shown)) + "/map").content)
    assert header["signed"] is True and header["unit"] == "share" and header["title"] == shown.title
    assert np.array_equal(arrays["values"], shown.values)


@pytest.mark.parametrize("query", ["class", "mean", "9", "700.0,20.0"])
def test_thumbnails_show_the_row_that_was_asked(client, query):
    view = square(8, layers=2, heads=3)
    header, arrays = unpacked(client.get(tensors.url(tensors.publish(view)) + f"/thumbs?query={query}").content)
    assert arrays["maps"].shape == (6, THUMB, THUMB) and header["heads"] == [3, 3]
    row = {"class": 0, "9": 9, "700.0,20.0": 1 + 7}.get(query)
    for layer in range(2):
        weights = view.weights(layer)
        expected = weights[:, 1:].mean(1) if row is None else weights[:, row]
        for head in range(3):
            grid = expected[head, 1:].reshape(8, 8)
            pixels = arrays["maps"][3 * layer + head]
            cells = pixels.reshape(8, 7, 8, 7)
            assert (cells.max((1, 3)) == cells.min((1, 3))).all()
            assert np.abs(cells[:, 0, :, 0] - 255 * grid / grid.max()).max() <= 0.51


def test_the_mean_row_of_windows_is_taken_window_by_window():
    view = windows()
    weights, layer = view.weights(0), view.layers[0]
    found = mean_rows(weights, layer)
    for window in range(4):
        rows = range(16 * window, 16 * window + 16)
        slow = sum(weights[:, row] for row in rows) / 16
        assert np.allclose(found[:, 16 * window : 16 * window + 16], slow, atol=1e-6)


def test_a_planted_sink_is_found_and_an_even_layer_has_none():
    view = sinks()
    assert sink_keys(mean_rows(view.weights(0), view.layers[0]), view.layers[0]) == [6]
    place = tokens(("class",), boxes_of(4, 4, 1, 1))
    layer = Layer("a", "vision", 0, 1, place, place)
    assert sink_keys(np.full((1, 17), 1 / 17, np.float32), layer) == []


def test_a_point_finds_the_smallest_box_and_nothing_outside():
    boxes = np.concatenate([boxes_of(1, 1, 100, 100), boxes_of(4, 4, 100, 100)])
    place = tokens(("class",), boxes)
    layer = Layer("a", "vision", 0, 1, place, place)
    assert row_of(layer, "30,80") == 2 + 3 * 4 + 1
    assert row_of(layer, "300,80") is None and row_of(layer, "99") is None
