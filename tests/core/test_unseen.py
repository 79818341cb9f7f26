"""What cannot be seen is told: kernels of one's own, traced modules, compiled parts, channels that look like tokens."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import model_adapters as ma
from tests.core.by_hand import WIDTH, Attention, Net, tokens


class Kernel(Attention):
    """Attention in a kernel that no function mode can watch."""

    def _sdpa(self, q, k, v):
        with torch._C.DisableTorchFunction():
            return nn.functional.scaled_dot_product_attention(q, k, v)


class Channels(nn.Module):
    """Features weighed by features: the shape of attention, but nothing moves between tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        weights = (q.transpose(1, 2) @ k / 4).softmax(-1)
        return (weights @ v.transpose(1, 2)).transpose(1, 2)


def with_second(part: nn.Module) -> ma.Model:
    net = Net("sdpa")
    net.blocks[1].attn = part
    return ma.wrap(net.eval(), name="mine", verify=False)


@pytest.mark.parametrize("name", ["MHA", "TokenMixer", "Attention"])
def test_a_kernel_of_its_own_is_told_whatever_it_is_called(name):
    model = with_second(type(name, (Kernel,), {})())
    report = ma.verify(model, tokens())
    assert report.passed and report.sites == 1
    assert f"1 of 2 attention computations are seen; not seen: blocks.1.attn ({name}): it runs in a kernel" in report.notes[0]
    assert ma.capture(model, tokens()).notes == report.notes


def test_a_traced_attention_is_told():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(Attention("softmax").eval(), tokens().tensors["x"])
    report = ma.verify(with_second(traced), tokens())
    assert report.passed and report.sites == 1 and "not seen: blocks.1" in report.notes[0]


def test_a_root_is_treated_by_what_it_does():
    class MyAttentionNet(Net):
        """A network whose name says attention."""

    report = ma.verify(ma.wrap(MyAttentionNet().eval(), verify=False), tokens())
    assert report.passed and report.sites == 2 and not report.notes


def test_a_compiled_part_is_refused_by_name():
    net = Net("sdpa")
    net.blocks[1].attn = torch.compile(net.blocks[1].attn)
    with pytest.raises(ma.AdapterError, match=r"blocks.1.attn in mine is compiled"):
        ma.wrap(net)


class Coarse(nn.Linear):
    """A layer whose answer jumps by a step wherever its number crosses one of many borders, as quantised ones do."""

    def forward(self, x):
        made = super().forward(x)
        return made + 0.02 * torch.sin(1e5 * made).sign()


def coarse(seed: int) -> ma.Model:
    net = Net("sdpa", seed)
    for block in net.blocks:
        part = Coarse(WIDTH, WIDTH)
        part.load_state_dict(block.attn.proj.state_dict())
        block.attn.proj = part
    return ma.wrap(net.eval(), name="coarse", verify=False)


def test_a_model_that_rounds_is_told_and_not_refused():
    reports = [ma.verify(coarse(seed), tokens(count=24)) for seed in range(4)]
    rough = [report for report in reports if report.identity > 3e-4]
    assert rough, "the answer of none of these jumps"
    for report in rough:
        assert report.passed and "The model rounds as it computes" in report.notes[-1], report.sentence


def test_channels_are_no_places_of_the_picture():
    model = with_second(Channels())
    capture = ma.capture(model, tokens())
    assert {site.name: capture.shapes[site] for site in capture.sites} == {
        "blocks.0.attn": (4, 6, 6), "blocks.1.attn": (1, WIDTH, WIDTH),
    }  # fmt: skip
