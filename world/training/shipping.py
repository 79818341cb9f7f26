"""Turn checkpoints into the folders that the real libraries load."""

import argparse
import json
import logging
import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import PreTrainedModel

from world.bundled import MODELS
from world.training.clip import clip_processor, new_clip
from world.training.lvlm import lvlm_processor, new_lvlm
from world.training.pictures import MEAN, STD
from world.training.run_language import with_adapter
from world.training.swin import SWIN_ARGUMENTS
from world.training.vit import REGISTERS, VIT_ARGUMENTS
from world.vocabulary import CATEGORIES

TIMM_MODELS = {
    "vit": ("VisionTransformer", VIT_ARGUMENTS),
    "vit-registers": ("VisionTransformer", VIT_ARGUMENTS | REGISTERS),
    "vit-sinks": ("VisionTransformer", VIT_ARGUMENTS),
    "swin": ("SwinTransformer", SWIN_ARGUMENTS),
}
NAMES = (*TIMM_MODELS, "clip", "lvlm", "lvlm-tuned")


def half(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Floats in 16 bits: half the size, and no figure changes by more than noise.

    Raises:
        ValueError: if a weight is too large for 16 bits.
    """
    halves = {name: w.half().contiguous() if w.is_floating_point() else w for name, w in weights.items()}
    lost = [name for name, w in halves.items() if not torch.isfinite(w).all()]
    if lost:
        raise ValueError(f"these weights do not fit into 16 bits: {lost}")
    return halves


def ship_timm(name: str, weights: Mapping[str, torch.Tensor], folder: Path) -> None:
    """A timm model: `config.json` that says how to build it, and `model.safetensors`."""
    kind, arguments = TIMM_MODELS[name]
    preparation = {
        "input_size": [3, 96, 96], "mean": list(MEAN), "std": list(STD), "interpolation": "bicubic", "crop_pct": 1.0,
        "crop_mode": "squash", "num_classes": len(CATEGORIES), "label_names": list(CATEGORIES), "license": "mit",
    }  # fmt: skip
    config = {"library": "timm", "class": kind, "kwargs": arguments, "pretrained_cfg": preparation}
    (folder / "config.json").write_text(json.dumps(config | {"classes": list(CATEGORIES)}, indent=1) + "\n")
    backbone = {key.removeprefix("backbone."): w for key, w in weights.items() if key.startswith("backbone.")}
    save_file(half(backbone), folder / "model.safetensors")


def _ship_transformers(model: PreTrainedModel, processor: object, folder: Path) -> None:
    model.config._attn_implementation = "sdpa"
    # The file holds 16 bits, the configuration says float32: that is what it is meant to run in.
    model.save_pretrained(folder, state_dict=half(model.state_dict()))
    processor.save_pretrained(folder)


def _ship_adapter(model: PeftModel, folder: Path) -> None:
    for config in model.peft_config.values():
        config.base_model_name_or_path = "bundled:lvlm"
        config.inference_mode = True
    model.half().save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)


def ship(name: str, work: Path, seed: int = 0, models: Path = MODELS) -> Path:
    """Write the folder of one model; whatever was there is replaced."""
    state = torch.load(work / f"{name}-{seed}.pt", map_location="cpu", weights_only=True)
    folder = models / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if name in TIMM_MODELS:
        ship_timm(name, state["module"], folder)
    elif name == "lvlm-tuned":
        tuned = with_adapter(new_lvlm())
        tuned.load_state_dict(state["module"])
        _ship_adapter(tuned, folder)
    else:
        model, processor = (new_clip(), clip_processor()) if name == "clip" else (new_lvlm(), lvlm_processor())
        model.load_state_dict(state["module"])
        _ship_transformers(model, processor, folder)
    trained = {"seed": seed, "steps": state["step"], "seconds": math.ceil(state["seconds"])}
    (folder / "training.json").write_text(json.dumps(trained) + "\n")
    for path in folder.iterdir():
        path.chmod(0o644)
    return folder


def main() -> None:
    """Write the folders of the models named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=NAMES)
    parser.add_argument("--work", type=Path, default=Path(".cache/world"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", type=Path, default=MODELS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name in options.names:
        logging.info("wrote %s", ship(name, options.work, options.seed, options.models))


if __name__ == "__main__":
    main()
