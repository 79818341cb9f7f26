"""What a word loses when it is kept from seeing: edges cut in windows of layers, image tokens hidden, patches painted over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from analysis.registry import Range, method
from analysis.results import Curve, TokenMap
from analysis.words.answer import Answer
from analysis.words.runs import AnswerRun, checked_run, log_probability, places_of, positions, where
from analysis.words.word_maps import on_image
from analysis.words.words import Word
from model_adapters.edits import Block

Route = Literal["image to all text", "image to question", "image to answer", "question to answer"]
_ENDS: dict[str, tuple[tuple[str, ...], str]] = {
    "image to all text": (("question", "answer"), "image"),
    "image to question": (("question",), "image"),
    "image to answer": (("answer",), "image"),
    "question to answer": (("answer",), "question"),
}
Shown = Callable[[np.ndarray], np.ndarray]
"""Pictures [n, height, width, 3] of 0..255 -> log-probability [n] of the word before each."""


@dataclass(frozen=True, eq=False)
class Knockout:
    """The fall of a word's log-probability when edges are cut in a window of layers."""

    layers: np.ndarray
    """[S] the first layer of each window."""
    drops: dict[str, np.ndarray]
    """Route -> [S] in nats; above 0 where the word lost."""
    window: int
    word: str

    def curve(self, route: str) -> Curve:
        """One route as a curve."""
        return Curve(self.layers, self.drops[route], label=f"{route}: fall of {self.word!r}, nats", step_label="first layer")


@method(
    title="Knock-out of edges by layer",
    kind="word knockout",
    cites=("geva2023",),
    needs={"generation", "text", "run"},
    range="fall of the log-probability in nats; below 0 where the word gains",
    misleads="Cut rows spread their attention over what is left, and other layers may carry what one window no longer does.",
)
def knockout(
    answer: Answer,
    run: AnswerRun,
    word: Word | int | str = 0,
    *,
    window: Annotated[int, Range(1, 100)] = 1,
    routes: Sequence[Route] = tuple(_ENDS),  # type: ignore[arg-type]
    progress: Callable[[float], None] | None = None,
) -> Knockout:
    """What a word loses when question or answer cannot look at image (or question) in a window of layers.

    The row that decides the first word is the last of the prompt; for routes to the answer it counts to the answer.

    Args:
        answer: the answer.
        run: edits to its scores.
        word: which word; all its tokens together.
        window: how many layers are cut at a time, from each layer on.
        routes: which edges.
        progress: told the share that is done.
    """
    chosen = answer.word(word)
    unknown = [route for route in routes if route not in _ENDS]
    if unknown:
        raise ValueError(f"routes must be of {list(_ENDS)}. Got {unknown}.")
    numbers = sorted({site.layer for site in answer.sites})
    base = log_probability(answer, checked_run(answer, run), chosen)
    drops: dict[str, list[float]] = {route: [] for route in routes}
    for done, start in enumerate(range(len(numbers))):
        for route in routes:
            queries, keys = _route(answer, route)
            edit = Block(where(answer, numbers[start : start + window], queries, keys))
            drops[route].append(base - log_probability(answer, run((edit,)), chosen))
        if progress is not None:
            progress((done + 1) / len(numbers))
    return Knockout(np.array(numbers), {route: np.array(d) for route, d in drops.items()}, window, chosen.text)


@method(
    title="Hidden image tokens",
    kind="word map",
    cites=("zeiler2014", "geva2023"),
    needs={"generation", "text", "run", "grid"},
    range="fall of the log-probability in nats; below 0 where the word gains",
    misleads="Image tokens have exchanged their content in the tower: hiding one need not hide what lies below it.",
)
def hidden_tokens(
    answer: Answer,
    run: AnswerRun,
    word: Word | int | str = 0,
    *,
    grid: Annotated[int, Range(1, 32)] = 6,
    image: int = 0,
    keep: bool = False,
    progress: Callable[[float], None] | None = None,
) -> TokenMap:
    """What a word loses when the image tokens of each cell of a grid are hidden from all text, in all layers.

    With `keep` all others are hidden instead: what is lost when a cell is all that is seen (patch information loss, after
    Lee et al., who use 6 x 6 groups). One pass per cell.

    Args:
        answer: the answer.
        run: edits to its scores.
        word: which word; all its tokens together.
        grid: cells along each side of the image.
        image: which of several images.
        keep: hide everything but the cell.
        progress: told the share that is done.
    """
    chosen = answer.word(word)
    cells = cells_of(answer, grid, image)
    seen, others = positions(answer)
    layers = [site.layer for site in answer.sites]
    base = log_probability(answer, checked_run(answer, run), chosen)
    values = np.zeros(len(answer.prompt))
    there = sorted({int(cell) for cell in cells if cell >= 0})
    for done, cell in enumerate(there):
        members = np.flatnonzero(cells == cell)
        keys = [i for i in seen if i not in set(members.tolist())] if keep else members.tolist()
        lost = base - log_probability(answer, run((Block(where(answer, layers, others, keys)),)), chosen) if keys else 0.0
        values[members] = lost
        if progress is not None:
            progress((done + 1) / len(there))
    label = f"fall of {chosen.text!r} when {'all else' if keep else 'hidden'}, nats"
    return on_image(answer, values, image, label, signed=True)


@method(
    title="Painted-over patches",
    kind="word map",
    cites=("zeiler2014",),
    needs={"generation", "text", "pixels", "grid"},
    range="fall of the log-probability in nats; below 0 where the word gains",
    misleads="A painted square is unlike anything the model was trained on; its edges are seen too.",
)
def painted_over(
    answer: Answer,
    shown: Shown,
    picture: np.ndarray,
    word: Word | int | str = 0,
    *,
    grid: Annotated[int, Range(1, 32)] = 6,
    image: int = 0,
    progress: Callable[[float], None] | None = None,
) -> TokenMap:
    """What a word loses when each cell of a grid on the picture is painted with the picture's mean colour.

    Args:
        answer: the answer.
        shown: pictures to the log-probability of the word when prompt and answer are read before them.
        picture: [height, width, 3] uint8, the original.
        word: which word (for the caption; `shown` knows it).
        grid: cells along each side.
        image: which of several images it is.
        progress: told the share that is done.
    """
    cells = cells_of(answer, grid, image)
    height, width = picture.shape[:2]
    rows, columns = (np.linspace(0, side, grid + 1).round().astype(int) for side in (height, width))
    base, values = float(shown(picture[None])[0]), np.zeros(len(answer.prompt))
    colour = picture.reshape(-1, picture.shape[-1]).mean(0)
    for cell in range(grid * grid):
        y, x = divmod(cell, grid)
        painted = picture.copy()
        painted[rows[y] : rows[y + 1], columns[x] : columns[x + 1]] = colour
        values[cells == cell] = base - float(shown(painted[None])[0])
        if progress is not None:
            progress((cell + 1) / grid**2)
    return on_image(answer, values, image, f"fall of {answer.word(word).text!r} when painted over, nats", signed=True)


def cells_of(answer: Answer, grid: int, image: int = 0) -> np.ndarray:
    """[T]: which cell of a grid over the image the middle of each token lies in; -1 for tokens elsewhere."""
    values = on_image(answer, np.arange(len(answer.prompt)), image, "")
    width, height = values.size
    middles = (values.rows.boxes[:, :2] + values.rows.boxes[:, 2:]) / 2
    x = np.clip((middles[:, 0] / width * grid).astype(int), 0, grid - 1)
    y = np.clip((middles[:, 1] / height * grid).astype(int), 0, grid - 1)
    found = np.full(len(answer.prompt), -1)
    found[values.values.astype(int)] = y * grid + x
    return found


def _route(answer: Answer, route: str) -> tuple[list[int], tuple[int, ...]]:
    reading, read = _ENDS[route]
    assert answer.image.any()
    last = len(answer.prompt) - 1
    queries = {place for group in reading for place in places_of(answer, group)}
    queries = queries | {last} if "answer" in reading else queries - {last}
    keys = tuple(place for place in places_of(answer, read) if place != last or read != "question")
    return sorted(queries), keys
