"""Figures in session files: each of the app's can be kept and drawn again; those that do more than draw are refused."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from PIL import Image

from tests.app import made_sessions
from ui.inline_picture import inlined
from ui.session_file import Session, session_bytes
from ui.session_file_figures import checked_figure, plain_figure, unpacked


def packed(**changes) -> dict:
    """A figure with an array as Plotly packs it."""
    array = {"dtype": "f8", "bdata": base64.b64encode(np.arange(6.0).tobytes()).decode(), "shape": "2, 3"}
    return {"data": [{"type": "heatmap", "z": array | changes}], "layout": {}}


def test_a_packed_array_is_read():
    checked_figure(packed())
    assert unpacked(packed())["data"][0]["z"].tolist() == [[0, 1, 2], [3, 4, 5]]


PICTURE = inlined(Image.new("RGB", (4, 3), "teal"), 4)
FIGURES = {
    "another host": ({"data": [{"type": "scatter", "text": "see http://evil.example"}], "layout": {}}, "another address"),
    "an anchor": ({"data": [], "layout": {"title": {"text": "<A href=x>y</a>"}}}, "another address|'href'"),
    "a picture from elsewhere": ({"data": [], "layout": {"images": [{"source": "x.png"}]}}, "'images'"),
    "a picture that may run": ({"data": [{"type": "image", "source": "data:image/svg+xml,x"}], "layout": {}}, "'source'"),
    "a picture and more": ({"data": [{"type": "image", "source": PICTURE + "\n//evil.example"}], "layout": {}}, "'source'"),
    "a picture that is fetched": ({"data": [{"type": "image", "source": "https://evil.example"}], "layout": {}}, "'source'"),
    "a picture where none is shown": ({"data": [{"type": "scatter", "source": PICTURE}], "layout": {}}, "'source'"),
    "a map of the world": ({"data": [{"type": "scattergeo"}], "layout": {}}, "kind 'scattergeo'"),
    "buttons": ({"data": [], "layout": {"updatemenus": [{}]}}, "'updatemenus'"),
    "an array of too few numbers": (packed(shape="5, 5"), "not of shape"),
    "an array of objects": (packed(dtype="O"), "of kind 'O'"),
    "an array that is none": (packed(bdata="no base 64!"), "cannot be read"),
    "no data": ({"data": {}, "layout": {}}, "is no figure"),
    "too many traces": ({"data": [{"type": "bar"}] * 1000, "layout": {}}, "is no figure"),
}


def test_a_picture_inside_is_kept():
    checked_figure({"data": [{"type": "image", "source": PICTURE}], "layout": {}})


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_only_draws(name):
    figure, words = FIGURES[name]
    with pytest.raises(ValueError, match=words):
        checked_figure(json.loads(json.dumps(figure)))


def test_every_figure_of_the_app_can_be_kept_and_drawn_again():
    from tests.app import results_by_hand
    from ui import figures
    from ui.figures.recorded import figure_of
    from ui.take_away.still import still

    for name, result in results_by_hand.by_hand().items():
        drawn = figures.draw(result, chosen=(1, 2))
        again = figure_of(checked_figure(json.loads(json.dumps(plain_figure(drawn)))))
        assert still(again, "svg", name) == still(drawn, "svg", name), name


def test_too_large_a_figure_is_named(monkeypatch):
    monkeypatch.setattr("ui.session_file_figures.MAX_JSON", 100)
    with pytest.raises(ValueError, match="figure of 'Importance' has"):
        session_bytes(Session("one", results=(made_sessions.result(),)))
