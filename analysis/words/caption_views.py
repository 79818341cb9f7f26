"""Views of a picture in words: captions that a model writes of the whole picture when it is asked in different ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

PERSPECTIVES: Mapping[str, str] = {
    "bottom-up": "Look closely at shapes, colours and textures, find every object, and describe this image in detail.",
    "regular": "Describe this image in detail.",
    "top-down": "Think of the scene as a whole, its setting and what belongs there, and describe this image in detail.",
}
"""What is asked for each caption: from the parts to the whole, plainly, and from the whole to the parts. Wording is ours."""
FRAME = "This is a caption of the image:\n{caption}\nQuestion: {question}"


@dataclass(frozen=True, eq=False)
class CaptionView:
    """A question with one caption in front of it."""

    perspective: str
    caption: str
    prompt: Any
    """What `prepare` made of it, about the whole picture."""


def caption_views(
    describe: Callable[[str], str],
    prepare: Callable[[str], Any],
    question: str,
    *,
    perspectives: Mapping[str, str] = PERSPECTIVES,
    frame: str = FRAME,
) -> tuple[CaptionView, ...]:
    """The question once behind each caption, for `path_vote`: the views of MVP.

    Args:
        describe: answers a text about the picture: `lambda text: ma.generate(model, prepare(text), max_new_tokens=512).text`.
            The release samples its captions at temperature 0.7.
        prepare: a text to a prompt about the picture: `lambda text: model.prepare(image=picture, text=text)`.
        question: what is asked; put in small letters, as in the release.
        perspectives: what is asked for each caption.
        frame: how caption and question make one text.
    """
    if not perspectives:
        raise ValueError("at least one perspective is needed. Got none.")
    if "{caption}" not in frame or "{question}" not in frame:
        raise ValueError(f"the frame needs {{caption}} and {{question}}. Got {frame!r}.")
    found = []
    for perspective, wanted in perspectives.items():
        caption = describe(wanted).strip()
        text = frame.replace("{question}", question.lower()).replace("{caption}", caption)
        found.append(CaptionView(perspective, caption, prepare(text)))
    return tuple(found)
