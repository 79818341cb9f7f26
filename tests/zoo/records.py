"""What a family of models needs to be known by: one frozen record each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

QUESTION = "Is there a red circle?"


@dataclass(frozen=True)
class Family:
    """How to build one tiny random model with its own processor, and how to ask it about an image."""

    name: str
    """Model type of transformers (the key of its Auto mappings), unless `model_type` says another."""
    model_type: str = ""
    """For a second member of a family: its model type."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Laid over the shrunken default configuration; dotted keys reach inside."""
    tokens: Mapping[str, str] = field(default_factory=lambda: {"image_token": "<image>"})
    """Special tokens by attribute name. `image_token` also becomes `image_token_id` of tokenizer and configuration."""
    named: bool = True
    """Whether the tokens are attributes of the tokenizer too; some processors want to add theirs themselves."""
    ids: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the configuration that hold the number of a token (or a list of them), by the token's text."""
    mark: str = ""
    """What the tokenizer puts in front of each text, as those of sentencepiece do."""
    words: tuple[str, ...] = ()
    """Further special tokens that have no attribute name."""
    prompt: str = "{image}\n{text}"
    """The text given to the processor; `{image}` stands for the family's image token, other names for other tokens."""
    image: Mapping[str, Any] = field(default_factory=dict)
    """Options of the image processor (and of the video processor where it takes the same)."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the processor that joins images and text."""
    call: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of each call of the processor."""
    frames: int = 0
    """For a family that takes films only: the picture is shown this many times."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Inputs of the model that no processor gives: nested lists of numbers, or the name of a token for its id."""
    nested: bool = False
    """Whether the processor wants the images of a batch text by text."""
    without: tuple[str, ...] = ()
    """Outputs of the processor which the model does not take."""
    architecture: str = ""
    processor: str = ""
    image_processor: str = ""
    tokenizer: str = ""
    video_processor: str = ""
    """Class names, where the Auto mappings give none or one that cannot be used here."""
    generation: Mapping[str, Any] = field(default_factory=dict)
    """Options of the model's own `generate`, for the families that have some."""
    generates: bool = True
    kind: str = "lvlm"
    """lvlm, tower or dual."""

    @property
    def type(self) -> str:
        """The model type of transformers."""
        return self.model_type or self.name

    def fill(self, text: str, images: int = 1) -> str:
        """The prompt of this family around `text`, with the image tokens of so many images before it."""
        before, _, after = self.prompt.partition("{text}")
        names = {name.removesuffix("_token"): token for name, token in self.tokens.items()}
        return before.format(**names) * images + text + after.format(**names)
