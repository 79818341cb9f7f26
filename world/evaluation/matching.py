"""How well the dual encoder finds the caption that belongs to a picture."""

import numpy as np
import torch
from transformers import CLIPModel

from analysis.evaluation.figures import Figure, ratio
from world.captions import caption
from world.rendering import render
from world.scenes import Scene
from world.tokenizer import build_tokenizer
from world.training.pictures import normalise

CHOICES = 100


@torch.no_grad()
def retrieval_figures(model: CLIPModel, scenes: list[Scene]) -> dict[str, Figure]:
    """Right caption among 100, and right picture among 100; captions with the same words count as one."""
    tokenizer = build_tokenizer(close=True)
    captions, pictures = [], []
    for start in range(0, len(scenes) - CHOICES + 1, CHOICES):
        group = scenes[start : start + CHOICES]
        said = [caption(scene) for scene in group]
        words = tokenizer(said, padding=True, return_tensors="pt")
        pixels = normalise(np.stack([render(scene).image for scene in group]))
        logits = model(input_ids=words.input_ids, attention_mask=words.attention_mask, pixel_values=pixels).logits_per_image
        captions += [said[int(best)] == own for best, own in zip(logits.argmax(1), said, strict=True)]
        pictures += [said[int(best)] == own for best, own in zip(logits.argmax(0), said, strict=True)]
    return {"caption_among_100": ratio(captions), "picture_among_100": ratio(pictures)}
