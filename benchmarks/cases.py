"""What is measured, and what it must reach."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch

import model_adapters as ma
from benchmarks import models
from benchmarks.ablation import ablation
from benchmarks.answers import decoders, reading, signals
from benchmarks.geometry import geometry
from benchmarks.memory import extra_peak
from benchmarks.timing import Ratio, against
from model_adapters.examples import example, test_picture
from model_adapters.geometry import layouts
from model_adapters.geometry.measure import measured


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    reach: str
    met: bool


def _plain(model: ma.Model, inputs: ma.Inputs) -> None:
    with torch.no_grad():
        model.forward(inputs)


def time_row(what: str, ratio: Ratio, reach: float) -> Row:
    """A ratio of times, met by the clock or by processor time."""
    text = f"{ratio.wall:.2f}x (processor time {ratio.cpu:.2f}x; plain {ratio.plain:.2f} s)"
    return Row(what, text, f"<= {reach:.2f}x", min(ratio.wall, ratio.cpu) <= reach)


def vit_capture() -> Iterator[Row]:
    """ViT-B/16, batch 8, against the plain fused forward."""
    model, inputs = models.vit_base()
    keeps = {
        "all maps": (ma.Keep(), 1.10),
        "the class row": (ma.Keep(queries=(0,)), 1.05),
        "attention received, reduced in the layer": (ma.Keep(reduce="received"), 1.05),
        "entropy of every row, reduced in the layer": (ma.Keep(reduce="entropy"), 1.05),
    }
    runs: list[Callable[[], object]] = [partial(ma.capture, model, inputs, keep=keep) for keep, _ in keeps.values()]
    for (name, (_, reach)), ratio in zip(keeps.items(), against(partial(_plain, model, inputs), runs), strict=True):
        yield time_row(f"ViT-B/16, batch 8: {name}", ratio, reach)


def decoder_rows() -> Iterator[Row]:
    """The last 64 rows of every head of a decoder at 2,048 tokens."""
    model, inputs = models.decoder(2048)
    keep = ma.Keep(queries=tuple(range(2048 - 64, 2048)))
    (ratio,) = against(partial(_plain, model, inputs), [partial(ma.capture, model, inputs, keep=keep)])
    yield time_row("Decoder, 2,048 tokens: last 64 rows of every head", ratio, 1.08)
    yield _memory_row("The same: extra peak memory", extra_peak("decoder"))


def dinov2_memory() -> Iterator[Row]:
    """The class row of all layers of a large tower."""
    yield _memory_row("DINOv2-L/14 shape, 518 px: class row of all layers, extra peak memory", extra_peak("dinov2"))


def _memory_row(what: str, size: float) -> Row:
    return Row(what, f"{size / 1e6:.0f} MB", "<= 150 MB", size <= 150e6)


def generation() -> Iterator[Row]:
    """32 new tokens with every row kept, against the plain `generate`."""
    for tokens in (168, 2048):
        model, inputs = models.decoder(tokens)

        def plain(model: ma.Model = model, inputs: ma.Inputs = inputs) -> None:
            with torch.no_grad():
                model.module.generate(**inputs.tensors, max_new_tokens=32, do_sample=False)

        (ratio,) = against(plain, [partial(ma.generate, model, inputs, max_new_tokens=32)], rounds=7)
        yield time_row(f"generate, width 1,024, {tokens}-token prompt, 32 new tokens, all rows kept", ratio, 1.08)


def loading() -> Iterator[Row]:
    """The check at load and the geometry of a ViT-B, in plain forwards of one image."""
    model, _ = models.vit_base()
    inputs = example(model)
    check, geometry = against(
        partial(_plain, model, inputs), [partial(ma.verify, model, inputs), partial(measured, model, inputs)]
    )
    yield Row("verify, ViT-B", f"{check.wall:.1f} plain forwards", "<= 6", check.wall <= 6)
    yield Row("Geometry of ViT-B, first time", f"{geometry.wall:.1f} plain forwards", "<= 30", geometry.wall <= 30)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HEADLIGHT_CACHE"] = folder
        layouts(model, inputs)
        start = time.perf_counter()
        layouts(model, inputs)
        again = time.perf_counter() - start
    yield Row("Geometry of ViT-B, from the cache", f"{again * 1000:.0f} ms", "<= 50 ms", again <= 0.05)


def first_answer() -> Iterator[Row]:
    """From a bundled language model's name to its first answer, after the imports."""
    start = time.perf_counter()
    model = ma.load("bundled:lvlm")
    prompt = model.prepare(image=test_picture(384), text="is there a red ball?")
    ma.generate(model, prompt, max_new_tokens=4)
    seconds = time.perf_counter() - start
    yield Row("bundled:lvlm: loading, check and first answer, after imports", f"{seconds:.1f} s", "<= 3 s", seconds <= 3)


CASES: tuple[Callable[[], Iterator[Row]], ...] = (
    vit_capture,
    decoder_rows,
    dinov2_memory,
    generation,
    loading,
    geometry,
    first_answer,
    ablation,
    reading,
    signals,
    decoders,
)
