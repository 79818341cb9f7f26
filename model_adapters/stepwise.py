"""Run a plain tower block by block: what every block was given, any block again, and the classifier on given states.

Nothing here knows an architecture. Blocks are called again with the arguments they were called with; the output
projection is the first linear map behind the attention kernel; the classifier is the model itself, run on one input
whose last block is made to return other hidden states. Whether that is right for a model has to be tried on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from model_adapters.errors import AdapterError
from model_adapters.events import SDPA, SOFTMAX
from model_adapters.hidden import Found, find_hidden, find_output, with_output
from model_adapters.inputs import Inputs
from model_adapters.model import Model
from model_adapters.residual import ADDITIONS
from model_adapters.trail import Observer, follow


@dataclass(frozen=True, eq=False)
class Call:
    """One block, and what it was called with."""

    name: str
    block: nn.Module
    args: tuple
    kwargs: dict
    found: Found

    @property
    def hidden(self) -> torch.Tensor:
        """[B, T, D]: the hidden states that came in."""
        return self.found.tensor

    def again(self, hidden: torch.Tensor) -> torch.Tensor:
        """The block's output for other hidden states [n B, T, D]; its other arguments are repeated n times."""
        batch, times = len(self.hidden), len(hidden) // len(self.hidden)
        args, kwargs = self.found.put(self.args, self.kwargs, hidden)
        args = tuple(_repeated(a, hidden, batch, times) for a in args)
        kwargs = {name: _repeated(a, hidden, batch, times) for name, a in kwargs.items()}
        output = find_output(self.block(*args, **kwargs))
        if output is None:
            raise AdapterError(f"Block {self.name} returns no hidden states.")
        return output


@contextmanager
def calls_of(model: Model) -> Iterator[list[Call]]:
    """The calls of all blocks of whatever runs inside the context."""
    observer = _Calls(model)
    with follow(observer):
        yield observer.calls


class _Calls(Observer):
    def __init__(self, model: Model) -> None:
        super().__init__(model.module)
        self.blocks = model.tap_labels.blocks
        self.calls: list[Call] = []

    def entered(self, name: str, module: nn.Module, args: tuple, kwargs: dict) -> None:
        if name in self.blocks and (found := find_hidden(args, kwargs)) is not None:
            self.calls.append(Call(name, module, args, kwargs, found))


def classified(model: Model, inputs: Inputs, last: str, hidden: torch.Tensor) -> torch.Tensor:
    """The model's answers when its last block returns these hidden states [N, T, D]; `inputs` hold one item."""
    with follow(_Returning(model.module, last, hidden)):
        return model.logits(model.forward(inputs))


class _Returning(Observer):
    def __init__(self, root: nn.Module, block: str, hidden: torch.Tensor) -> None:
        super().__init__(root)
        self.block, self.hidden = block, hidden

    def left(self, name: str, module: nn.Module, output: Any) -> Any:
        return with_output(output, self.hidden, name) if name == self.block else None


def first_item(inputs: Inputs) -> Inputs:
    """The first item of a batch."""
    tensors = {n: t[:1] if isinstance(t, torch.Tensor) and len(t) == inputs.batch else t for n, t in inputs.tensors.items()}
    return Inputs(tensors, images=inputs.images[:1], many=inputs.many)


def rows_read(model: Model, inputs: Inputs, last: str, hidden: torch.Tensor) -> torch.Tensor:
    """The rows of the last block's output [1, T, D] that the answer depends on."""
    with torch.enable_grad():
        leaf = hidden.detach().clone().requires_grad_()
        answer = classified(model, inputs, last, leaf).float()
        draw = torch.randn(answer.shape, generator=torch.Generator().manual_seed(0)).to(answer)
        (gradient,) = torch.autograd.grad((answer * draw).sum(), leaf)
    return torch.nonzero(gradient[0].abs().sum(-1)).flatten()


class _AfterAttention(TorchFunctionMode):
    """Meets the output projection of one block: the first linear map behind its attention."""

    def __init__(self) -> None:
        super().__init__()
        self.attended = self.met = False

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func is F.linear and self.attended and not self.met:
            self.met = True
            return self.projects(*args, **kwargs)
        self.attended = self.attended or func is SDPA or func in SOFTMAX
        return self.other(func, args, kwargs)

    def projects(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """The output projection."""
        raise NotImplementedError

    def other(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """Any other function."""
        return func(*args, **kwargs)


class Silenced(_AfterAttention):
    """The output projection answers once per chosen head, with that head's contribution taken out.

    The answer [n, B, T, D] has an axis in front; the residual stream [B, T, D] is added to it by broadcasting, so the
    attention runs once and only the rest of the block runs once per head.
    """

    def __init__(self, heads: Sequence[int], of: int) -> None:
        super().__init__()
        self.heads, self.of = list(heads), of

    def projects(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """The projection of all heads, less that of each."""
        if input.shape[-1] % self.of or input.dim() != 3:
            raise AdapterError(f"head outputs of shape {tuple(input.shape)} do not divide into {self.of} heads.")
        whole = F.linear(input, weight, bias)
        apart = input.unflatten(-1, (self.of, -1))[..., self.heads, :]
        columns = weight.unflatten(-1, (self.of, -1))[:, self.heads]
        return whole[None] - torch.einsum("bthd,ohd->hbto", apart, columns)


class OnlyRows(_AfterAttention):
    """Behind the attention, a block goes on with a few rows: [B, R, D] instead of [B, T, D]."""

    def __init__(self, rows: torch.Tensor, tokens: int) -> None:
        super().__init__()
        self.rows, self.tokens = rows, tokens

    def projects(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """The projection of the chosen rows."""
        return F.linear(input[:, self.rows], weight, bias)

    def other(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """Where a few rows meet all rows of the residual stream, the same rows of it are taken."""
        if self.met and func in ADDITIONS and {_tokens(a) for a in args[:2]} == {len(self.rows), self.tokens}:
            args = (*(a[:, self.rows] if _tokens(a) == self.tokens else a for a in args[:2]), *args[2:])
        return func(*args, **kwargs)


def _tokens(value: object) -> int | None:
    return value.shape[1] if isinstance(value, torch.Tensor) and value.dim() == 3 else None


def _repeated(value: Any, hidden: torch.Tensor, batch: int, times: int) -> Any:
    if value is hidden or not isinstance(value, torch.Tensor) or times == 1 or batch == 1:
        return value
    return value.repeat(times, *[1] * (value.dim() - 1)) if value.dim() and len(value) == batch else value
