"""The text that an LVLM is given: its own chat template where it has one, else its image token before the question."""

from __future__ import annotations

from typing import Any

from model_adapters.errors import AdapterError

PLACES_ITS_OWN = frozenset({
    "Blip2Processor", "InstructBlipProcessor", "InstructBlipVideoProcessor", "BlipProcessor", "GitProcessor",
    "Florence2Processor", "FuyuProcessor", "IdeficsProcessor", "Kosmos2Processor", "Pix2StructProcessor",
    "TrOCRProcessor", "UdopProcessor", "VisionTextDualEncoderProcessor", "PPFormulaNetProcessor",
})  # fmt: skip
"""Processors that put the image in themselves, or models that see it through cross attention: no placeholder is due."""

SEVERAL_IMAGES = frozenset({"FuyuProcessor", "IdeficsProcessor"})
"""Those of them that take more than one image per prompt."""

BEGINS_IMAGE = frozenset({"Gemma3Processor", "T5Gemma2Processor", "ShieldGemma2Processor"})
"""Processors whose placeholder is the token that begins an image."""


def placeholder(processor: Any, what: str = "image") -> str:
    """The token that stands for one image (or video) in a prompt; empty where the family has none."""
    name = type(processor).__name__
    if name in PLACES_ITS_OWN:
        return ""
    first = "boi_token" if name in BEGINS_IMAGE and what == "image" else f"{what}_placeholder_token"
    for attribute in (first, f"{what}_token"):
        for owner in (processor, getattr(processor, "tokenizer", None)):
            token = getattr(owner, attribute, None)
            if token:
                return str(getattr(token, "content", token))
    return ""


def prompt(processor: Any, text: str, images: int, videos: int) -> str:
    """The prompt for one text over so many images and videos."""
    marks = {"image": placeholder(processor, "image"), "video": placeholder(processor, "video")}
    counts = {"image": images, "video": videos}
    if any(mark and mark in text for mark in marks.values()):
        for what, mark in marks.items():
            _check(what, mark, text, counts[what])
        return text
    if getattr(processor, "chat_template", None):
        return _rendered(processor, text, counts, marks)
    for what, count in counts.items():
        if count and not marks[what] and type(processor).__name__ not in PLACES_ITS_OWN:
            kind = type(processor).__name__
            raise AdapterError(f"{kind} has no {what} token and no chat template, so it can be given no {what}.")
    before = "".join(marks[what] * count for what, count in counts.items())
    return f"{before}\n{text}" if before and text else before + text


def _rendered(processor: Any, text: str, counts: dict[str, int], marks: dict[str, str]) -> str:
    """The chat template's words; what it leaves out goes before the text."""

    def render(text: str) -> str:
        content = [{"type": what} for what, count in counts.items() for _ in range(count)]
        message = {"role": "user", "content": [*content, {"type": "text", "text": text}]}
        return processor.apply_chat_template([message], add_generation_prompt=True, tokenize=False)

    found = render(text)
    left_out = [mark * counts[what] for what, mark in marks.items() if counts[what] and mark and mark not in found]
    return render("".join(left_out) + text) if left_out else found


def _check(what: str, mark: str, text: str, count: int) -> None:
    found = text.count(mark) if mark else 0
    if found != count:
        raise ValueError(
            f"The text holds the {what} token {mark} {found} times, and {count} {what}s were given. Give one {what} "
            "per token, or leave the tokens out: they are then put in front of the text."
        )
