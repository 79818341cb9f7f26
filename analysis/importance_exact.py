"""Exact head importance: what silencing a head does to the answer, and to the output of its own layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np

from analysis.answer_changes import SIGNED, UNITS, Change, changes
from analysis.importance_results import ByClass
from analysis.intervals import mean_interval
from analysis.registry import Range, method
from analysis.results import HeadMatrix
from analysis.runs import Run
from model_adapters import Site, Where
from model_adapters.edits import Gate


class Ablation(Protocol):
    """The answers of a model with each head silenced in turn."""

    @property
    def sites(self) -> tuple[Site, ...]:
        """[L]."""
        ...

    @property
    def base(self) -> np.ndarray:
        """[B, C] logits of the whole model."""
        ...

    @property
    def logits(self) -> np.ndarray:
        """[L, H, B, C] logits without head h of layer l; NaN where there is no such head."""
        ...

    @property
    def moved(self) -> Sequence[np.ndarray | None]:
        """[L] of [H, B, T, 2]: by how much the layer's output moved: relative L2 distance, 1 - cosine."""
        ...


@dataclass(frozen=True, eq=False)
class Masked:
    """An ablation made of one run per head."""

    sites: tuple[Site, ...]
    base: np.ndarray
    logits: np.ndarray
    moved: tuple[None, ...] = ()


def masked(run: Run, sites: Sequence[Site], progress: Callable[[float], None] | None = None) -> Masked:
    """Silence each head in turn by a full run of the model."""
    base = run(())
    logits = np.full((len(sites), max(s.heads for s in sites), *base.shape), np.nan)
    for layer, site in enumerate(sites):
        for head in range(site.heads):
            logits[layer, head] = run((Gate(Where(sites=(site.name,), heads=(head,)), 0.0),))
        if progress is not None:
            progress((layer + 1) / len(sites))
    return Masked(tuple(sites), base, logits)


def effects(ablation: Ablation, labels: np.ndarray | None = None, *, measure: Change = "loss change") -> np.ndarray:
    """[B, L, H]: what silencing each head does to each image's answer."""
    return np.moveaxis(changes(ablation.base, ablation.logits, labels, measure), -1, 0)


@method(
    title="Exact ablation",
    kind="head",
    cites=("michel2019", "voita2019", "li2023"),
    needs={"run"},
    range="probability drop -1 to 1; loss change any; Jensen-Shannon distance 0 to 1; rank change in ranks; flip 0 to 1",
    misleads="A head whose work another head can take over looks unimportant alone, though the two together may matter most.",
)
def ablation_importance(
    ablation: Ablation,
    labels: np.ndarray | None = None,
    *,
    measure: Change = "loss change",
    confidence: Annotated[float, Range(0.5, 0.999)] = 0.95,
    rounds: Annotated[int, Range(10, 10000)] = 1000,
) -> HeadMatrix:
    """What happens to the answer when a head is silenced, averaged over the images, with a bootstrap interval.

    Args:
        ablation: the answers without each head.
        labels: [B] the right classes; the classes that the whole model predicts by default.
        measure: how the change is stated.
        confidence: of the interval; one image has none.
        rounds: draws of images for the interval.
    """
    each = effects(ablation, labels, measure=measure)
    low = high = None
    if len(each) > 1:
        low, high = mean_interval(each, confidence=confidence, rounds=rounds)
    return HeadMatrix(each.mean(0), ablation.sites, measure in SIGNED, measure, UNITS.get(measure, ""), low, high)


@method(
    title="Change of the layer's output",
    kind="head",
    cites=("li2023",),
    needs={"run"},
    range="relative L2 distance 0 and above; 1 - cosine 0 to 2",
    misleads="It ends at the layer: what later layers undo, or never read, counts as much as what reaches the answer.",
)
def layer_change(
    ablation: Ablation,
    roles: Sequence[str],
    *,
    tokens: Literal["class", "patches"] = "class",
    distance: Literal["relative L2", "cosine"] = "relative L2",
    confidence: Annotated[float, Range(0.5, 0.999)] = 0.95,
    rounds: Annotated[int, Range(10, 10000)] = 1000,
) -> HeadMatrix:
    """How far the output of a head's own layer moves when the head is silenced (after Li et al.; our definition).

    Args:
        ablation: with what moved in each layer.
        roles: [T] the roles of the layer's tokens.
        tokens: the class token, or the mean over all patches.
        distance: length of the change relative to the output's, or 1 - cosine.
        confidence: of the interval.
        rounds: draws of images for the interval.
    """
    chosen = np.flatnonzero(np.asarray(roles, dtype=str) == ("class" if tokens == "class" else "patch"))
    if not len(chosen):
        raise ValueError(f"{tokens!r} was asked for, but the tokens have the roles {sorted(set(roles))}.")
    width, batch = ablation.logits.shape[1:3]
    each = np.full((batch, len(ablation.sites), width), np.nan)
    for layer, moved in enumerate(ablation.moved):
        if moved is not None and moved.shape[2] == len(roles):
            picked = moved[:, :, chosen, 0 if distance == "relative L2" else 1]
            each[:, layer, : len(moved)] = picked.mean(2).T
    if np.isnan(each).all():
        raise ValueError(f"no layer of this ablation says how its {len(roles)} tokens moved; ablate with moved=True.")
    low = high = None
    if batch > 1:
        low, high = mean_interval(each, confidence=confidence, rounds=rounds)
    return HeadMatrix(each.mean(0), ablation.sites, label=f"{distance} change, {tokens}", low=low, high=high)


def by_class(each: np.ndarray, labels: np.ndarray, sites: Sequence[Site], label: str = "") -> ByClass:
    """Which heads matter for which class: the mean of [B, L, H] over the images of each class (after ED-ViT)."""
    labels = np.asarray(labels)
    if each.ndim != 3 or labels.shape != each.shape[:1]:
        raise ValueError(f"values [B, L, H] and one label per image are needed. Got {each.shape} and {labels.shape}.")
    classes, images = np.unique(labels, return_counts=True)
    values = np.stack([each[labels == number].mean(0) for number in classes])
    return ByClass(values, classes, images, tuple(sites), label)
