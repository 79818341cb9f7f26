"""Does a model have sinks: keys that gather attention whatever is shown, and tokens of outstanding size?"""

from dataclasses import dataclass

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer
from transformers import LlavaForConditionalGeneration

from world.rendering import render
from world.scenes import Scene
from world.tokenizer import BOS, IMAGE, build_tokenizer
from world.training.lvlm import IMAGE_TOKENS
from world.training.pictures import normalise
from world.training.turns import turn_text


@dataclass(frozen=True)
class SinkReport:
    """Per layer: the largest mean share of attention that one position gets, where, and the largest token.

    Attributes:
        mass: attention to that position, mean over images, heads and queries behind it.
        position: which position it is.
        norm_ratio: the largest hidden state's norm over the median norm, mean over images.
    """

    mass: tuple[float, ...]
    position: tuple[int, ...]
    norm_ratio: tuple[float, ...]

    def as_record(self) -> dict[str, list[float]]:
        """For the card."""
        return {
            "largest_mean_attention": [round(x, 3) for x in self.mass],
            "position": list(self.position),
            "largest_norm_over_median": [round(x, 2) for x in self.norm_ratio],
        }


def report(weights: list[torch.Tensor], hidden: list[torch.Tensor]) -> SinkReport:
    """From weights [B, H, Q, K] and hidden states [B, T, D] of each layer."""
    mass, position, ratios = [], [], []
    for layer in weights:
        queries, keys = layer.shape[-2:]
        # A key can only be looked at by the queries behind it in a causal model; the diagonal says which model it is.
        allowed = (layer.amax(dim=(0, 1)) > 0).float()
        received = layer.mean(dim=(0, 1)).sum(dim=0) / allowed.sum(dim=0).clamp(min=1)
        received = torch.where(allowed.sum(dim=0) >= min(queries, keys) / 4, received, torch.zeros_like(received))
        mass.append(float(received.max()))
        position.append(int(received.argmax()))
    for states in hidden:
        norms = states.norm(dim=-1)
        ratios.append(float((norms.amax(dim=1) / norms.median(dim=1).values).mean()))
    return SinkReport(tuple(mass), tuple(position), tuple(ratios))


def _pixels(scenes: list[Scene]) -> torch.Tensor:
    return normalise(np.stack([render(scene).image for scene in scenes]))


@torch.no_grad()
def vit_sinks(vit: VisionTransformer, scenes: list[Scene]) -> SinkReport:
    """Look for sinks in a timm ViT."""
    weights: list[torch.Tensor] = []
    hidden: list[torch.Tensor] = []
    handles = []
    for block in vit.blocks:
        block.attn.fused_attn = False
        handles.append(block.attn.attn_drop.register_forward_hook(lambda _m, _i, out: weights.append(out)))
        handles.append(block.register_forward_hook(lambda _m, _i, out: hidden.append(out)))
    try:
        vit(_pixels(scenes))
    finally:
        for handle in handles:
            handle.remove()
    return report(weights, hidden)


@torch.no_grad()
def lvlm_sinks(model: LlavaForConditionalGeneration, scenes: list[Scene]) -> SinkReport:
    """Look for sinks in the decoder of an LVLM that is asked for a caption."""
    words = build_tokenizer()(turn_text("describe the picture."), add_special_tokens=False).input_ids
    rows = torch.tensor([BOS] + [IMAGE] * IMAGE_TOKENS + words).expand(len(scenes), -1)
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    found = model(
        input_ids=rows, attention_mask=torch.ones_like(rows), pixel_values=_pixels(scenes), output_attentions=True,
        output_hidden_states=True,
    )  # fmt: skip
    model.set_attn_implementation(before)
    return report(list(found.attentions), list(found.hidden_states[1:]))
