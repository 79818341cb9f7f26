"""The dual encoder: transformers' CLIPModel on scenes and their captions."""

from collections.abc import Mapping

import numpy as np
import torch
from transformers import CLIPConfig, CLIPModel, CLIPProcessor, CLIPTextConfig

from world.captions import caption
from world.datasets import SceneStream
from world.rendering import render
from world.tokenizer import BOS, EOS, PAD, build_tokenizer
from world.training.conversion import clip_vision_config, clip_vision_weights
from world.training.loop import device, low_precision
from world.training.lvlm import image_processor
from world.training.pictures import normalise
from world.training.together import rank_and_count
from world.training.vit import VIT_ARGUMENTS

_FROZEN_LAYERS = 3  # the tower already sees; its first layers are kept as they are
_LONGEST = 40


def new_clip(vit: Mapping[str, torch.Tensor] | None = None) -> CLIPModel:
    """A CLIP whose vision tower starts from the weights of `vit` (under timm's names)."""
    width = VIT_ARGUMENTS["embed_dim"]
    text = CLIPTextConfig(
        vocab_size=len(build_tokenizer()), hidden_size=width, intermediate_size=3 * width, num_hidden_layers=3,
        num_attention_heads=4, max_position_embeddings=_LONGEST, hidden_act="gelu", pad_token_id=PAD,
        bos_token_id=BOS, eos_token_id=EOS, projection_dim=width,
    )  # fmt: skip
    config = CLIPConfig(
        text_config=text.to_dict(), vision_config=clip_vision_config().to_dict(), projection_dim=width,
        logit_scale_init_value=float(np.log(1 / 0.07)),
    )  # fmt: skip
    config._attn_implementation = "eager"
    model = CLIPModel(config)
    if vit is not None:
        model.vision_model.load_state_dict(clip_vision_weights(vit))
    return model


def clip_processor() -> CLIPProcessor:
    """The processor that is saved with the model."""
    return CLIPProcessor(image_processor=image_processor(), tokenizer=build_tokenizer(close=True))


class MatchingTask:
    """Tell which caption belongs to which picture of a batch."""

    def __init__(self, model: CLIPModel, stream: SceneStream, batch: int = 64) -> None:
        self.module, self.stream, self.batch = model, stream, batch
        self.tokenizer = build_tokenizer(close=True)
        model.vision_model.embeddings.requires_grad_(False)
        model.vision_model.pre_layrnorm.requires_grad_(False)
        for layer in model.vision_model.encoder.layers[:_FROZEN_LAYERS]:
            layer.requires_grad_(False)

    def loss(self, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss of batch `step`."""
        rank, count = rank_and_count()
        scenes = self.stream.take(self.batch, (step * count + rank) * self.batch)
        words = self.tokenizer([caption(scene) for scene in scenes], padding=True, return_tensors="pt").to(device())
        pixels = normalise(np.stack([render(scene).image for scene in scenes])).to(device())
        with low_precision():
            found = self.module(pixel_values=pixels, **{k: words[k] for k in ("input_ids", "attention_mask")})
        logits = found.logits_per_image.float()
        right = torch.arange(len(scenes), device=logits.device)
        loss = torch.nn.functional.cross_entropy(logits, right) + torch.nn.functional.cross_entropy(logits.T, right)
        return loss / 2, {"matched": float((logits.argmax(1) == right).float().mean())}
