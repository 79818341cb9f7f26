"""Reading weights from files without running anything that a file says, and only from folders that are allowed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from model_adapters.errors import AdapterError

ROOTS = "HEADLIGHT_MODEL_ROOTS"
TORCH_FILES = (".pt", ".pth", ".bin", ".ckpt", ".tar")
_WRAPPERS = ("state_dict", "model_state_dict", "model", "module")
_PREFIXES = ("module.", "_orig_mod.")


def allowed(path: str | Path) -> Path:
    """The real path, if it and all files below it lie in the folders of `HEADLIGHT_MODEL_ROOTS` (unset: any)."""
    real = Path(path).expanduser().resolve()
    roots = [Path(root).expanduser().resolve() for root in os.environ.get(ROOTS, "").split(os.pathsep) if root]
    if roots and not any(real.is_relative_to(root) for root in roots):
        names = ", ".join(str(root) for root in roots)
        raise AdapterError(f"{path} lies outside of the folders that models may be read from ({ROOTS}: {names}).")
    if not real.exists():
        raise AdapterError(f"{path} does not exist. Give the folder of a model or a checkpoint file.")
    inside = real.rglob("*") if real.is_dir() and roots else ()
    for entry in inside:
        if not any(entry.resolve().is_relative_to(root) for root in roots):
            raise AdapterError(f"{entry} leads outside of the folders that models may be read from ({ROOTS}).")
    return real


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterError(f"{path} is no readable JSON: {error}.") from error
    if not isinstance(found, dict):
        raise AdapterError(f"{path} must hold a JSON object. Got {type(found).__name__}.")
    return found


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by name: safetensors, or what torch can read as weights only."""
    if path.is_dir():
        path = checkpoint_in(path)
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise AdapterError(f"{path} is damaged or no safetensors file: {error}.") from error
    if path.suffix not in TORCH_FILES:
        raise AdapterError(
            f"{path} is no checkpoint that can be read safely. Give a .safetensors file, or a state dict saved by "
            f"torch.save ({', '.join(TORCH_FILES)})."
        )
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise AdapterError(
            f"{path} holds Python objects, which could run code when they are read, so it was not read. Save the "
            "tensors alone: safetensors.torch.save_file(model.state_dict(), 'model.safetensors')."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise AdapterError(f"{path} is damaged or no checkpoint of torch: {_first_line(error)}") from error
    return _tensors(found, path)


def checkpoint_in(folder: Path) -> Path:
    """The one checkpoint file of a folder; safetensors first."""
    for name in ("model.safetensors", "*.safetensors", "pytorch_model.bin", *(f"*{end}" for end in TORCH_FILES)):
        files = sorted(folder.glob(name))
        if len(files) == 1:
            return files[0]
        if files:
            names = ", ".join(file.name for file in files[:3])
            raise AdapterError(f"{folder} holds several checkpoints ({names}). Name the one you want.")
    raise AdapterError(f"{folder} holds no checkpoint. A .safetensors file was expected.")


def fill(module: nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Put a checkpoint into a module; refuse it where names or shapes differ."""
    own = module.state_dict()
    shapes = [
        f"{name} is {tuple(state[name].shape)}, the model has {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    missing = [name for name in own if name not in state]
    unknown = [name for name in state if name not in own]
    complain(str(path), type(module).__name__, missing, unknown, shapes)
    module.load_state_dict(dict(state))


def complain(path: str, architecture: str, missing: Iterable, unknown: Iterable, shapes: Iterable) -> None:
    """Raise the sentence that says how a checkpoint differs from a model, if it does."""
    parts = [_some("missing", missing), _some("not known to the model", unknown), _some("of another shape", shapes)]
    if any(parts):
        raise AdapterError(
            f"The weights in {path} are of another architecture than {architecture}: {'; '.join(filter(None, parts))}. "
            "Load them with the model that they were saved from."
        )


def _some(what: str, names: Iterable) -> str:
    names = [str(name) for name in names]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{what}: {', '.join(names[:3])}{more}" if names else ""


def _tensors(found: Any, path: Path) -> dict[str, torch.Tensor]:
    """Unwrap what training scripts put around a state dict."""
    for key in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
            break
    if not isinstance(found, dict) or not found or not all(isinstance(v, torch.Tensor) for v in found.values()):
        raise AdapterError(f"{path} holds no state dict: a mapping of names to tensors was expected.")
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200]
