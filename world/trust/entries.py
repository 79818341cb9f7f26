"""The participants that come with the world: what every method has to beat, and raw attention."""

from collections.abc import Callable

import numpy as np

import model_adapters as ma
from world.questions import existence_text
from world.trust.registry import Case, Mention, scored

GRID = 12
_ASKING = "lvlm"


@scored("map", "random", "vit", baseline=True)
@scored("map", "random", _ASKING, baseline=True)
def random_map(case: Case) -> np.ndarray:
    """Noise."""
    return np.random.default_rng(case.seed).random((GRID, GRID))


@scored("map", "centre prior", "vit", baseline=True)
@scored("map", "centre prior", _ASKING, baseline=True)
def centre_map(case: Case) -> np.ndarray:
    """A bump in the middle, whatever the picture shows."""
    line = np.linspace(-1, 1, GRID) ** 2
    return np.exp(-2 * (line[:, None] + line[None]))


def _patches(weights: np.ndarray, roles: np.ndarray) -> np.ndarray:
    return weights[..., np.isin(roles, ("patch", "image"))].reshape(*weights.shape[:-1], GRID, GRID)


def class_attention(case: Case, layer: int) -> np.ndarray:
    """What the class token of a ViT attends to in one layer, mean over heads."""
    keep = ma.Keep(sites=(layer,), queries="class")
    found = ma.capture(case.model, case.model.prepare(image=case.image), keep=keep)
    return _patches(found.weights[0][:, 0].mean(axis=0), found.layouts[0].keys.roles)


def _at_layer(layer: int) -> Callable[[Case], np.ndarray]:
    return lambda case: class_attention(case, layer)


for _layer in range(6):
    scored("map", f"raw class attention, layer {_layer}", "vit")(_at_layer(_layer))


def question_attention(case: Case, layer: int) -> np.ndarray:
    """What the last word of "is there a ...?" attends to in one layer of the decoder, mean over heads."""
    inputs = case.model.prepare(image=case.image, text=existence_text(case.target))
    found = ma.capture(case.model, inputs, keep=ma.Keep(sites=decoder_sites(case.model, layer), queries="last"))
    site = found.sites[0]
    return _patches(found.weights[site][:, -1].mean(axis=0), found.layouts[site].keys.roles)


def decoder_sites(model: ma.Model, layer: int) -> tuple[str, ...]:
    """The name of the decoder's attention in one layer."""
    ends = f"language_model.layers.{layer}.self_attn"
    return tuple(name for name, _ in model.module.named_modules() if name.endswith(ends))


def _asked_at_layer(layer: int) -> Callable[[Case], np.ndarray]:
    return lambda case: question_attention(case, layer)


for _layer in range(6):
    scored("map", f"raw attention of the last word, layer {_layer}", _ASKING)(_asked_at_layer(_layer))


@scored("importance", "random", "vit", baseline=True)
def random_importance(cases: list[Case]) -> np.ndarray:
    """Noise, one number per head."""
    return np.random.default_rng(cases[0].seed).random((6, 4))


@scored("importance", "attention confidence", "vit")
def confidence(cases: list[Case]) -> np.ndarray:
    """The mean of each head's largest class-token weight."""
    rows = []
    for case in cases[:50]:
        found = ma.capture(case.model, case.model.prepare(image=case.image), keep=ma.Keep(queries="class"))
        rows.append([found.weights[site][:, 0].max(axis=-1) for site in found.sites])
    return np.array(rows).mean(axis=0)


@scored("signal", "position in the caption", "lvlm", baseline=True)
def later_is_doubtful(mention: Mention) -> float:
    """Later words are made up more often: knows nothing of the picture."""
    return float(mention.position)


@scored("signal", "low probability of the word", "lvlm")
def unlikely(mention: Mention) -> float:
    """How unlikely the model finds its own word."""
    return 1.0 - mention.generation.tokens[mention.step].probability


@scored("signal", "low image attention", "lvlm")
def inattentive(mention: Mention) -> float:
    """How little the word's row attends to the image, mean over layers and heads."""
    token = mention.generation.tokens[mention.step]
    mass = []
    for site in token.weights:
        row = token.weights[site]
        keys = np.array(mention.generation.keys(mention.step, row.shape[-1]))
        mass.append(row[:, keys == "image"].sum(axis=-1).mean())
    return 1.0 - float(np.mean(mass))


@scored("fix", "none", "lvlm", baseline=True)
def untouched() -> dict[str, object]:
    """The model as it is."""
    return {}


@scored("fix", "image attention boosted by half", "lvlm")
def boosted() -> dict[str, object]:
    """Raise the scores of the image's tokens for the last row in every layer."""
    where = ma.Where(tower="decoder", queries="last", keys="image")
    return {"edits": ma.edits.Boost(where=where, alpha=0.5)}


@scored("pruner", "random", "vit", baseline=True)
def random_patches(case: Case, kept: int) -> np.ndarray:
    """Any patches."""
    return np.random.default_rng(case.seed).permutation(GRID * GRID)[:kept]


@scored("pruner", "class attention, layer 2", "vit")
def attended_patches(case: Case, kept: int) -> np.ndarray:
    """The patches that the class token attends to most, half-way up."""
    return np.argsort(-class_attention(case, 2).ravel())[:kept]
