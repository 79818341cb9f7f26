"""What the tests of the core compare with, and the shapes in which libraries hand out their own weights."""

from __future__ import annotations

import numpy as np
import torch

import model_adapters as ma
from model_adapters.timm_models import first_argument
from tests.zoo import hf
from tests.zoo.timm_models import build_timm, timm_image

KINDS = {"lvlm": "lvlm", "tower": "vit", "dual": "dual"}


def wrapped_timm(name: str, batch: int = 1) -> tuple[ma.Model, ma.Inputs]:
    """A tiny random model of timm, and a batch of different random pictures."""
    module = build_timm(name)
    pictures = torch.cat([timm_image(name, seed) for seed in range(batch)])
    return ma.wrap(module, name=name, verify=False), ma.Inputs({first_argument(module): pictures}, batch, batch > 1)


def wrapped(name: str, implementation: str | None = None) -> tuple[ma.Model, ma.Inputs]:
    """A tiny random model of transformers and an input for it."""
    module, processor = hf.build(name, attn_implementation=implementation)
    model = ma.wrap(module, processor, name=name, kind=KINDS[hf.FAMILIES[name].kind], verify=False)
    return model, ma.Inputs(hf.inputs(name, module, processor))


def as_rows(raw: torch.Tensor, heads: int) -> np.ndarray:
    """Weights of one input as a library gives them -> [heads, rows of all windows, keys].

    [W, H, Q, K] where windows are in the batch axis, [W * H, Q, K] where the heads are there too, and with a batch axis
    of 1 in front [1, H, W, Q, K] or [1, W, H, Q, K].
    """
    made = raw.detach().float().numpy()
    keys = made.shape[-1]
    if made.ndim == 5:
        made = made[0].transpose(1, 0, 2, 3) if made.shape[1] == heads else made[0]
    elif made.ndim == 3:
        made = made.reshape(-1, heads, *made.shape[1:])
    return made.transpose(1, 0, 2, 3).reshape(heads, -1, keys)


def close(one: torch.Tensor, other: torch.Tensor, within: float = 2e-5) -> None:
    """Assert that two answers are the same up to rounding."""
    torch.testing.assert_close(one, other, atol=within, rtol=1e-4)
