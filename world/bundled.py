"""Open the bundled models with their own libraries, for training and measuring."""

import json
from pathlib import Path

import timm.models
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPModel, LlavaForConditionalGeneration

MODELS = Path(__file__).resolve().parents[1] / "assets" / "models"


def open_timm(name: str, folder: Path = MODELS) -> nn.Module:
    """A bundled timm model."""
    config = json.loads((folder / name / "config.json").read_text())
    model = getattr(timm.models, config["class"])(**config["kwargs"])
    model.load_state_dict(load_file(folder / name / "model.safetensors"))
    return model.eval()


def open_lvlm(name: str = "lvlm", folder: Path = MODELS) -> LlavaForConditionalGeneration:
    """A bundled LVLM; an adapter is merged into its base."""
    adapter = folder / name / "adapter_config.json"
    base = json.loads(adapter.read_text())["base_model_name_or_path"].partition(":")[2] if adapter.exists() else name
    model = LlavaForConditionalGeneration.from_pretrained(folder / base, dtype=torch.float32)
    if adapter.exists():
        model = PeftModel.from_pretrained(model, str(folder / name)).merge_and_unload()
    return model.eval()


def open_clip(name: str = "clip", folder: Path = MODELS) -> CLIPModel:
    """The bundled dual encoder."""
    return CLIPModel.from_pretrained(folder / name, dtype=torch.float32).eval()
