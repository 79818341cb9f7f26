"""Are types of heads stable: over other images of the same model, and over a model trained from another seed?

Heads of two seeds have no identity. So what is compared is how many heads of each type a layer has, and pairs of heads
that are matched, layer by layer, by the likeness of their position-aligned maps (Hungarian method).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

import model_adapters as ma
from analysis.patterns import aligned_maps
from world.trust.cases import CAPTIONS, Case
from world.trust.registry import Entry, Score, interval, score_of

HALVINGS = 20
HALVES, SEEDS = "two halves of the images", "two seeds of the model"


def captured(model: ma.Model, cases: Sequence[Case]) -> list[ma.Capture]:
    """The attention of all cases, one capture each."""
    text = CAPTIONS[0] if model.kind == "dual" else None
    return [ma.capture(model, model.prepare(image=case.image, text=text)) for case in cases]


def kept_share(one: np.ndarray, other: np.ndarray) -> float:
    """The share of heads that have the same type in both; places without a head do not count."""
    there = one != ""
    return float((one == other)[there].mean())


def chance_of(one: np.ndarray, other: np.ndarray) -> float:
    """The share that would agree if the types were dealt to the heads at random."""
    first, second = one[one != ""], other[other != ""]
    return float(sum((first == name).mean() * (second == name).mean() for name in set(first)))


def score_halves(entry: Entry, captures: Sequence[ma.Capture]) -> Score:
    """The share of heads that keep their type between two halves of the images, over random halvings."""
    draw, found = np.random.default_rng(0), []
    for _ in range(HALVINGS):
        order = draw.permutation(len(captures))
        halves = [entry.function([captures[i] for i in part]) for part in np.array_split(order, 2)]
        found.append((kept_share(*halves), chance_of(*halves)))
    kept, chance = np.array(found).T
    return score_of(
        entry, "heads that keep their type", kept.mean(), interval(kept), chance.mean(), len(captures), against=HALVES
    )


def matched_heads(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[H]: for each head of one layer the head of the other whose map [H, P] is most like it, each taken once."""
    return linear_sum_assignment(-(one @ other.T))[1]


def score_seeds(entry: Entry, one: Sequence[ma.Capture], other: Sequence[ma.Capture]) -> list[Score]:
    """Types by layer, and types of matched heads, of two models of different seeds on the same images."""
    maps = [image_maps(captures) for captures in (one, other)]

    def figures(drawn: np.ndarray) -> dict[str, tuple[float, float]]:
        types = [by_layer(entry.function([captures[i] for i in drawn])) for captures in (one, other)]
        return compared(*types, *([of_length_1(layer[drawn].mean(axis=0)) for layer in each] for each in maps))

    draw = np.random.default_rng(0)
    rounds = [figures(draw.integers(len(one), size=len(one))) for _ in range(HALVINGS)]
    scores = []
    for name, (value, chance) in figures(np.arange(len(one))).items():
        ends = interval(np.array([each[name][0] for each in rounds]))
        scores.append(score_of(entry, name, value, ends, chance, len(one), against=SEEDS))
    return scores


def by_layer(types: np.ndarray) -> list[np.ndarray]:
    """[L] of [H]: the types of each layer's heads."""
    return [layer[layer != ""] for layer in types]


def compared(
    types: Sequence[np.ndarray],
    other_types: Sequence[np.ndarray],
    vectors: Sequence[np.ndarray],
    other_vectors: Sequence[np.ndarray],
) -> dict[str, tuple[float, float]]:
    """Figures of two models with types [H] and aligned maps [H, P] of length 1 of each layer, each with its chance."""
    kept, chances, alike, likeness = [], [], [], []
    for own, other, one, two in zip(types, other_types, vectors, other_vectors, strict=True):
        pairs = matched_heads(one, two)
        kept += (own == other[pairs]).tolist()
        chances += [chance_of(own, other)] * len(own)
        products = one @ two.T
        alike += products[np.arange(len(pairs)), pairs].tolist()
        likeness += [products.mean()] * len(own)
    return {
        "types in common, layer by layer": (in_common(types, other_types), _shuffled(types, other_types)),
        "matched heads of the same type": (float(np.mean(kept)), float(np.mean(chances))),
        "likeness of matched heads (cosine)": (float(np.mean(alike)), float(np.mean(likeness))),
    }


def in_common(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float:
    """The share of heads that find a partner of their own type in the same layer of the other model."""
    shared = [min((a == t).sum(), (b == t).sum()) for a, b in zip(one, other, strict=True) for t in set(a)]
    return float(sum(shared) / sum(map(len, one)))


def _shuffled(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> float:
    """The same when the types of the other model are dealt to its heads at random."""
    draw, ends = np.random.default_rng(1), np.cumsum([len(layer) for layer in other])[:-1]
    dealt = [np.split(draw.permutation(np.concatenate(other)), ends) for _ in range(100)]
    return float(np.mean([in_common(one, types) for types in dealt]))


def image_maps(captures: Sequence[ma.Capture]) -> list[np.ndarray]:
    """[L] of [N, H, P]: the position-aligned maps of each image's heads."""
    found = [aligned_maps([capture]) for capture in captures]
    values = np.stack([np.nan_to_num(maps.values).reshape(len(maps.heads), -1) for maps in found])
    sites = [site for site, _ in found[0].heads]
    return [values[:, [s == site for s in sites]] for site in dict.fromkeys(sites)]


def of_length_1(maps: np.ndarray) -> np.ndarray:
    """[..., P] maps as vectors of length 1."""
    return maps / np.maximum(np.linalg.norm(maps, axis=-1, keepdims=True), 1e-12)


def second_model(folder: Path, name: str) -> ma.Model | None:
    """The same model trained from another seed, if it is there."""
    return ma.load(f"path:{folder / name}") if (folder / name / "model.safetensors").exists() else None
