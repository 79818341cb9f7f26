"""Answers of small random models, made once and shared by the tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

import model_adapters as ma
from analysis.words import Answer, Word, answer_in, answer_of
from model_adapters import BySite, Rows
from tests.zoo import hf
from tests.zoo.shake import scene

QUESTION = "Is there a red ball?"
LONGEST = 6


@dataclass(frozen=True)
class Told:
    """One model, one prompt, and what it said."""

    model: ma.Model
    inputs: ma.Inputs

    @cached_property
    def generation(self) -> ma.Generation:
        return ma.generate(self.model, self.inputs, max_new_tokens=LONGEST)

    @cached_property
    def asked(self) -> ma.Asked:
        return ma.asked(self.model, self.inputs)

    @property
    def ids(self) -> list[int]:
        return [token.id for token in self.generation.tokens]

    @cached_property
    def answer(self) -> Answer:
        return answer_of(self.generation, self.asked)

    @cached_property
    def capture(self) -> ma.Capture:
        return ma.reread(self.model, self.inputs, self.generation, want={"hidden", "values", "heads"})

    @cached_property
    def whole(self) -> Answer:
        """The same answer with all that one pass shows."""
        return answer_in(self.capture, self.ids, self.asked)


@cache
def model_of(name: str) -> ma.Model:
    if name.startswith("bundled:"):
        return ma.load(name)
    module, processor = hf.build(name)
    return ma.wrap(module, processor, name=name, kind="lvlm", verify=False)


@cache
def told(name: str, text: str = QUESTION, images: int = 1) -> Told:
    model = model_of(name)
    pictures = [scene((320, 200)), scene((200, 260))][:images]
    given = None if not images else pictures[0] if images == 1 else pictures
    return Told(model, model.prepare(image=given, text=text))


def at(*steps: int) -> Word:
    """A word that these tokens spell, whatever a random model wrote with them."""
    return Word("word", 0, 1, steps, 0)


def made_up(
    rows: list[list[np.ndarray]], logits: np.ndarray, ids: list[int], *, image: int, before: int = 1, hidden: dict | None = None
) -> Answer:
    """An answer made by hand: `before` system tokens, `image` image tokens of 10 x 10 pixels in a row, one question token."""
    length = before + image + 1
    roles = np.array(["system"] * before + ["image"] * image + ["question"], dtype=object)
    boxes = np.full((length, 4), np.nan, np.float32)
    boxes[before : before + image] = [[10 * i, 0, 10 * i + 10, 10] for i in range(image)]
    seen = np.where(roles == "image", 0, -1).astype(np.int16)
    prompt = Rows(roles, boxes, seen, seen, seen)
    sites = tuple(ma.Site(f"layers.{i}", 0, "decoder", i, "sdpa", len(row)) for i, row in enumerate(rows[0] if rows else []))
    capture = None
    if hidden is not None:
        empty = BySite({})
        states = {("decoder", layer): state for layer, state in hidden.items()}
        capture = ma.Capture("by hand", sites, empty, empty, empty, {}, logits, hidden=states)
    spans = np.array([[2 * i, 2 * i + 1] for i in range(len(ids))], int).reshape(-1, 2)
    text = " ".join(chr(ord("a") + i) for i in range(len(ids)))
    made = tuple(tuple(np.asarray(row, float) for row in step) for step in rows)
    return Answer(text, np.array(ids, int), spans, logits, sites, made, prompt, ((10 * image, 10),), str, capture)
