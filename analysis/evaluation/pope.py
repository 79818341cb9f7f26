"""POPE over a user's images: is what is there seen, and what is not there denied?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from analysis.evaluation.asking import Answered, Progress, Setting, Speak, drawn, heard
from analysis.evaluation.coco import AnnotatedImage, CocoSet
from analysis.evaluation.figures import Figure
from analysis.evaluation.yes_no import Rule, yes_no_figures
from analysis.registry import Range, method

Kind = Literal["random", "popular", "adversarial"]
KINDS: tuple[Kind, ...] = ("random", "popular", "adversarial")
TEMPLATE = "Is there {a} {thing} in the image?"


@dataclass(frozen=True)
class YesNoQuestion:
    """One question about one image."""

    image: AnnotatedImage
    thing: str
    there: bool
    text: str


@dataclass(frozen=True, eq=False)
class PopeResult:
    """Answers to yes/no questions, and what they come to."""

    kind: Kind
    setting: Setting
    questions: tuple[YesNoQuestion, ...]
    """[A] those that were answered."""
    answers: tuple[Answered, ...]
    """[A]."""
    left_out: int
    """Images that hold too few different things to be asked about."""
    missing: tuple[str, ...]
    """Images that are annotated but not there."""
    skipped: tuple[str, ...]
    """Questions that could not be asked, and why."""

    def figures(self, rule: Rule = "official") -> dict[str, Figure]:
        """Accuracy, precision, recall, F1, yes rate, false positives and unparsable answers, with 95 % intervals over images."""
        said, there = [a.text for a in self.answers], [q.there for q in self.questions]
        return yes_no_figures(said, there, [a.image for a in self.answers], rule)

    def __str__(self) -> str:
        """Every figure under both rules, with what it depends on."""
        lines = [f"POPE, {self.kind}. {self.setting.line}"]
        rules: tuple[Rule, ...] = ("official", "strict")
        for rule in rules:
            told = ", ".join(f"{name} {f.value:.3f} ({f.low:.3f} to {f.high:.3f})" for name, f in self.figures(rule).items())
            lines.append(f"{rule} rule: {told}")
        lost = f"{self.left_out} images with too few things, {len(self.missing)} missing, {len(self.skipped)} questions failed"
        return "\n".join((*lines, lost))


@method(
    title="POPE",
    kind="evaluation",
    cites=("li2023pope",),
    needs={"generation", "run"},
    range="0 to 1",
    misleads="The official rule reads whatever is no clear no as a yes; look at the strict rule and its unparsable rate too.",
)
def pope(
    data: CocoSet,
    speak: Speak,
    *,
    kind: Kind = "adversarial",
    pairs: Annotated[int, Range(1, 20)] = 3,
    images: int | None = 500,
    template: str = TEMPLATE,
    longest: Annotated[int, Range(1, 512)] = 16,
    seed: int = 0,
    batch: Annotated[int, Range(1, 256)] = 1,
    progress: Progress | None = None,
) -> PopeResult:
    """Ask whether things are there: as many that are as that are not, in every image.

    Args:
        data: from `read_coco`.
        speak: the model, from `model_adapters.speaker`.
        kind: what is asked for in vain: any other category, the most frequent ones, or those that share most images with
            what is there.
        pairs: questions of each sort per image; images with fewer different things are left out.
        images: how many images, by lot; all by default of None.
        template: the question; {a} is the article and {thing} the category. Models may need "Answer yes or no." behind it.
        longest: new tokens of an answer.
        seed: of the images, and of what is asked.
        batch: how many are asked at once; only a model as it is, without edits and with greedy answers, takes more than one.
        progress: told the share that is done; what it raises stops the evaluation.
    """
    asked, left_out = pope_questions(data, kind, pairs, images, template, seed)
    numbers = {image.name: number for number, image in enumerate(dict.fromkeys(question.image for question in asked))}
    said = heard(speak, ((numbers[q.image.name], q.image.file, q.image.name, q.text) for q in asked), longest, progress, batch)
    found = tuple(asked[place] for place in said.places)
    setting = Setting(
        said.model, data.name, template, said.decoding, said.edits, longest, len({a.image for a in said.answers}),
        len(found), seed,
    )  # fmt: skip
    return PopeResult(kind, setting, found, said.answers, left_out, data.missing, said.skipped)


def pope_questions(
    data: CocoSet, kind: Kind, pairs: int = 3, images: int | None = 500, template: str = TEMPLATE, seed: int = 0
) -> tuple[list[YesNoQuestion], int]:
    """The questions, and how many images hold too few things to be asked about.

    As in the release, for every thing that is there one is asked for that is not, and none twice in an image: the most
    frequent (popular), or the one that shares most images with it (adversarial), and by lot where there is none.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a kind of POPE question; there are {', '.join(KINDS)}.")
    if pairs < 1:
        raise ValueError(f"pairs must be at least 1. Got {pairs} instead.")
    _asks(template)
    fit = [image for image in data.images if len(image.things) >= pairs and len(data.categories) >= len(image.things) + pairs]
    if not fit:
        most = max(len(image.things) for image in data.images)
        raise ValueError(
            f"none of the {len(data.images)} images of {data.name} holds {pairs} different things and lacks as many of its "
            f"{len(data.categories)} categories; the fullest holds {most}."
        )
    found = []
    for number in drawn(len(fit), images, seed):
        draws = np.random.default_rng([seed, number])
        found += _about(fit[number], data, kind, pairs, template, draws)
    return found, len(data.images) - len(fit)


def _about(
    image: AnnotatedImage, data: CocoSet, kind: Kind, pairs: int, template: str, draws: np.random.Generator
) -> list[YesNoQuestion]:
    chosen = [image.things[place] for place in draws.permutation(len(image.things))[:pairs]]
    found: list[YesNoQuestion] = []
    used: set[str] = set(image.things)
    for thing in chosen:
        order: Sequence[str] = {"random": (), "popular": tuple(data.counts), "adversarial": data.together[thing]}[kind]
        absent = next((name for name in order if name not in used), None)
        if absent is None:
            others = [name for name in data.categories if name not in used]
            absent = others[int(draws.integers(len(others)))]
        used.add(absent)
        found += [YesNoQuestion(image, name, name == thing, worded(template, name)) for name in (thing, absent)]
    return found


def worded(template: str, thing: str) -> str:
    """The question for a thing, with its article.

    >>> worded(TEMPLATE, "umbrella")
    'Is there an umbrella in the image?'
    """
    return template.format(a="an" if thing[0] in "aeiou" else "a", thing=thing)


def _asks(template: str) -> None:
    try:
        one, other = (template.format(a="a", thing=thing) for thing in ("cat", "tree"))
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"the template may hold {{a}} and {{thing}} and no other braces. Got {template!r}.") from error
    if one == other:
        raise ValueError(f"the template must hold {{thing}}, what is asked for. Got {template!r}.")
