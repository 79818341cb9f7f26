"""Signals of made-up words, and fixes against them."""

import numpy as np

import model_adapters as ma
from world.trust.registry import Mention, scored


@scored("signal", "position in the caption", "lvlm", baseline=True)
def later_is_doubtful(mention: Mention) -> float:
    """Later words are made up more often: knows nothing of the picture."""
    return float(mention.position)


@scored("signal", "low probability of the word", "lvlm", method="unlikely_word")
def unlikely(mention: Mention) -> float:
    """How unlikely the model finds its own word."""
    return 1.0 - mention.generation.tokens[mention.step].probability


@scored("signal", "low image attention", "lvlm", method="low_image_attention")
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
