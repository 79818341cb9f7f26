"""Really take heads, branches and blocks out of a vision transformer of timm: smaller weights, the same answer.

A gate of 0 says what a model would answer without a head; here the rows of `qkv` and the columns of `proj` that belong to
it are gone, so the model is smaller and faster, gives the logits of the gated one, and can be saved and loaded.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from model_adapters.checkpoint import allowed, fill, read_json, read_state
from model_adapters.edits import Edit, Gate, Skip
from model_adapters.errors import AdapterError

FORMAT = "headlight-slim-1"


@dataclass(frozen=True)
class Cut:
    """What is taken out, by the numbers of the whole model."""

    heads: tuple[tuple[int, int], ...] = ()
    """(block, head)."""
    attention: tuple[int, ...] = ()
    """Blocks whose attention adds nothing."""
    mlps: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    """Blocks that are gone altogether."""

    def heads_of(self, block: int) -> frozenset[int]:
        """The heads taken out of a block."""
        return frozenset(head for b, head in self.heads if b == block)


class OnlyBias(nn.Module):
    """What is left of an attention without heads: the bias of its output projection."""

    def __init__(self, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)

    def forward(self, tokens: torch.Tensor, **_: Any) -> torch.Tensor:
        """The bias at every token."""
        zeros = torch.zeros_like(tokens)
        return zeros if self.bias is None else zeros + self.bias


def cut_of(edits: Iterable[Edit], depth: int, heads: int) -> Cut:
    """The cut that edits stand for: gates of 0 and skips, of any layers and heads, for all queries."""
    out: set[tuple[int, int]] = set()
    skipped: dict[str, set[int]] = {"attention": set(), "mlp": set(), "both": set()}
    for edit in edits:
        layers = range(depth) if edit.where.layers == "all" else edit.where.layers
        if isinstance(edit, Skip) and edit.where.queries == "all":
            skipped[edit.part] |= set(layers)
        elif isinstance(edit, Gate) and edit.value == 0 and edit.where.queries == "all":
            chosen = range(heads) if edit.where.heads == "all" else [h % heads for h in edit.where.heads]
            out |= {(layer, head) for layer in layers for head in chosen}
        else:
            raise AdapterError(f"Gates of 0 and Skip, both for all tokens, can be cut out of a model. Got {edit!r} instead.")
    blocks = skipped["both"] | skipped["attention"] & skipped["mlp"]
    rest = [skipped[part] - blocks for part in ("attention", "mlp")]
    gone = blocks | rest[0]
    return Cut(tuple(sorted(h for h in out if h[0] not in gone)), *(tuple(sorted(s)) for s in (*rest, blocks)))


def slimmed(module: nn.Module, cut: Cut) -> nn.Module:
    """A smaller copy of a vision transformer without what the cut names; the given module stays as it is."""
    _check(module, cut)
    small = copy.deepcopy(module)
    blocks = list(small.blocks)  # type: ignore[arg-type]
    for number, block in enumerate(blocks):
        if number in cut.attention:
            block.norm1, block.attn = nn.Identity(), OnlyBias(None)
        elif cut.heads_of(number):
            block.attn = _without(block.attn, cut.heads_of(number))
        if number in cut.mlps:
            block.norm2, block.mlp = nn.Identity(), OnlyBias(None)
    small.blocks = type(small.blocks)(*[b for n, b in enumerate(blocks) if n not in cut.blocks])
    return small.eval()


def save_slim(module: nn.Module, cut: Cut, folder: Path | str, *, architecture: str | None = None, **options: Any) -> Path:
    """Write a slimmed module as `model.safetensors` and `slim.json`.

    Args:
        module: what `slimmed` returned.
        cut: the same cut.
        folder: where to; made if it is not there.
        architecture: the name that `timm.create_model` makes the whole model by; without one, `load_slim` must be given a
            function that makes it.
        options: what `timm.create_model` needs besides (num_classes, img_size, ...).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    record = {"format": FORMAT, "architecture": architecture, "options": options, "cut": asdict(cut)}
    (folder / "slim.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    return folder


def load_slim(folder: Path | str, build: Callable[[], nn.Module] | None = None) -> nn.Module:
    """The slimmed module of a folder that `save_slim` wrote; `build` makes the whole model where timm does not know it."""
    place = allowed(folder)
    record = read_json(place / "slim.json")
    if record.get("format") != FORMAT:
        raise AdapterError(f"{place / 'slim.json'} is of format {record.get('format')!r}; {FORMAT!r} can be read.")
    if build is None and record["architecture"] is None:
        raise AdapterError(f"{place} does not say which model of timm it was cut from. Give build=, which makes the whole model.")
    whole = build() if build is not None else _created(record["architecture"], record["options"])
    cut = record["cut"]
    heads = tuple((int(block), int(head)) for block, head in cut["heads"])
    small = slimmed(whole, Cut(heads, tuple(cut["attention"]), tuple(cut["mlps"]), tuple(cut["blocks"])))
    fill(small, read_state(place / "model.safetensors"), place)
    return small


def loader_snippet(folder: Path | str) -> str:
    """The Python that loads a slimmed model again."""
    return (
        "import model_adapters as ma\nfrom model_adapters.slimming import load_slim\n\n"
        f"module = load_slim({str(folder)!r})\nmodel = ma.wrap(module, name='slim')\n"
    )


def _created(architecture: str, options: dict[str, Any]) -> nn.Module:
    import timm

    try:
        return timm.create_model(architecture, pretrained=False, **options)
    except (RuntimeError, TypeError, ValueError) as error:
        raise AdapterError(f"timm cannot make {architecture!r} with {options}: {error}.") from error


def _check(module: nn.Module, cut: Cut) -> None:
    from timm.layers import Attention
    from timm.models.vision_transformer import Block

    blocks = getattr(module, "blocks", None)
    if not isinstance(blocks, nn.Sequential):
        raise AdapterError(f"{type(module).__name__} cannot be slimmed: timm's VisionTransformer, DeiT and their like can.")
    touched = {b for b, _ in cut.heads} | {*cut.attention, *cut.mlps, *cut.blocks}
    if beyond := sorted(b for b in touched if not 0 <= b < len(blocks)):
        raise AdapterError(f"Blocks {beyond} were to be cut, but there are blocks 0 to {len(blocks) - 1}.")
    for number in touched:
        block: Any = blocks[number]
        if type(block) is not Block or type(block.attn) is not Attention or not isinstance(block.attn.norm, nn.Identity):
            raise AdapterError(
                f"Block {number} is a {type(block).__name__} with {type(getattr(block, 'attn', None)).__name__}; only plain "
                "pre-norm blocks with one qkv projection and no norm over heads can be cut. Gates and skips work on all."
            )
        if wrong := sorted(h for h in cut.heads_of(number) if not 0 <= h < block.attn.num_heads):
            raise AdapterError(f"Heads {wrong} of block {number} were to be cut, but it has {block.attn.num_heads}.")


def _without(attention: Any, heads: frozenset[int]) -> nn.Module:
    left = [h for h in range(attention.num_heads) if h not in heads]
    if not left:
        return OnlyBias(attention.proj.bias)
    width, device = attention.head_dim, attention.qkv.weight.device
    columns = torch.cat([torch.arange(h * width, (h + 1) * width, device=device) for h in left])
    attention.qkv = _rows(attention.qkv, torch.cat([columns + part * attention.attn_dim for part in range(3)]))
    if getattr(attention, "gate", None) is not None:
        attention.gate = _rows(attention.gate, columns)
    attention.proj = _columns(attention.proj, columns)
    attention.num_heads, attention.attn_dim = len(left), len(left) * width
    return attention


def _rows(linear: nn.Linear, rows: torch.Tensor) -> nn.Linear:
    bias = None if linear.bias is None else linear.bias[rows]
    return _linear(linear.weight[rows], bias, linear.weight.requires_grad)


def _columns(linear: nn.Linear, columns: torch.Tensor) -> nn.Linear:
    return _linear(linear.weight[:, columns], linear.bias, linear.weight.requires_grad)


def _linear(weight: torch.Tensor, bias: torch.Tensor | None, learns: bool) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    made.weight = nn.Parameter(weight.detach().clone(), requires_grad=learns)
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone(), requires_grad=learns)
    return made
