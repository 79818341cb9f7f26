"""Models of a worker process: loaded once, kept while shards ask for them, told by the hash of their weights."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import torch

import model_adapters as ma
from studies.spec import ModelSpec

_MOST = 2
_LOCK = threading.Lock()
_HELD: OrderedDict[ModelSpec, tuple[ma.Model, str]] = OrderedDict()


def held(spec: ModelSpec) -> tuple[ma.Model, str]:
    """The model and its hash; the least recently used one makes room."""
    with _LOCK:
        if spec not in _HELD:
            while len(_HELD) >= _MOST:
                _HELD.popitem(last=False)
            model = ma.load(
                spec.name, spec.weights, spec.seed, device=spec.device, dtype=spec.dtype, adapter=spec.adapter
            )  # fmt: skip
            _HELD[spec] = model, weights_hash(model.module)
        _HELD.move_to_end(spec)
        return _HELD[spec]


def identity(spec: ModelSpec) -> str:
    """The hash of a model's weights."""
    return held(spec)[1]


def weights_hash(module: torch.nn.Module) -> str:
    """SHA-256 of every name, type, shape and value: the same on every machine and device."""
    found = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()
