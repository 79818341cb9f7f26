"""Changes of a question to an LVLM as data: what is painted over, asked, silenced, cut and scaled, short enough for a link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args
from urllib.parse import quote, unquote

import numpy as np

FINEST = 128
"""Most cells along a side of a mask."""
Fill = Literal["mean", "blur", "noise"]
Reader = Literal["all text", "question", "answer"]
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Mask:
    """Cells of a grid over a picture that are painted: runs of cells, row by row, left alone and painted in turn."""

    width: int
    height: int
    runs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not (0 < self.width <= FINEST and 0 < self.height <= FINEST) or min(self.runs, default=0) < 0:
            raise ValueError(f"a mask has 1 to {FINEST} cells along a side. Got {self.width} x {self.height}.")
        if sum(self.runs) != self.width * self.height:
            raise ValueError(f"a mask of {self.width} x {self.height} cells was given runs of {sum(self.runs)} cells.")

    @classmethod
    def of(cls, cells: np.ndarray) -> Mask:
        """From [height, width] bool."""
        flat = np.concatenate([[False], cells.ravel().astype(bool)])
        changes = np.flatnonzero(flat[1:] != flat[:-1])
        return cls(cells.shape[1], cells.shape[0], tuple(np.diff([0, *changes.tolist(), cells.size]).tolist()))

    @classmethod
    def read(cls, text: str) -> Mask:
        """From what `text` gives: "12x8.2c.3.1d"."""
        size, *runs = text.split(".")
        width, _, height = size.partition("x")
        return cls(int(width), int(height), tuple(int(run, 36) for run in runs))

    @property
    def text(self) -> str:
        """For a link, and for the brush."""
        return ".".join([f"{self.width}x{self.height}", *(_base36(run) for run in self.runs)])

    @property
    def cells(self) -> np.ndarray:
        """[height, width] bool."""
        painted = np.arange(len(self.runs)) % 2 == 1
        return np.repeat(painted, self.runs).reshape(self.height, self.width)

    @property
    def share(self) -> float:
        """How much of the picture is painted."""
        return sum(self.runs[1::2]) / (self.width * self.height)

    def on(self, width: int, height: int) -> np.ndarray:
        """[height, width] bool: the pixels that are painted."""
        rows, columns = (np.arange(n) * side // n for n, side in ((height, self.height), (width, self.width)))
        return self.cells[np.ix_(rows, columns)]


def grid_of(width: int, height: int, finest: int = 96) -> tuple[int, int]:
    """Cells across and down a picture, about square."""
    side = max(width, height) / finest
    return max(1, round(width / side)), max(1, round(height / side))


def mask_of_pixels(painted: np.ndarray) -> Mask:
    """The cells in which any of the pixels [height, width] is painted, so that nothing of a thing is left over."""
    height, width = painted.shape
    across, down = grid_of(width, height)
    rows, columns = ((np.arange(n) * side // n) for n, side in ((height, down), (width, across)))
    cells = np.zeros((down, across), bool)
    np.logical_or.at(cells, (rows[:, None], columns[None]), painted)
    return Mask.of(cells)


@dataclass(frozen=True)
class Paint:
    """A region of a picture is painted over."""

    mask: Mask
    fill: Fill = "mean"
    seed: int = 0
    """Of the noise."""
    image: int = 0
    letter: ClassVar[str] = "p"

    @property
    def words(self) -> str:
        """For people."""
        beside = f" of picture {self.image + 1}" if self.image else ""
        return f"{self.mask.share:.0%}{beside} painted over ({self.fill})".replace("%", " %")


@dataclass(frozen=True)
class Ask:
    """Another question."""

    text: str
    letter: ClassVar[str] = "q"

    @property
    def words(self) -> str:
        """For people."""
        return f"asked “{self.text}”"


@dataclass(frozen=True)
class Silence:
    """Heads that say nothing: rows and columns of a tower's head matrix."""

    tower: str
    heads: tuple[tuple[int, int], ...]
    letter: ClassVar[str] = "h"

    @property
    def words(self) -> str:
        """For people."""
        named = ", ".join(f"{row}.{head}" for row, head in self.heads[:4]) + (" …" if len(self.heads) > 4 else "")
        return f"{len(self.heads)} head{'s' * (len(self.heads) != 1)} of the {self.tower} silenced ({named})"


@dataclass(frozen=True)
class Window:
    """Layers of the decoder, both ends included."""

    first: int
    last: int

    def __contains__(self, layer: int) -> bool:
        return self.first <= layer <= self.last

    @property
    def words(self) -> str:
        """For people."""
        return f"layer {self.first}" if self.first == self.last else f"layers {self.first} to {self.last}"


@dataclass(frozen=True)
class Cut:
    """Text can no longer look at the image, in a window of layers."""

    reader: Reader
    window: Window
    letter: ClassVar[str] = "e"

    @property
    def words(self) -> str:
        """For people."""
        who = {"all text": "text", "question": "the question", "answer": "the answer"}[self.reader]
        return f"{who} cut off from the image in {self.window.words}"


@dataclass(frozen=True)
class Scale:
    """The image's share of the attention of text times a factor before rows are brought back to one."""

    factor: float
    window: Window
    letter: ClassVar[str] = "a"

    @property
    def words(self) -> str:
        """For people."""
        return f"image attention times {self.factor:g} in {self.window.words}"


Step = Paint | Ask | Silence | Cut | Scale


def as_text(steps: Sequence[Step]) -> str:
    """Steps for a link."""
    return ";".join(":".join([step.letter, *_fields(step)]) for step in steps)


def steps_of(text: str) -> tuple[Step, ...]:
    """Steps from what `as_text` gave.

    Raises:
        ValueError: where the text is not of steps.
    """
    return tuple(_step(part) for part in text.split(";")) if text else ()


def _fields(step: Step) -> list[str]:
    if isinstance(step, Paint):
        return [step.mask.text, step.fill, str(step.seed), str(step.image)]
    if isinstance(step, Ask):
        return [quote(step.text, safe=" ")]
    if isinstance(step, Silence):
        return [quote(step.tower, safe=""), ",".join(f"{row}.{head}" for row, head in step.heads)]
    window = [str(step.window.first), str(step.window.last)]
    return [step.reader, *window] if isinstance(step, Cut) else [f"{step.factor:g}", *window]


def _step(part: str) -> Step:
    letter, *given = part.split(":")
    try:
        if letter == "p":
            mask, fill, seed, image = given
            return Paint(Mask.read(mask), _one_of(fill, Fill), int(seed), int(image))
        if letter == "q":
            return Ask(unquote(given[0]))
        if letter == "h":
            pairs = [pair.split(".") for pair in given[1].split(",")]
            return Silence(unquote(given[0]), tuple((int(row), int(head)) for row, head in pairs))
        if letter == "e":
            return Cut(_one_of(given[0], Reader), Window(int(given[1]), int(given[2])))
        if letter == "a":
            return Scale(float(given[0]), Window(int(given[1]), int(given[2])))
    except (ValueError, IndexError) as error:
        raise ValueError(f"{part[:60]!r} is not a step that can be taken: {error}") from error
    raise ValueError(f"a step begins with p, q, h, e or a. Got {part[:60]!r}.")


def _one_of(text: str, kind: object) -> Any:
    if text not in get_args(kind):
        raise ValueError(f"it must be one of {get_args(kind)}, and is {text!r}")
    return text


def _base36(number: int) -> str:
    digits = ""
    while number >= 36:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return _DIGITS[number] + digits


@dataclass(frozen=True)
class History:
    """Steps that were taken one after the other, and how far back one has gone."""

    steps: tuple[Step, ...] = ()
    at: int = 0
    """So many of them count now; those behind can be taken again."""

    @property
    def now(self) -> tuple[Step, ...]:
        """The steps that count."""
        return self.steps[: self.at]

    def take(self, step: Step) -> History:
        """One step more; what was undone before is forgotten."""
        steps = (*self.now, step)
        return History(steps, len(steps))

    def back(self, to: int) -> History:
        """Go to where so many steps count."""
        return History(self.steps, min(max(to, 0), len(self.steps)))
