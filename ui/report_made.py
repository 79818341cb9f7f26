"""How something was made: versions of the libraries, the hash of a model's weights, citations."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import re
import tomllib
import weakref
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ui.references import BIBLIOGRAPHY

if TYPE_CHECKING:
    from model_adapters import Model

LIBRARIES = ("torch", "timm", "transformers", "numpy", "streamlit")
WHOLE = 2 * 2**30
"""Bytes of weights that are hashed whole; of larger models, the beginning of each tensor."""
BEGINNING = 65_536
_ROOT = Path(__file__).resolve().parents[1]
_hashes: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Of this program and of the libraries that it stands on; what is not installed is left out."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = {project["name"]: project["version"], "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def model_hash(model: Model) -> str:
    """Names the weights: SHA-256 over names, shapes, types and numbers of all tensors."""
    if model.module not in _hashes:
        _hashes[model.module] = _hashed(model.module.state_dict())
    return _hashes[model.module]


def _hashed(tensors: dict[str, Any]) -> str:
    import torch

    tensors = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}
    whole = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) <= WHOLE
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach()
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        flat = tensor.reshape(-1)
        flat = flat if whole else flat[: BEGINNING // tensor.element_size()]
        total.update(flat.contiguous().cpu().view(torch.uint8).numpy().tobytes())
    return f"{'sha256' if whole else 'sha256-of-beginnings'}:{total.hexdigest()}"


def cited_in(snippet: str) -> tuple[str, ...]:
    """The keys of the sources of every method that a snippet names."""
    if not snippet:
        return ()
    import analysis

    words = set(re.findall(r"\w+", snippet))
    return tuple(dict.fromkeys(key for each in analysis.methods() if each.name in words for key in each.cites))


@lru_cache(maxsize=1)
def _entries() -> dict[str, str]:
    text = BIBLIOGRAPHY.read_text(encoding="utf-8")
    found = re.split(r"(?m)^(?=@)", text)
    return {head[1]: entry.strip() for entry in found if (head := re.match(r"@\w+\s*\{\s*([^,\s]+)", entry))}


def bibtex(keys: Iterable[str]) -> dict[str, str]:
    """Key -> BibTeX entry, each once; a key that the bibliography lacks is refused."""
    known = _entries()
    wanted = tuple(dict.fromkeys(keys))
    if missing := [key for key in wanted if key not in known]:
        raise ValueError(f"assets/references.bib has no entry {missing[0]!r}.")
    return {key: known[key] for key in wanted}
