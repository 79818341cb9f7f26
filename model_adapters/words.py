"""A prompt for a model that knows few words: refused where it uses others, instead of answered about nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch

from model_adapters.inputs import Inputs, Request


@dataclass(frozen=True)
class KnownWords:
    """A preparation that first checks the words of the texts against a word-level tokenizer."""

    preparation: Callable[[Request, torch.device, torch.dtype], Inputs]
    tokenizer: Any
    name: str

    def __call__(self, request: Request, device: torch.device, dtype: torch.dtype) -> Inputs:
        """The inputs of one run."""
        for text in request.texts:
            self.check(text)
        return self.preparation(request, device, dtype)

    def check(self, text: str) -> None:
        """Raise a ValueError that names the unknown words, words like them, and some that are known."""
        found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        places = zip(found["input_ids"], found["offset_mapping"], strict=True)
        unknown = list(dict.fromkeys(text[a:b] for token, (a, b) in places if token == self.tokenizer.unk_token_id))
        if not unknown:
            return
        known = sorted(word for word in self.tokenizer.get_vocab() if word.isalpha())
        near = list(dict.fromkeys(match for word in unknown for match in get_close_matches(word.lower(), known, n=1)))
        hint = f"Did you mean {', '.join(near)}? " if near else ""
        raise ValueError(
            f"{self.name} knows {len(known)} words, and {', '.join(map(repr, unknown))} {'is' if len(unknown) == 1 else 'are'} "
            f"not among them. {hint}It knows {', '.join(known)}."
        )
