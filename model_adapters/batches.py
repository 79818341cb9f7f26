"""Answers to several prompts at once: padded on the left, so that all of them are written on from the same column.

Plain greedy answers, keeping no attention. Whether padding leaves a model's answers as they are is tried on it each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from model_adapters.capturing import BySite
from model_adapters.decoding import Greedy
from model_adapters.errors import AdapterError
from model_adapters.generate import GeneratedToken, Generation, check_room, prompt_roles, prompt_tokens, text_of
from model_adapters.inputs import Inputs
from model_adapters.lens import AGREES
from model_adapters.model import Model


def answers(model: Model, prompts: Sequence[Inputs], *, max_new_tokens: int = 64) -> list[Generation]:
    """The greedy answer to every prompt, as `generate` gives it for one.

    Args:
        model: an LVLM that holds prompt and answer in one sequence.
        prompts: each from `model.prepare`, alike in what they hold (an image each, say), of any length.
        max_new_tokens: the longest answer.
    """
    if model.kind != "lvlm" or not hasattr(model.module, "generate") or getattr(model.config, "is_encoder_decoder", False):
        raise AdapterError(f"{model.name} does not write on from its prompts, so they cannot be answered in a batch.")
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1. Got {max_new_tokens} instead.")
    batch = padded(model, prompts)
    check_room(model, max(prompts, key=lambda prompt: prompt.tensors["input_ids"].shape[1]), max_new_tokens)
    generator: Any = model.module.generate
    with model.lock, torch.no_grad():
        out = generator(
            **batch, return_dict_in_generate=True, output_logits=True, max_new_tokens=max_new_tokens, **_greedy()
        )
        _agree(model, prompts, out.logits[0])
    logits = torch.stack([step.float().cpu() for step in out.logits], 1)
    ids = out.sequences[:, -logits.shape[1] :].tolist()
    return [_one(model, *found) for found in zip(prompts, ids, logits, strict=True)]


def padded(model: Model, prompts: Sequence[Inputs]) -> dict[str, Any]:
    """The tensors of all prompts, tokens padded on the left."""
    if not prompts:
        raise ValueError("a batch needs at least one prompt. The list is empty.")
    if wrong := [p.batch for p in prompts if p.batch != 1]:
        raise ValueError(f"each prompt is prepared by itself. Got one that holds {wrong[0]}.")
    names = [sorted(p.tensors) for p in prompts]
    if other := [found for found in names if found != names[0]]:
        raise ValueError(f"prompts of one batch must hold the same: {names[0]} and {other[0]} were given. Ask them in two.")
    pad = getattr(getattr(model.processor, "tokenizer", model.processor), "pad_token_id", None) or 0
    lengths = [p.tensors["input_ids"].shape[1] for p in prompts]
    return {name: _joined(model, name, [p.tensors[name] for p in prompts], lengths, pad) for name in names[0]}


def _joined(model: Model, name: str, parts: list[Any], lengths: list[int], pad: int) -> Any:
    if not all(isinstance(part, torch.Tensor) for part in parts):
        if any(part != parts[0] for part in parts):
            raise AdapterError(f"the prompts ask {model.name} for different {name!r}, so they cannot be answered in a batch.")
        return parts[0]
    fill = pad if name.endswith("input_ids") else 0
    if all(part.shape == (1, length) for part, length in zip(parts, lengths, strict=True)) and not name.startswith("qformer"):
        return torch.cat([F.pad(part, (max(lengths) - part.shape[1], 0), value=fill) for part in parts])
    widest = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    return torch.cat([_grown(part, widest, fill) for part in parts])


def _grown(part: torch.Tensor, sizes: Sequence[int], fill: int) -> torch.Tensor:
    """A tensor filled up behind its end on all axes but the first: tiles that a prompt lacks, texts of other towers."""
    room = [more for size, there in zip(sizes, part.shape[1:], strict=True) for more in (size - there, 0)]
    return F.pad(part, room[::-1], value=fill) if any(room) else part


def _greedy() -> dict[str, Any]:
    return {name: value for name, value in Greedy().options.items() if value is not None}


def _agree(model: Model, prompts: Sequence[Inputs], first: torch.Tensor) -> None:
    """Refuse a batch whose most padded prompt is read otherwise than alone."""
    place = min(range(len(prompts)), key=lambda n: prompts[n].tensors["input_ids"].shape[1])
    alone = model.logits(model.forward(prompts[place]))[0, -1].float().log_softmax(-1)
    off = float((first[place].float().log_softmax(-1) - alone).abs()[alone > alone.max() - 5].max())
    if off > AGREES.get(model.dtype, 0.25):
        raise AdapterError(
            f"{model.name} reads a padded prompt otherwise than the same one alone (by {off:.2g} in log probability), so its "
            "answers in a batch are not those that it gives one by one. Ask one at a time."
        )


def _one(model: Model, prompt: Inputs, ids: list[int], logits: torch.Tensor) -> Generation:
    ends = getattr(model.module.generation_config, "eos_token_id", None)
    last = {ends} if isinstance(ends, int) else set(ends or ())
    count = next((place + 1 for place, token in enumerate(ids) if token in last), len(ids))
    chances = logits[:count].softmax(-1)
    tokenizer = getattr(model.processor, "tokenizer", model.processor)
    tokens = tuple(
        GeneratedToken(token, text_of(tokenizer, [token]), float(chances[n, token]), logits[n].numpy(), BySite({}))
        for n, token in enumerate(ids[:count])
    )
    text = text_of(tokenizer, ids[:count], skip=True)
    return Generation(model.name, text, tokens, prompt_tokens(tokenizer, prompt), prompt_roles(model, prompt), ())
