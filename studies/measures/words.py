"""Measures of answers: what an LVLM says, which of its words are to be doubted, and what it says with fewer visual tokens."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np

import analysis
import model_adapters as ma
from analysis.evaluation.chair import PROMPT
from analysis.evaluation.names import names_of
from analysis.evaluation.yes_no import parse_strict
from analysis.registry import Range
from analysis.signals import gather, signals
from analysis.visual_tokens import VisualPlan
from analysis.visual_tokens.measured import drift, dropping
from analysis.words.answer import GROUPS
from analysis.words.word_shares import word_shares
from analysis.words.words import Word, mentions
from studies.data import Record
from studies.errors import Unreadable
from studies.measures.batch import Batch
from studies.measures.registry import Found, Lines, measure

Longest = Annotated[int, Range(1, 1024)]
SIGNALS = ("unlikely_word", "undecided", "small_margin", "low_image_attention", "unmoved_without_image")
_PLAIN_PROMPT = "describe the picture."
"""For models that come with Headlight, which know few words; it is one of those that they were trained on."""


@measure(title="Answers with signals of their words", tables=("answers", "words"), kinds=("lvlm",))
def answers(
    batch: Batch, *, longest: Longest = 64, words: Literal["objects", "all"] = "objects", signals: tuple[str, ...] = SIGNALS
) -> Iterator[Found]:
    """What the model answers; for each of its words whom it attended to, and how much each signal doubts it.

    Args:
        batch: the records.
        longest: new tokens an answer may have.
        words: words that name a thing of the data, or all.
        signals: registered signals; those that a model does not allow are empty.
    """
    said: dict[str, list[Any]] = {name: [] for name in ("question", "text", "tokens", "right", "log_probability")}
    item: list[int] = []
    lines: dict[str, list[Any]] = {}
    for number, (record, inputs) in enumerate(_single(batch)):
        generation = _answered(batch, inputs, longest)
        right = _right(generation.text, record.answer)
        told = (record.question or prompt_of(batch.model), generation.text, len(generation.tokens), right, _mean(generation))
        for name, value in zip(said, told, strict=True):
            said[name].append(value)
        for row in _words(batch, record, inputs, generation, words, signals):
            item.append(number)
            for name, value in row.items():
                lines.setdefault(name, []).append(value)
    yield Lines("answers", tuple(range(len(batch.records))), said)
    yield Lines("words", tuple(item), lines)


@measure(title="Answers with fewer visual tokens", tables=("budgets",), kinds=("lvlm",), edited=False)
def budgets(
    batch: Batch, *, pruners: tuple[str, ...] = ("random_visual", "fastv"), keep: tuple[int, ...] = (8, 32), longest: Longest = 64
) -> Iterator[Found]:
    """Whether the answer is right, and the same, when only some visual tokens are kept.

    Args:
        batch: the records.
        pruners: registered methods that make a plan.
        keep: budgets: how many visual tokens stay.
        longest: new tokens an answer may have.
    """
    item: list[int] = []
    rows: dict[str, list[Any]] = {}
    for number, (record, inputs) in enumerate(_single(batch)):
        capture = ma.capture(batch.model, inputs, want=("hidden", "queries"))
        full = _answered(batch, inputs, longest)
        for pruner in pruners:
            for amount in keep:
                item.append(number)
                for name, value in _pruned(batch, record, inputs, capture, full, pruner, amount, longest).items():
                    rows.setdefault(name, []).append(value)
    yield Lines("budgets", tuple(item), rows)


def prompt_of(model: ma.Model) -> str:
    """What the model is asked about a record that has no question of its own."""
    return _PLAIN_PROMPT if model.name.startswith("bundled:") else PROMPT


def why_not_pruner(name: str) -> str:
    """Why a name is no pruner with a number of tokens to keep; empty where it is."""
    found = analysis.METHODS.get(name)
    if found is None or found.result is not VisualPlan or "keep" not in inspect.signature(found.function).parameters:
        plans = [m for m in analysis.METHODS.values() if m.result is VisualPlan]
        fit = sorted(m.name for m in plans if "keep" in inspect.signature(m.function).parameters)
        return f"pruners are among {', '.join(fit)}. Got {name!r:.80}."
    return ""


def why_not_signal(name: str) -> str:
    """Why a name is no signal; empty where it is."""
    fit = [m.name for m in analysis.METHODS.values() if m.kind == "signal"]
    return "" if name in fit else f"signals are among {', '.join(sorted(fit))}. Got {name!r:.80}."


def _single(batch: Batch) -> Iterator[tuple[Record, ma.Inputs]]:
    if len(batch.records) != 1:
        raise ValueError("an LVLM answers one record at a time.")
    yield batch.records[0], replace(batch.inputs, many=False)


def _answered(batch: Batch, inputs: ma.Inputs, longest: int, edits: tuple = ()) -> ma.Generation:
    return ma.generate(batch.model, inputs, max_new_tokens=longest, edits=edits or batch.edits, keep=ma.Keep())


def _mean(generation: ma.Generation) -> float:
    return float(np.mean([t.log_probability for t in generation.tokens])) if generation.tokens else float("nan")


def _right(text: str, truth: str | None) -> bool | None:
    """Whether an answer says what the data says: yes or no by its first word, anything else word for word."""
    if truth is None:
        return None
    wanted = parse_strict(truth)
    if wanted is not None and len(truth.split()) == 1:
        return parse_strict(text) == wanted
    return _bare(text) == _bare(truth)


def _bare(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def _words(
    batch: Batch, record: Record, inputs: ma.Inputs, generation: ma.Generation, which: str, names: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    if not generation.tokens:
        return
    asked = ma.asked(batch.model, inputs)
    blind = _blind(batch, record) if "unmoved_without_image" in names else None
    evidence = gather(generation, asked, partial(_reread, batch), inputs, blind=blind)  # type: ignore[arg-type]
    known = names_of((*record.names, *(record.objects or ())))
    chosen = _chosen(evidence.answer.words, known, which, generation.text)
    table = signals(evidence, chosen, names)
    for place, word in enumerate(chosen):
        shares = word_shares(evidence.answer, word)
        means = np.nanmean(shares.values, (0, 1))
        there = None if record.objects is None or word.kind != "mention" else word.name in record.objects
        row: dict[str, Any] = {"word": word.text, "name": word.name, "index": word.index, "there": there}
        row |= {f"to_{group}": float(mean) for group, mean in zip(GROUPS, means, strict=True)}
        row |= {name: float(table.values[place, table.names.index(name)]) if name in table.names else np.nan for name in names}
        yield row


def _chosen(words: tuple[Word, ...], known: dict[str, str], which: str, text: str) -> tuple[Word, ...]:
    named = mentions(words, known)
    if which == "objects":
        return named
    taken = {step for word in named for step in word.steps}
    others = tuple(w for w in words if w.kind == "word" and not taken & set(w.steps))
    return tuple(sorted((*named, *others), key=lambda word: word.index))


def _blind(batch: Batch, record: Record) -> Any:
    try:
        inputs = batch.model.prepare(text=record.question or prompt_of(batch.model))
        return inputs, ma.asked(batch.model, inputs)
    except (ma.AdapterError, ValueError):
        return "hide"


def _reread(batch: Batch, *given: Any, **options: Any) -> ma.Capture:
    edits = (*batch.edits, *options.pop("edits", ()))
    return ma.reread(batch.model, *given, edits=edits, **options)


def _pruned(
    batch: Batch, record: Record, inputs: ma.Inputs, capture: ma.Capture, full: ma.Generation, pruner: str, amount: int,
    longest: int,
) -> dict[str, Any]:  # fmt: skip
    method = analysis.find(pruner)
    options = {"seed": batch.looks.seed + batch.numbers[0]} if "seed" in inspect.signature(method.function).parameters else {}
    try:
        plan = method.function(capture, keep=amount, **options)
    except ValueError as error:
        raise Unreadable(f"{pruner} makes no plan: {error}") from error
    said = _answered(batch, inputs, longest, dropping(plan))
    same = float([t.id for t in said.tokens] == [t.id for t in full.tokens])
    return {
        "pruner": pruner, "budget": amount, "visual": float(len(plan)), "kept": float(plan.kept), "mean_kept": plan.mean_kept,
        "agreement": same, "drift": drift(full, said), "right": _right(said.text, record.answer), "text": said.text,
        "right_in_full": _right(full.text, record.answer),
    }  # fmt: skip
