"""Attributions to pixels, by captum, gathered over the patches of the picture that the model receives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from captum.attr import FeatureAblation, GradientShap, InputXGradient, IntegratedGradients, Occlusion
from scipy.ndimage import gaussian_filter
from torch import Tensor

from analysis.perturbation import BLUR
from analysis.registry import Range, method
from analysis.results import TokenMap
from model_adapters import Rows

Forward = Callable[[Tensor], Tensor]
"""Prepared pictures [B, 3, h, w] to scores [B, C], differentiable."""
Baseline = Literal["zero", "mean", "blur"]
"""What counts as nothing there: the zero of the prepared picture, its mean colour, or a blurred picture."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """A picture as the model receives it, cut into square cells, and which part of the original it shows."""

    values: Tensor
    """[3, h, w]."""
    cell: int
    """Side of a cell in these pixels: the patch size of the model, as a rule."""
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 in pixels of the original image: what the whole picture shows after resizing and cropping."""
    size: tuple[int, int]
    """(width, height) of the original image."""

    def __post_init__(self) -> None:
        shape = tuple(self.values.shape)
        if len(shape) != 3 or shape[1] % self.cell or shape[2] % self.cell:
            raise ValueError(f"a prepared picture must be [3, h, w] with sides of whole cells of {self.cell}. Got shape {shape}.")

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of cells."""
        return self.values.shape[1] // self.cell, self.values.shape[2] // self.cell

    def numbers(self) -> Tensor:
        """[h, w] int64: the cell of each pixel, line by line."""
        rows, columns = self.grid
        cells = torch.arange(rows * columns, device=self.values.device).view(rows, columns)
        return cells.repeat_interleave(self.cell, 0).repeat_interleave(self.cell, 1)

    def batch(self) -> Tensor:
        """[1, 3, h, w], with a gradient of its own."""
        return self.values.detach().clone()[None].requires_grad_()

    def nothing(self, baseline: Baseline) -> Tensor:
        """[1, 3, h, w]: the picture that counts as nothing there."""
        if baseline == "zero":
            return torch.zeros_like(self.values)[None]
        if baseline == "mean":
            return self.values.mean((1, 2), keepdim=True).expand_as(self.values)[None].clone()
        sigma = BLUR * max(self.values.shape)
        blurred = gaussian_filter(self.values.detach().cpu().numpy(), (0, sigma, sigma), mode="nearest")
        return torch.from_numpy(blurred).to(self.values)[None]

    def summed(self, attributions: Tensor, label: str) -> TokenMap:
        """The sum of [1, 3, h, w] over channels and cells: what adds up before still adds up."""
        rows, columns = self.grid
        cells = attributions.detach()[0].sum(0).double().view(rows, self.cell, columns, self.cell).sum((1, 3))
        return TokenMap(cells.flatten().cpu().numpy(), self.rows(), self.size, signed=True, label=label)

    def rows(self) -> Rows:
        """The cells as patches with their boxes on the original image; those that show nothing of it are padding."""
        (rows, columns), (x0, y0, x1, y1) = self.grid, self.box
        down, across = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        width, height = (x1 - x0) / columns, (y1 - y0) / rows
        corners = [x0 + across * width, y0 + down * height, x0 + (across + 1) * width, y0 + (down + 1) * height]
        boxes = np.stack([c.ravel() for c in corners], 1).clip(0, [*self.size, *self.size]).astype(np.float32)
        shown = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
        boxes[~shown] = np.nan
        place = np.where(shown, 0, -1).astype(np.int16)
        return Rows(np.where(shown, "patch", "pad").astype(object), boxes, place, place.copy(), place.copy())


@method(
    title="Integrated gradients",
    kind="map",
    cites=("sundararajan2017", "kokhlikyan2020"),
    needs={"pixels", "gradients"},
    range="signed; adds up to the score minus that of the baseline",
    misleads="The baseline decides what counts as nothing: parts of the picture that look like it get no attribution.",
)
def integrated_gradients(
    forward: Forward,
    pixels: Pixels,
    target: int,
    *,
    steps: Annotated[int, Range(4, 256)] = 32,
    baseline: Baseline = "zero",
    batch: int = 16,
) -> TokenMap:
    """How much each patch adds to the score on the straight way from the baseline to the picture.

    Args:
        forward: prepared pictures to scores.
        pixels: the prepared picture.
        target: the class.
        steps: points on the way, each one pass forward and back.
        baseline: what counts as nothing there.
        batch: points per pass.
    """
    found = IntegratedGradients(forward).attribute(
        pixels.batch(), pixels.nothing(baseline), target, n_steps=steps, internal_batch_size=batch
    )
    return pixels.summed(found, "integrated gradients")


@method(
    title="Input x gradient",
    kind="map",
    cites=("shrikumar2016", "kokhlikyan2020"),
    needs={"pixels", "gradients"},
    range="signed",
    misleads="It looks only at this very point: where the score is saturated the gradient is small although the patch matters.",
)
def input_x_gradient(forward: Forward, pixels: Pixels, target: int) -> TokenMap:
    """How much each patch adds to the score if the model were the straight line that touches it here.

    Args:
        forward: prepared pictures to scores.
        pixels: the prepared picture.
        target: the class.
    """
    found = InputXGradient(forward).attribute(pixels.batch(), target)
    return pixels.summed(found, "input x gradient")


@method(
    title="Gradient SHAP",
    kind="map",
    cites=("lundberg2017", "kokhlikyan2020"),
    needs={"pixels", "gradients"},
    range="signed; on average adds up to the score minus that of the baselines",
    misleads="A random estimate: with few samples two seeds give two maps; it takes pixels as independent, which they are not.",
)
def gradient_shap(
    forward: Forward,
    pixels: Pixels,
    target: int,
    *,
    samples: Annotated[int, Range(2, 256)] = 32,
    noise: Annotated[float, Range(0, 1, 0.05)] = 0.1,
    seed: int = 0,
) -> TokenMap:
    """The expected gradient times difference on the way from one of three baselines to the slightly noisy picture.

    The baselines are the zero picture, the mean colour and the blurred picture, drawn at random.

    Args:
        forward: prepared pictures to scores.
        pixels: the prepared picture.
        target: the class.
        samples: random points, each one pass forward and back.
        noise: standard deviation of the noise, in units of the prepared picture.
        seed: of the random numbers.
    """
    baselines = torch.cat([pixels.nothing(kind) for kind in ("zero", "mean", "blur")])
    with _fixed_seed(seed):
        found = GradientShap(forward).attribute(pixels.batch(), baselines, n_samples=samples, stdevs=noise, target=target)
    return pixels.summed(found, "gradient SHAP")


@method(
    title="Feature ablation by patch",
    kind="map",
    cites=("zeiler2014", "kokhlikyan2020"),
    needs={"pixels"},
    range="signed, in units of the score",
    misleads="One patch at a time: what two patches say alike is missed, since each alone can be missed by the model.",
)
def patch_ablation(forward: Forward, pixels: Pixels, target: int, *, baseline: Baseline = "mean", batch: int = 16) -> TokenMap:
    """How much the score drops when one patch is replaced by the baseline.

    Takes one pass per patch, and one for the whole picture.

    Args:
        forward: prepared pictures to scores.
        pixels: the prepared picture.
        target: the class.
        baseline: what takes the place of the patch.
        batch: patches per pass.
    """
    numbers = pixels.numbers()[None, None]
    label = "feature ablation by patch"
    return _drops(FeatureAblation(forward), pixels, target, baseline, batch, label, feature_mask=numbers)


@method(
    title="Occlusion",
    kind="map",
    cites=("zeiler2014", "kokhlikyan2020"),
    needs={"pixels"},
    range="signed, in units of the score",
    misleads="The window decides: small ones miss what is said twice, large ones blur; the model never saw such a fill.",
)
def occlusion(
    forward: Forward,
    pixels: Pixels,
    target: int,
    *,
    window: Annotated[int, Range(1, 8)] = 2,
    baseline: Baseline = "mean",
    batch: int = 16,
) -> TokenMap:
    """How much the score drops on average when a window over this patch is replaced by the baseline.

    Takes one pass per place of the window, which moves by one patch, and one for the whole picture.

    Args:
        forward: prepared pictures to scores.
        pixels: the prepared picture.
        target: the class.
        window: side of the window, in patches.
        baseline: what takes the place of the window.
        batch: windows per pass.
    """
    if window > min(pixels.grid):
        raise ValueError(f"a window of {window} patches was asked for, but the picture has {pixels.grid} of them.")
    side, step = window * pixels.cell, pixels.cell
    windows = {"sliding_window_shapes": (3, side, side), "strides": (3, step, step)}
    return _drops(Occlusion(forward), pixels, target, baseline, batch, "occlusion", **windows)


def _drops(
    way: FeatureAblation, pixels: Pixels, target: int, baseline: Baseline, batch: int, label: str, **pieces: Any
) -> TokenMap:
    """How much the score drops when pieces of the picture are replaced, one after the other."""
    with torch.no_grad():
        found = way.attribute(
            pixels.batch().detach(), baselines=pixels.nothing(baseline), target=target, perturbations_per_eval=batch, **pieces
        )
    # Captum repeats the number of a feature on each of its pixels; here it stands once.
    return pixels.summed(found / (found.shape[1] * pixels.cell**2), label)


@contextmanager
def _fixed_seed(seed: int) -> Iterator[None]:
    """Torch's and numpy's common random numbers start at `seed` inside, and go on afterwards as if nothing had been.

    Captum draws from both and takes no generator.
    """
    state = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(state)
