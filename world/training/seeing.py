"""Teach a vision backbone to see: what is in each patch, what is in the picture, what dominates it."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from world.datasets import SceneStream
from world.training.loop import device, low_precision
from world.training.pictures import BACKGROUND_LABEL, PictureBatch, picture_batch
from world.training.together import rank_and_count
from world.vocabulary import BACKGROUNDS, CATEGORIES, COLOURS

Features = Callable[[nn.Module, torch.Tensor], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]


class SeeingHeads(nn.Module):
    """Heads that exist during training only; the class head belongs to the backbone itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.patch_category = nn.Linear(width, len(CATEGORIES) + 1)
        self.patch_colour = nn.Linear(width, len(COLOURS))
        self.patch_place = nn.Linear(width, 3)
        self.present = nn.Linear(width, len(CATEGORIES))
        self.background = nn.Linear(width, len(BACKGROUNDS))


class Seeing(nn.Module):
    """A backbone with the training heads."""

    def __init__(self, backbone: nn.Module, width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = SeeingHeads(width)


class SeeingTask:
    """The dense loss, kept to the end: without it training stalls.

    Args:
        backbone: the model that is shipped.
        width: the width of its features.
        features: from (backbone, pixels) to class logits [B, C], pooled [B, D] and patches [B, G * G, D].
        stream: the scenes.
        patch: pixels along the side of one feature cell.
        extra: an additional loss of the batch.
    """

    def __init__(
        self, backbone: nn.Module, width: int, features: Features, stream: SceneStream, patch: int = 8,
        batch: int = 32, extra: Callable[[nn.Module, torch.Tensor], torch.Tensor] | None = None,
    ) -> None:  # fmt: skip
        self.module = Seeing(backbone, width)
        self.features, self.stream, self.patch, self.batch, self.extra = features, stream, patch, batch, extra
        weights = torch.ones(len(CATEGORIES) + 1, device=device())
        weights[BACKGROUND_LABEL] = 0.3
        self._weights = weights

    def loss(self, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss of batch `step`."""
        rank, count = rank_and_count()
        scenes = self.stream.take(self.batch, (step * count + rank) * self.batch)
        truth = picture_batch(scenes, patch=self.patch).to(device())
        with low_precision():
            logits, pooled, patches = self.features(self.module.backbone, truth.pixels)
            extra = self.extra(self.module.backbone, truth.pixels) if self.extra else 0.0
        return self._losses(truth, logits.float(), pooled.float(), patches.float(), extra)

    def _losses(
        self, truth: PictureBatch, logits: torch.Tensor, pooled: torch.Tensor, patches: torch.Tensor,
        extra: torch.Tensor | float,
    ) -> tuple[torch.Tensor, dict[str, float]]:  # fmt: skip
        heads = self.module.heads
        what = heads.patch_category(patches)
        dense = F.cross_entropy(what.flatten(0, 1), truth.categories.flatten(), self._weights)
        colour = F.cross_entropy(heads.patch_colour(patches).flatten(0, 1), truth.colours.flatten(), ignore_index=-100)
        there = truth.categories != BACKGROUND_LABEL
        # Which patches belong together has to be learnt before shapes can be: this loss teaches it.
        place = F.smooth_l1_loss(heads.patch_place(patches)[there], truth.places[there])
        present = F.binary_cross_entropy_with_logits(heads.present(pooled), truth.present)
        scene = F.cross_entropy(heads.background(pooled), truth.backgrounds)
        dominant = F.cross_entropy(logits, truth.dominant)
        figures = {
            "patch": float((what.argmax(-1) == truth.categories)[there].float().mean()),
            "top": float((logits.argmax(-1) == truth.dominant).float().mean()),
            "present": float(present.detach()),
            "place": float(place.detach()),
            "colour": float(colour.detach()),
        }
        return 2 * dense + colour + 2 * place + 2 * present + 0.2 * scene + 0.5 * dominant + extra, figures
