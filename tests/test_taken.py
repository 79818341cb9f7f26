"""What a model takes: videos, a text for each image, two images; loaded from a saved folder and checked on just that."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import model_adapters as ma
from model_adapters.examples import example, test_frames
from tests.test_classes import Net, pixels
from tests.zoo.saved import save


@pytest.mark.parametrize(
    "name", ["videomae", "bridgetower", "sam", "dpt", "clipseg", "blip_retrieval", "superglue", "perceiver", "instructblipvideo"]
)
def test_a_saved_folder_opens_and_is_checked(name, tmp_path):
    kind = save(name, tmp_path / name)
    model = ma.load(f"path:{tmp_path / name}", device="cpu")
    assert model.report.passed and model.report.unchanged and model.report.sites > 0
    with torch.no_grad():
        alone = kind.from_pretrained(tmp_path / name).eval()
        inputs = example(model)
        assert torch.equal(model.logits(model.forward(inputs)), model.logits(alone(**inputs.tensors)))
    capture = ma.capture(model, inputs)
    assert all(np.allclose(rows.sum(-1)[rows.any(-1)], 1, atol=1e-4) for rows in capture.weights.values())


def test_what_no_processor_makes_is_named(tmp_path):
    save("seggpt", tmp_path / "seggpt")
    with pytest.raises(ma.AdapterError, match="needs prompt_masks, prompt_pixel_values.*verify=False"):
        ma.load(f"path:{tmp_path / 'seggpt'}", device="cpu")
    model = ma.load(f"path:{tmp_path / 'seggpt'}", device="cpu", verify=False)
    side = {"pixel_values": (3, 32, 32), "prompt_pixel_values": (3, 32, 32), "prompt_masks": (3, 32, 32)}
    torch.manual_seed(0)
    assert ma.verify(model, ma.Inputs({name: torch.rand(1, *shape) for name, shape in side.items()})).passed


def test_frames_differ_from_each_other():
    first, second, third = (np.asarray(frame).astype(int) for frame in test_frames(3))
    assert abs(first - second).mean() > 1 and abs(second - third).mean() > 1


def test_two_images_are_one_item(picture, tmp_path):
    save("superglue", tmp_path / "superglue")
    model = ma.load(f"path:{tmp_path / 'superglue'}", device="cpu", verify=False)
    inputs = model.prepare([picture, picture.rotate(180)])
    assert (inputs.batch, inputs.many, len(inputs.images[0])) == (1, False, 2)
    assert model.prepare([picture] * 4).tensors["pixel_values"].shape[:2] == (2, 2)
    with pytest.raises(ValueError, match="looks at 2 images together. Give them as a list. Got 1"):
        model.prepare(picture)


class AnyArguments(Net):
    def forward(self, *args: torch.Tensor) -> torch.Tensor:
        return super().forward(args[0])


class Number(Net):
    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.tokens(pictures).mean()


@pytest.mark.parametrize(
    ("module", "transform", "sentence"),
    [
        (AnyArguments(), pixels, r"names no argument for the image. Wrap a module whose forward\(self, x\) calls it"),
        (Number(), pixels, "returned no tensor of numbers that could be its answer"),
        (Net(), lambda picture: "pixels", r"must make a tensor \[channels, height, width\] of a PIL image. It made str"),
        (Net(), lambda picture: picture.nothing, "It raised AttributeError"),
        (Net(), lambda picture: torch.rand(7, 9), "does not run on the test picture"),
    ],
)
def test_what_does_not_fit_gets_its_sentence(module, transform, sentence):
    with pytest.raises(ma.AdapterError, match=sentence):
        ma.wrap(module, transform)


def test_inputs_that_do_not_fit_get_their_sentence(picture):
    model = ma.wrap(Net(), pixels)
    with pytest.raises(ValueError, match=r"takes no y. Its arguments are \['pictures'\]"):
        ma.capture(model, ma.Inputs({"y": torch.rand(1, 3, 32, 32)}))
    with pytest.raises(ma.AdapterError, match=r"does not run on these inputs .* It was given \{'pictures': \(1, 3, 3, 3\)\}"):
        ma.capture(model, ma.Inputs({"pictures": torch.rand(1, 3, 3, 3)}))
    unlike = ma.wrap(Net(), lambda one: torch.rand(3, *one.size), verify=False)
    with pytest.raises(ValueError, match="Pictures of a batch must have one size"):
        unlike.prepare([picture, picture.rotate(90, expand=True)])


def test_a_kind_that_is_given_is_the_kind_of_its_preparation(picture):
    from tests.zoo import hf

    model = ma.wrap(*hf.build("clip_vision_model"), kind="vit", verify=False)
    assert (model.kind, model.preparation.kind) == ("vit", "vit")
    with pytest.raises(ValueError, match="kind must be"):
        ma.wrap(nn.Linear(2, 2), kind="video", verify=False)
