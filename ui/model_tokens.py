"""Where the tokens of a model lie on the picture: the drawing of the page Models, and what can be taken away from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ui import again, page, pickers, session

if TYPE_CHECKING:
    from PIL.Image import Image

    from model_adapters import Model, Rows
    from ui.jobs import Progress
    from ui.pictures import Picture

_LETTERS = 26
"""Pixels of the numbers in the drawing: it stands in half a page, where narrow screens shrink it by half."""


@dataclass(frozen=True, eq=False)
class Placed:
    """The rows of the first attention, and their drawing."""

    rows: Rows
    drawn: Image

    @property
    def table(self) -> dict[str, np.ndarray]:
        """Roles and boxes, a row per token."""
        boxes = {f"{name} [px]": self.rows.boxes[:, n] for n, name in enumerate(("x0", "y0", "x1", "y1"))}
        return {"token": np.arange(len(self.rows)), "role": self.rows.roles.astype(str), **boxes}


def show(model: Model, name: str, weights: str, picture: Picture) -> None:
    """The picture with the box of every token, once they are found."""
    text = pickers.text(model)
    found = session.part(
        ("inspection", name, weights, picture.key, text), lambda progress: place(model, picture, text, progress),
        label="Finding out where its tokens lie on the picture",
    )  # fmt: skip
    if found is None:
        return
    st.image(found.drawn, width="stretch")
    page.take_away(
        found.table, lambda: _figure(found.drawn), key="tokens-lie-away", title="Where tokens lie",
        snippet=snippet((name, weights), picture.id, text),
    )  # fmt: skip


def place(model: Model, picture: Picture, text: again.Text, progress: Progress) -> Placed:
    """Follow pixels through the model."""
    from model_adapters.geometry import layouts
    from model_adapters.geometry.inspect import inspection

    inputs = model.prepare(picture.image, list(text) if isinstance(text, tuple) else text)
    progress.step(0.1, "following pixels through the model")
    layout = next(iter(layouts(model, inputs).values()))
    return Placed(layout.queries, inspection(layout, [picture.image], letters=_LETTERS))


def snippet(chosen: tuple[str, str], picture: str, text: again.Text) -> str:
    """The rows with their boxes in `shown`, and their drawing."""
    lines = [
        "layout = next(iter(layouts(model, subject.inputs).values()))",
        "drawing = inspection(layout, [Image.fromarray(np.asarray(image))])",
        "shown = layout.queries",
    ]
    imports = [
        "import numpy as np", "from PIL import Image", "from model_adapters.geometry import layouts",
        "from model_adapters.geometry.inspect import inspection",
    ]  # fmt: skip
    return again.of_picture(chosen, picture, text, lines, imports)


def _figure(drawn: Image) -> Any:
    from ui.figures import figure_of
    from ui.figures.pixels import picture_trace

    hidden = {"visible": False, "constrain": "domain"}
    return figure_of(
        {
            "data": [picture_trace(drawn)],
            "layout": {
                "height": 560, "margin": {"l": 8, "r": 8, "t": 8, "b": 8}, "xaxis": {**hidden, "range": [0, drawn.width]},
                "yaxis": {**hidden, "range": [drawn.height, 0], "scaleanchor": "x"},
            },
        }
    )  # fmt: skip


__all__ = ["Placed", "place", "show", "snippet"]
