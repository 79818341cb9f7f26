"""Asking a model about many images, and what every figure that comes of it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from model_adapters import AdapterError, Generation

Progress = Callable[[float], None]
"""Told the share that is done; what it raises stops the evaluation."""


class Speak(Protocol):
    """A model that answers: `model_adapters.speaker(model)`, with edits and decoding of a fix if one is tried."""

    def __call__(self, image: Path, text: str, *, max_new_tokens: int) -> Generation:
        """The answer to a text about an image."""
        ...


@dataclass(frozen=True)
class Setting:
    """What the figures of an evaluation depend on; it is told with each of them."""

    model: str
    data: str
    prompt: str
    decoding: str
    edits: tuple[str, ...]
    """What sort of edits the model ran under; plans decide them anew for every image."""
    longest: int
    """New tokens that an answer may have."""
    images: int
    answers: int
    seed: int

    @property
    def line(self) -> str:
        """The same in one line."""
        edits = f"; edits {', '.join(self.edits)}" if self.edits else ""
        return (
            f"{self.model} on {self.data}: {self.images} images, {self.answers} answers of up to {self.longest} new tokens; "
            f"prompt {self.prompt!r}; {self.decoding}{edits}; seed {self.seed}"
        )


@dataclass(frozen=True)
class Answered:
    """One answer, and the image it is about."""

    image: int
    """Which image of those that were asked about."""
    file: str
    prompt: str
    text: str


@dataclass(frozen=True)
class Heard:
    """All answers, and why others are missing."""

    answers: tuple[Answered, ...]
    places: tuple[int, ...]
    """Which of the questions each answers."""
    skipped: tuple[str, ...]
    decoding: str
    edits: tuple[str, ...]
    model: str


def heard(
    speak: Speak,
    questions: Iterable[tuple[int, Path, str, str]],
    longest: int,
    progress: Progress | None = None,
    batch: int = 1,
) -> Heard:
    """Ask (number of the image, its file, how it is called, text); a picture that fails is told and left out.

    Args:
        speak: the model.
        questions: what is asked of which image.
        longest: new tokens that an answer may have.
        progress: told the share that is done.
        batch: how many are asked at once.
    """
    asked, answers, places, skipped = list(questions), [], [], []
    last: Generation | None = None
    for start in range(0, len(asked), _size(speak, batch)):
        some = asked[start : start + batch]
        for place, said in enumerate(_answered(speak, some, longest), start):
            image, _, name, text = asked[place]
            if isinstance(said, Exception):
                skipped.append(f"{name}: {said}")
                continue
            last = said
            answers.append(Answered(image, name, text, said.text))
            places.append(place)
        if progress is not None:
            progress((start + len(some)) / len(asked))
    if last is None:
        raise ValueError(f"none of {len(asked)} questions was answered. The first: {skipped[0] if skipped else 'none was asked'}")
    edits = tuple(dict.fromkeys(type(edit).__name__ for edit in last.edits))
    return Heard(tuple(answers), tuple(places), tuple(skipped), str(last.decoding), edits, last.model)


def _size(speak: Speak, batch: int) -> int:
    if batch < 1:
        raise ValueError(f"a batch holds at least 1 question. Got {batch}.")
    if batch > 1 and not hasattr(speak, "many"):
        raise ValueError("this speaker answers one question at a time: batch=1, or a speaker from `model_adapters.speaker`.")
    return batch


def _answered(speak: Any, some: Sequence[tuple[int, Path, str, str]], longest: int) -> Iterator[Generation | Exception]:
    """The answers, or why there is none; where a batch fails each is asked alone."""
    if len(some) > 1:
        try:
            yield from speak.many([(file, text) for _, file, _, text in some], max_new_tokens=longest)
            return
        except (ValueError, OSError):
            pass  # one of them is broken: the others are answered below, and it is told which
    for _, file, _, text in some:
        try:
            yield speak(file, text, max_new_tokens=longest)
        except (AdapterError, ValueError, OSError) as error:
            yield error


def drawn(count: int, wanted: int | None, seed: int) -> list[int]:
    """Which of `count` images are asked about: all, or as many as wanted by lot, in their order."""
    if wanted is None or wanted >= count:
        return list(range(count))
    if wanted < 1:
        raise ValueError(f"at least one image must be asked about. Got {wanted}.")
    return sorted(np.random.default_rng(seed).choice(count, wanted, replace=False).tolist())
