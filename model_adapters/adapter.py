"""LoRA adapters: a folder as peft saves it, merged into the weights so that base and tuned model share their sites."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from model_adapters.checkpoint import read_json
from model_adapters.errors import AdapterError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_SOURCES = ("bundled:", "timm:", "hf:", "path:")


def base_of(folder: Path) -> str | None:
    """The name of the model that an adapter's folder was trained on; None where the folder is no adapter."""
    if not (folder / CONFIG).is_file() or (folder / "config.json").is_file():
        return None
    name = str(read_json(folder / CONFIG).get("base_model_name_or_path") or "")
    if not name:
        raise AdapterError(
            f"{folder} is an adapter and does not say of which model. Load that model with adapter={str(folder)!r}."
        )
    if name.startswith(_SOURCES):
        return name
    return f"path:{name}" if Path(name).is_dir() else f"hf:{name}"


def merged(module: nn.Module, folder: Path) -> nn.Module:
    """The module with the adapter's weights added to its own."""
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict

    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise AdapterError(
            f"{folder} is no LoRA adapter: {CONFIG} and {WEIGHTS} were expected, as peft's save_pretrained writes."
        )
    given = _tensors_of(folder)
    try:
        config: Any = PeftConfig.from_pretrained(str(folder))
        if config.peft_type != "LORA":
            raise AdapterError(f"{folder} is an adapter of type {config.peft_type}; only LORA can be merged.")
        tuned = PeftModel.from_pretrained(module, str(folder), config=config, low_cpu_mem_usage=False)
        own = get_peft_model_state_dict(tuned, save_embedding_layers=False)
        taken = {name: tuple(tensor.shape) for name, tensor in own.items()}
        odd = sorted(item for item in taken.items() ^ given.items() if "lora_" in item[0] or item[0] in taken)
        if odd:
            raise AdapterError(f"The adapter {folder} does not fit {type(module).__name__}: {_first_three(odd)}.")
        return tuned.merge_and_unload(safe_merge=True)
    except AdapterError:
        raise
    except (ValueError, RuntimeError, KeyError, TypeError, OSError) as error:
        fact = str(error).splitlines()[0]
        raise AdapterError(f"The adapter {folder} does not fit {type(module).__name__}: {fact}") from error


def _tensors_of(folder: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise AdapterError(f"{folder / WEIGHTS} is damaged or no safetensors file: {error}.") from error


def _first_three(odd: list[tuple[str, tuple[int, ...]]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in odd[:3])
