"""Train the models that read and speak: `python -m world.training.run_language lvlm --work DIR`."""

from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlavaForConditionalGeneration

from world.datasets import TRAINING, SceneStream
from world.scenes import UNBIASED
from world.training.clip import MatchingTask, new_clip
from world.training.command import train_by_command
from world.training.loop import Schedule, Task
from world.training.lvlm import InstructionTask, new_lvlm

PLANS = {
    "lvlm": Schedule(3200, 1e-3, muon=4.0),
    "lvlm-tuned": Schedule(600, 2e-3, muon=2.0, weight_decay=0.0, warm_up=30),
    "clip": Schedule(400, 1e-3, muon=3.0),
}
_TUNED = r".*(language_model.*\.(q_proj|k_proj|v_proj|o_proj|up_proj|down_proj)|projector\.linear_[12])"
LORA = LoraConfig(r=16, lora_alpha=32, bias="none", target_modules=_TUNED)


def trained_backbone(work: Path, seed: int, name: str = "tower") -> dict[str, torch.Tensor]:
    """The weights of the trained vision tower, under timm's names."""
    state = torch.load(work / f"{name}-{seed}.pt", map_location="cpu", weights_only=True)["module"]
    return {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}


def with_adapter(model: LlavaForConditionalGeneration) -> PeftModel:
    """The model with a fresh LoRA adapter on its decoder."""
    return get_peft_model(model, LORA)


def language_task(name: str, work: Path, seed: int, batch: int | None = None) -> Task:
    """The task that trains `name` on what earlier commands have left in the work folder."""
    torch.manual_seed(seed)
    stream = SceneStream(TRAINING.seed + 1000 * seed + 500, TRAINING.bias, TRAINING.unbiased_share)
    if name == "clip":
        even = SceneStream(stream.seed + 1, TRAINING.bias, unbiased_share=0.5)
        return MatchingTask(new_clip(trained_backbone(work, seed)), even, batch or 64)
    if name == "lvlm":
        return InstructionTask(new_lvlm(trained_backbone(work, seed)), stream, batch or 8)
    model = new_lvlm()
    model.load_state_dict(torch.load(work / f"lvlm-{seed}.pt", map_location="cpu", weights_only=True)["module"])
    return InstructionTask(with_adapter(model), SceneStream(stream.seed + 2, UNBIASED), batch or 8)


if __name__ == "__main__":
    train_by_command(PLANS, language_task, __doc__)
