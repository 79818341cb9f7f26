"""A model as somebody who answers questions about pictures, always in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model_adapters.batches import answers
from model_adapters.errors import AdapterError
from model_adapters.generate import Generation, generate
from model_adapters.model import Model
from model_adapters.site import NOTHING


@dataclass(frozen=True, eq=False)
class Speaker:
    """Answers, keeping no attention."""

    model: Model
    options: dict[str, Any]

    def __call__(self, image: Any, text: str, *, max_new_tokens: int = 64) -> Generation:
        """The answer to a text about an image."""
        inputs = self.model.prepare(image=image, text=text)
        return generate(self.model, inputs, max_new_tokens=max_new_tokens, **{"keep": NOTHING, **self.options})

    def many(self, asked: Sequence[tuple[Any, str]], *, max_new_tokens: int = 64) -> list[Generation]:
        """The answers to several (image, text) at once, as one by one; plain answers only."""
        if self.options:
            raise AdapterError(f"{', '.join(self.options)} work on one prompt at a time, so there are no batches under them.")
        prompts = [self.model.prepare(image=image, text=text) for image, text in asked]
        return answers(self.model, prompts, max_new_tokens=max_new_tokens)


def speaker(model: Model, **options: Any) -> Speaker:
    """A function (image, text, max_new_tokens=...) -> answer.

    Args:
        model: an LVLM.
        options: for `generate`, such as the edits and the decoding of a fix: `speaker(model, **fixes.image_guidance())`.
    """
    if model.kind != "lvlm":
        raise AdapterError(f"{model.name} answers no questions ({model.kind}); an LVLM is needed.")
    return Speaker(model, options)
