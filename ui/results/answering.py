"""One answer of one model: what was asked, what was said token by token, and the rows of attention that decided it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import model_adapters as ma
from analysis.words import Answer, answer_of
from analysis.words.word_shares import word_shares
from studies.serving import elsewhere
from ui.jobs import Progress
from ui.pictures import Picture

if TYPE_CHECKING:
    from model_adapters.decoding import Decoding
    from model_adapters.edits import Edit
    from model_adapters.planned import Plan

LARGEST = 2_000_000_000
"""Bytes of attention and scores that an answer may keep."""
FEWEST_LETTERS = 3
"""Shorter words ("a", "of") name nothing."""


@dataclass(frozen=True, eq=False)
class Answered:
    """One answer, with everything the pages read off it."""

    model: ma.Model
    pictures: tuple[Picture, ...]
    text: str
    inputs: ma.Inputs
    generation: ma.Generation
    asked: ma.Asked
    answer: Answer


def answered(
    model: ma.Model,
    pictures: Sequence[Picture],
    text: str,
    *,
    longest: int,
    decoding: Decoding,
    edits: Iterable[Edit | Plan] | Edit | Plan = (),
    film: bool = False,
    progress: Progress | None = None,
) -> Answered:
    """Let a model answer, keeping the rows of every token: nothing is run again for them.

    Args:
        model: an LVLM.
        pictures: in the order they are given; none for a question about nothing that is seen.
        text: the question.
        longest: tokens of the answer at most.
        decoding: how tokens are chosen.
        edits: what is changed while it answers.
        film: the pictures are the frames of one video.
        progress: is told the answer so far as its note.
    """
    progress = progress or Progress()
    pictures = tuple(pictures)
    progress.step(0.02, "reading the question")
    inputs = prepared(model, pictures, text, film=film)
    check_room(model, inputs, longest)
    asked = ma.asked(model, inputs)
    progress.step(0.05, "looking at the picture" if pictures else "reading the question")
    telling, there = _telling(progress, asked, longest), elsewhere(model)
    if there is None:
        generation = ma.generate(model, inputs, max_new_tokens=longest, edits=edits, decoding=decoding, on_token=telling)
    else:
        generation = there.generate(inputs, progress, longest=longest, edits=edits, decoding=decoding, on_token=telling)
    return Answered(model, pictures, text, inputs, generation, asked, answer_of(generation, asked))


def prepared(model: ma.Model, pictures: Sequence[Picture], text: str, *, film: bool = False) -> ma.Inputs:
    """The prompt; a question that cannot be asked is refused with a sentence."""
    if model.kind != "lvlm":
        raise ValueError(f"{model.name} answers no questions (it is of kind {model.kind!r}); an LVLM is needed.")
    if not text.strip():
        raise ValueError("There is no question yet. Write one, such as “what is in the picture?”.")
    images = [picture.image for picture in pictures]
    if film:
        if len(images) < 2:
            raise ValueError(f"A video needs two frames at least. Got {len(images)}; further frames are added under Options.")
        return model.prepare(video=images, text=text)
    return model.prepare(image=images if len(images) > 1 else images[0] if images else None, text=text)


def check_room(model: ma.Model, inputs: ma.Inputs, longest: int) -> None:
    """Refuse a prompt that leaves no room for the answer in the model's context, or whose rows would fill the memory."""
    length = int(inputs.tensors["input_ids"].shape[-1]) if "input_ids" in inputs.tensors else 0
    most = context_of(model)
    if most is not None and length + longest > most:
        raise ValueError(
            f"The prompt has {length} tokens and the answer may have {longest}, but {model.name} reads {most} at most. "
            + ("A shorter question or fewer pictures work" if length >= most else f"An answer of {most - length} tokens works")
            + "."
        )
    config = _text_config(model)
    layers, heads = getattr(config, "num_hidden_layers", 0) or 0, getattr(config, "num_attention_heads", 0) or 0
    size = 4 * longest * (layers * heads * (length + longest) + (getattr(config, "vocab_size", 0) or 0))
    if size > LARGEST:
        raise ValueError(
            f"The rows of {longest} words over {length} tokens would take {size / 1e9:.1f} GB, more than the "
            f"{LARGEST / 1e9:.0f} GB that are kept. A shorter answer works."
        )


def context_of(model: ma.Model) -> int | None:
    """How many tokens the decoder reads at most; None where its configuration does not say."""
    found = getattr(_text_config(model), "max_position_embeddings", None)
    return int(found) if isinstance(found, int) and found > 0 else None


def _text_config(model: ma.Model) -> Any:
    config = model.config
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def _telling(progress: Progress, asked: ma.Asked, longest: int) -> Callable[[Sequence[int]], None]:
    def tell(ids: Sequence[int]) -> None:
        progress.step(0.1 + 0.88 * len(ids) / longest, asked.decode(ids).strip() or "…")

    return tell


def first_word(found: Answered, names: Iterable[str] = ()) -> int:
    """The word that is looked at first: the first thing that is named, else the content word most led by the image.

    Args:
        found: the answer.
        names: how things may be called, in lower case.
    """
    words, known = found.answer.words, set(names)
    named = next((word.index for word in words if word.text.lower() in known), None)
    if named is not None:
        return named
    content = [word for word in words if word.kind == "word" and len(word.text) >= FEWEST_LETTERS and word.steps]
    if not content:
        return next((word.index for word in words if word.kind == "word"), 0)
    return max(content, key=lambda word: image_share(found.answer, word.index)).index


def image_share(answer: Answer, word: int) -> float:
    """How much of a word's attention the image gets, over all heads."""
    shares = word_shares(answer, word)
    return float(np.nanmean(shares.values[:, :, shares.groups.index("image")]))


def shares_of(answer: Answer, word: int) -> tuple[float, ...]:
    """A word's attention by system, image, question and answer, over all heads."""
    return tuple(float(share) for share in np.nanmean(word_shares(answer, word).values, (0, 1)))


def starts_with_space(answer: Answer, word: int) -> bool:
    """Whether a space stands before a word."""
    start = answer.words[word].start
    return start > 0 and answer.text[start - 1].isspace()
