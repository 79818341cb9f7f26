"""Small random models of every family, made in memory: what the tests run on.

`build(name)` gives a model of transformers with its processor and `inputs(name, model, processor, image)` its tensors;
`build_timm(name)` gives a model of timm and `timm_image(name)` a picture for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asking import FILMS, batch, film, inputs, sample
    from .hf import build
    from .records import QUESTION, Family
    from .registry import FAMILIES, families
    from .shake import scene, shaken
    from .timm_models import TIMM_FAMILIES, TimmModel, build_timm, timm_image

_HOME = {
    "asking": ("FILMS", "batch", "film", "inputs", "sample"),
    "hf": ("build",),
    "records": ("QUESTION", "Family"),
    "registry": ("FAMILIES", "families"),
    "shake": ("scene", "shaken"),
    "timm_models": ("TIMM_FAMILIES", "TimmModel", "build_timm", "timm_image"),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: transformers takes seconds."""
    if name not in _MODULE:
        raise AttributeError(f"the zoo has no {name!r}; it has {', '.join(sorted(_MODULE))}")
    return getattr(import_module(f".{_MODULE[name]}", __name__), name)


__all__ = [
    "FAMILIES",
    "FILMS",
    "QUESTION",
    "TIMM_FAMILIES",
    "Family",
    "TimmModel",
    "batch",
    "build",
    "build_timm",
    "families",
    "film",
    "inputs",
    "sample",
    "scene",
    "shaken",
    "timm_image",
]
