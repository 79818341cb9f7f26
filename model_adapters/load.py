"""From a name to a checked model: `load` for bundled models, timm, the hub and folders, `wrap` for one's own module."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model_adapters import adapter as lora
from model_adapters import checkpoint, hf_models, timm_models
from model_adapters.card import Card
from model_adapters.catalogue import BUNDLED, bundled_names
from model_adapters.classes import declared
from model_adapters.errors import AdapterError
from model_adapters.inputs import Kind
from model_adapters.model import Model
from model_adapters.words import KnownWords

DTYPES = {
    "float32": torch.float32, "fp32": torch.float32, "bfloat16": torch.bfloat16, "bf16": torch.bfloat16,
    "float16": torch.float16, "fp16": torch.float16,
}  # fmt: skip

Built = tuple[nn.Module, Any, list[str]]
"""The module, its processor (None for timm, whose transform is made from the module), and notes for the card."""


def load(
    name: str,
    weights: str | Path = "pretrained",
    seed: int = 0,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    device_map: str | dict | None = None,
    adapter: str | Path | None = None,
    verify: bool = True,
) -> Model:
    """Load a model, check it, and keep the result of the check on it.

    Args:
        name: "bundled:NAME", "timm:NAME", "hf:ID" or "path:FOLDER".
        weights: "pretrained", "random", or a checkpoint file for the architecture that `name` says.
        seed: of random weights.
        device: "cpu", "cuda", "cuda:1", "mps"; without it the first GPU that is there, else the CPU.
        dtype: "float32" (the default), "bfloat16" or "float16".
        device_map: how a model of transformers is laid over several devices, such as "auto".
        adapter: a folder with a LoRA adapter as peft saves it; its weights are added to the model's.
        verify: whether to check the model at once.
    """
    weights = str(weights)
    wanted = _dtype(dtype)
    where = None if device_map is not None else _device(device)
    if device_map is not None and device is not None:
        raise ValueError(f"device={device!r} and device_map={device_map!r} exclude each other. Give one of them.")
    source, _, rest = name.partition(":")
    tuned = _adapter_folder(source, rest)
    if tuned is not None and (base := lora.base_of(tuned)) is not None:
        if adapter is not None:
            raise ValueError(f"{name} is an adapter itself, so adapter={str(adapter)!r} cannot go on top of it.")
        placed: dict[str, Any] = {"device": device, "dtype": dtype, "device_map": device_map}
        model = load(base, weights, seed, **placed, adapter=tuned, verify=verify)
        model.name = name
        if source == "bundled":
            _add_bundled(model, rest)
        return model
    module, processor, notes = _build(name, weights, seed, wanted, device_map)
    if adapter is not None:
        module = _merge(module, adapter)
        notes.append(f"The LoRA adapter {Path(adapter).name} is merged into the weights.")
    module = module.eval().requires_grad_(False)
    if where is not None:
        module = module.to(where, wanted)
    model = _model(module, processor, name, weights, seed, tuple(notes))
    return _checked(model) if verify else model


def wrap(
    module: nn.Module,
    processor: Any = None,
    name: str = "mine",
    *,
    kind: Kind | None = None,
    classes: int | Sequence[str] | None = None,
    verify: bool = True,
) -> Model:
    """Make a model of the user's own module, which stays where it is and is put into evaluation mode.

    Args:
        module: a module of timm or transformers, or any other that takes an image as its first argument.
        processor: the processor of transformers that belongs to it, or a transform that makes a tensor [channels,
            height, width] of a PIL image. For a module of timm its own transform is the default.
        name: what to call it.
        kind: "vit", "dual" or "lvlm", where it cannot be told from the module's class.
        classes: the names of the classes that its answer [batch, classes] scores, or how many there are, for a module that
            does not say so itself; 0 says that its answer is no scores.
        verify: whether to check the model at once.
    """
    if not isinstance(module, nn.Module):
        raise ValueError(f"wrap takes a torch module. Got {type(module).__name__}.")
    compiled = next((n for n, m in module.named_modules() if hasattr(m, "_orig_mod") or _is_compiled(m)), None)
    if compiled is not None:
        part = f"{name} is compiled" if not compiled else f"{compiled} in {name} is compiled"
        raise AdapterError(f"{part} (torch.compile), so its attention cannot be seen. Wrap the module before compiling it.")
    if isinstance(module, torch.jit.ScriptModule):
        raise AdapterError(f"{name} is a TorchScript module, so its attention cannot be seen. Wrap the Python module.")
    if kind not in (None, "vit", "dual", "lvlm"):
        raise ValueError(f"kind must be 'vit', 'dual' or 'lvlm'. Got {kind!r} instead.")
    model = _model(module.eval(), processor, name, "as given", 0, (), kind)
    if classes is not None:
        if model.kind == "lvlm":
            raise ValueError(f"{name} writes text, so its answer scores tokens. Leave classes={classes!r:.100} out.")
        model.declared, model.labels = declared(classes)
    return _checked(model) if verify else model


def _is_compiled(module: nn.Module) -> bool:
    return getattr(module, "_compiled_call_impl", None) is not None


def _build(name: str, weights: str, seed: int, dtype: torch.dtype, device_map: Any) -> Built:
    source, _, rest = name.partition(":")
    makers: dict[str, Callable[[], Built]] = {
        "bundled": lambda: _folder(name, _bundled(rest), weights, seed, dtype, device_map),
        "path": lambda: _folder(name, checkpoint.allowed(rest), weights, seed, dtype, device_map),
        "timm": lambda: (timm_models.build(rest, weights, seed), None, []),
        "hf": lambda: hf_models.build(name, rest, weights, seed, dtype, device_map),
    }
    if source not in makers or not rest:
        forms = "bundled:NAME, timm:NAME, hf:ID or path:FOLDER"
        raise AdapterError(f"A model is named {forms}. Got {name!r} instead.{_guess(name)}")
    if device_map is not None and source == "timm":
        raise AdapterError("device_map works for models of transformers only. Give `device` instead.")
    return makers[source]()


def _adapter_folder(source: str, rest: str) -> Path | None:
    """The folder that may hold an adapter alone."""
    if source == "path":
        return checkpoint.allowed(rest)
    return _bundled(rest) if source == "bundled" else None


def _merge(module: nn.Module, adapter: str | Path) -> nn.Module:
    folder = Path(adapter)
    return lora.merged(module, folder if folder.parent == BUNDLED else checkpoint.allowed(folder))


def _folder(name: str, folder: Path, weights: str, seed: int, dtype: torch.dtype, device_map: Any) -> Built:
    if not folder.is_dir():
        raise AdapterError(
            f"{folder} is a file. A checkpoint alone does not say its architecture: load timm:NAME or hf:ID with "
            f"weights={str(folder)!r}."
        )
    if not (folder / "config.json").is_file():
        raise AdapterError(f"{folder} holds no config.json. Give a folder that save_pretrained made, or one of timm's.")
    config = checkpoint.read_json(folder / "config.json")
    if "model_type" in config:
        return hf_models.build(name, folder, weights, seed, dtype, device_map)
    if weights != "pretrained":
        raise AdapterError(f"{name} holds its own weights. Load it without weights={weights!r}.")
    if config.get("library") == "timm" or "architecture" in config:
        return timm_models.build_folder(folder, config), None, []
    raise AdapterError(f"{folder}/config.json names neither a model_type of transformers nor an architecture of timm.")


def _model(
    module: nn.Module,
    processor: Any,
    name: str,
    weights: str,
    seed: int,
    notes: tuple[str, ...],
    kind: Kind | None = None,
) -> Model:
    if hf_models.belongs(module):
        card = hf_models.card(name, module, weights, seed, notes)
        model = Model(name, module, kind or hf_models.kind_of(module), processor, card, labels=hf_models.labels_of(module))
        model.preparation = None if processor is None else hf_models.preparation(module, processor, kind)
    elif timm_models.belongs(module):
        card = timm_models.card(name, module, weights, seed)
        model = Model(name, module, kind or "vit", processor, card.with_notes(*notes), labels=timm_models.labels_of(module))
        model.processor, model.preparation = _transform(module, processor)
    else:
        card = Card(name, "own", type(module).__name__, sum(p.numel() for p in module.parameters()), weights)
        model = Model(name, module, kind or "vit", processor, card)
        model.preparation = None if processor is None else _transform(module, processor)[1]
    if name.startswith("bundled:"):
        _add_bundled(model, name.partition(":")[2])
    return model


def _transform(module: nn.Module, processor: Any) -> tuple[Any, Any]:
    if processor is None:
        return timm_models.preparation(module)
    if hasattr(processor, "from_pretrained"):
        return processor, hf_models.preparation(module, processor)
    if not callable(processor):
        kind = type(processor).__name__
        raise ValueError(f"processor must be a transform or a processor of transformers. Got {kind}.")
    return processor, timm_models.TransformPreparation(processor, timm_models.first_argument(module))


def _add_bundled(model: Model, name: str) -> None:
    folder = BUNDLED / name
    if (folder / "card.json").is_file():
        model.card = model.card.with_record(checkpoint.read_json(folder / "card.json"))
    if (folder / "config.json").is_file():
        classes = checkpoint.read_json(folder / "config.json").get("classes")
        model.labels = tuple(str(one) for one in classes) if classes else model.labels
    tokenizer = getattr(model.processor, "tokenizer", None)
    if tokenizer is not None and model.preparation is not None and not isinstance(model.preparation, KnownWords):
        model.preparation = KnownWords(model.preparation, tokenizer, f"bundled:{name}")


def _checked(model: Model) -> Model:
    """Refuse a model that fails its check. Without a processor there is no input to check it on: `report` stays None."""
    from model_adapters.verify import require, verify

    if model.preparation is not None:
        require(verify(model))
    return model


def _bundled(name: str) -> Path:
    names = bundled_names()
    if name not in names:
        raise AdapterError(f"No bundled model is named {name!r}. There are: {', '.join(names) or 'none yet'}.")
    return BUNDLED / name


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        other = "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device("cuda" if torch.cuda.is_available() else other)
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device must be 'cpu', 'cuda', 'cuda:N' or 'mps'. Got {device!r} instead.") from error
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (found.index or 0) >= there.get(found.type, 0):
        raise AdapterError(f"The device {device} was asked for and is not there. device='cpu' works everywhere.")
    return found


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    found = DTYPES.get(dtype.removeprefix("torch.")) if isinstance(dtype, str) else (dtype or torch.float32)
    if found is None or found not in DTYPES.values():
        raise ValueError(f"dtype must be 'float32', 'bfloat16' or 'float16'. Got {dtype!r} instead.")
    return found


def _guess(name: str) -> str:
    close = difflib.get_close_matches(name.partition(":")[0], ["bundled", "timm", "hf", "path"], n=1)
    return f" Did you mean {close[0]}:?" if close and ":" in name else ""
