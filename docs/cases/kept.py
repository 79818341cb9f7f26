"""What the case studies share: printing a figure, small pictures, and the session file of the app's own writer."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

if TYPE_CHECKING:
    from analysis.results import TokenMap
    from ui.session_file_made import Chosen

WANTED = "--keep" in sys.argv
"""Whether pictures and the session file are written too."""


def say(line: str) -> None:
    """One line of what is measured."""
    sys.stdout.write(line + "\n")


def drawing(name: str, image: np.ndarray, shown: Sequence[tuple[str, TokenMap | None]]) -> None:
    """The picture beside maps over it, as a small PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.4 * len(shown), 2.6), dpi=72, layout="constrained")
    for place, (title, found) in enumerate(shown):
        axes = figure.add_subplot(1, len(shown), place + 1)
        axes.imshow(image)
        axes.set_title(title, fontsize=9)
        axes.axis("off")
        if found is not None:
            axes.imshow(_laid(found, image.shape[:2]), cmap="magma", alpha=0.75)
    stream = io.BytesIO()
    figure.savefig(stream)
    Image.open(stream).convert("RGB").quantize(64).save(HERE / f"{name}.png", optimize=True)


def _laid(found: TokenMap, size: tuple[int, int]) -> np.ndarray:
    values, (width, height) = np.zeros(size), found.size
    scale = np.array([size[1] / width, size[0] / height, size[1] / width, size[0] / height])
    for value, box, placed in zip(found.values, found.rows.boxes, found.rows.placed, strict=True):
        if placed:
            left, top, right, bottom = (box * scale).round().astype(int)
            values[top:bottom, left:right] = value
    return values


def session(name: str, title: str, chosen: Chosen, link: str, models: Sequence[Any]) -> None:
    """The session file beside the text."""
    from ui import pictures
    from ui.report_made import model_hash
    from ui.session_file import write_session
    from ui.session_file_made import session_of

    weights = {model.name: {"weights": f"{model.card.weights or 'its own'}, {model_hash(model)}"} for model in models}
    write_session(
        HERE / f"{name}.zip", session_of(title, chosen, lambda id: pictures.picture(id).image, link=link, models=weights)
    )
