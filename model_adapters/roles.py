"""The roles of a site's rows, as cheaply as they can be known for certain.

A decoder's roles follow from its token ids and a plain tower's prefix from its parameters; only where neither settles
it is the geometry measured.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch

from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs
from model_adapters.layout import Layout
from model_adapters.model import Model
from model_adapters.site import Site
from model_adapters.trail import unobserved
from model_adapters.where import Side

_PREFIX = (
    ("class", re.compile(r"(^|[._])(cls_token|class_token|class_embedding|cls_embed)")),
    ("distillation", re.compile(r"(^|[._])(dist_token|distillation_token)")),
    ("register", re.compile(r"(^|[._])(reg_token|register_tokens|registers)")),
)
_REMEMBERED = 16
_IMAGE_IDS = ("image_token_id", "image_token_index", "image_patch_id", "video_token_id", "video_token_index")


class Roles:
    """Tells a tap which rows of a site are meant by a role."""

    def __init__(self, model: Model, inputs: Inputs) -> None:
        self.model, self.inputs = model, inputs
        self._decoder: np.ndarray | None = None
        self._layouts: dict[tuple[str, int], Layout] | None = None
        self._found: dict[tuple[Side, int, tuple[str, ...]], np.ndarray] = {}

    def chosen(self, site: Site, side: Side, count: int, roles: tuple[str, ...]) -> np.ndarray:
        """Which of `count` query or key rows have one of these roles."""
        if site.tower != "decoder" or self.model.kind != "lvlm":
            return _among(self.roles(site, side, count), roles)
        # The layers of a decoder ask for the same rows, one after the other; the next pass has other ones.
        key = side, count, roles
        if key not in self._found:
            if len(self._found) > _REMEMBERED:
                self._found.clear()
            self._found[key] = _among(self._of_decoder(side, count), roles)
        return self._found[key]

    def roles(self, site: Site, side: Side, count: int) -> np.ndarray:
        """The roles of `count` query or key rows: [N], or [B, N] where the items of a batch differ."""
        if site.tower == "decoder" and self.model.kind == "lvlm":
            return self._of_decoder(side, count)
        plain = plain_roles(self.model, count)
        return plain if plain is not None else self._measured(site, side, count)

    def _of_decoder(self, side: Side, count: int) -> np.ndarray:
        if self._decoder is None:
            self._decoder = decoder_roles(self.model, self.inputs)
        prompt = self._decoder
        length = prompt.shape[1]
        if side == "queries" and count < length:
            return np.full((1, count), "answer", dtype=object)
        if count <= length:  # a sliding cache holds the last positions only
            return prompt[:, length - count :]
        answer = np.full((prompt.shape[0], count - length), "answer", dtype=object)
        return np.concatenate([prompt, answer], axis=1)

    def _measured(self, site: Site, side: Side, count: int) -> np.ndarray:
        from model_adapters.geometry import layouts

        if self._layouts is None:
            with unobserved():
                self._layouts = layouts(self.model, self.inputs)
        layout = self._layouts.get((site.name, site.call))
        rows = getattr(layout, side, None)
        if rows is None or len(rows) != count:
            known = "no layout" if rows is None else f"a layout of {len(rows)} rows"
            raise AdapterError(
                f"The roles of {count} {side} of {site.name} were asked for, but the geometry has {known} for it; "
                "give row numbers."
            )
        return rows.roles


def _among(found: np.ndarray, roles: tuple[str, ...]) -> np.ndarray:
    return np.isin(found.astype(str), roles)


def plain_roles(model: Model, count: int) -> np.ndarray | None:
    """Roles of a plain tower's tokens, where prefix plus patch grid make up the count exactly; None otherwise."""
    module: Any = model.module
    grid = getattr(getattr(module, "patch_embed", None), "grid_size", None)
    prefix = getattr(module, "num_prefix_tokens", None)
    if model.kind != "vit" or not isinstance(prefix, int) or not isinstance(grid, tuple) or len(grid) != 2:
        return None
    names = prefix_names(module)
    if count != grid[0] * grid[1] + prefix or len(names) != prefix:
        return None
    return np.array([*names, *["patch"] * (count - prefix)], dtype=object)


def prefix_names(module: torch.nn.Module) -> list[str]:
    """The roles of the tokens that are parameters, in the usual order: class, distillation, registers."""
    names = []
    for role, pattern in _PREFIX:
        for name, parameter in module.named_parameters():
            if pattern.search(name.rpartition(".")[2]) and parameter.dim() >= 1:
                names += [role] * (parameter.shape[-2] if parameter.dim() >= 2 else 1)
                break
    return names


def decoder_roles(model: Model, inputs: Inputs) -> np.ndarray:
    """[B, T] roles of the prompt: pad, bos, system (before the image), image, question (after it)."""
    ids = inputs.tensors.get("input_ids")
    if ids is None:
        raise AdapterError(f"{model.name} was given no input_ids, so the roles of its tokens are unknown; give row numbers.")
    ids = ids.detach().cpu().numpy()
    roles = np.full(ids.shape, "question", dtype=object)
    image = np.isin(ids, image_ids(model))
    if image.any():
        before = np.cumsum(image, axis=1) == 0
        roles[before] = "system"
        roles[image] = "image"
    bos = getattr(_text_config(model), "bos_token_id", None)
    if isinstance(bos, int):
        roles[(ids == bos) & ~image] = "bos"
    mask = inputs.tensors.get("attention_mask")
    if isinstance(mask, torch.Tensor) and mask.shape == ids.shape:
        roles[mask.cpu().numpy() == 0] = "pad"
    return roles


def image_ids(model: Model) -> list[int]:
    """The token ids that stand for image (or video) tokens in the prompt."""
    config = model.config
    found = {getattr(config, name, None) for name in _IMAGE_IDS}
    return sorted(i for i in found if isinstance(i, int) and i >= 0)


def _text_config(model: Model) -> Any:
    config = model.config
    return config.get_text_config() if hasattr(config, "get_text_config") else config
