"""A small convolutional autoencoder over the aligned maps of all heads: seconds of training, the same every time.

It is judged by what it leaves out, beside PCA with as many numbers; where PCA leaves out less, PCA is the better summary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import nn

from analysis.patterns import AlignedMaps, PatternSummary, left_out
from analysis.registry import Range, method
from analysis.results import Embedding


@dataclass(frozen=True, eq=False)
class AutoencoderSummary:
    """The summary, how training went, and the network's numbers, so that it can be saved and compared."""

    summary: PatternSummary
    losses: np.ndarray
    """[S] the training loss, step by step."""
    pca_error: float
    """What PCA with as many numbers leaves out of the same maps."""
    parameters: tuple[tuple[str, np.ndarray], ...]
    """The trained network by name of parameter."""


class Autoencoder(nn.Module):
    """Two strided convolutions down to a code, and two convolutions back up to the map."""

    def __init__(self, size: tuple[int, int], latent: int) -> None:
        super().__init__()
        self.size, self.small = size, tuple((n + 3) // 4 for n in size)
        cells = self.small[0] * self.small[1]
        self.down = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.GELU(), nn.Conv2d(8, 16, 3, 2, 1), nn.GELU(), nn.Flatten())
        self.code = nn.Linear(16 * cells, latent)
        self.back = nn.Linear(latent, 16 * cells)
        self.up = nn.Sequential(nn.Conv2d(16, 8, 3, 1, 1), nn.GELU(), nn.Conv2d(8, 1, 3, 1, 1))

    def forward(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps [P, 1, rows, columns] -> the same maps made again, and their codes."""
        code = self.code(self.down(maps))
        small = nn.functional.gelu(self.back(code)).view(len(maps), 16, *self.small)
        return self.up(nn.functional.interpolate(small, self.size, mode="nearest")), code


@method(
    title="Summary of patterns by an autoencoder",
    kind="embedding",
    cites=("li2023",),
    needs={"weights", "grid"},
    range="error from 0 (all told) to 1 (no better than the mean pattern)",
    misleads="The axes of its codes mean nothing, and another seed gives others; only neighbourhoods speak.",
)
def pattern_autoencoder(
    maps: AlignedMaps,
    *,
    latent: Annotated[int, Range(2, 32)] = 16,
    steps: Annotated[int, Range(10, 5000)] = 400,
    seed: int = 0,
) -> AutoencoderSummary:
    """What a small network trained on the maps of all heads keeps of each, and what it leaves out."""
    vectors = maps.vectors()
    scale = float(vectors.std()) or 1.0
    shape = maps.values.shape[1:]
    pictures = torch.from_numpy(((vectors - vectors.mean(0)) / scale).reshape(-1, 1, *shape)).float()
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        network = Autoencoder((shape[0], shape[1]), latent)
        losses = _train(network, pictures, steps)
    with torch.no_grad():
        rebuilt, codes = (t.numpy().astype(np.float64) for t in network(pictures))
    error, total = left_out(vectors, rebuilt.reshape(len(vectors), -1) * scale + vectors.mean(0))
    flat = PCA(2, svd_solver="full").fit(codes)
    embedding = Embedding(
        flat.transform(codes), ("head",) * len(codes), np.arange(len(codes)), float(flat.explained_variance_ratio_.sum()),
        "patterns of heads, autoencoder",
    )  # fmt: skip
    summary = PatternSummary(codes, error, embedding, maps.heads, total)
    parameters = tuple((name, p.detach().numpy().copy()) for name, p in network.named_parameters())
    return AutoencoderSummary(summary, losses, _pca_error(vectors, latent), parameters)


def _train(network: Autoencoder, pictures: torch.Tensor, steps: int) -> np.ndarray:
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    losses = np.zeros(steps)
    for step in range(steps):
        loss = nn.functional.mse_loss(network(pictures)[0], pictures)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses[step] = float(loss.detach())
    return losses


def _pca_error(vectors: np.ndarray, latent: int) -> float:
    fitted = PCA(min(latent, len(vectors) - 1, vectors.shape[1]), svd_solver="full").fit(vectors)
    return left_out(vectors, fitted.inverse_transform(fitted.transform(vectors)))[1]
