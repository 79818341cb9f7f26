"""Let a model answer, one forward pass per new token with its cache, and keep the rows that decided each token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from model_adapters.capturing import BySite
from model_adapters.contrast import Mixing
from model_adapters.cost import free_bytes
from model_adapters.decoding import Contrast, Decoding, Greedy, OverTrust, Sample
from model_adapters.edits import Edit
from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs
from model_adapters.labels import block_of
from model_adapters.model import Model
from model_adapters.over_trust import Following, searched
from model_adapters.planned import Plan, decided, planned
from model_adapters.roles import Roles, decoder_roles
from model_adapters.side_by_side import reading, settled
from model_adapters.site import Keep, Site
from model_adapters.tap import AttentionTap

DECODERS = frozenset({"decoder"})


@dataclass(frozen=True, eq=False)
class GeneratedToken:
    """One new token and what decided it."""

    id: int
    text: str
    probability: float
    """In the model's own distribution, before any sampling filter."""
    logits: np.ndarray
    """[V], as the model gave them."""
    weights: BySite[np.ndarray]
    """[H, K]: the row of the query that this token was read off, to everything before it."""

    @property
    def log_probability(self) -> float:
        """The natural logarithm of the probability."""
        shifted = self.logits - self.logits.max()
        return float(shifted[self.id] - np.log(np.exp(shifted).sum()))


@dataclass(frozen=True, eq=False)
class Generation:
    """An answer, token by token."""

    model: str
    text: str
    tokens: tuple[GeneratedToken, ...]
    prompt: tuple[str, ...]
    """The tokens of the prompt as text."""
    roles: tuple[str, ...]
    """The roles of the prompt's tokens: bos, system, image, question, pad."""
    sites: tuple[Site, ...]
    edits: tuple[Edit, ...] = ()
    decoding: Decoding = Greedy()

    left: Mapping[Site, np.ndarray] = field(default_factory=dict)
    """Where tokens of the prompt were dropped or merged: which of them a site could still look at."""

    def keys(self, step: int, count: int, site: Site | None = None) -> tuple[str, ...]:
        """The roles of the `count` keys that token `step` could look at (a sliding cache holds the last ones only).

        Args:
            step: which token.
            count: how many keys its row has.
            site: whose row it is; needed where sites as long as this one have dropped different tokens.
        """
        fits = [places for one, places in self.left.items() if site in (None, one) and len(places) + step == count]
        if any(not np.array_equal(places, fits[0]) for places in fits):
            raise ValueError(f"sites with {count} keys dropped different tokens of the prompt; say which by `site`.")
        prompt = [self.roles[place] for place in fits[0]] if fits else self.roles
        return (*prompt, *["answer"] * step)[-count:]


def generate(
    model: Model,
    inputs: Inputs,
    *,
    max_new_tokens: int = 64,
    keep: Keep | None = None,
    edits: Iterable[Edit | Plan] | Edit | Plan = (),
    decoding: Decoding | None = None,
    on_token: Callable[[list[int]], None] | None = None,
) -> Generation:
    """Let an LVLM answer and keep, per new token, the attention row that it was read off.

    Args:
        model: an LVLM.
        inputs: one prompt; `answers` takes several.
        max_new_tokens: the longest answer.
        keep: which sites and heads of the decoder; everything by default. `queries` is always the deciding row.
        edits: what to change; `where.phase` says whether in the prompt pass, in the passes of new tokens, or in both. Plans
            look at the prompt first and decide their edits, which the answer then names.
        decoding: `Greedy()`, `Sample(...)`, `Beam(...)`, `Contrast(...)` or `OverTrust(...)`; `passes` says what a token costs.
        on_token: called after every new token with all that were said so far; of several beams the first. What it raises
            ends the answer.
    """
    if model.kind != "lvlm" or not hasattr(model.module, "generate"):
        raise AdapterError(f"{model.name} does not generate text ({model.kind}); capture works on it, generate needs an LVLM.")
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1. Got {max_new_tokens} instead.")
    if inputs.many or inputs.batch > 1:
        raise ValueError("generate answers one prompt at a time; prepare a single text, or give `answers` a list of prompts.")
    check_room(model, inputs, max_new_tokens)
    decoding = decoding or Greedy()
    # A search reads the prompt more than once: what is to be decided is decided before.
    edits = (decided if isinstance(decoding, OverTrust) else planned)(model, inputs, edits)
    tap = AttentionTap(
        model.module, keep=_last(keep), edits=edits, batch=decoding.options["num_beams"],
        labels=model.tap_labels, scopes=model.tap_scopes, roles=Roles(model, inputs), towers=DECODERS, limit=free_bytes(),
    )  # fmt: skip
    generator: Any = model.module.generate
    choosing = _choosing(model, inputs, edits, decoding, max_new_tokens)
    # A tap costs a little for every operation: where it has nothing to do it is left out.
    tapped = tap if edits or tap.recorder.keep.sites != "none" else nullcontext()
    with model.lock, torch.no_grad(), _seeded(decoding), choosing as chosen, reading(edits), tapped:
        out = generator(
            **_asked(model, inputs), return_dict_in_generate=True, output_logits=True,
            output_scores=decoding.options["num_beams"] > 1, **_told(decoding), **_listened(on_token),
            **{"max_new_tokens": max_new_tokens, **chosen},
        )  # fmt: skip
    return _generation(model, inputs, tap, out, decoding)


def _asked(model: Model, inputs: Inputs) -> dict[str, Any]:
    """The prompt; where a reader and a writer lie apart in one module (BLIP's answers), `generate` begins by itself."""
    begins = all(hasattr(model.module, name) for name in ("text_encoder", "text_decoder"))
    return {name: value for name, value in inputs.tensors.items() if not (begins and name == "decoder_input_ids")}


def _told(decoding: Decoding) -> dict[str, Any]:
    return {name: value for name, value in decoding.options.items() if value is not None}


def _listened(on_token: Callable[[list[int]], None] | None) -> dict[str, Any]:
    return {} if on_token is None else {"stopping_criteria": [_Listener(on_token)]}


class _Listener:
    """Hears of every token as transformers' `generate` asks whether to stop. Some models ask without the prompt."""

    def __init__(self, on_token: Callable[[list[int]], None]) -> None:
        self._on_token = on_token
        self._before: int | None = None

    def __call__(self, ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        if self._before is None:
            self._before = ids.shape[1] - 1
        self._on_token(ids[0, self._before :].tolist())
        return torch.zeros(len(ids), dtype=torch.bool, device=ids.device)


def _last(keep: Keep | None) -> Keep:
    keep = keep or Keep()
    if keep.reduce is not None:
        raise ValueError("generate keeps one row per token, which needs no reduction; leave `reduce` out.")
    return Keep(sites=keep.sites, heads=keep.heads, queries="last", dtype=keep.dtype)


def check_room(model: Model, inputs: Inputs, longest: int) -> None:
    """Refuse a prompt and an answer that are longer than what the model has places for."""
    config, ids = model.config, inputs.tensors.get("input_ids")
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    places = getattr(text, "max_position_embeddings", None)
    if not isinstance(places, int) or ids is None or getattr(config, "is_encoder_decoder", False):
        return
    room = places - ids.shape[1]
    if room < 1:
        raise ValueError(f"the prompt has {ids.shape[1]} tokens, and {model.name} reads up to {places}: ask a shorter question.")
    if longest > room:
        raise ValueError(
            f"a prompt of {ids.shape[1]} tokens leaves {model.name}, which reads up to {places}, room for {room} new ones. "
            f"{longest} were asked for."
        )


class _choosing:
    """What chooses tokens beside transformers' `generate`, as its keyword: a second branch, or a search that ran before."""

    def __init__(self, model: Model, inputs: Inputs, edits: tuple[Edit, ...], decoding: Decoding, longest: int) -> None:
        self._mixing = Mixing(model, inputs, decoding, longest) if isinstance(decoding, Contrast) else None
        self._ids = searched(model, inputs, edits, longest, decoding) if isinstance(decoding, OverTrust) else None

    def __enter__(self) -> dict[str, Any]:
        if self._mixing is not None:
            self._mixing.begin()
            return {"logits_processor": [self._mixing]}
        return {} if self._ids is None else {"logits_processor": [Following(self._ids)], "max_new_tokens": len(self._ids)}

    def __exit__(self, *error: object) -> None:
        if self._mixing is not None:
            self._mixing.close()


class _seeded:
    """Sampling draws from torch's global generator: give it the seed, and its old state back."""

    def __init__(self, decoding: Decoding) -> None:
        chosen = decoding.then if isinstance(decoding, Contrast) else decoding
        self.seed = chosen.seed if isinstance(chosen, Sample) else None
        self._fork: Any = None

    def __enter__(self) -> None:
        if self.seed is not None:
            self._fork = torch.random.fork_rng()
            self._fork.__enter__()
            torch.manual_seed(self.seed)

    def __exit__(self, *error: object) -> None:
        if self._fork is not None:
            self._fork.__exit__(*error)


def _generation(model: Model, inputs: Inputs, tap: AttentionTap, out: Any, decoding: Decoding) -> Generation:
    if getattr(out, "logits", None) is None:
        raise AdapterError(f"{model.name} does not write token by token, so no rows belong to its tokens; capture works on it.")
    logits = [step.float().cpu() for step in out.logits]
    beams = _winning_beams(out, len(logits))
    count = len(beams)
    ids = out.sequences[0][-count:].tolist() if count else []
    steps: dict[int, dict[Site, Any]] = {}
    for (step, site), record in tap.recorder.records.items():
        if record.weights is not None:
            steps.setdefault(step, {})[site] = record.weights
    if steps and max(steps) + 1 < len(logits):
        raise AdapterError(
            f"{model.name} writes with a part of itself, so which rows belong to which of its tokens is not known; capture works "
            "on it."
        )
    tokenizer = getattr(model.processor, "tokenizer", model.processor)
    tokens = []
    for step, (token, beam) in enumerate(zip(ids, beams, strict=True)):
        row = logits[step][beam]
        kept = {site: weights[min(beam, len(weights) - 1), :, -1].numpy() for site, weights in steps.get(step, {}).items()}
        probability = float(row.softmax(-1)[token])
        tokens.append(GeneratedToken(token, text_of(tokenizer, [token]), probability, row.numpy(), BySite(kept)))
    return Generation(
        model.name, text_of(tokenizer, ids, skip=True), tuple(tokens), prompt_tokens(tokenizer, inputs),
        prompt_roles(model, inputs), tuple(steps.get(0, {})), settled(tap.edits), decoding, _left(tap, steps.get(0, {})),
    )  # fmt: skip


def _left(tap: AttentionTap, sites: Iterable[Site]) -> dict[Site, np.ndarray]:
    """Which tokens of the prompt each site could look at, where some are gone."""
    blocks = {site: tap.cached.get(block_of(site.name)) for site in sites}
    return {site: cached.left.cpu().numpy() for site, cached in blocks.items() if cached is not None}


def _winning_beams(out: Any, steps: int) -> list[int]:
    """For each new token, the row of the batch that it was read off."""
    indices = getattr(out, "beam_indices", None)
    if indices is None:
        return [0] * steps
    return [i for i in indices[0].tolist() if i >= 0]


def text_of(tokenizer: Any, ids: list[int], *, skip: bool = False) -> str:
    """Token ids as text; `skip` leaves special tokens out."""
    if not hasattr(tokenizer, "decode"):
        return " ".join(map(str, ids))
    return tokenizer.decode(ids, skip_special_tokens=skip)


def prompt_tokens(tokenizer: Any, inputs: Inputs) -> tuple[str, ...]:
    """The tokens of a prompt as text."""
    ids = inputs.tensors.get("input_ids")
    if ids is None or not hasattr(tokenizer, "convert_ids_to_tokens"):
        return ()
    return tuple(tokenizer.convert_ids_to_tokens(ids[0].tolist()))


def prompt_roles(model: Model, inputs: Inputs) -> tuple[str, ...]:
    """The roles of a prompt's tokens."""
    return tuple(decoder_roles(model, inputs)[0]) if "input_ids" in inputs.tensors else ()
