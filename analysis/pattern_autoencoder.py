"""A small convolutional autoencoder over the aligned maps of all heads: seconds of training, the same every time.

It is judged by what it leaves out, beside PCA with as many numbers; where PCA leaves out less, PCA is the better summary. What
it leaves out of the maps that it was trained on says little, since a few dozen can be learned by heart. So a quarter of the heads
is held out, a second network is trained on the others, and what that one leaves out of the quarter is said too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    pca_held_out: float | None = None
    """What PCA with as many numbers leaves out of the maps that were held out from it; None where there are too few heads."""


SMALLEST = 8
"""With fewer heads none is held out."""


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
    range="error from 0 (all told) to 1 (no better than the mean pattern); of heads held out it may be above 1",
    misleads="The axes of its codes mean nothing, and another seed gives others; only neighbourhoods speak. The error on its own "
    "maps is too good: the one on heads held out counts.",
)
def pattern_autoencoder(
    maps: AlignedMaps,
    *,
    latent: Annotated[int, Range(2, 32)] = 16,
    steps: Annotated[int, Range(10, 5000)] = 400,
    seed: int = 0,
) -> AutoencoderSummary:
    """What a small network trained on the maps of all heads keeps of each, and what it leaves out, of others too.

    Args:
        maps: of all heads.
        latent: how many numbers tell a head's pattern.
        steps: of training.
        seed: of the network's first weights.
    """
    vectors = maps.vectors()
    network, losses = _trained(vectors, maps.values.shape[1:], latent, steps, seed)
    rebuilt, codes = _rebuilt(network, vectors, vectors)
    error, total = left_out(vectors, rebuilt)
    flat = PCA(2, svd_solver="full").fit(codes)
    embedding = Embedding(
        flat.transform(codes), ("head",) * len(codes), np.arange(len(codes)), float(flat.explained_variance_ratio_.sum()),
        "patterns of heads, autoencoder",
    )  # fmt: skip
    summary = PatternSummary(codes, error, embedding, maps.heads, total)
    parameters = tuple((name, p.detach().numpy().copy()) for name, p in network.named_parameters())
    known = _pca_left_out(vectors, vectors, latent)
    if len(vectors) < SMALLEST:
        return AutoencoderSummary(summary, losses, known, parameters)
    held, others = _split(len(vectors))
    second, _ = _trained(vectors[others], maps.values.shape[1:], latent, steps, seed)
    missed = _missed(vectors[held], _rebuilt(second, vectors[held], vectors[others])[0], vectors[others])
    summary = replace(summary, held_out=missed)
    return AutoencoderSummary(summary, losses, known, parameters, _pca_left_out(vectors[others], vectors[held], latent))


def _split(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of a quarter of the heads, and of the others: always the same, so that summaries can be compared."""
    order = np.random.default_rng(0).permutation(count)
    return order[: count // 4], order[count // 4 :]


def _trained(
    vectors: np.ndarray, shape: tuple[int, ...], latent: int, steps: int, seed: int
) -> tuple[Autoencoder, np.ndarray]:
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        network = Autoencoder((shape[0], shape[1]), latent)
        return network, _train(network, _pictures(vectors, vectors, network.size), steps)


def _pictures(vectors: np.ndarray, of: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """Maps as the network sees them: less the mean of the maps it is trained on, in their deviation."""
    return torch.from_numpy(((vectors - of.mean(0)) / _scale(of)).reshape(-1, 1, *size)).float()


def _scale(vectors: np.ndarray) -> float:
    return float(vectors.std()) or 1.0


def _rebuilt(network: Autoencoder, vectors: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps made again by a network that was trained on the maps `of`, and their codes."""
    with torch.no_grad():
        made, codes = (t.numpy().astype(np.float64) for t in network(_pictures(vectors, of, network.size)))
    return made.reshape(len(vectors), -1) * _scale(of) + of.mean(0), codes


def _missed(vectors: np.ndarray, rebuilt: np.ndarray, of: np.ndarray) -> float:
    """The share of squared deviation from the mean of the maps `of` that a reconstruction misses."""
    return float(((vectors - rebuilt) ** 2).sum() / max(((vectors - of.mean(0)) ** 2).sum(), 1e-12))


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


def _pca_left_out(known: np.ndarray, vectors: np.ndarray, latent: int) -> float:
    """What PCA of the known maps leaves out of some."""
    fitted = PCA(min(latent, len(known) - 1, known.shape[1]), svd_solver="full").fit(known)
    return _missed(vectors, fitted.inverse_transform(fitted.transform(vectors)), known)
