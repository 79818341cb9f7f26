"""Batches of drawn scenes and what is true of them, as tensors."""

from dataclasses import dataclass

import numpy as np
import torch

from world.rendering import Rendering, render
from world.scenes import Scene
from world.vocabulary import BACKGROUNDS, CATEGORIES, COLOURS

MEAN, STD = (0.45, 0.45, 0.45), (0.27, 0.27, 0.27)
BACKGROUND_LABEL = len(CATEGORIES)
_PLACE_SCALE = 6.0  # brings distances inside an object to about one


@dataclass(frozen=True, eq=False)
class PictureBatch:
    """Pictures with their truth; G is the number of patches along a side.

    Attributes:
        pixels: normalised [B, 3, size, size].
        categories: per patch the category most seen there, [B, G * G]; `BACKGROUND_LABEL` where there is none.
        colours: per patch its colour, -100 where there is no object.
        places: per patch where its object's centre lies, seen from the patch, and the object's size, [B, G * G, 3].
        dominant: the category of the largest visible object, [B].
        dominance: its area divided by the next object's, [B].
        present: 1 for the categories that are there, [B, 12].
        backgrounds: [B].
    """

    pixels: torch.Tensor
    categories: torch.Tensor
    colours: torch.Tensor
    places: torch.Tensor
    dominant: torch.Tensor
    dominance: torch.Tensor
    present: torch.Tensor
    backgrounds: torch.Tensor

    def to(self, device: torch.device) -> "PictureBatch":
        """The same batch on another device."""
        return PictureBatch(**{name: value.to(device) for name, value in vars(self).items()})


def normalise(images: np.ndarray) -> torch.Tensor:
    """Uint8 [B, size, size, 3] to the models' input [B, 3, size, size]."""
    values = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (values - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def patch_coverage(ids: np.ndarray, patch: int, count: int) -> np.ndarray:
    """The share of each patch in which each of `count` objects is seen, [count, G * G]."""
    grid = len(ids) // patch
    seen = ids[None] == np.arange(count, dtype=ids.dtype)[:, None, None]
    return seen.reshape(count, grid, patch, grid, patch).mean(axis=(2, 4), dtype=np.float32).reshape(count, -1)


def _patch_labels(scene: Scene, rendering: Rendering, patch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    coverage = patch_coverage(rendering.ids, patch, len(scene.objects))
    winner = coverage.argmax(axis=0)
    there = coverage.max(axis=0) >= 0.25
    categories = np.array([CATEGORIES.index(item.category) for item in scene.objects])[winner]
    colours = np.array([COLOURS.index(item.colour) for item in scene.objects])[winner]
    grid = len(rendering.ids) // patch
    rows, columns = np.divmod(np.arange(grid * grid), grid)
    centres = np.stack([columns, rows, np.full(grid * grid, -0.5)], axis=1).astype(np.float32) + 0.5
    places = np.array([(item.x, item.y, item.size) for item in scene.objects], dtype=np.float32)[winner]
    return (
        np.where(there, categories, BACKGROUND_LABEL),
        np.where(there, colours, -100),
        (places - centres / grid) * _PLACE_SCALE,
    )


def dominant_object(scene: Scene, rendering: Rendering) -> tuple[int, float]:
    """The index of the object with the largest visible area, and how many times larger it is than the next."""
    areas = rendering.areas(len(scene.objects))
    order = np.argsort(areas)[::-1]
    following = areas[order[1]] if len(areas) > 1 else 1
    return int(order[0]), float(areas[order[0]] / max(1, following))


def picture_batch(scenes: list[Scene], size: int = 96, patch: int = 8) -> PictureBatch:
    """Draw `scenes` and collect what is true of them."""
    renderings = [render(scene, size) for scene in scenes]
    labels = [_patch_labels(scene, drawn, patch) for scene, drawn in zip(scenes, renderings, strict=True)]
    dominant = [dominant_object(scene, drawn) for scene, drawn in zip(scenes, renderings, strict=True)]
    winners = [scene.objects[index].category for scene, (index, _) in zip(scenes, dominant, strict=True)]
    present = [[float(name in scene.categories) for name in CATEGORIES] for scene in scenes]
    return PictureBatch(
        pixels=normalise(np.stack([drawn.image for drawn in renderings])),
        categories=torch.from_numpy(np.stack([categories for categories, _, _ in labels])),
        colours=torch.from_numpy(np.stack([colours for _, colours, _ in labels])),
        places=torch.from_numpy(np.stack([places for _, _, places in labels])),
        dominant=torch.tensor([CATEGORIES.index(name) for name in winners]),
        dominance=torch.tensor([ratio for _, ratio in dominant]),
        present=torch.tensor(present),
        backgrounds=torch.tensor([BACKGROUNDS.index(scene.background) for scene in scenes]),
    )
