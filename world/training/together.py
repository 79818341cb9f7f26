"""Several processes on one model: each computes a part of the batch, gradients are averaged."""

import os

import torch
import torch.distributed as dist


def join() -> None:
    """Join the other processes if `torchrun` started this one."""
    if "WORLD_SIZE" in os.environ and int(os.environ["WORLD_SIZE"]) > 1:
        dist.init_process_group("gloo")


def rank_and_count() -> tuple[int, int]:
    """Which process this is, and of how many."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def average_gradients(module: torch.nn.Module) -> None:
    """Replace gradients by their mean over the processes."""
    if rank_and_count()[1] == 1:
        return
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= rank_and_count()[1]
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def agreed(seconds: float) -> float:
    """The longest time that any process has measured, so that all stop at the same step."""
    if rank_and_count()[1] == 1:
        return seconds
    value = torch.tensor([seconds])
    dist.all_reduce(value, dist.ReduceOp.MAX)
    return float(value)
