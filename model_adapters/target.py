"""What a gradient is taken of: a class, or the log-probability of a token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from model_adapters.classes import class_scores
from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs
from model_adapters.model import Model


@dataclass(frozen=True)
class Token:
    """The log-probability of a token (by id or text) at a position of the sequence; -1 is the next token."""

    token: int | str
    position: int = -1


Target = int | str | Token | Sequence[int] | Callable[[torch.Tensor], torch.Tensor] | None


def scalar(target: Target, logits: torch.Tensor, model: Model, inputs: Inputs) -> torch.Tensor:
    """The number whose gradient is asked for, summed over the batch (its items do not see each other).

    None means the predicted class or the likeliest next token of each item; an int or a class name means a class, for
    an LVLM a token; a sequence gives one per item. A model without scores of classes needs a function.
    """
    if callable(target):
        return target(logits)
    if model.kind == "lvlm" and logits.dim() == 3:
        return _tokens(target, logits, model)
    if not model.classes:
        raise AdapterError(f"{model.classes.why_not} A gradient needs a target: give a function of the answer.")
    flat = class_scores(model, logits).float()
    chosen = _classes(target, flat, model)
    return flat.gather(1, chosen[:, None]).sum()


def _tokens(target: Target, logits: torch.Tensor, model: Model) -> torch.Tensor:
    token = target if isinstance(target, Token) else Token(target) if isinstance(target, int | str) else None
    position = -1 if token is None else token.position
    if not -logits.shape[1] <= position < logits.shape[1]:
        raise ValueError(f"position {position} was asked for, but the sequence has {logits.shape[1]} tokens.")
    scores = logits[:, position].float().log_softmax(-1)
    if token is not None:
        chosen = torch.full((len(scores),), token_id(token.token, model), device=scores.device)
    elif target is None:
        chosen = scores.argmax(-1)
    else:
        chosen = torch.as_tensor(list(target), device=scores.device)  # type: ignore[arg-type]
    if int(chosen.max()) >= scores.shape[-1]:
        raise ValueError(f"token {int(chosen.max())} was asked for, but the vocabulary has {scores.shape[-1]} tokens.")
    return scores.gather(1, chosen[:, None]).sum()


def token_id(token: int | str, model: Model) -> int:
    """The id of a token given by id or by its text."""
    if isinstance(token, int):
        return token
    tokenizer = getattr(model.processor, "tokenizer", model.processor)
    ids = tokenizer(token, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        raise ValueError(f"{token!r} is {len(ids)} tokens of this model; give one token, or its id.")
    return int(ids[0])


def _classes(target: Target, scores: torch.Tensor, model: Model) -> torch.Tensor:
    if target is None:
        return scores.argmax(-1)
    if isinstance(target, str):
        if model.labels is None or target not in model.labels:
            some = list(model.labels or ())[:8]
            raise ValueError(f"class {target!r} was asked for, which {model.name} does not know. It knows {some} ...")
        target = model.labels.index(target)
    chosen = [target] * len(scores) if isinstance(target, int) else list(target)  # type: ignore[arg-type]
    if len(chosen) != len(scores) or any(not 0 <= int(c) < scores.shape[-1] for c in chosen):
        raise ValueError(f"targets {chosen[:5]} were given for {len(scores)} items of {scores.shape[-1]} classes.")
    return torch.tensor([int(c) for c in chosen], device=scores.device)
