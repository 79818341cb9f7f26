"""Count what a model makes up: POPE on yes/no answers, CHAIR and recall on captions."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from world.questions import Question, existence_text
from world.scenes import Scene
from world.vocabulary import CATEGORIES, PARTNERS, background_of, plural

_SINGULAR = {form: name for name in CATEGORIES for form in (name, plural(name))}
POPE_KINDS = ("random", "popular", "adversarial")


@dataclass(frozen=True)
class PopeScore:
    """POPE over yes/no questions; `unparsed` counts answers the strict rule cannot read."""

    accuracy: float
    precision: float
    recall: float
    f1: float
    yes_share: float
    false_positive_rate: float
    count: int
    unparsed: int


@dataclass(frozen=True)
class ChairScore:
    """CHAIR over captions, each category counted once per caption.

    Attributes:
        instances: invented mentions / mentions (CHAIR_i).
        sentences: captions with an invention / captions (CHAIR_s).
        recall: found categories / categories that are there.
        length: mean number of mentions.
        mentions: how many mentions there were.
    """

    instances: float
    sentences: float
    recall: float
    length: float
    mentions: int


def parse_official(answer: str) -> bool:
    """The published rule: the first sentence says no if it holds "No", "no" or "not"; anything else is a yes."""
    first = answer.split(".")[0].replace(",", "")
    return not any(word in ("No", "no", "not") for word in first.split(" "))


def parse_strict(answer: str) -> bool | None:
    """Yes or no only if the first word says so; None otherwise."""
    first = re.match(r"\W*(\w+)", answer.lower())
    return {"yes": True, "no": False}.get(first.group(1)) if first else None


def pope_score(answers: Sequence[str], truths: Sequence[bool], strict: bool = False) -> PopeScore:
    """Score yes/no answers; under the strict rule an answer that is neither counts as wrong."""
    if len(answers) != len(truths):
        raise ValueError(f"{len(answers)} answers for {len(truths)} questions")
    parsed = [parse_strict(text) if strict else parse_official(text) for text in answers]
    truth = np.array(truths, dtype=bool)
    said = np.array([(not right) if value is None else value for value, right in zip(parsed, truths, strict=True)])
    hits, false_alarms = int((said & truth).sum()), int((said & ~truth).sum())
    precision = hits / max(1, int(said.sum()))
    recall = hits / max(1, int(truth.sum()))
    return PopeScore(
        accuracy=float((said == truth).mean()), precision=precision, recall=recall,
        f1=2 * precision * recall / max(1e-12, precision + recall), yes_share=float(said.mean()),
        false_positive_rate=false_alarms / max(1, int((~truth).sum())), count=len(truth),
        unparsed=sum(value is None for value in parsed),
    )  # fmt: skip


def mentioned(text: str) -> tuple[str, ...]:
    """The categories that a text names, each once, in order.

    >>> mentioned("two boats, a red boat and a star.")
    ('boat', 'star')
    """
    found = (_SINGULAR.get(word) for word in re.findall(r"\w+", text.lower()))
    return tuple(dict.fromkeys(name for name in found if name))


def chair_score(captions: Sequence[str], truths: Sequence[Iterable[str]]) -> ChairScore:
    """Score captions against the categories that are there."""
    if len(captions) != len(truths):
        raise ValueError(f"{len(captions)} captions for {len(truths)} pictures")
    named = [set(mentioned(text)) for text in captions]
    there = [set(truth) for truth in truths]
    invented = [len(said - truth) for said, truth in zip(named, there, strict=True)]
    found = sum(len(said & truth) for said, truth in zip(named, there, strict=True))
    mentions = sum(map(len, named))
    return ChairScore(
        instances=sum(invented) / max(1, mentions), sentences=float(np.mean([count > 0 for count in invented])),
        recall=found / max(1, sum(map(len, there))), length=mentions / max(1, len(named)), mentions=mentions,
    )  # fmt: skip


def _absent(scene: Scene, kind: str, rng: np.random.Generator) -> str:
    missing = [name for name in CATEGORIES if name not in scene.categories]
    if kind == "random":
        return missing[int(rng.integers(len(missing)))]
    partners = [PARTNERS[item.category] for item in scene.objects]
    at_home = [background_of(name) == scene.background for name in missing]
    # What the training scenes would have led one to expect here: partners first, then the background's own.
    expected = [2 * (name in partners) + home for name, home in zip(missing, at_home, strict=True)]
    if kind == "popular":
        expected = [int(home) for home in at_home]
    best = [name for name, score in zip(missing, expected, strict=True) if score == max(expected)]
    return best[int(rng.integers(len(best)))]


def pope_questions(scene: Scene, kind: str, rng: np.random.Generator, pairs: int = 3) -> list[Question]:
    """Up to `pairs` questions about things that are there and as many about things that are not.

    Args:
        scene: what is asked about.
        kind: random, popular (at home on this background) or adversarial (most expected here).
        rng: the source of chance.
        pairs: how many of each.
    """
    if kind not in POPE_KINDS:
        raise ValueError(f"{kind!r} is not a kind of POPE question; there are {', '.join(POPE_KINDS)}")
    there = sorted(scene.categories)
    chosen = [there[i] for i in rng.permutation(len(there))[:pairs]]
    asked = [Question("existence", existence_text(name), "yes", (name,)) for name in chosen]
    absent: dict[str, None] = {}
    for _ in range(20):
        if len(absent) == len(chosen):
            break
        absent[_absent(scene, kind, rng)] = None
    return asked + [Question("existence", existence_text(name), "no", (name,)) for name in absent]
