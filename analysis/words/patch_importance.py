"""The importance of image patches layer by layer: noise is added to one group of image tokens at the door of one layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from analysis.registry import Range, method
from analysis.results import Curve, TokenMap
from analysis.words.answer import Answer
from analysis.words.knockout import cells_of
from analysis.words.runs import AnswerRun, checked_run, log_probability
from analysis.words.word_maps import on_image
from analysis.words.words import Word
from model_adapters import Where
from model_adapters.edits import SetHidden, Values


@dataclass(frozen=True, eq=False)
class PatchImportance:
    """What noise on each group of image tokens takes from a word, at the input of each layer."""

    values: np.ndarray
    """[L, P] per cent of the word's probability; NaN for cells of the grid that hold no token."""
    layers: tuple[int, ...]
    """[L] the decoder layers whose input was disturbed."""
    maps: tuple[TokenMap, ...]
    """[L] the same on the image."""
    word: str

    def by_layer(self) -> Curve:
        """The mean over groups."""
        label = f"mean fall of the probability of {self.word!r}, per cent"
        return Curve(np.array(self.layers), np.nanmean(self.values, -1), label=label, step_label="noise at the input of layer")


@method(
    title="Importance of patches, layer by layer",
    kind="word knockout",
    cites=("lee2024llvm",),
    needs={"generation", "text", "hidden", "run", "grid"},
    range="per cent of the word's probability; 100 where noise takes all of it, below 0 where a draw helps the word",
    misleads="Noise of one size is much for short states and little for long ones, and states grow from layer to layer.",
)
def patch_importance(
    answer: Answer,
    run: AnswerRun,
    word: Word | int | str = 0,
    *,
    grid: Annotated[int, Range(1, 32)] = 6,
    draws: Annotated[int, Range(1, 100)] = 10,
    noise: Annotated[float, Range(0, 100)] = 1.0,
    layers: Sequence[int] | None = None,
    image: int = 0,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> PatchImportance:
    """What a word loses by noise on a group of image tokens at the input of one layer, for every group and layer.

    (f(x) - max f(x + z)) / f(x) in per cent with z ~ U(-1, 1): the mildest of ten draws counts, after Lee et al.; their f is
    the score of a benchmark, here it is the probability of one word. One pass per layer, group and draw.

    Args:
        answer: read again with want={"hidden"}.
        run: edits to its scores.
        word: which word; all its tokens together.
        grid: groups along each side of the image.
        draws: how often each group gets noise.
        noise: the largest entry of the noise; 0 leaves everything as it is.
        layers: whose input is disturbed; all by default.
        image: which of several images.
        seed: of the noise.
        progress: told the share that is done.
    """
    chosen, cells, numbers = answer.word(word), cells_of(answer, grid, image), _layers(answer, layers)
    groups = [int(cell) for cell in np.unique(cells[cells >= 0])]
    base = log_probability(answer, checked_run(answer, run), chosen)
    values, draw = np.full((len(numbers), grid * grid), np.nan), np.random.default_rng(seed)
    for row, layer in enumerate(numbers):
        for done, group in enumerate(groups):
            edits = (_disturbed(answer, layer, np.flatnonzero(cells == group), noise, draw) for _ in range(draws))
            mildest = max(log_probability(answer, run((edit,)), chosen) for edit in edits)
            values[row, group] = -100 * np.expm1(mildest - base)
            if progress is not None:
                progress((row + (done + 1) / len(groups)) / len(numbers))
    label = f"fall of the probability of {chosen.text!r}, per cent: noise at layer "
    maps = (on_image(answer, row[cells], image, f"{label}{n}", signed=True) for n, row in zip(numbers, values, strict=True))
    return PatchImportance(values, numbers, tuple(maps), chosen.text)


def _disturbed(answer: Answer, layer: int, places: np.ndarray, noise: float, draw: np.random.Generator) -> SetHidden:
    states = answer.hidden(layer).copy()
    states[places] += draw.uniform(-noise, noise, (len(places), states.shape[1]))
    where = Where(tower="decoder", layers=(layer,), queries=tuple(int(place) for place in places))
    return SetHidden(where=where, value=Values(states))


def _layers(answer: Answer, layers: Sequence[int] | None) -> tuple[int, ...]:
    there = answer.depths[:-1]
    chosen = there if layers is None else tuple(layers)
    if not chosen or not set(chosen) <= set(there):
        raise ValueError(f"layers must be of {there}, whose input was kept. Got {chosen}.")
    return chosen
