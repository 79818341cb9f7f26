"""Models of transformers: which class a configuration asks for, loading it, its card. Imported on first use.

The attention implementation is left at the library's default: the fused kernel wherever the class has one. Code that
comes with a checkpoint is never run, and weights are read from safetensors only.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model_adapters import checkpoint
from model_adapters.card import Card
from model_adapters.classes import MATCHES, is_transformers, labels_count, matches_texts
from model_adapters.errors import AdapterError
from model_adapters.hf_inputs import accepted, embeds_apart, frames_of, kind_of, matches_images, needed, texts_of, writes_apart
from model_adapters.hf_preparation import TASK, ProcessorPreparation
from model_adapters.inputs import Kind
from model_adapters.network import network_sentence

WELL_KNOWN: dict[str, Kind] = {
    "google/vit-base-patch16-224": "vit",
    "facebook/deit-base-distilled-patch16-224": "vit",
    "microsoft/beit-base-patch16-224": "vit",
    "facebook/dinov2-base": "vit",
    "facebook/dinov2-with-registers-base": "vit",
    "microsoft/swin-tiny-patch4-window7-224": "vit",
    "microsoft/cvt-13": "vit",
    "Zetatech/pvt-tiny-224": "vit",
    "nvidia/segformer-b0-finetuned-ade-512-512": "vit",
    "facebook/vit-mae-base": "vit",
    "MCG-NJU/videomae-base-finetuned-kinetics": "vit",
    "google/vivit-b-16x2-kinetics400": "vit",
    "facebook/mask2former-swin-tiny-coco-instance": "vit",
    "facebook/detr-resnet-50": "vit",
    "openai/clip-vit-base-patch32": "dual",
    "google/siglip-base-patch16-224": "dual",
    "BridgeTower/bridgetower-base-itm-mlm": "dual",
    "llava-hf/llava-1.5-7b-hf": "lvlm",
    "llava-hf/llava-v1.6-mistral-7b-hf": "lvlm",
    "llava-hf/llava-onevision-qwen2-0.5b-ov-hf": "lvlm",
    "LanguageBind/Video-LLaVA-7B-hf": "lvlm",
    "Qwen/Qwen2-VL-2B-Instruct": "lvlm",
    "Qwen/Qwen2.5-VL-3B-Instruct": "lvlm",
    "Qwen/Qwen3-VL-2B-Instruct": "lvlm",
    "OpenGVLab/InternVL3-1B-hf": "lvlm",
    "HuggingFaceTB/SmolVLM-256M-Instruct": "lvlm",
    "HuggingFaceM4/Idefics3-8B-Llama3": "lvlm",
    "google/paligemma-3b-mix-224": "lvlm",
    "google/gemma-3-4b-it": "lvlm",
    "Salesforce/instructblip-vicuna-7b": "lvlm",
    "Salesforce/blip2-opt-2.7b": "lvlm",
    "Salesforce/blip-image-captioning-base": "lvlm",
    "meta-llama/Llama-3.2-11B-Vision-Instruct": "lvlm",
    "florence-community/Florence-2-base": "lvlm",
    "facebook/Perception-LM-1B": "lvlm",
}
"""Names that the catalogue lists; any other name of the hub can be loaded too."""

Built = tuple[nn.Module, Any, list[str]]

_REFUSED = (
    OSError, ValueError, LookupError, ImportError, RuntimeError, TypeError, AttributeError, AssertionError, ArithmeticError,
)  # fmt: skip
"""What transformers raises of a folder that holds no model, or one whose configuration makes none."""


def build(name: str, source: str | Path, weights: str, seed: int, dtype: torch.dtype, device_map: Any) -> Built:
    """The module, its processor, and notes on what was found while loading."""
    from huggingface_hub.errors import StrictDataclassError

    try:
        return _build(name, source, weights, seed, dtype, device_map)
    except AdapterError:
        raise
    except (*_REFUSED, StrictDataclassError) as error:
        raise AdapterError(_refusal(name, source, error)) from error


def _build(name: str, source: str | Path, weights: str, seed: int, dtype: torch.dtype, device_map: Any) -> Built:
    from transformers import AutoConfig

    if not isinstance(source, Path) and Path(source).exists():
        raise AdapterError(f"{source!r} is a folder on this machine. Load it as path:{source}.")
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    module_class = class_of(config)
    notes: list[str] = []
    if weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = module_class(config).to(dtype)
    elif weights == "pretrained":
        module, notes = _filled(module_class, source, source, dtype=dtype, device_map=device_map)
    else:
        path = checkpoint.allowed(weights)
        given = {"config": config, "state_dict": checkpoint.read_state(path)}
        module, notes = _filled(module_class, None, path, dtype=dtype, device_map=device_map, **given)
    if hasattr(module.config, "mask_ratio") and "noise" in accepted(module):
        module.config.mask_ratio = 0.0
        notes.append("Pretrained on masked images; here it sees every patch.")
    if "task_inputs" in needed(module):
        notes.append(f"Its task is said to be {TASK}.")
    return module, _processor(source, module), notes


def class_of(config: Any) -> type:
    """The class that a configuration names, or the usual one for its type."""
    import transformers
    from transformers.models.auto import modeling_auto as auto

    for name in getattr(config, "architectures", None) or ():
        found = getattr(transformers, name, None)
        if inspect.isclass(found) and issubclass(found, transformers.PreTrainedModel):
            return found
    tables = (
        auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
        auto.MODEL_MAPPING_NAMES,
    )
    for table in tables:
        names = table.get(config.model_type)
        if names:
            return getattr(transformers, names if isinstance(names, str) else names[0])
    raise AdapterError(f"transformers has no vision model of type {config.model_type!r}.")


def preparation(module: nn.Module, processor: Any, kind: Kind | None = None) -> ProcessorPreparation:
    """How the processor fills this module's inputs."""
    kind = kind or kind_of(module)
    return ProcessorPreparation(
        processor,
        kind,
        accepted(module),
        needed(module),
        getattr(module, "config", None),
        frames=frames_of(module, processor),
        reads=texts_of(module) if kind == "dual" else "captions",
        writes_apart=writes_apart(module),
        argument=str(getattr(module, "main_input_name", "pixel_values")),
        together=2 if matches_images(module) else 1,
    )


def labels_of(module: nn.Module) -> tuple[str, ...] | None:
    """Class names from the configuration, unless they are mere numbers."""
    if matches_texts(module):
        return MATCHES
    names = getattr(module.config, "id2label", None) or {}
    if not labels_count(module) or not names:
        return None
    listed = tuple(str(names[key]) for key in sorted(names))
    return None if all(name == f"LABEL_{i}" for i, name in enumerate(listed)) else listed


def card(name: str, module: nn.Module, weights: str, seed: int, notes: tuple[str, ...] = ()) -> Card:
    """The card, from the configuration."""
    identifier = name.split(":", 1)[-1]
    hub = name.startswith("hf:")
    more = () if not hub else ("Licence and papers are on the model's page; they are not part of its configuration.",)
    return Card(
        title=identifier,
        library="transformers",
        architecture=type(module).__name__,
        parameters=sum(p.numel() for p in module.parameters()),
        weights=f"random (seed {seed})" if weights == "random" else weights,
        source=f"https://huggingface.co/{identifier}" if hub else "",
        notes=(*notes, *more),
    )


def belongs(module: nn.Module) -> bool:
    """Whether a module is a model of transformers, or of a class that is made of one."""
    return is_transformers(module) and hasattr(module, "config")


def _filled(module_class: Any, source: Any, path: str | Path, **options: Any) -> tuple[nn.Module, list[str]]:
    """Let transformers place the weights (it renames those of older versions), and refuse them where they do not fit."""
    module, found = module_class.from_pretrained(
        source, use_safetensors=True, output_loading_info=True, ignore_mismatched_sizes=True, **options
    )
    shapes = [f"{n} is {tuple(a)}, the model has {tuple(b)}" for n, a, b in found.get("mismatched_keys", ())]
    missing = sorted(found.get("missing_keys", ()))
    if missing or shapes:
        checkpoint.complain(str(path), module_class.__name__, missing, (), shapes)
    unknown = sorted(found.get("unexpected_keys", ()))
    if not unknown:
        return module, []
    return module, [f"{len(unknown)} tensors of the checkpoint have no place in the model, such as {unknown[0]}."]


def _processor(source: str | Path, module: nn.Module) -> Any:
    from transformers import AutoImageProcessor, AutoProcessor, AutoVideoProcessor

    alone = kind_of(module) == "vit" and not embeds_apart(module) and "task_inputs" not in needed(module)
    makers = (AutoImageProcessor, AutoVideoProcessor) if alone else (AutoProcessor,)
    for maker in makers[:-1]:
        with contextlib.suppress(OSError, ValueError, KeyError):
            return maker.from_pretrained(source, trust_remote_code=False)
    return makers[-1].from_pretrained(source, trust_remote_code=False)


def _refusal(name: str, source: str | Path, error: Exception) -> str:
    text = str(error)
    if "trust_remote_code" in text or "execute the" in text:
        return f"{name} needs code that comes with its checkpoint, which is never run. transformers' own classes work."
    if "safetensors" in text and isinstance(error, OSError):
        return f"{name} has no weights in safetensors, the only format that is read. Save it anew by save_pretrained."
    sentence = network_sentence(name, error)
    close = difflib.get_close_matches(str(source), WELL_KNOWN, n=3, cutoff=0.5) if name.startswith("hf:") else []
    return sentence + (f" Near names: {', '.join(close)}." if close and str(source) not in WELL_KNOWN else "")
