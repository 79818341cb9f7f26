"""Sessions made by hand: every kind of thing that a file may hold, without any model."""

from __future__ import annotations

import numpy as np

from tests.app.made_views import four_maps, registers, words
from ui.recording import View
from ui.session_file import Session
from ui.session_file_figures import plain_figure
from ui.session_file_parts import About, SavedAnswer, SavedMap, SavedResult, SavedWord

BIB = "@article{made2020,\n  title = {A title}, year = {2020}\n}"
GROUPS = ("system", "image", "question", "answer")


def figure():
    import plotly.graph_objects as go

    return go.Figure(go.Heatmap(z=np.arange(6.0).reshape(2, 3), colorscale=[[0, "#000000"], [1, "#ffffff"]]))


def result(title: str = "Importance") -> SavedResult:
    columns = {
        "row": np.repeat(np.arange(2), 3), "head": np.tile(np.arange(3), 2), "share": np.array([0.5, np.nan, 1, 2, 3, 4.0]),
        "site": np.array(["a", "b", "a", "ä", "b", ""]), "kept": np.array([True, False] * 3),
    }  # fmt: skip
    about = About(
        title, "import analysis\nshown = 1", ("made2020",), "heads-importance?layer=1", "bundled:vit", "pretrained", "scene:3"
    )
    return SavedResult(about, columns, plain_figure(figure()))


def answer(view: int | None) -> SavedAnswer:
    said = (
        SavedWord("a", 0, 0.9, -0.105, (("a", 0.9), ("the", 0.1)), (0.1, 0.6, 0.2, 0.1), {"entropy": 0.4}), SavedWord(" "),
        SavedWord("red", 1, 0.5, -0.693, (), (0.25, 0.25, 0.25, 0.25)),
    )  # fmt: skip
    return SavedAnswer(About("Answer", model="bundled:lvlm"), "is there a ball?", "a red", said, GROUPS, view)


def whole() -> Session:
    maps = tuple(
        SavedMap(result(shown.title), shown, "deletion 0.31, random 0.52 ± 0.03", {"deletion": 0.31, "random orders beaten": 1.0})
        for _, shown in four_maps()
    )
    views: tuple[View, ...] = (registers(), words())
    made = {"day": "2026-01-02", "versions": {"torch": "2"}, "models": {"bundled:vit": {"weights": "pretrained", "hash": "ab"}}}
    return Session("Made", views, (answer(1),), maps, (result(),), "look-attention?layer=2", made, {"made2020": BIB})
