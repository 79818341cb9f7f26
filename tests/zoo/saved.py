"""Models of the zoo as users have them: folders that `save_pretrained`, or timm, left."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from .hf import build
from .timm_models import TIMM_FAMILIES, build_timm


def save(name: str, folder: Path) -> type[nn.Module]:
    """Build a family of transformers, save it with its processor, and return its class."""
    module, processor = build(name)
    video = getattr(processor, "video_processor", None)
    if hasattr(video, "draw_on_frames"):
        video.draw_on_frames = False  # it would need a font file of the checkpoint's
    module.save_pretrained(folder)
    processor.save_pretrained(folder)
    return type(module)


def save_timm(name: str, folder: Path) -> type[nn.Module]:
    """Build a family of timm, save it as a folder, and return its class."""
    module, record = build_timm(name), TIMM_FAMILIES[name]
    given = {**record.options, **({"img_size": record.img_size} if record.sized else {})}
    config = {
        "library": "timm",
        "architecture": name,
        "num_classes": module.num_classes,
        "kwargs": given,
        "pretrained_cfg": {k: v for k, v in module.pretrained_cfg.items() if v is not None},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({k: v.contiguous().clone() for k, v in module.state_dict().items()}, folder / "model.safetensors")
    return type(module)
