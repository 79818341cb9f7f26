"""Models of timm: building them, their own transform, their card. timm is imported on first use."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from model_adapters import checkpoint
from model_adapters.card import Card
from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs, Request
from model_adapters.network import network_sentence

ATTENTION_FAMILIES = frozenset(
    "beit cait coat convit crossvit csatv2 davit deepseek_vit edgenext efficientformer efficientformer_v2 "
    "efficientvit_msra eva fastvit gcvit gemma4_vit hiera hieradet_sam2 iformer levit lowformer maxxvit metaformer "
    "mobilevit mvitv2 naflexvit nest nextvit pvt_v2 shvit swin_transformer swin_transformer_v2 swin_transformer_v2_cr "
    "tiny_vit tnt twins visformer vision_transformer vision_transformer_hybrid vision_transformer_relpos "
    "vision_transformer_sam vitamin volo xcit".split()
)
"""Modules of `timm.models` whose models compute attention weights (not in every block, and not every model of each)."""


_READS_FILES = frozenset({"checkpoint_path", "cache_dir", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay"})
"""Arguments of timm that make it read or fetch something."""


@dataclass(frozen=True)
class TransformPreparation:
    """Images through a transform that makes one tensor of one PIL image."""

    transform: Any
    argument: str = "x"
    """The name of the module's first argument."""

    def __call__(self, request: Request, device: torch.device, dtype: torch.dtype) -> Inputs:
        """Stack the transformed images of a request."""
        if request.frames:
            raise ValueError("This model takes still images, no video. Give the frame as `image`.")
        pictures = [self._tensor(images[0]) for images in request.images]
        if len(shapes := {tuple(one.shape) for one in pictures}) > 1:
            raise ValueError(
                f"Pictures of a batch must have one size, and the transform makes {sorted(shapes)}. Give them one by one."
            )
        pixels = torch.stack(pictures).to(device, dtype)
        return Inputs({self.argument: pixels}, request.batch, request.many, request.images)

    def _tensor(self, picture: Image.Image) -> torch.Tensor:
        wanted = "The transform must make a tensor [channels, height, width] of a PIL image"
        try:
            made = self.transform(picture)
        except (TypeError, ValueError, AttributeError, RuntimeError, KeyError, IndexError) as error:
            raise AdapterError(f"{wanted}. It raised {type(error).__name__}: {error}") from error
        if not isinstance(made, torch.Tensor):
            raise AdapterError(f"{wanted}. It made {type(made).__name__}.")
        return made


def first_argument(module: nn.Module) -> str:
    """The name of the argument that takes the image."""
    names = [n for n, p in inspect.signature(module.forward).parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    if not names:
        raise AdapterError(
            f"{type(module).__name__}.forward names no argument for the image. Wrap a module whose forward(self, x) calls it."
        )
    return names[0]


def build(name: str, weights: str, seed: int) -> nn.Module:
    """A model of timm by its name: with pretrained weights, random ones, or those of a file."""
    import timm

    architecture = name.split(".")[0]
    if ":" in name or not timm.is_model(architecture):
        raise AdapterError(f"timm has no model named {name!r}.{_near(name, timm.list_models())}")
    tagged = timm.list_pretrained(architecture)
    if "." in name and name not in timm.list_models(architecture, include_tags=True):
        raise AdapterError(f"timm has no weights named {name!r}.{_near(name, tagged)}")
    if weights == "pretrained":
        return _pretrained(name)
    if weights == "random":
        return _random(name, seed)
    path = checkpoint.allowed(weights)
    state = checkpoint.read_state(path)
    module = _random(name, seed, **_classes_in(state, name))
    checkpoint.fill(module, state, path)
    return module


def build_folder(folder: Path, config: dict[str, Any]) -> nn.Module:
    """A model of timm from a folder: `config.json` names the class (or the architecture) and its arguments."""
    try:
        module = _described(folder, config)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        if isinstance(error, AdapterError):
            raise
        raise AdapterError(f"{folder}/config.json does not describe a model of timm: {error}") from error
    module.pretrained_cfg = module.default_cfg = dict(config.get("pretrained_cfg") or {})
    path = checkpoint.checkpoint_in(folder)
    checkpoint.fill(module, checkpoint.read_state(path), path)
    return module


def preparation(module: nn.Module) -> tuple[Any, TransformPreparation]:
    """The transform that timm uses to evaluate this model, and how it fills the inputs."""
    from timm.data import create_transform, resolve_model_data_config

    settings = resolve_model_data_config(module)
    built_for = getattr(getattr(module, "patch_embed", None), "img_size", None)
    if isinstance(built_for, tuple) and len(built_for) == 2 and getattr(module.patch_embed, "strict_img_size", True):
        # A model made for another size keeps the size of the published weights in its record.
        settings["input_size"] = (settings["input_size"][0], *built_for)
    transform = create_transform(**settings, is_training=False)
    return transform, TransformPreparation(transform, first_argument(module))


def labels_of(module: nn.Module) -> tuple[str, ...] | None:
    """Class names: those in the model's configuration, else ImageNet's where it has exactly those classes."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    config = getattr(module, "pretrained_cfg", None) or {}
    read = config.get if isinstance(config, dict) else lambda key: getattr(config, key, None)
    names, described = read("label_names"), read("label_descriptions")
    if names:
        return tuple((described or {}).get(name, name) if isinstance(described, dict) else name for name in names)
    subset = infer_imagenet_subset({"num_classes": getattr(module, "num_classes", 0)})
    return tuple(ImageNetInfo(subset).label_descriptions()) if subset else None


def card(name: str, module: nn.Module, weights: str, seed: int) -> Card:
    """The card, from timm's record of the weights."""
    config = getattr(module, "pretrained_cfg", None) or {}
    config = config if isinstance(config, dict) else config.to_dict()
    size = config.get("input_size")
    licence = config.get("license") or ""
    papers = config.get("paper_ids") or ()
    hub = config.get("hf_hub_id") or ""
    return Card(
        title=name.split(":", 1)[-1],
        library="timm",
        architecture=type(module).__name__,
        parameters=sum(p.numel() for p in module.parameters()),
        weights=f"random (seed {seed})" if weights == "random" else weights,
        licence="" if weights == "random" else licence,
        papers=(papers,) if isinstance(papers, str) else tuple(papers),
        source=config.get("origin_url") or (f"https://huggingface.co/{hub}" if hub else ""),
        input=f"{size[2]} x {size[1]} pixels, {config.get('crop_mode', 'center')} crop" if size else "",
        notes=tuple(filter(None, (config.get("description"), config.get("notes")))),
    )


def belongs(module: nn.Module) -> bool:
    """Whether a module is a model of timm."""
    return type(module).__module__.startswith("timm.") and hasattr(module, "pretrained_cfg")


def _described(folder: Path, config: dict[str, Any]) -> Any:
    """The module, still without its weights."""
    import timm

    kwargs = dict(config.get("kwargs", config.get("model_args")) or {})
    if _READS_FILES & kwargs.keys():
        raise AdapterError(f"{folder}/config.json gives {sorted(_READS_FILES & kwargs.keys())}, which is not allowed there.")
    if "class" in config:
        module_class = getattr(timm.models, str(config["class"]), None)
        if not (inspect.isclass(module_class) and issubclass(module_class, nn.Module)):
            raise AdapterError(f"{folder}/config.json names {config['class']!r}, no class that timm.models has.")
        return module_class(**kwargs)
    name = str(config.get("architecture"))
    if ":" in name:
        raise AdapterError(f"{folder}/config.json names {name!r}, which is no architecture of timm.")
    return _random(name, 0, **{"num_classes": config.get("num_classes", 1000), **kwargs})


def _random(name: str, seed: int, **kwargs: Any) -> nn.Module:
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return timm.create_model(name, pretrained=False, **kwargs)


def _pretrained(name: str) -> nn.Module:
    import timm

    record = timm.get_pretrained_cfg(name)
    if record is None or not record.has_weights:
        raise AdapterError(f"timm has no pretrained weights for {name}. Load it with weights='random' or give a file.")
    try:
        return timm.create_model(name, pretrained=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise AdapterError(network_sentence(f"timm:{name}", error)) from error


def _classes_in(state: dict[str, torch.Tensor], name: str) -> dict[str, int]:
    """The number of classes that a checkpoint's own classifier has."""
    import timm

    classifier = getattr(timm.get_pretrained_cfg(name), "classifier", None)
    first = classifier if isinstance(classifier, str) else next(iter(classifier or ()), None)
    weight = state.get(f"{first}.weight")
    return {} if weight is None else {"num_classes": weight.shape[0]}


def _near(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f" Near names: {', '.join(close)}." if close else " See catalogue() for the names."
