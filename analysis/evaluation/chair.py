"""CHAIR over a user's images: what a model describes that is not there, and what it leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from analysis.evaluation.asking import Answered, Progress, Setting, Speak, drawn, heard
from analysis.evaluation.coco import AnnotatedImage, CocoSet
from analysis.evaluation.coco_rules import RuleSet
from analysis.evaluation.figures import Figure, of_counts, share
from analysis.evaluation.names import mentioned, names_of
from analysis.registry import Range, method
from analysis.words.words import Word

PROMPT = "Please describe this image in detail."
STATISTICS = {
    "CHAIR_i": lambda s: share(s[..., 1], s[..., 0]),
    "CHAIR_s": lambda s: share(s[..., 2], s[..., 6]),
    "recall": lambda s: share(s[..., 3], s[..., 4]),
    "mentions": lambda s: share(s[..., 0], s[..., 6]),
    "words": lambda s: share(s[..., 5], s[..., 6]),
}
"""Of counts [..., 7]: mentions, made-up ones, whether there is one, things found, things there, words, captions."""


@dataclass(frozen=True, eq=False)
class ChairResult:
    """Descriptions, and what they come to."""

    setting: Setting
    images: tuple[AnnotatedImage, ...]
    """[A] those that were described."""
    answers: tuple[Answered, ...]
    """[A]."""
    there: tuple[frozenset[str], ...]
    """[A] the things of each image, those of its captions included."""
    mentions: tuple[tuple[Word, ...], ...]
    """[A] what each description names, in its order; `name` says which category that is."""
    forms: int
    """How many ways to call the categories are known."""
    missing: tuple[str, ...]
    skipped: tuple[str, ...]
    rules: RuleSet = "release"
    """What pairs of words count as."""

    def made_up(self, number: int) -> tuple[Word, ...]:
        """The mentions of one description that are not there."""
        return tuple(word for word in self.mentions[number] if word.name not in self.there[number])

    def figures(self, repeats: bool = True) -> dict[str, Figure]:
        """CHAIR_i, CHAIR_s, recall, mentions and words of a description, with 95 % intervals over images.

        Args:
            repeats: every mention counts, as in the release; otherwise each thing once per description.
        """
        return chair_figures([a.text for a in self.answers], self.there, self.mentions, repeats)

    def __str__(self) -> str:
        """Every figure with what it depends on."""
        told = ", ".join(f"{name} {f.value:.3f} ({f.low:.3f} to {f.high:.3f})" for name, f in self.figures().items())
        lost = f"{len(self.missing)} images missing, {len(self.skipped)} descriptions failed; {self.forms} names are known"
        lost += ", with the fixed rules of the release" if self.rules == "release" else ", without fixed rules"
        return f"CHAIR. {self.setting.line}\n{told}\n{lost}"


@method(
    title="CHAIR",
    kind="evaluation",
    cites=("rohrbach2018",),
    needs={"generation", "run"},
    range="0 to 1; words and mentions are numbers",
    misleads="Short descriptions make up less and find less: read recall and length too. What nobody annotated counts as false.",
)
def chair(
    data: CocoSet,
    speak: Speak,
    *,
    synonyms: Path | str | Mapping[str, Iterable[str]] | None = None,
    rules: RuleSet = "release",
    images: int | None = 500,
    prompt: str = PROMPT,
    longest: Annotated[int, Range(1, 2048)] = 64,
    seed: int = 0,
    batch: Annotated[int, Range(1, 256)] = 1,
    progress: Progress | None = None,
) -> ChairResult:
    """Let images be described, and count the things that are named and not there.

    What is there is what is annotated, and what captions of the data name.

    Args:
        data: from `read_coco`.
        speak: the model, from `model_adapters.speaker`.
        synonyms: more names of the categories (`names_of`); their own names and plurals are always known. Published values
            need the release's file.
        rules: the release's fixed rules for pairs of words such as "baby elephant" and "train track", or none.
        images: how many images, by lot; all by default of None.
        prompt: what is asked.
        longest: new tokens of a description.
        seed: of the images.
        batch: how many are asked at once; only a model as it is, without edits and with greedy answers, takes more than one.
        progress: told the share that is done; what it raises stops the evaluation.
    """
    names = names_of(data.categories, synonyms, rules)
    chosen = [data.images[number] for number in drawn(len(data.images), images, seed)]
    said = heard(speak, ((n, image.file, image.name, prompt) for n, image in enumerate(chosen)), longest, progress, batch)
    described = tuple(chosen[place] for place in said.places)
    setting = Setting(
        said.model, data.name, prompt, said.decoding, said.edits, longest, len(described), len(described), seed
    )
    return ChairResult(
        setting, described, said.answers, tuple(things_of(image, names) for image in described),
        tuple(mentioned(answer.text, names) for answer in said.answers), len(names), data.missing, said.skipped, rules,
    )  # fmt: skip


def things_of(image: AnnotatedImage, names: Mapping[str, str]) -> frozenset[str]:
    """The things of an image: annotated, or named by one of its captions."""
    own = {names.get(thing, thing) for thing in image.things}
    return frozenset(own | {word.name for caption in image.captions for word in mentioned(caption, names)})


def chair_figures(
    texts: Sequence[str], there: Sequence[Iterable[str]], mentions: Sequence[Iterable[Word]], repeats: bool = True
) -> dict[str, Figure]:
    """CHAIR of descriptions, one per image.

    Args:
        texts: the descriptions.
        there: the things of each image.
        mentions: what each description names.
        repeats: whether every mention counts, or each thing once.
    """
    if not len(texts) == len(there) == len(mentions):
        raise ValueError(f"{len(texts)} descriptions for {len(there)} images")
    rows = []
    for text, things, words in zip(texts, there, mentions, strict=True):
        named, real = [word.name for word in words], set(things)
        counted = named if repeats else list(dict.fromkeys(named))
        false = sum(name not in real for name in counted)
        length = len(re.findall(r"\w+", text))
        rows.append((len(counted), false, false > 0, len(real & set(named)), len(real), length, 1))
    return {name: of_counts(np.array(rows, float), statistic) for name, statistic in STATISTICS.items()}
