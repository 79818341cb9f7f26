"""The geometry meets the sites that the tap meets, with as many rows, so that boxes can be laid over weights."""

from __future__ import annotations

import pytest

from model_adapters.capture import capture
from model_adapters.geometry import measured
from model_adapters.load import wrap
from model_adapters.model import Model
from model_adapters.site import Keep
from tests.zoo import hf
from tests.zoo.shake import scene
from tests.zoo.timm_models import TIMM_FAMILIES, build_timm

NAMES = [
    "swin_tiny_patch4_window7_224", "xcit_nano_12_p16_224", "coat_lite_tiny", "convit_tiny", "samvit_base_patch16",
    "llava_next", "qwen2_5_vl", "blip-2", "mllama", "florence2", "git",
]  # fmt: skip


def built(name: str) -> Model:
    return wrap(build_timm(name), verify=False) if name in TIMM_FAMILIES else wrap(*hf.build(name), verify=False)


@pytest.mark.parametrize("name", NAMES)
def test_layouts_fit_the_weights(name: str) -> None:
    model = built(name)
    inputs = model.prepare(image=scene(), **({} if model.kind == "vit" else {"text": "Is there a red circle?"}))
    captured = capture(model, inputs, keep=Keep(heads="mean"))
    layouts = measured(model, inputs)
    assert {(site.name, site.call) for site in captured.sites} == set(layouts)
    for site in captured.sites:
        layout, (queries, keys) = layouts[site.name, site.call], captured.weights[site].shape[-2:]
        assert len(layout.queries) == queries
        assert len(layout.keys) == len(layout.values) == keys * layout.windows
        assert len(layout.keys_of(queries - 1)) == keys
