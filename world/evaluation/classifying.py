"""How well a classifier names the dominant object, and what each head is worth to it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from analysis.evaluation.figures import Figure, ratio
from world.scenes import Scene
from world.training.pictures import picture_batch

CLEARLY = 1.5  # an object dominates clearly when it shows this many times the next one's area
Classifier = Callable[[torch.Tensor], torch.Tensor]


@torch.no_grad()
def hits(classify: Classifier, scenes: list[Scene], batch: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Whether each scene was classified rightly, and how clearly its object dominates."""
    right, dominance = [], []
    for start in range(0, len(scenes), batch):
        truth = picture_batch(scenes[start : start + batch])
        right.append((classify(truth.pixels).argmax(1) == truth.dominant).numpy())
        dominance.append(truth.dominance.numpy())
    return np.concatenate(right), np.concatenate(dominance)


def classifier_figures(classify: Classifier, biased: list[Scene], unbiased: list[Scene]) -> dict[str, Figure]:
    """Accuracies on biased and unbiased scenes, and where one object clearly dominates."""
    right_biased, _ = hits(classify, biased)
    right, dominance = hits(classify, unbiased)
    return {
        "accuracy_biased": ratio(right_biased),
        "accuracy_unbiased": ratio(right),
        "accuracy_unbiased_dominant": ratio(right[dominance >= CLEARLY]),
    }


@contextmanager
def silenced(projection: nn.Linear, head: int, heads: int) -> Iterator[None]:
    """Within this block one head's output is zero."""
    width = projection.in_features // heads

    def mute(_: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        kept = inputs[0].clone()
        kept[..., head * width : (head + 1) * width] = 0
        return (kept,)

    handle = projection.register_forward_pre_hook(mute)
    try:
        yield
    finally:
        handle.remove()


def head_costs(vit: nn.Module, scenes: list[Scene]) -> np.ndarray:
    """Accuracy lost when one head of a timm ViT is silenced, [layers, heads]."""
    whole = hits(vit, scenes)[0].mean()
    costs = []
    for block in vit.blocks:
        heads = block.attn.num_heads
        row = []
        for head in range(heads):
            with silenced(block.attn.proj, head, heads):
                row.append(whole - hits(vit, scenes)[0].mean())
        costs.append(row)
    return np.array(costs)
