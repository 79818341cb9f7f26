"""Training, in small: it lowers the loss, can be resumed, and packs turns without mixing them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from world.datasets import TRAINING
from world.rendering import render
from world.training.conversion import clip_vision_weights
from world.training.loop import Schedule, train
from world.training.lvlm import IMAGE_TOKENS, lvlm_processor, new_lvlm, packed_logits, tower_features
from world.training.pictures import BACKGROUND_LABEL, normalise, patch_coverage, picture_batch
from world.training.run_vision import PLANS
from world.training.seeing import SeeingTask
from world.training.turns import ask_turns, pack, turn_text
from world.training.vit import new_vit, vit_features
from world.vocabulary import CATEGORIES


def _tiny_task() -> SeeingTask:
    torch.manual_seed(0)
    return SeeingTask(new_vit(embed_dim=48, depth=2, num_heads=2), 48, vit_features, TRAINING, batch=8)


def _mean_loss(task: SeeingTask) -> float:
    with torch.no_grad():
        return float(np.mean([float(task.loss(step)[0]) for step in range(1000, 1004)]))


def test_training_lowers_the_loss() -> None:
    task = _tiny_task()
    before = _mean_loss(task)
    train(task, replace(PLANS["vit"], steps=40, warm_up=5, rate=2e-3))
    assert _mean_loss(task) < 0.75 * before


def test_resumed_training_continues(tmp_path: Path) -> None:
    plan, file = Schedule(6, rate=1e-3, warm_up=1, muon=2.0, checkpoint_every=0.0), tmp_path / "tiny.pt"
    whole = _tiny_task()
    train(whole, plan)
    with pytest.raises(OSError, match="disk full"):
        train(_Stopping(_tiny_task(), 3), plan, file)
    assert torch.load(file)["step"] == 3
    second = _tiny_task()
    assert train(second, plan, file)[0] == 6
    for one, other in zip(whole.module.parameters(), second.module.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


class _Stopping:
    """A task that is interrupted after some steps."""

    def __init__(self, task: SeeingTask, steps: int) -> None:
        self.task, self.module, self.steps = task, task.module, steps

    def loss(self, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        if step == self.steps:
            raise OSError("disk full")
        return self.task.loss(step)


def test_the_batch_depends_on_the_step_only() -> None:
    task = _tiny_task()
    with torch.no_grad():
        assert float(task.loss(3)[0]) == float(task.loss(3)[0]) != float(task.loss(4)[0])


def test_patch_labels_follow_the_masks() -> None:
    scene = TRAINING[4]
    truth, drawn = picture_batch([scene]), render(scene)
    coverage = patch_coverage(drawn.ids, 8, len(scene.objects))
    assert coverage.sum() * 64 == pytest.approx((drawn.ids >= 0).sum())
    for patch in range(144):
        label = int(truth.categories[0, patch])
        best = coverage[:, patch].max()
        assert (label == BACKGROUND_LABEL) == (best < 0.25)
        if label != BACKGROUND_LABEL:
            assert CATEGORIES[label] == scene.objects[int(coverage[:, patch].argmax())].category


def test_the_converted_tower_sees_the_same() -> None:
    torch.manual_seed(1)
    vit = new_vit().eval()
    lvlm = new_lvlm(vit.state_dict()).eval()
    pixels = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        seen = lvlm.model.vision_tower.post_layernorm(tower_features(lvlm, pixels))
        assert torch.allclose(vit.forward_features(pixels)[:, 1:], seen, atol=2e-5)
    assert len(clip_vision_weights(vit.state_dict())) == len(lvlm.model.vision_tower.state_dict())


def test_packed_turns_equal_turns_on_their_own() -> None:
    torch.manual_seed(2)
    model, processor = new_lvlm(new_vit().state_dict()).eval(), lvlm_processor()
    scenes, rng = TRAINING.take(2), np.random.default_rng(0)
    rows = [ask_turns(scene, rng) for scene in scenes]
    images = [render(scene).image for scene in scenes]
    turns = pack(processor.tokenizer, rows, IMAGE_TOKENS)
    with torch.no_grad():
        packed = packed_logits(model, normalise(np.stack(images)), turns)
        for row, questions in enumerate(rows):
            start = 0
            for question in questions:
                text = f"<image>{turn_text(question.text)} {question.answer}"
                alone = model(**processor(images=images[row], text=text, return_tensors="pt")).logits[0]
                words = len(alone) - IMAGE_TOKENS - 1
                assert torch.allclose(packed[row, start : start + words], alone[-words:], atol=1e-4)
                start += words + 1


def test_a_hidden_picture_changes_nothing_in_the_answers() -> None:
    torch.manual_seed(3)
    model, tokenizer = new_lvlm(new_vit().state_dict()).eval(), lvlm_processor().tokenizer
    rows = [ask_turns(TRAINING[0], np.random.default_rng(0))] * 2
    pixels = normalise(np.stack([render(scene).image for scene in TRAINING.take(2)]))
    with torch.no_grad():
        hidden = packed_logits(model, pixels, pack(tokenizer, rows, IMAGE_TOKENS, np.array([True, True])))
        shown = packed_logits(model, pixels, pack(tokenizer, rows, IMAGE_TOKENS))
    assert torch.allclose(hidden[0, 1:], hidden[1, 1:], atol=1e-5)
    assert not torch.allclose(shown[0, 1:], shown[1, 1:], atol=1e-5)
