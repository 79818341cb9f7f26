"""One user's run never leaks: not into the model, not into another thread, not into the next run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch.overrides import _get_current_function_mode_stack

import model_adapters as ma
from model_adapters import trail
from model_adapters.edits import Block, Boost, Edit, Gate, ScaleWeights, SetHidden, Uniform
from tests.core.by_hand import net, tokens
from tests.core.comparing import wrapped_timm
from tests.zoo.shake import scene

THREADS, ROUNDS = 8, 3


@dataclass(frozen=True)
class Failing(Edit):
    """An edit with a bug in it."""

    stage: ClassVar[str] = "weights"

    def __call__(self, tensor, scope):
        raise ZeroDivisionError("a bug in an edit")


class FailingOutput(Failing):
    stage: ClassVar[str] = "output"


def assert_clean(model, inputs, plain):
    assert _get_current_function_mode_stack() == []
    assert trail._observers.get() == ()
    assert torch.is_grad_enabled()
    assert not model.lock._is_owned()
    with torch.no_grad():
        assert torch.equal(model.forward(inputs), plain)


@pytest.mark.parametrize("edit", [Failing(), FailingOutput(), Gate(ma.Where(heads=(77,)))])
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_exception_in_an_edit_leaves_the_model_as_it_was(name, edit):
    model, inputs = wrapped_timm(name)
    with torch.no_grad():
        plain = model.forward(inputs)
    for act in (ma.run, lambda *run: ma.capture(run[0], run[1], edits=run[2])):
        with pytest.raises((ZeroDivisionError, ValueError)):
            act(model, inputs, edit)
        assert_clean(model, inputs, plain)


def test_exception_in_the_model_leaves_the_model_as_it_was():
    model, inputs = net(), tokens()
    plain = model.forward(inputs)

    def failing(module, args):
        raise ZeroDivisionError("a bug in a model")

    handle = model.module.blocks[1].mlp.register_forward_pre_hook(failing)
    with pytest.raises(ZeroDivisionError):
        ma.capture(model, inputs, want={"hidden", "gradients"})
    handle.remove()
    assert_clean(model, inputs, plain)
    np.testing.assert_array_equal(ma.capture(model, inputs).logits, plain[0].numpy())


def test_a_module_that_fails_inside_and_is_caught_there_leaves_no_name_behind():
    class Careful(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.risky, self.safe = net().module, net(seed=1).module

        def forward(self, x):
            try:
                return self.risky(x[..., :3])
            except RuntimeError:
                return self.safe(x)

    model = ma.wrap(Careful().eval(), name="careful", verify=False)
    capture = ma.capture(model, tokens())
    assert [site.name for site in capture.sites] == ["safe.blocks.0.attn", "safe.blocks.1.attn"]


def test_hooks_are_inert_outside():
    model, inputs = net(), tokens()
    plain = model.forward(inputs)
    tap = ma.AttentionTap(model.module, edits=(Uniform(),))
    assert torch.equal(model.forward(inputs), plain)
    with tap:
        assert not torch.equal(model.forward(inputs), plain)
    met = dict(tap.recorder.records)
    assert torch.equal(model.forward(inputs), plain)
    assert tap.recorder.records == met


def test_hooks_are_installed_once():
    model, inputs = net(), tokens()
    ma.capture(model, inputs)
    counts = [len(module._forward_hooks) for module in model.module.modules()]
    ma.capture(model, inputs, edits=Uniform())
    trail.install(model.module)
    assert counts == [len(module._forward_hooks) for module in model.module.modules()]
    assert max(counts) == 1


def test_nested_taps_see_the_same_run():
    model, inputs = net(), tokens()
    alone = ma.capture(model, inputs)
    with torch.no_grad(), ma.AttentionTap(model.module) as outer, ma.AttentionTap(model.module) as inner:
        model.module(**inputs.tensors)
    for tap in (outer, inner):
        kept = {site: record.weights for (_, site), record in tap.recorder.records.items()}
        assert tuple(kept) == alone.sites
        for site, weights in kept.items():
            np.testing.assert_allclose(weights[0].numpy(), alone.weights[site], atol=1e-6)


def test_taps_of_two_models_do_not_mix():
    one, other, inputs = net(), net(seed=1), tokens()
    expected = ma.capture(one, inputs)
    with torch.no_grad(), ma.AttentionTap(other.module) as tap, ma.AttentionTap(one.module) as inner:
        one.module(**inputs.tensors)
    assert tap.ran == set()
    np.testing.assert_array_equal(inner.recorder.records[0, expected.sites[0]].weights[0].numpy(), expected.weights[0])


def test_roles_measured_in_the_middle_of_a_run_do_not_disturb_it():
    """Where roles must be measured, the model runs again while it is running."""
    model, _ = wrapped_timm("swin_tiny_patch4_window7_224")
    inputs = model.prepare(image=scene())
    everything = ma.capture(model, inputs)
    by_role = ma.capture(model, inputs, keep=ma.Keep(queries=("patch",)))
    assert by_role.sites == everything.sites
    for site in everything.sites:
        np.testing.assert_array_equal(by_role.weights[site], everything.weights[site])
    with pytest.raises(ma.AdapterError, match=r"The roles of \d+ queries of layers.0.blocks.0 were asked for"):
        ma.run(model, inputs, SetHidden(ma.Where(queries="patch"), dims=(0,)))


# ---- threads

EDITS = (
    (), (Gate(ma.Where(heads=(0,))),), (Gate(ma.Where(heads=(1,), layers=(1,))),), (Block(ma.Where(keys=(0,))),),
    (Uniform(),), (Boost(alpha=2.0),), (ScaleWeights(ma.Where(layers=(0,)), 0.5),), (Uniform(ma.Where(layers=(1,))),),
)  # fmt: skip


@pytest.fixture(scope="module")
def jobs():
    """One model, and per thread another picture and another edit, with the result it gives alone."""
    model, _ = wrapped_timm("vit_tiny_patch16_224")
    pictures = [wrapped_timm("vit_tiny_patch16_224", THREADS)[1].tensors["x"][i : i + 1] for i in range(THREADS)]
    tasks = [(ma.Inputs({"x": picture}), edits) for picture, edits in zip(pictures, EDITS, strict=True)]
    alone = [ma.capture(model, inputs, edits=edits) for inputs, edits in tasks]
    assert len({capture.logits.tobytes() for capture in alone}) == THREADS
    return model, tasks, alone


def together(function, tasks):
    with ThreadPoolExecutor(THREADS) as pool:
        return [list(pool.map(lambda task: function(*task), tasks)) for _ in range(ROUNDS)]


def test_threads_with_the_lock_never_see_each_other(jobs):
    model, tasks, alone = jobs
    for results in together(lambda inputs, edits: ma.capture(model, inputs, edits=edits), tasks):
        for result, expected in zip(results, alone, strict=True):
            np.testing.assert_array_equal(result.logits, expected.logits)
            assert result.edits == expected.edits
            for site in expected.sites:
                np.testing.assert_array_equal(result.weights[site], expected.weights[site])


def test_threads_without_the_lock_never_see_each_other(jobs):
    model, tasks, alone = jobs

    def raw(inputs, edits):
        with torch.no_grad(), ma.AttentionTap(model.module, edits=edits) as tap:
            logits = model.module(**inputs.tensors)
        return logits, {site: record.weights for (_, site), record in tap.recorder.records.items()}

    for results in together(raw, tasks):
        for (logits, weights), expected in zip(results, alone, strict=True):
            np.testing.assert_array_equal(logits[0].numpy(), expected.logits)
            for site in expected.sites:
                np.testing.assert_array_equal(weights[site][0].numpy(), expected.weights[site])


def test_a_plain_run_beside_an_edited_one_is_plain(jobs):
    model, tasks, _ = jobs
    inputs = tasks[0][0]
    with torch.no_grad():
        plain = model.module(**inputs.tensors)

    def act(number):
        if number % 2:
            with torch.no_grad():
                return torch.equal(model.module(**inputs.tensors), plain)
        with torch.no_grad(), ma.AttentionTap(model.module, edits=(Uniform(),)):
            return not torch.equal(model.module(**inputs.tensors), plain)

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(act, range(4 * THREADS)))
