"""The processor of a family: real image, video and audio processors around a tokenizer made in memory."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import transformers
from transformers.models.auto.feature_extraction_auto import FEATURE_EXTRACTOR_MAPPING_NAMES
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
from transformers.models.auto.video_processing_auto import VIDEO_PROCESSOR_MAPPING_NAMES

from .records import Family
from .vocabulary import build_tokenizer, letters

CHAT = (
    "{%- for message in messages %}{%- for part in message['content'] %}"
    "{%- if part['type'] == 'image' %}[IMAGE]{%- elif part['type'] == 'text' %}{{ part['text'] }}{%- endif %}"
    "{%- endfor %}{%- endfor %}"
)


def build_processor(family: Family) -> Any:
    """Return the processor of `family`; for a vision tower, its image processor."""
    if family.kind == "tower" and not family.processor:
        return _part("image_processor", family)
    name = family.processor or PROCESSOR_MAPPING_NAMES[family.type]
    processor_class = getattr(transformers, name)
    parts = {attribute: _part(attribute, family) for attribute in processor_class.get_attributes()}
    processor = processor_class(**parts, **family.options)
    processor.chat_template = chat_template(family)
    processor.tokenizer.padding_side = "left"
    return processor


def chat_template(family: Family) -> str:
    """A chat template that gives this family's prompt for one message with an image and a text."""
    image = family.fill("").replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return CHAT.replace("[IMAGE]", "{{ '" + image + "' }}")


def token_ids(family: Family, processor: Any) -> dict[str, int]:
    """Token numbers by attribute name, `image_token_id` and the like."""
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None:
        return {}
    tokens = {name: tokenizer.convert_tokens_to_ids(token) for name, token in family.tokens.items()}
    for name in ("pad_token", "bos_token", "eos_token"):
        tokens.setdefault(name, getattr(tokenizer, f"{name}_id"))
    return {f"{name}_id": number for name, number in tokens.items()}


def _part(attribute: str, family: Family) -> Any:
    if "tokenizer" in attribute:
        if family.tokenizer:
            return getattr(transformers, family.tokenizer)(vocab=letters())
        tokens = family.tokens if family.named else {}
        return build_tokenizer(tokens, family.words, begin=family.kind != "dual", mark=family.mark)
    if attribute == "image_processor":
        return _with_known(_image_class(family), family.image)
    if attribute == "video_processor":
        named = family.video_processor or _torchvision(VIDEO_PROCESSOR_MAPPING_NAMES.get(family.type))
        return _with_known(getattr(transformers, named or "Qwen2VLVideoProcessor"), family.image)
    return getattr(transformers, FEATURE_EXTRACTOR_MAPPING_NAMES.get(family.type) or "WhisperFeatureExtractor")()


def _image_class(family: Family) -> type:
    named = family.image_processor or _torchvision(IMAGE_PROCESSOR_MAPPING_NAMES.get(family.type))
    if not named:
        raise ValueError(f"{family.name}: transformers names no image processor; set `image_processor` in its record")
    return getattr(transformers, named)


def _torchvision(names: Any) -> str:
    return names["torchvision" if "torchvision" in names else "pil"] if isinstance(names, Mapping) else names or ""


def _with_known(part_class: type, options: Mapping[str, Any]) -> Any:
    """Image and video processor share the options of the record; a video processor takes those that it knows."""
    if part_class.__name__.endswith("VideoProcessor"):
        known = set(inspect.signature(part_class.__init__).parameters) | set(dir(part_class))
        options = {name: value for name, value in options.items() if name in known}
    return part_class(**options)
