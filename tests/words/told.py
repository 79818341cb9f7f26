"""Answers of small random models, made once and shared by the tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import model_adapters as ma
from analysis.words import Answer, Word, answer_in, answer_of
from tests.zoo import hf
from tests.zoo.shake import scene

QUESTION = "Is there a red circle?"
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
