"""Small random models with their inputs and captures, made once and shared by the tests."""

from __future__ import annotations

from functools import cache

import numpy as np

import model_adapters as ma
from model_adapters import Rows
from tests.zoo import hf
from tests.zoo.shake import scene

QUESTION = "Is there a red ball?"
LVLMS = ("llava", "llava_next", "qwen2_5_vl", "internvl", "instructblip", "paligemma")


@cache
def asked(name: str) -> tuple[ma.Model, ma.Inputs]:
    """A model of the zoo (or a bundled one) and one question about one picture."""
    if name.startswith("bundled:"):
        model = ma.load(name)
        return model, model.prepare(image=scene((96, 96)), text="is there a red ball?")
    module, processor = hf.build(name)
    model = ma.wrap(module, processor, name=name, kind="lvlm", verify=False)
    return model, model.prepare(image=scene(), text=QUESTION)


@cache
def seen(name: str) -> ma.Capture:
    """All that one run shows."""
    return ma.capture(*asked(name), want=("hidden", "queries"))


def rows_of(name: str) -> Rows:
    """The decoder's rows."""
    capture = seen(name)
    return capture.layouts[next(s for s in capture.sites if s.tower == "decoder")].keys


def image_of(name: str) -> np.ndarray:
    """The numbers of the tokens that stand for the image."""
    return rows_of(name).where("image", "query")


def depth_of(name: str) -> int:
    """How many layers the decoder has."""
    return 1 + max(s.layer for s in seen(name).sites if s.tower == "decoder")
