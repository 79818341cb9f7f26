"""Edges cut within the model's own kernel: the same numbers as scores of minus infinity, and only where no row is left empty."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention as kernel

import model_adapters as ma
from model_adapters.cutting import without_edges
from model_adapters.edits import Block, Identity
from model_adapters.events import Sdpa
from model_adapters.site import Site
from model_adapters.where import Scope, Where
from tests.core.comparing import close, wrapped, wrapped_timm

HEADS, GROUPS, ROWS, KEYS, WIDTH = 6, 2, 5, 7, 8
TIMM = ("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224")
PLACES = {
    "keys": Where(keys=(1, 4)),
    "keys of some heads": Where(heads=(0, 3), keys=(2, 5, 6)),
    "some rows": Where(queries=(1, -1), keys=(1, 3)),
    "one edge": Where(heads=(5,), queries=(2,), keys=(1,)),
}


def call_of(mask: str, causal: bool, grouped: bool) -> Sdpa:
    torch.manual_seed(0)
    heads = GROUPS if grouped else HEADS
    query, key, value = (torch.randn(2, h, n, WIDTH) for h, n in ((HEADS, ROWS), (heads, KEYS), (heads, KEYS)))
    hidden = torch.rand(2, 1, ROWS, KEYS) < 0.2
    hidden[..., 0] = False
    given = {"none": None, "bool": ~hidden, "float": torch.zeros(hidden.shape).masked_fill(hidden, float("-inf")) + 0.3}[mask]
    return Sdpa(query, key, value, None if causal else given, causal, 0.31, grouped, 0.0)


def scope(queries: int = ROWS, keys: int = KEYS) -> Scope:
    site = Site("attention", heads=HEADS)
    return Scope(site, 0, 2, 1, queries, keys, slice(0, queries), torch.device("cpu"), None)


def slowly(call: Sdpa, cut) -> torch.Tensor:
    """Row by row, from the formula: `cut(head, row, key)` says which edges are gone."""
    out = torch.zeros(2, HEADS, ROWS, WIDTH, dtype=torch.float64)
    per = HEADS // call.key.shape[1]
    for item, head, row in product(range(2), range(HEADS), range(ROWS)):
        scores = call.key[item, head // per].double() @ call.query[item, head, row].double() * call.scale
        for key in range(KEYS):
            own = 0.0 if call.mask is None else call.mask[item, 0, row, key]
            if cut(head, row, key) or (call.causal and key > row) or (call.mask is not None and own is False):
                scores[key] = float("-inf")
            elif call.mask is not None and call.mask.dtype == torch.bool:
                scores[key] = scores[key] if own else float("-inf")
            else:
                scores[key] = scores[key] + own
        out[item, head, row] = scores.softmax(0) @ call.value[item, head // per].double()
    return out


def chosen(where: Where, head: int, row: int, key: int) -> bool:
    rows = where.queries if where.queries == "all" else [r % ROWS for r in where.queries]
    return (where.heads == "all" or head in where.heads) and (rows == "all" or row in rows) and key in where.keys


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mask,causal", [("none", False), ("bool", False), ("float", False), ("none", True)])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_kernel_gives_what_the_formula_gives(place, mask, causal, grouped):
    call, where = call_of(mask, causal, grouped), PLACES[place]
    found = without_edges(kernel, call, [Block(where)], scope())
    close(found.double(), slowly(call, lambda *edge: chosen(where, *edge)))


def test_two_cuts_add_up():
    call = call_of("none", False, False)
    one, two = PLACES["keys"], PLACES["some rows"]
    found = without_edges(kernel, call, [Block(one), Block(two)], scope())
    close(found.double(), slowly(call, lambda *edge: chosen(one, *edge) or chosen(two, *edge)))


@pytest.mark.parametrize("edits", [
    [Block(Where(keys=tuple(range(KEYS))))], [Block()], [Block(Where(keys=(0, 1))), Block()], [Identity()],
    [Block(Where(keys=(1,))), Identity()], [Block(Where(heads=(2,), queries=(3,), keys=tuple(range(KEYS))))],
])  # fmt: skip
def test_rows_left_empty_and_other_edits_are_made_from_scores(edits):
    assert without_edges(kernel, call_of("none", False, False), edits, scope()) is None


def test_what_is_masked_already_counts_for_an_empty_row():
    call = call_of("none", True, False)
    assert without_edges(kernel, call, [Block(Where(keys=(0,)))], scope()) is None  # row 0 sees key 0 alone
    assert without_edges(kernel, call, [Block(Where(queries=(1,), keys=(0,)))], scope()) is not None


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "paligemma", "instructblip", "internvl", *TIMM])
@pytest.mark.parametrize("where", [Where(keys=(2, 3)), Where(heads=(1,), keys=(1, 2)), Where(layers=(0,), keys=(0,))])
def test_whole_models_answer_as_from_scores(name, where):
    model, inputs = wrapped_timm(name, 2) if name in TIMM else wrapped(name)
    by_kernel = ma.capture(model, inputs, edits=(Block(where),))
    by_scores = ma.capture(model, inputs, edits=(Block(where), Identity(where)))
    close(torch.from_numpy(by_kernel.logits), torch.from_numpy(by_scores.logits))
    for site in by_scores.sites:
        close(torch.from_numpy(by_kernel.weights[site]), torch.from_numpy(by_scores.weights[site]))
