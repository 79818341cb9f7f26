"""A model as somebody who answers questions about pictures, always in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from model_adapters.errors import AdapterError
from model_adapters.generate import Generation, generate
from model_adapters.model import Model
from model_adapters.site import NOTHING


def speaker(model: Model, **options: Any) -> Callable[..., Generation]:
    """A function (image, text, max_new_tokens=...) -> answer, keeping no attention.

    Args:
        model: an LVLM.
        options: for `generate`, such as the edits and the decoding of a fix: `speaker(model, **fixes.image_guidance())`.
    """
    if model.kind != "lvlm":
        raise AdapterError(f"{model.name} answers no questions ({model.kind}); an LVLM is needed.")

    def speak(image: Any, text: str, *, max_new_tokens: int = 64) -> Generation:
        inputs = model.prepare(image=image, text=text)
        return generate(model, inputs, max_new_tokens=max_new_tokens, **{"keep": NOTHING, **options})

    return speak
