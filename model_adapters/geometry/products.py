"""Which rows of the two operands of a matrix product are dyed, however the product was written."""

from __future__ import annotations

import torch

from model_adapters.geometry.marks import dyed


def operands(name: str, args: tuple, kwargs: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """The left and the right factor of a matmul, bmm, baddbmm or einsum."""
    if name == "einsum":
        factors = args[1] if isinstance(args[1], (tuple, list)) else args[1:]
        return (factors[0], factors[1]) if len(factors) == 2 else (factors[0], factors[0])
    if name == "baddbmm":
        return args[1], args[2]
    right: torch.Tensor = args[1] if len(args) > 1 else kwargs["other"] if "other" in kwargs else kwargs["mat2"]
    return (right, args[0]) if name == "rmatmul" else (args[0], right)


def einsum_rows(equation: str, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Dyed rows of queries and keys in an einsum that makes scores; None where it does not end in queries, keys."""
    parsed = _labels(equation)
    if parsed is None:
        return None
    first, second, out = parsed
    query, key, lead = out[-2], out[-1], out[:-2]
    if query in second and key in first:
        first, second, left, right = second, first, right, left
    if query not in first or key not in second or query in second or key in first:
        return None
    return _rows(left, first, lead + query), _rows(right, second, lead + key)


def value_rows(equation: str | None, left: torch.Tensor, right: torch.Tensor, on_left: bool) -> torch.Tensor | None:
    """Dyed rows of the values in weights @ values (or values @ weights, where the weights are on the right)."""
    value = right if on_left else left
    if equation is None:
        return dyed(value, -1) if on_left else dyed(value, -2)
    parsed = _labels(equation)
    if parsed is None:
        return None
    weight, values = (parsed[0], parsed[1]) if on_left else (parsed[1], parsed[0])
    lead = "".join(x for x in values if x in weight and x in parsed[2])
    key = "".join(x for x in values if x in weight and x not in parsed[2])
    return _rows(value, values, lead + key) if len(key) == 1 else None


def _labels(equation: str) -> tuple[str, str, str] | None:
    sides = equation.replace(" ", "").split("->")
    factors = sides[0].split(",")
    if len(sides) != 2 or len(factors) != 2 or "." in equation or len(sides[1]) < 3:
        return None
    return factors[0], factors[1], sides[1]


def _rows(tensor: torch.Tensor, labels: str, wanted: str) -> torch.Tensor:
    kept = [x for x in labels if x in wanted]
    nan = tensor.isnan()
    drop = [axis for axis, x in enumerate(labels) if x not in wanted]
    rows = nan.any(dim=drop) if drop else nan
    present = [x for x in wanted if x in kept]
    return rows.permute(*[kept.index(x) for x in present])
