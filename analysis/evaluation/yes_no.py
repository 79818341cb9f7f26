"""Yes/no answers as POPE scores them: read by the official rule and by a strict one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

from analysis.evaluation.figures import Figure, of_counts, share

Rule = Literal["official", "strict"]
HIT, FALSE_ALARM, MISS, RIGHT_NO, WRONG_OTHER, UNREAD = range(6)
"""Columns of the counts: yes/yes, yes/no, no/yes, no/no (said/true); neither, where the rule reads neither (twice over)."""


def parse_official(answer: str) -> bool:
    """The published rule: the first sentence says no if it holds "No", "no" or "not"; anything else is a yes.

    >>> parse_official("There is not."), parse_official("I know.")
    (False, True)
    """
    first = answer.split(".")[0].replace(",", "")
    return not any(word in ("No", "no", "not") for word in first.split(" "))


def parse_strict(answer: str) -> bool | None:
    """Yes or no only if the first word says so; None otherwise."""
    first = re.match(r"\W*(\w+)", answer.lower())
    return {"yes": True, "no": False}.get(first.group(1)) if first else None


def yes_no_figures(
    answers: Sequence[str], truths: Sequence[bool], images: Sequence[int] | None = None, rule: Rule = "official"
) -> dict[str, Figure]:
    """Accuracy, precision, recall, F1, share of yes and of false alarms, and of answers that the strict rule cannot read.

    Under the strict rule an answer that is neither counts as wrong, and as no yes.

    Args:
        answers: what was said.
        truths: whether yes is right.
        images: which image each is about, for the intervals; each its own by default.
        rule: how answers are read.
    """
    if len(answers) != len(truths) or (images is not None and len(images) != len(answers)):
        raise ValueError(f"{len(answers)} answers for {len(truths)} questions")
    if rule not in ("official", "strict"):
        raise ValueError(f"rule must be 'official' or 'strict'. Got {rule!r} instead.")
    counts = _counts(answers, truths, range(len(answers)) if images is None else images, rule)
    return {name: of_counts(counts, statistic) for name, statistic in STATISTICS.items()}


def _counts(answers: Sequence[str], truths: Sequence[bool], images: Sequence[int], rule: Rule) -> np.ndarray:
    """[images, 6]."""
    _, row = np.unique(np.asarray(images), return_inverse=True)
    counts = np.zeros((int(row.max()) + 1 if len(row) else 0, 6))
    for text, truth, image in zip(answers, truths, row, strict=True):
        strict = parse_strict(text)
        said = parse_official(text) if rule == "official" else strict
        if said is None:
            counts[image, MISS if truth else WRONG_OTHER] += 1
        else:
            counts[image, (HIT if truth else FALSE_ALARM) if said else (MISS if truth else RIGHT_NO)] += 1
        counts[image, UNREAD] += strict is None
    return counts


def _all(sums: np.ndarray) -> np.ndarray:
    return sums[..., :UNREAD].sum(-1)


def _f1(sums: np.ndarray) -> np.ndarray:
    return share(2 * sums[..., HIT], 2 * sums[..., HIT] + sums[..., FALSE_ALARM] + sums[..., MISS])


STATISTICS = {
    "accuracy": lambda s: share(s[..., HIT] + s[..., RIGHT_NO], _all(s)),
    "precision": lambda s: share(s[..., HIT], s[..., HIT] + s[..., FALSE_ALARM]),
    "recall": lambda s: share(s[..., HIT], s[..., HIT] + s[..., MISS]),
    "F1": _f1,
    "yes rate": lambda s: share(s[..., HIT] + s[..., FALSE_ALARM], _all(s)),
    "false positives": lambda s: share(s[..., FALSE_ALARM], s[..., FALSE_ALARM] + s[..., RIGHT_NO] + s[..., WRONG_OTHER]),
    "unparsable": lambda s: share(s[..., UNREAD], _all(s)),
}
