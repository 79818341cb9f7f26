"""What it takes to read an answer from inside: its prompt as data, both in one pass, and hidden states as words.

The final norm and the unembedding are found by trying: those that make the model's own scores of its last hidden states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from model_adapters.capture import capture
from model_adapters.capturing import Capture
from model_adapters.edits import Edit
from model_adapters.errors import AdapterError
from model_adapters.generate import Generation
from model_adapters.inputs import Inputs
from model_adapters.layout import Rows
from model_adapters.model import Model
from model_adapters.site import NOTHING, Keep
from model_adapters.target import Target

AGREES = {torch.float32: 2e-3, torch.bfloat16: 0.25, torch.float16: 0.05}
"""How far log-probabilities of one pass may lie from those of a pass per token."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What a prompt is, without the model: roles and places of its tokens, and how tokens are spelled."""

    rows: Rows
    """[T] the tokens of the decoder's sequence before the answer."""
    sizes: tuple[tuple[int, int], ...]
    """(width, height) of each image."""
    decode: Callable[[Sequence[int]], str]
    """Token ids to text, special tokens left out."""


def asked(model: Model, inputs: Inputs) -> Asked:
    """What must be known of a prompt to read an answer to it; places are measured once and kept on the disk."""
    from model_adapters.geometry import decoder_rows

    _check(model, inputs)
    rows = decoder_rows(model, inputs)
    return Asked(rows, tuple(image.size for item in inputs.images for image in item), spelling(model))


def spelling(model: Model) -> Callable[[Sequence[int]], str]:
    """A function from token ids to text, special tokens left out and spaces as the tokenizer put them."""
    tokenizer = getattr(model.processor, "tokenizer", model.processor)
    if not hasattr(tokenizer, "decode"):
        raise AdapterError(f"{model.name} was given without a tokenizer, so its tokens cannot be spelled.")

    def decode(ids: Sequence[int]) -> str:
        return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    return decode


def continued(model: Model, inputs: Inputs, ids: Sequence[int]) -> Inputs:
    """Prompt and answer as one prompt: masks and token types go on as the model's own generation lets them."""
    _check(model, inputs)
    tensors, module = dict(inputs.tensors), model.module
    length = tensors["input_ids"].shape[1]
    update: Any = getattr(module, "_update_model_kwargs_for_generation", None)
    longer = dict(tensors)
    try:
        for _ in ids if update else ():
            longer = update({}, dict(longer), is_encoder_decoder=False)
    except (AttributeError, KeyError, TypeError) as error:
        raise AdapterError(f"{model.name} does not say how its inputs go on behind a prompt: {error}.") from error
    answer = torch.tensor([list(ids)], dtype=torch.long, device=tensors["input_ids"].device)
    longer["input_ids"] = torch.cat([tensors["input_ids"], answer], 1)
    for name, value in tensors.items():
        now = longer.get(name)
        if _per_token(name, value, length) and (now is None or now.shape[-1] != length + len(ids)):
            longer[name] = torch.cat([value, torch.full_like(answer, int(name == "attention_mask"), dtype=value.dtype)], 1)
    return replace(inputs, tensors={name: longer[name] for name in tensors}, many=False)


def _per_token(name: str, value: Any, length: int) -> bool:
    """Whether an input says something of every token of the prompt; of the answer it then says nothing (0)."""
    if not isinstance(value, torch.Tensor) or value.shape != (1, length):
        return False
    return name.endswith(("mask", "type_ids")) and not name.startswith("qformer")


def reread(
    model: Model,
    inputs: Inputs,
    answer: Generation | Sequence[int],
    *,
    keep: Keep | None = None,
    edits: Iterable[Edit] | Edit = (),
    want: Iterable[str] = (),
    target: Target = None,
    scores: int | None = None,
) -> Capture:
    """Prompt and answer in one pass, with all that a capture can keep; its sequence ends with the answer.

    Without edits the scores must be those of the generation: a model that reads otherwise than it writes is refused.

    Args:
        model: an LVLM that holds prompt and answer in one sequence.
        inputs: the prompt.
        answer: what `generate` gave for it, or token ids.
        keep: which rows; all by default.
        edits: what to change.
        want: as for `capture`.
        target: of gradients; `Token(id, position)` names a token of the answer by where its scores stand.
        scores: how many of the last tokens get scores; one more than the answer has are enough to judge it.
    """
    ids = [t.id for t in answer.tokens] if isinstance(answer, Generation) else [int(i) for i in answer]
    edits = (edits,) if isinstance(edits, Edit) else tuple(edits)
    found = capture(model, continued(model, inputs, ids), keep=keep, edits=edits, want=want, target=target, scores=scores)
    if isinstance(answer, Generation) and not edits and not answer.edits:
        _agree(model, answer, found)
    return found


@dataclass(frozen=True, eq=False)
class Lens:
    """Hidden states of the decoder as scores of the vocabulary, by the model's own final norm and unembedding."""

    norm: nn.Module
    head: nn.Module
    softcap: float | None = None
    scale: float = 1.0

    def __call__(self, states: np.ndarray) -> np.ndarray:
        """[N, D] states of any layer -> [N, V] scores."""
        weight = next(self.head.parameters())
        with torch.no_grad():
            given = torch.from_numpy(np.ascontiguousarray(states, np.float32)).to(weight.device, weight.dtype)
            return self.scores(given[None])[0].float().cpu().numpy()

    def scores(self, states: torch.Tensor) -> torch.Tensor:
        """[1, N, D] -> [1, N, V]."""
        made = self.head(self.norm(states)) * self.scale
        return made if self.softcap is None else torch.tanh(made / self.softcap) * self.softcap


def lens(model: Model, inputs: Inputs) -> Lens:
    """The lens of a model, found on this input and checked: at the last layer it gives the model's scores.

    Args:
        model: an LVLM.
        inputs: any prompt; the model runs on it once.
    """
    _check(model, inputs)
    seen = capture(model, replace(inputs, many=False), keep=NOTHING, want={"hidden"})
    last = max((n for tower, n in seen.hidden if tower == "decoder"), default=None)
    head = getattr(model.module, "get_output_embeddings", lambda: None)()
    if last is None or head is None:
        raise AdapterError(f"{model.name} has no decoder whose hidden states an unembedding reads.")
    states = np.asarray(seen.hidden["decoder", last], np.float32)
    for norm in _norms(model, states.shape[-1]):
        for found in _candidates(model, norm, head):
            if _close(found(states), seen.logits[-len(states) :], model.dtype):
                return found
    raise AdapterError(
        f"The scores of {model.name} are not a norm and an unembedding of its last block's output, so its layers cannot be "
        "read as words."
    )


def _norms(model: Model, width: int) -> Iterable[nn.Module]:
    """Norms of the decoder outside its blocks, last first; nothing at all as the last resort."""
    labels = model.tap_labels
    for name, module in reversed(list(model.module.named_modules())):
        if "norm" not in type(module).__name__.lower() or any(name.startswith(f"{b}.") for b in labels.blocks):
            continue
        weight = getattr(module, "weight", None)
        if labels.tower(name) == "decoder" and (weight is None or tuple(weight.shape) == (width,)):
            yield module
    yield nn.Identity()


def _candidates(model: Model, norm: nn.Module, head: nn.Module) -> Iterable[Lens]:
    """The plain lens, and with the constants that configurations know."""
    config = model.config
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    yield Lens(norm, head)
    if cap := getattr(text, "final_logit_softcapping", None):
        yield Lens(norm, head, softcap=float(cap))
    if scale := getattr(text, "logit_scale", None):
        yield Lens(norm, head, scale=float(scale))
    if scale := getattr(text, "logits_scaling", None):
        yield Lens(norm, head, scale=1 / float(scale))


def _close(made: np.ndarray, given: np.ndarray, dtype: torch.dtype) -> bool:
    within = {torch.float32: 1e-4}.get(dtype, 2e-2)
    return made.shape == given.shape and float(np.abs(made - given).max()) <= within * max(float(np.abs(given).max()), 1.0)


def _check(model: Model, inputs: Inputs) -> None:
    if model.kind != "lvlm" or "input_ids" not in inputs.tensors:
        raise AdapterError(f"{model.name} reads no prompt (kind {model.kind!r}): only the answers of an LVLM can be read.")
    if inputs.batch != 1:
        raise ValueError(f"answers are read one at a time. Got a batch of {inputs.batch} prompts; a loop gives the rest.")
    if getattr(model.config, "is_encoder_decoder", False):
        raise AdapterError(
            f"{model.name} writes with a decoder of its own, which looks at the prompt by cross attention; here answers are "
            "read that stand in one sequence with their prompt."
        )


def _agree(model: Model, answer: Generation, found: Capture) -> None:
    """Refuse a pass whose scores are not those of the generation."""
    if not answer.tokens:
        return
    ids = [t.id for t in answer.tokens]
    first = len(found.logits) - len(ids) - 1
    rows = found.logits[first:-1].astype(np.float64)
    again = rows[np.arange(len(ids)), ids] - np.logaddexp.reduce(rows, axis=-1)
    off = float(np.abs(again - [t.log_probability for t in answer.tokens]).max())
    if off > AGREES.get(model.dtype, 0.25):
        raise AdapterError(
            f"{model.name} gives its answer other probabilities in one pass than word by word (by {off:.2g} in log "
            "probability), so the one cannot stand for the other. What needs no second pass still works."
        )
