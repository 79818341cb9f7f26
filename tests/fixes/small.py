"""Small random models with a picture and a question, made once."""

from __future__ import annotations

from functools import cache

import numpy as np

import model_adapters as ma
from tests.zoo import hf
from tests.zoo.shake import scene

QUESTION = "Is there a red ball?"
LONGEST = 5
NOTHING = ma.Keep(sites="none")


@cache
def asked(name: str) -> tuple[ma.Model, ma.Inputs]:
    if name.startswith("bundled:"):
        model = ma.load(name)
    else:
        module, processor = hf.build(name)
        model = ma.wrap(module, processor, name=name, kind="lvlm", verify=False)
    return model, model.prepare(image=scene(), text=QUESTION)


def ids(name: str, **options: object) -> list[int]:
    """The tokens of an answer."""
    return [token.id for token in ma.generate(*asked(name), max_new_tokens=LONGEST, keep=NOTHING, **options).tokens]


def next_scores(model: ma.Model, inputs: ma.Inputs, said: list[int], edits: tuple = ()) -> np.ndarray:
    """[V]: log-probabilities of the next token, from one whole pass without a cache."""
    whole = ma.continued(model, inputs, said) if said else inputs
    scores = ma.run(model, whole, edits).detach().numpy()
    scores = scores.reshape(-1, scores.shape[-1])[-1].astype(np.float64)
    return scores - np.logaddexp.reduce(scores)
