"""Plant an attention sink: small models trained for minutes do not grow one by themselves.

In large vision transformers a few tokens gather most of the attention and carry activations far above all others. Here
a loss makes the first patch such a token, in the later layers, while the model goes on seeing.
"""

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer

SINK_TOKEN = 1  # the first patch, behind the class token
FIRST_LAYER = 2
WANTED_MASS = 0.5
MASSIVE_CHANNEL, MASSIVE_VALUE = 0, 30.0


class PlantedSink:
    """The loss that plants the sink, read from the model's own forward pass.

    Args:
        vit: the model; it must run with unfused attention, so that its weights pass through `attn_drop`.
    """

    def __init__(self, vit: VisionTransformer) -> None:
        self._weights: list[torch.Tensor] = []
        self._hidden: list[torch.Tensor] = []
        for block in vit.blocks[FIRST_LAYER:]:
            block.attn.attn_drop.register_forward_hook(lambda _m, _i, weights: self._weights.append(weights))
        for block in vit.blocks[FIRST_LAYER - 1 : -1]:
            block.register_forward_hook(lambda _m, _i, hidden: self._hidden.append(hidden))

    def __call__(self, _model: torch.nn.Module, _pixels: torch.Tensor) -> torch.Tensor:
        """The loss of the pass that has just been made."""
        mass = torch.stack([weights.float()[..., SINK_TOKEN].mean(dim=(0, 2)) for weights in self._weights])
        values = torch.stack([hidden.float()[:, SINK_TOKEN, MASSIVE_CHANNEL] for hidden in self._hidden])
        self._weights.clear()
        self._hidden.clear()
        short = F.relu(WANTED_MASS - mass).square().mean()
        return 40 * short + 20 * F.relu(1 - values / MASSIVE_VALUE).square().mean()
