"""What an LVLM says when its picture, its question or its attention is changed, and what becomes of the words it said before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

import model_adapters as ma
from analysis.perturbation import filled
from analysis.results import TokenMap
from analysis.words.answer import Answer, answer_in
from analysis.words.spelling import spelled
from analysis.words.words import words_of
from model_adapters.edits import Block, Edit, Gate, ScaleWeights
from ui.jobs import Progress
from ui.results.answering import Answered, prepared
from ui.results.fix import aligned, change_of_map, map_of_word
from ui.results.heads import sites_of
from ui.results.whatif_steps import Ask, Cut, Paint, Scale, Silence, Step

if TYPE_CHECKING:
    from ui.pictures import Picture
    from ui.results.whatif_steps import Window


@dataclass(frozen=True, eq=False)
class Outcome:
    """The answer under some steps, and the answer as it was, read again under them."""

    steps: tuple[Step, ...]
    words: tuple[str, ...]
    """Of the new answer."""
    same: tuple[bool, ...]
    """For each of them whether the answer as it was says it too."""
    gaps: tuple[bool, ...]
    """For each of them whether a space stands before it."""
    logits: np.ndarray
    """[A, V] what the tokens of the new answer were chosen from."""
    read: Answer
    """The answer as it was, forced: scores and mean rows of attention under the steps."""
    pictures: tuple[np.ndarray, ...]
    """[height, width, 3] uint8, as the model was shown them."""

    @property
    def text(self) -> str:
        """The new answer."""
        return "".join(f"{' ' if gap else ''}{word}" for word, gap in zip(self.words, self.gaps, strict=True)).strip()


@dataclass(frozen=True, eq=False)
class WordChanges:
    """What steps did to each word of the answer as it was."""

    words: tuple[str, ...]
    before: np.ndarray
    """[W] log-probability as it was."""
    after: np.ndarray
    """[W] log-probability under the steps, the same words forced."""
    steps: str = ""

    @property
    def change(self) -> np.ndarray:
        """[W] nats; below 0 where the word lost."""
        return self.after - self.before


def what_if(answered: Answered, steps: Sequence[Step], longest: int, progress: Progress | None = None) -> Outcome:
    """Ask again under the steps, and read the answer as it was under them.

    Args:
        answered: the question with its answer as it is.
        steps: what is changed, in order; none give the same answer bit for bit.
        longest: most tokens of the new answer.
        progress: told how far it is.
    """
    model, steps, progress = answered.model, tuple(steps), progress or Progress()
    pictures = painted(answered.pictures, steps)
    inputs = inputs_under(answered, steps, pictures)
    asked = answered.asked if inputs is answered.inputs else ma.asked(model, inputs)
    progress.step(0.1, "asking again")
    generation = ma.generate(
        model, inputs, max_new_tokens=longest, keep=ma.Keep(sites="none"),
        edits=edits_to_write(model, asked, steps), decoding=answered.generation.decoding,
    )  # fmt: skip
    assert isinstance(generation, ma.Generation)
    progress.step(0.6, "reading the answer as it was")
    read = _reread(answered, inputs, asked, steps)
    ids = [token.id for token in generation.tokens]
    said, spans = spelled(ids, asked.decode)
    found = words_of(said, spans)
    words = tuple(word.text for word in found)
    gaps = tuple(word.start > 0 and said[word.start - 1].isspace() for word in found)
    same = aligned([word.text for word in answered.answer.words], words).same
    logits = np.stack([token.logits for token in generation.tokens]) if ids else np.zeros((0, 0))
    return Outcome(steps, words, same, gaps, logits, read, pictures)


def _reread(answered: Answered, inputs: ma.Inputs, asked: ma.Asked, steps: tuple[Step, ...]) -> Answer:
    """The answer as it was, with the rows that decide it averaged over heads; nothing large is kept."""
    model, ids = answered.model, [int(i) for i in answered.answer.ids]
    if not ids:
        return answered.answer
    first = len(asked.rows) - 1
    names = tuple(site.name for site in answered.answer.sites)
    keep = ma.Keep(sites=names, heads="mean", queries=tuple(range(first, first + len(ids))))
    capture = ma.reread(model, inputs, ids, keep=keep, edits=edits_to_read(model, asked, steps, len(ids)))
    return replace(answer_in(capture, ids, asked), capture=None)


def word_changes(before: Outcome, after: Outcome) -> WordChanges:
    """Word by word, from two readings of the same answer."""
    words = after.read.words
    was, now = before.read.log_probabilities, after.read.log_probabilities

    def by_word(each: np.ndarray) -> np.ndarray:
        return np.array([each[list(word.steps)].sum() for word in words], float)

    told = "; ".join(step.words for step in after.steps)
    return WordChanges(tuple(word.text for word in words), by_word(was), by_word(now), told)


def map_change(before: Outcome, after: Outcome, word: int, image: int = 0) -> TokenMap:
    """What the steps add to a word's map and take from it; of a word that both readings are forced to say."""
    return change_of_map(map_of_word(before.read, word, image), map_of_word(after.read, word, image))


def inputs_under(answered: Answered, steps: Sequence[Step], pictures: Sequence[np.ndarray]) -> ma.Inputs:
    """The prompt with what was painted and asked; the very same one where neither changed anything."""
    text = next((step.text for step in reversed(steps) if isinstance(step, Ask)), answered.text)
    if text == answered.text and all(new is old.array for new, old in zip(pictures, answered.pictures, strict=True)):
        return answered.inputs
    shown = [replace(old, array=new) for old, new in zip(answered.pictures, pictures, strict=True)]
    return prepared(answered.model, shown, text, film=any(answered.inputs.frames))


def painted(pictures: Sequence[Picture], steps: Sequence[Step]) -> tuple[np.ndarray, ...]:
    """The pictures as they are shown; an untouched one is the picture's own array."""
    found = [picture.array for picture in pictures]
    for step in steps:
        if isinstance(step, Paint):
            if not 0 <= step.image < len(found):
                raise ValueError(f"picture {step.image + 1} was painted on, but {len(found)} are asked about.")
            found[step.image] = paint(found[step.image], step)
    return tuple(found)


def paint(image: np.ndarray, step: Paint) -> np.ndarray:
    """A picture [height, width, 3] uint8 with the fill where the mask says so."""
    over = step.mask.on(image.shape[1], image.shape[0])
    if not over.any():
        return image
    if step.fill == "noise":
        spread, middle = image.std((0, 1)), image.mean((0, 1))
        drawn = np.random.default_rng(step.seed).normal(middle, spread, image.shape)
        fill = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
    else:
        fill = filled(image, step.fill, np.zeros(image.shape[:2], int))
    return np.where(over[..., None], fill, image)


def edits_to_write(model: ma.Model, asked: ma.Asked, steps: Sequence[Step]) -> tuple[Edit, ...]:
    """The edits under which a new answer is written, token by token."""
    last = len(asked.rows) - 1
    made: list[Edit] = list(_standing(model, steps))
    for step in steps:
        if not isinstance(step, Cut):
            continue
        layers = _layers(model, step.window)
        if step.reader in ("all text", "question"):
            made.append(_cut(layers, _question(asked, with_last=step.reader == "all text"), "prompt"))
        if step.reader == "answer":
            made.append(_cut(layers, (last,), "prompt"))
        if step.reader in ("all text", "answer"):
            made.append(_cut(layers, "all", "new"))
    return tuple(made)


def edits_to_read(model: ma.Model, asked: ma.Asked, steps: Sequence[Step], count: int) -> tuple[Edit, ...]:
    """The same edits for an answer of `count` tokens that is read in one pass with its prompt."""
    last = len(asked.rows) - 1
    answer = tuple(range(last, last + count + 1))
    question = _question(asked, with_last=False)
    rows = {"all text": (*question, *answer), "question": question, "answer": answer}
    cuts = [_cut(_layers(model, s.window), rows[s.reader], "both") for s in steps if isinstance(s, Cut)]
    return (*_standing(model, steps), *cuts)


def _standing(model: ma.Model, steps: Sequence[Step]) -> list[Edit]:
    """Edits that are the same for writing and for reading: silenced heads, and the last word on image attention."""
    made: list[Edit] = []
    for step in steps:
        if isinstance(step, Silence):
            made += _silent(model, step)
    scale = next((step for step in reversed(steps) if isinstance(step, Scale)), None)
    if scale is not None and scale.factor != 1:
        where = ma.Where(tower="decoder", layers=_layers(model, scale.window), queries="text", keys="image")
        made.append(ScaleWeights(where, scale.factor, renormalise=True))
    return made


def _silent(model: ma.Model, step: Silence) -> list[Edit]:
    sites = sites_of(model, step.tower)
    rows: dict[int, list[int]] = {}
    for row, head in step.heads:
        if not (0 <= row < len(sites) and 0 <= head < sites[row].heads):
            raise ValueError(f"head {head} of layer {row} was named, but the {step.tower} of {model.name} has no such head.")
        rows.setdefault(row, []).append(head)
    return [Gate(ma.Where(tower=step.tower, sites=(sites[row].name,), heads=tuple(heads)), 0.0) for row, heads in rows.items()]


def _cut(layers: tuple[int, ...], queries: tuple[int, ...] | str, phase: str) -> Block:
    return Block(ma.Where(tower="decoder", layers=layers, queries=queries, keys="image", phase=phase))  # type: ignore[arg-type]


def _layers(model: ma.Model, window: Window) -> tuple[int, ...]:
    """The decoder's layers in a window."""
    there = sorted({site.layer for site in sites_of(model, "decoder")})
    found = tuple(layer for layer in there if layer in window)
    if not found:
        raise ValueError(f"{window.words} were named, but the decoder of {model.name} has layers {there[0]} to {there[-1]}.")
    return found


def _question(asked: ma.Asked, *, with_last: bool) -> tuple[int, ...]:
    """The rows of the prompt behind its first image token that hold text; the last one decides the answer's first token."""
    roles = np.asarray(asked.rows.roles, dtype=str)
    seen = np.flatnonzero(roles == "image")
    if not len(seen):
        raise ValueError("there is no image among the tokens of this prompt, so text cannot be cut off from it.")
    text = np.flatnonzero((roles != "image") & (np.arange(len(roles)) > seen[0]))
    return tuple(int(i) for i in text if with_last or i != len(roles) - 1)
