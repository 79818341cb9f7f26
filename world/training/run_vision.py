"""Train the vision models: `python -m world.training.run_vision tower --work DIR`."""

from pathlib import Path

import torch

from world.datasets import TRAINING, SceneStream
from world.training.command import train_by_command
from world.training.loop import Schedule
from world.training.seeing import SeeingTask
from world.training.sinks import PlantedSink
from world.training.swin import SWIN_ARGUMENTS, SWIN_CELL, new_swin, swin_features
from world.training.vit import REGISTERS, VIT_ARGUMENTS, add_registers, new_vit, vit_features

# How many steps each model gets, and its highest learning rate.
PLANS = {
    "tower": Schedule(1600, 1e-3, muon=4.0),
    "vit": Schedule(1100, 5e-4, muon=4.0),
    "vit-registers": Schedule(500, 4e-4, muon=4.0),
    "vit-sinks": Schedule(800, 3e-4, muon=3.0),
    "swin": Schedule(2500, 1e-3, muon=4.0),
}
# Where stereotypes explain most of what is there, shapes are learnt slowly: seeing is taught on an even mix.
UNBIASED_SHARE = 0.5
BATCH = 24
STARTS_FROM = {"vit": "tower", "vit-registers": "vit", "vit-sinks": "vit"}


def _started(name: str, work: Path, seed: int) -> dict[str, torch.Tensor]:
    return torch.load(work / f"{STARTS_FROM[name]}-{seed}.pt", map_location="cpu", weights_only=True)["module"]


def vision_task(name: str, work: Path, seed: int, batch: int | None = None) -> SeeingTask:
    """The task that trains `name`; later models start from the checkpoint of an earlier one."""
    torch.manual_seed(seed)
    offset = 10 * list(PLANS).index(name)
    stream = SceneStream(TRAINING.seed + 1000 * seed + offset, TRAINING.bias, UNBIASED_SHARE)
    if name == "swin":
        width = SWIN_ARGUMENTS["embed_dim"] * 2 ** (len(SWIN_ARGUMENTS["depths"]) - 1)
        return SeeingTask(new_swin(), width, swin_features, stream, SWIN_CELL, batch or BATCH)
    registers = REGISTERS if name == "vit-registers" else {}
    task = SeeingTask(new_vit(**registers), VIT_ARGUMENTS["embed_dim"], vit_features, stream, batch=batch or BATCH)
    if name == "vit-sinks":
        task.extra = PlantedSink(task.module.backbone)
    if name in STARTS_FROM:
        task.module.load_state_dict(_fitted(_started(name, work, seed), task))
    return task


def _fitted(weights: dict[str, torch.Tensor], task: SeeingTask) -> dict[str, torch.Tensor]:
    own = task.module.state_dict()
    if "backbone.reg_token" not in own:
        return weights
    backbone = {key.removeprefix("backbone."): value for key, value in weights.items() if key.startswith("backbone.")}
    # With registers timm gives the class token no position: add the old one to the token itself.
    position = backbone.pop("pos_embed")
    backbone |= {"pos_embed": position[:, 1:], "cls_token": backbone["cls_token"] + position[:, :1]}
    backbone = add_registers(backbone, task.module.backbone)
    heads = {key: value for key, value in weights.items() if not key.startswith("backbone.")}
    return heads | {f"backbone.{key}": value for key, value in backbone.items()}


if __name__ == "__main__":
    train_by_command(PLANS, vision_task, __doc__)
