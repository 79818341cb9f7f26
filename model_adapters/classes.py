"""Whether the numbers in a model's answer are scores of classes, and of which: decided here and nowhere else.

Features, masks, boxes and depths have a last axis too; ranking it would name a "class" that does not exist. So classes are
there only where the model says so: a classification head, captions of a dual encoder, a vocabulary, or `wrap(classes=...)`.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from model_adapters.errors import AdapterError

if TYPE_CHECKING:
    from model_adapters.model import Model

PER_CAPTION = ("logits_per_image", "logits_per_video")
"""What transformers calls the scores of captions."""
MATCHES = ("no match", "match")
"""The classes of a model that says whether a text belongs to an image."""

_CLASSIFIES = re.compile(r"For(?!Token|Audio)\w*Classification|ForQuestionAnswering$|ForImage(And)?TextRetrieval$")
_RETURNS = (
    (r"Segmentation|MaskGeneration", "masks"),
    (r"ObjectDetection", "boxes, each with scores of its own"),
    (r"Depth|Normal|Pointmap|DensePrediction", "a number for each pixel"),
    (r"MaskedImage|Pre[Tt]raining|Super|ImageToImage|Autoencoding|CausalImage", "a picture"),
    (r"Keypoint|Pose", "points"),
    (r"Matting", "a mask"),
    (r"TextRecognition|TableRecognition", "the letters of a text"),
    (r"VideoGrounding", "a span of time"),
)
"""What the models of transformers return that are no classifiers, by the task in the name of the class."""


class NoScores(AdapterError):
    """An answer holds no scores of classes."""


@dataclass(frozen=True)
class Classes:
    """What a model's scores are of. False where its answer is no scores of classes."""

    of: Literal["classes", "captions", "tokens", ""] = ""
    why_not: str = ""
    """The sentence that says why there are none."""
    count: int | None = None
    """How many there are, where the input does not decide it."""

    def __bool__(self) -> bool:
        return bool(self.of)


def classes_of(model: Model) -> Classes:
    """What the scores of a model are of, as far as the model itself says."""
    if model.kind == "lvlm":
        return Classes("tokens")
    module, count = model.module, model.declared
    if count is None and is_transformers(module):
        if reads_captions(module):
            return Classes("captions")
        count = labels_count(module)
    elif count is None:
        said = getattr(module, "num_classes", None)
        count = said if isinstance(said, int) else None
    if count:
        return Classes("classes", count=count)
    return Classes(why_not=f"{model.name} gives no class scores: {_instead(model)}")


def why_not_scores(model: Model, shape: Sequence[int]) -> str:
    """The sentence that says why an answer of this shape holds no scores of classes; empty where it does."""
    classes = model.classes
    if not classes:
        return classes.why_not
    if classes.of == "tokens" or (len(shape) == 2 and classes.count in (None, shape[1])):
        return ""
    known = "classes" if classes.count is None else str(classes.count)
    return (
        f"{model.name} gives no class scores: its answer has the shape {list(shape)}, where [batch, {known}] was expected."
    )


def class_scores(model: Model, answer: torch.Tensor) -> torch.Tensor:
    """[B, C] the scores in a model's answer; of a sequence those of the next token. Refused where it holds none."""
    if reason := why_not_scores(model, answer.shape):
        raise NoScores(reason)
    if model.classes.of == "tokens":
        return answer.reshape(len(answer), -1, answer.shape[-1])[:, -1]
    return answer


def class_names(model: Model, texts: Sequence[str] | str | None = None) -> tuple[str, ...]:
    """The names of what is scored: the captions that were given, or the classes; none where there are no names."""
    if model.classes.of == "captions":
        return () if texts is None else (texts,) if isinstance(texts, str) else tuple(texts)
    return tuple(model.labels or ()) if model.classes.of == "classes" else ()


def declared(classes: int | Sequence[str]) -> tuple[int, tuple[str, ...] | None]:
    """How many classes a user says there are, and their names if given."""
    if isinstance(classes, int) and not isinstance(classes, bool) and classes >= 0:
        return classes, None
    names = tuple(classes) if isinstance(classes, Sequence) and not isinstance(classes, str) else ()
    if not names or any(not isinstance(name, str) for name in names):
        raise ValueError(f"classes must be the names of the classes, or how many there are. Got {classes!r:.100} instead.")
    return len(names), names


def task(module: nn.Module) -> str:
    """What a class of transformers is for, from its name: "ForImageClassification"; empty for a bare model."""
    for kind in type(module).__mro__:
        if kind.__module__.startswith("transformers."):
            found = re.search(r"For[A-Z]\w*$", kind.__name__)
            return found.group() if found else ""
    return ""


def matches_texts(module: nn.Module) -> bool:
    """Whether a model says if one text belongs to one image."""
    return task(module) in ("ForImageTextRetrieval", "ForImageAndTextRetrieval") and not reads_captions(module)


def reads_captions(module: nn.Module) -> bool:
    """Whether each image is scored against every text."""
    return task(module) in ("", "ForImageTextRetrieval") and any(name in PER_CAPTION for name in _outputs(module))


def is_transformers(module: nn.Module) -> bool:
    """Whether a module is of transformers, or of a class that is made of one of its own."""
    return any(kind.__module__.startswith("transformers.models.") for kind in type(module).__mro__)


def labels_count(module: Any) -> int | None:
    """How many classes the head of a classifier of transformers has; None where the class is no classifier."""
    if not _CLASSIFIES.search(task(module)):
        return None
    if matches_texts(module):
        head = next((part for name, part in module.named_modules() if name in ("itm_head", "itm_score.fc", "rank_output")), None)
        return getattr(head, "out_features", None)
    count = getattr(module.config, "num_labels", None)
    return count if isinstance(count, int) else None


def _outputs(module: nn.Module) -> Iterator[str]:
    """The names of the fields of what a module of transformers says it returns."""
    told = inspect.signature(type(module).forward).return_annotation
    for kind in typing.get_args(told) or (told,):
        yield from getattr(kind, "__dataclass_fields__", ())


def _instead(model: Model) -> str:
    """What its answer is, and what would work."""
    module, kind = model.module, type(model.module).__name__
    if model.declared == 0 or getattr(module, "num_classes", None) == 0:
        return "it returns features, as it has no classifier (0 classes). A model with a classifier works."
    if not is_transformers(module):
        return "it does not say that its answer is scores of classes. Where it is, wrap(module, classes=...) says so."
    asked = task(module)
    if _CLASSIFIES.search(asked):
        return f"it returns features, as its configuration has no labels ({kind}). A model with labels works."
    if not asked and hasattr(module, "mask_decoder"):
        return f"it returns masks ({kind}). A model with a classification head works."
    found = next((what for pattern, what in _RETURNS if re.search(pattern, asked)), "features")
    return f"it returns {found} ({kind}). A model with a classification head works."
