"""The estimate is what is really kept, and what does not fit is refused with what would."""

from __future__ import annotations

import re
import sys

import pytest

import model_adapters as ma
from model_adapters import cost
from tests.core.by_hand import net, tokens
from tests.core.comparing import wrapped, wrapped_timm

MODELS = ("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "pvt_v2_b0", "nest_tiny")
KEEPS = {
    "everything": ma.Keep(),
    "half": ma.Keep(dtype="float16"),
    "mean head": ma.Keep(heads="mean"),
    "one head": ma.Keep(heads=(0,)),
    "last row": ma.Keep(queries="last"),
    "rows": ma.Keep(queries=(0, 2)),
    "received": ma.Keep(reduce="received"),
    "entropy": ma.Keep(reduce="entropy", dtype="float16"),
    "first layer": ma.Keep(sites=(0,)),
    "nothing": ma.Keep(sites="none"),
}
PARTS = (
    "weights",
    "values",
    "queries",
    "keys",
    "head_outputs",
    "hidden",
    "gradients",
    "head_gradients",
    "hidden_gradients",
)


def kept(result: ma.Capture) -> int:
    """Bytes of everything in a capture."""
    return sum(array.nbytes for part in PARTS for array in getattr(result, part).values())


@pytest.fixture(scope="module", params=MODELS)
def tower(request):
    return wrapped_timm(request.param, 2)


@pytest.mark.parametrize("keep", KEEPS)
def test_estimate_is_what_is_kept(keep, tower):
    expected = ma.estimate(*tower, KEEPS[keep])
    result = ma.capture(*tower, keep=KEEPS[keep])
    assert expected.bytes == kept(result)
    assert expected.sites == len(result.sites)


@pytest.mark.parametrize(
    "want", [("hidden",), ("values",), ("queries",), ("heads",), ("gradients",), tuple(cost.WANTS)]
)
def test_estimate_of_more_than_weights_is_close_and_not_too_low(want, tower):
    ma.capture(*tower, want=set(cost.WANTS))
    expected = ma.estimate(*tower, ma.Keep(), want)
    result = kept(ma.capture(*tower, want=want))
    assert result <= expected.bytes
    if want == ("hidden",):
        assert expected.bytes == result


@pytest.mark.parametrize("queries", ["image", "last", "all"])
def test_estimate_for_a_decoder(queries):
    model, inputs = wrapped("llava")
    names = tuple(name for name, _ in model.module.named_modules() if "language_model" in name)
    keep = ma.Keep(sites=names, queries=queries)
    assert ma.estimate(model, inputs, keep).bytes == kept(ma.capture(model, inputs, keep=keep)) > 0


def test_passes_and_seconds():
    model, inputs = net(), tokens()
    plain, graded = ma.estimate(model, inputs), ma.estimate(model, inputs, want={"gradients"})
    assert (plain.passes, graded.passes) == (1, 3)
    assert graded.seconds == pytest.approx(3 * plain.seconds) and plain.seconds > 0
    assert plain.fits and re.match(r"[\d.]+ [kMG]?B of [\d.]+ GB free, 1 passes, about [\d.]+ s", str(plain))


@pytest.fixture
def little(monkeypatch):
    """Make the free memory small."""

    def allow(size: int) -> None:
        for module in (cost, sys.modules["model_adapters.capture"]):
            monkeypatch.setattr(module, "free_bytes", lambda: size)

    return allow


def test_what_does_not_fit_is_refused_with_what_would(little):
    model, inputs = wrapped_timm("vit_tiny_patch16_224", 2)
    everything = ma.estimate(model, inputs).bytes
    half = ma.estimate(model, inputs, ma.Keep(dtype="float16")).bytes
    little(half)
    assert not ma.estimate(model, inputs).fits
    with pytest.raises(ma.AdapterError, match="would keep .* but .* may be used. What would fit") as refusal:
        ma.capture(model, inputs)
    assert cost.readable(everything) in str(refusal.value)
    named = re.findall(r"(dtype='float16'|heads='mean'|queries='last'|reduce='received')", str(refusal.value))
    assert "dtype='float16'" in named and len(named) >= 3
    for option in named:
        name, value = option.split("=")
        smaller = ma.Keep(**{name: value.strip("'")})
        assert kept(ma.capture(model, inputs, keep=smaller)) <= half


def test_what_does_not_fit_is_refused_the_first_time_too(little):
    """Nothing is known of the model yet, so the refusal comes in the layer, before the rows are made."""
    model, inputs = wrapped_timm("vit_tiny_patch16_224", 2)
    little(1000)
    with pytest.raises(ma.AdapterError, match="more than the .* may be used. Fewer of them fit"):
        ma.capture(model, inputs)


def test_where_nothing_fits_single_sites_are_named(little):
    model, inputs = net(), tokens()
    ma.estimate(model, inputs)
    little(10)
    with pytest.raises(ma.AdapterError, match=r"single sites, such as sites=\('blocks.0.attn',\)"):
        ma.capture(model, inputs)


@pytest.mark.parametrize(("size", "text"), [(12, "12 B"), (1500, "1.5 kB"), (340e6, "340 MB"), (7.25e12, "7250 GB")])
def test_bytes_for_people(size, text):
    assert cost.readable(size) == text
