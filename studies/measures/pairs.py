"""Measures of dual encoders: whether a picture's own caption, or one that names its class, fits it best among many."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Annotated, Any, Literal

import numpy as np

import model_adapters as ma
from analysis.registry import Range
from studies.data import Pending, Record, opened
from studies.errors import StudyError, Unreadable
from studies.measures.batch import Batch
from studies.measures.registry import Found, Lines, measure
from studies.spec import Study, plain_pairs

AMONG = 100


@measure(title="Captions matched with pictures", tables=("matches",), kinds=("dual",), scores="captions")
def matches(
    batch: Batch,
    *,
    truth: Literal["label", "caption"] = "label",
    captions: tuple[str, ...] = ("a picture of a {}",),
    among: Annotated[int, Range(2, 1000)] = AMONG,
) -> Iterator[Found]:
    """Whether the caption that names a picture's class, or its own caption, fits it best among others, and at which rank.

    Records without a class (or without a caption of their own) have no row.

    Args:
        batch: the records.
        truth: "label": captions that name the record's class are right. "caption": the record's own is.
        captions: what is compared, for "label"; {} is filled with every name that the data knows.
        among: how many of the data's first records give the captions that an own caption is compared with.
    """
    item: list[int] = []
    told: dict[str, list[Any]] = {}
    chosen = [_choices(record, truth, captions, batch.looks.captions) for record in batch.records]
    texts = list(dict.fromkeys(text for choice in chosen for text in choice))
    scores = _scores(batch, texts) if texts else np.empty((0, 0))
    for number, choice in enumerate(chosen):
        if not any(choice.values()):
            continue
        item.append(number)
        for name, value in _told(scores[number, [texts.index(text) for text in choice]], choice).items():
            told.setdefault(name, []).append(value)
    yield Lines("matches", tuple(item), told)


@lru_cache(maxsize=2)
def captions_of(study: Study) -> tuple[str, ...]:
    """The captions of the first records of a study's data, each once, where its measures ask for them."""
    asked = next((plain_pairs(each.options) for each in study.measures if each.name == "matches"), {})
    if asked.get("truth") != "caption":
        return ()
    source, most = opened(study.data), asked.get("among", AMONG)
    chunks = source.chunks(study.shard, study.data.limit)
    pending = (one for first, items in chunks for one in source.pending(first, items))
    found = tuple(dict.fromkeys(text for text in map(_caption, islice(pending, most)) if text))
    if len(found) < 2:
        raise StudyError(f"matches with truth: caption needs captions, and the first {most} records have {len(found)}.")
    return found


def _caption(pending: Pending) -> str | None:
    try:
        return pending.read().answer
    except Unreadable:
        return None  # listed with its reason when its own turn comes


def _choices(record: Record, truth: str, captions: tuple[str, ...], others: tuple[str, ...]) -> dict[str, bool]:
    """The captions that a record is compared with, and which of them are right."""
    if truth == "caption":
        return dict.fromkeys(others, False) | {record.answer: True} if record.answer else {}
    texts = [each.replace("{}", name) for each in captions for name in (record.names if "{}" in each else ("",))]
    if len(set(texts)) < 2:
        raise StudyError(
            "matches has less than two captions to compare: the data knows no names that could fill {}. Write them in the study, "
            "such as matches: {captions: [a photo of a cat, a photo of a dog]}."
        )
    return {text: record.label is not None and _names(text, record.label) for text in texts}


def _names(text: str, label: str) -> bool:
    return f" {_bare(label)} " in f" {_bare(text)} "


def _bare(text: str) -> str:
    return " ".join("".join(sign if sign.isalnum() else " " for sign in text.lower()).split())


def _scores(batch: Batch, texts: list[str]) -> np.ndarray:
    """[B, C] how well each caption fits each picture, as the model says it."""
    inputs = batch.model.prepare(image=[record.image for record in batch.records], text=texts)
    found = ma.run(batch.model, inputs, batch.edits).double().numpy(force=True)
    if found.shape != (len(batch.records), len(texts)) or not np.isfinite(found).all():
        raise ValueError("the model gives no finite score for each picture and caption")
    return found


def _told(scores: np.ndarray, choice: dict[str, bool]) -> dict[str, Any]:
    right, texts = np.array(list(choice.values())), list(choice)
    own = np.where(right, scores, -np.inf)
    best, other = float(own.max()), float(np.where(right, -np.inf, scores).max(initial=-np.inf))
    shares = np.exp(scores - scores.max())
    return {
        "caption": texts[int(own.argmax())], "predicted": texts[int(scores.argmax())], "among": len(texts),
        "rank": 1 + int((scores[~right] > best).sum()), "right": best > other,
        "probability": float(shares[right].sum() / shares.sum()), "margin": best - other if np.isfinite(other) else np.nan,
    }  # fmt: skip
