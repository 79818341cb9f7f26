"""Rows of new tokens that are made together are those that each would have been given alone."""

from __future__ import annotations

import pytest
import torch

from model_adapters.events import Sdpa
from model_adapters.later import MOST, Later


def called(query, key, **changed) -> Sdpa:
    given = {"mask": None, "causal": False, "scale": 0.3, "grouped": query.shape[1] != key.shape[1], "dropout": 0.0}
    return Sdpa(query, key, key, **{**given, **changed})


def alone(call: Sdpa) -> torch.Tensor:
    key = call.key.repeat_interleave(call.query.shape[1] // call.key.shape[1], 1)
    return torch.einsum("bhqd,bhkd->bhqk", call.query * call.scale, key).softmax(-1)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    "lengths",
    [list(range(5, 17)), [5, 6, 7, 7, 7, 8], [9, 3, 4, 5], list(range(3, 3 + 2 * MOST + 5))],
    ids=["grows", "slides", "starts over", "many"],
)
def test_rows_are_those_of_single_calls(lengths, groups):
    torch.manual_seed(0)
    cache = torch.randn(1, 4 // groups, 400, 8)
    found: dict[int, torch.Tensor] = {}
    later: Later[int] = Later(lambda number, made: found.__setitem__(number, made.clone()))
    expected, start, before = [], 0, 0
    for number, length in enumerate(lengths):
        start = start if length == before + 1 else start + 7  # other keys, as after a cut or in a window that slides
        call = called(torch.randn(1, 4, 1, 8), cache[:, :, start : start + length].clone())
        assert later.takes(call)
        expected.append(alone(call))
        later.add("site", call, number)
        before = length
    later.finish()
    assert sorted(found) == list(range(len(lengths)))
    for number, length in enumerate(lengths):
        assert found[number].shape == (1, 4, 1, length)
        torch.testing.assert_close(found[number], expected[number], atol=1e-6, rtol=1e-5)


def test_sites_do_not_mix_and_finish_empties():
    torch.manual_seed(0)
    found = []
    later: Later[str] = Later(lambda name, made: found.append((name, made.clone())))
    keys = {name: torch.randn(1, 2, 9, 4) for name in "ab"}
    calls = {
        (name, n): called(torch.randn(1, 2, 1, 4), keys[name][:, :, :n]) for n in (6, 7, 8) for name in "ab"
    }
    for (name, n), call in calls.items():
        later.add(name, call, f"{name}{n}")
    later.finish()
    later.finish()
    assert sorted(name for name, _ in found) == ["a6", "a7", "a8", "b6", "b7", "b8"]
    for name, made in found:
        torch.testing.assert_close(made, alone(calls[name[0], int(name[1])]), atol=1e-6, rtol=1e-5)


def test_what_cannot_wait_is_not_taken():
    query, key = torch.randn(1, 2, 1, 4), torch.randn(1, 2, 6, 4)
    assert Later.takes(called(query, key))
    assert not Later.takes(called(query, key, mask=torch.zeros(1, 1, 1, 6)))
    assert not Later.takes(called(query.repeat(2, 1, 1, 1), key.repeat(2, 1, 1, 1)))
    assert not Later.takes(called(torch.randn(1, 2, 3, 4), key))
