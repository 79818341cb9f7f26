"""Classes are where a model says so, and nowhere else: features, masks and boxes are never ranked as if they were."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import model_adapters as ma
from model_adapters.examples import example
from studies.measures import MEASURES
from tests.zoo import hf


@cache
def wrapped(name: str) -> ma.Model:
    return ma.wrap(*hf.build(name), name=name, verify=False)


class Net(nn.Module):
    """Patches of a picture of 32 x 32 pixels, one layer of attention, five outputs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.joined, self.head = nn.Conv2d(3, 32, 8, 8), nn.Linear(32, 96), nn.Linear(32, 5)

    def tokens(self, pictures: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(pictures).flatten(2).transpose(1, 2)
        query, key, value = (part.unflatten(-1, (4, 8)).transpose(1, 2) for part in self.joined(tokens).chunk(3, -1))
        return tokens + F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.head(self.tokens(pictures).mean(1))


class Segmenter(Net):
    """Five classes, for each pixel."""

    num_classes = 5

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return F.interpolate(self.head(self.tokens(pictures)).transpose(1, 2).unflatten(-1, (4, 4)), (16, 16))


class Restorer(Net):
    """The loss comes first, as in masked autoencoders."""

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        made = self.head(self.tokens(pictures))
        return made.square().mean(), made, torch.ones(len(pictures), 16)


def pixels(picture) -> torch.Tensor:
    return torch.from_numpy(np.asarray(picture.resize((32, 32))).copy()).permute(2, 0, 1) / 255


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("vit", "classes"), ("timesformer", "classes"), ("perceiver", "classes"), ("vilt", "classes"),
        ("blip_retrieval", "classes"), ("bridgetower", "classes"), ("clip", "captions"), ("siglip", "captions"),
        ("xclip", "captions"), ("llava", "tokens"), ("blip_questions", "tokens"),
    ],
)  # fmt: skip
def test_what_is_scored(name, of):
    model = wrapped(name)
    assert (model.classes.of, model.classes.why_not, bool(model.classes)) == (of, "", True)
    inputs = example(model)
    with torch.no_grad():
        answer = model.logits(model.forward(inputs))
    assert ma.why_not_scores(model, answer.shape) == ""
    if of != "tokens":
        assert answer.shape == (1, {"captions": len(inputs.texts)}.get(of, model.classes.count))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("dinov2_features", "features (Dinov2Model)"), ("clip_vision_model", "features"), ("flava", "features"),
        ("sam", "masks"), ("sam2", "masks"), ("segformer", "masks"), ("mask2former", "masks"), ("clipseg", "masks"),
        ("oneformer", "masks"), ("detr", "boxes"), ("owlvit", "boxes"), ("grounding-dino", "boxes"),
        ("dpt", "a number for each pixel"), ("swin2sr", "a picture"), ("superglue", "points"),
    ],
)  # fmt: skip
def test_what_is_no_class(name, what, picture):
    model = wrapped(name)
    assert not model.classes
    assert model.classes.why_not.startswith(f"{name} gives no class scores: it returns {what}")
    with pytest.raises(ma.AdapterError, match="A gradient needs a target: give a function of the answer"):
        ma.capture(model, example(model), want={"gradients"})


def test_an_image_and_its_text_match_or_do_not(picture):
    model = wrapped("blip_retrieval")
    inputs = model.prepare(picture, text="a red circle")
    with torch.no_grad():
        found = model.logits(model.forward(inputs))
        assert torch.equal(found, model.module(**inputs.tensors).itm_score)
    assert model.labels == ma.class_names(model, ["a red circle"]) == ("no match", "match")
    assert ma.subject(model, picture, "a red circle").classes == 2


def test_captions_name_themselves():
    assert ma.class_names(wrapped("clip"), ["a dog", "a cat"]) == ("a dog", "a cat")
    assert ma.class_names(wrapped("dinov2_features")) == ma.class_names(wrapped("llava"), "What is it?") == ()


def test_a_gradient_of_features_is_taken_by_a_function(picture):
    """It is the derivative: along it, the function grows as fast as the sum of squares says."""
    model = wrapped("dinov2_features")
    inputs = model.prepare(picture)
    capture = ma.capture(model, inputs, want={"gradients", "hidden"}, target=lambda features: features[:, 3].sum())
    gradient = torch.from_numpy(capture.hidden_gradients["vision", 1])
    layer, step = model.module.encoder.layer[1], 1e-2

    def moved(by: float) -> float:
        hook = layer.register_forward_pre_hook(lambda module, given: (given[0] + by * gradient, *given[1:]))
        with hook, torch.no_grad():
            return float(model.logits(model.forward(inputs))[0, 3])

    assert (moved(step) - moved(-step)) / (2 * step) == pytest.approx(float(gradient.square().sum()), rel=2e-2)


def test_a_user_says_what_is_scored(picture):
    names = ma.wrap(Net(), pixels, classes=list("abcde"))
    assert (names.labels, names.classes.count, ma.subject(names, picture).classes) == (tuple("abcde"), 5, 5)
    counted = ma.wrap(Net(), pixels, classes=5)
    assert ma.subject(counted, picture).predicted == ma.subject(names, picture).predicted
    assert np.isfinite(ma.capture(counted, counted.prepare([picture, picture]), want={"gradients"}, target=2).logits).all()
    nothing_said = ma.subject(ma.wrap(Net(), pixels), picture)
    assert nothing_said.classes == 0
    assert set(nothing_said.refusals) == {"logits", "gradients", "pixels", "module"}
    assert "wrap(module, classes=...) says so" in nothing_said.refusals["logits"]
    with pytest.raises(ma.AdapterError, match="does not say that its answer is scores"):
        nothing_said.aim(0)


@pytest.mark.parametrize("wrong", ["abcde", -1, True, [], [1, 2], 2.5])
def test_classes_are_names_or_a_count(wrong):
    with pytest.raises(ValueError, match="names of the classes, or how many"):
        ma.wrap(Net(), pixels, classes=wrong, verify=False)


def test_a_model_that_writes_has_no_classes_of_its_user():
    with pytest.raises(ValueError, match="scores tokens"):
        ma.wrap(*hf.build("llava"), classes=3, verify=False)


@pytest.mark.parametrize(("module", "count"), [(Net(), 7), (Segmenter(), None)])
def test_an_answer_of_another_shape_is_no_score(module, count, picture):
    """Columns of a mask are no classes, however many the module says there are."""
    model = ma.wrap(module, pixels, classes=count)
    assert model.classes
    looking = ma.subject(model, picture)
    assert looking.classes == 0
    assert "was expected" in looking.refusals["gradients"]
    with pytest.raises(ma.AdapterError, match="was expected"):
        ma.capture(model, looking.inputs, want={"gradients"})


def test_a_classifier_without_labels_returns_features(picture):
    module, processor = hf.build("dinov2")
    assert ma.wrap(module, processor, verify=False).classes
    module.config.num_labels, module.classifier = 0, nn.Identity()
    assert "has no labels" in ma.wrap(module, processor, verify=False).classes.why_not


def test_a_loss_is_no_answer(picture):
    model = ma.wrap(Restorer(), pixels)
    with torch.no_grad():
        expected = model.module(pixels(picture)[None])[1][0].numpy()
    np.testing.assert_allclose(ma.capture(model, model.prepare(picture)).logits, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["importance_exact", "importance_gradient"])
def test_a_study_does_not_rank_heads_by_features(name):
    assert MEASURES[name].why_not(wrapped("vit")) == ""
    said = MEASURES[name].why_not(wrapped("dinov2_features"))
    assert said == f"{name} needs scores of classes. {wrapped('dinov2_features').classes.why_not}"
    assert MEASURES["strength"].why_not(wrapped("dinov2_features")) == ""


def test_a_study_matches_captions_only_where_they_are_scored():
    assert MEASURES["matches"].why_not(wrapped("clip")) == ""
    said = MEASURES["matches"].why_not(wrapped("clipseg"))
    assert said.startswith("matches needs scores of captions. clipseg gives no class scores: it returns masks")
    assert MEASURES["matches"].why_not(wrapped("vit")).endswith("vit is a 'vit'.")
