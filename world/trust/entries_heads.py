"""Importances of heads, each with what it claims to predict, and types of heads.

A signed importance is held to what has a sign: how far the loss rises, or the score falls, when the head is silenced. One
without a sign is held to how far the answer moves at all (Jensen-Shannon distance). Numbers that only describe attention
claim nothing; people read them as importance, so they are held to the latter.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

import model_adapters as ma
from analysis.head_measures import head_measures
from analysis.head_types import head_types
from analysis.importance_exact import layer_change
from analysis.importance_free import weight_norms
from analysis.importance_gradient import gate_gradients, gate_times_gradient
from analysis.logit_attribution import Readout, head_contributions
from analysis.object_energy import object_energy
from analysis.registry import find
from model_adapters.head_weights import head_weights
from world.datasets import TRUST_SEED, SceneStream
from world.scenes import UNBIASED
from world.trust.cases import Case, case_of
from world.trust.registry import RANDOM, Entry, Truth, enter

Finish = Callable[[np.ndarray], np.ndarray]
LOSS: Truth = "rise of the loss"
SCORE: Truth = "fall of the score"
ANSWER: Truth = "change of the answer"
LAYER: Truth = "change of the answer by layer"
OTHER_SCENES = SceneStream(TRUST_SEED + 300, UNBIASED)


def _enter(
    title: str, claims: Truth, function: Callable[[Case], np.ndarray], method: str = "", finish: Finish | None = None
) -> None:
    baseline = not method
    enter(Entry("importance", title, "vit", function, baseline, method, claims, finish))


def _seen(name: str, **options: Any) -> Callable[[Case], np.ndarray]:
    """A registered importance of one image's capture."""
    function = find(name).function
    return lambda case: function(case.seen, **options).values


def per_layer(values: np.ndarray) -> np.ndarray:
    """[..., L, H] with length 1 in each layer, as the gate gradient is normalised."""
    return values / (np.sqrt(np.nansum(values**2, axis=-1, keepdims=True)) + 1e-20)


@cache
def _norms(model: ma.Model, module: str) -> np.ndarray:
    case = case_of(model, OTHER_SCENES[0], 0)
    return weight_norms(head_weights(model, case.inputs), module=module).values  # type: ignore[arg-type]


@cache
def _elsewhere(model: ma.Model, number: int) -> Case:
    return case_of(model, OTHER_SCENES[number], number)


def _random(claims: Truth, shape: tuple[int, ...]) -> None:
    """Noise, drawn anew in every round of the bootstrap."""
    draw = np.random.default_rng(0)
    _enter(RANDOM, claims, lambda case: np.zeros(shape), finish=lambda mean: draw.random(mean.shape))


def _exact() -> None:
    for claims in (LOSS, SCORE, ANSWER):
        _random(claims, (6, 4))
        _enter("late layers first", claims, lambda case: np.repeat(np.arange(6.0)[:, None], 4, axis=1))
    measures: tuple[tuple[Truth, str], ...] = ((LOSS, "loss change"), (ANSWER, "Jensen-Shannon distance"))
    for claims, measure in measures:
        _enter(
            "exact ablation on other images",
            claims,
            lambda case, m=measure: _elsewhere(case.model, case.seed).effects(m),
            "ablation_importance",
        )


def _signed() -> None:
    _enter("gate x gradient of the loss", LOSS, _seen("gate_times_gradient"), "gate_times_gradient")
    _enter("gate x gradient of the score", SCORE, lambda case: gate_times_gradient(case.scored).values, "gate_times_gradient")
    _enter("direct contribution to the score", SCORE, _contributions, "head_contributions")


def _contributions(case: Case) -> np.ndarray:
    return head_contributions(case.scored, Readout(**vars(case.subject.readout(case.label)))).values


def _unsigned() -> None:
    _enter("gate x gradient, size of the mean", ANSWER, _seen("gate_times_gradient"), "gate_times_gradient", np.abs)
    for per in ("token", "gate"):
        slope = _seen("gate_gradient", per=per, layer_normalised=False)
        _enter(f"gate gradient per {per}", ANSWER, slope, "gate_gradient")
        _enter(f"gate gradient per {per}, layer normalised", ANSWER, slope, "gate_gradient", per_layer)
    _enter("squared gradient, each image", ANSWER, _seen("squared_gradient", squared="each image"), "squared_gradient")
    _enter("squared gradient, batch", ANSWER, lambda case: gate_gradients(case.seen)[0], "squared_gradient", np.square)
    for module in ("query", "key", "value", "output"):
        _enter(f"weight norm, {module}", ANSWER, lambda case, m=module: _norms(case.model, m), "weight_norms")
    for tokens in ("class", "patches"):
        _enter(f"change of the layer's output, {tokens}", ANSWER, _layer_change(tokens), "layer_change")


def _layer_change(tokens: str) -> Callable[[Case], np.ndarray]:
    def change(case: Case) -> np.ndarray:
        roles = case.seen.layouts[case.seen.sites[0]].queries.roles
        return layer_change(case.ablated, roles, tokens=tokens).values  # type: ignore[arg-type]

    return change


def _strengths() -> None:
    """Numbers that describe attention: naive rivals."""
    for rows in ("all", "class"):
        _enter(f"confidence, {rows} rows", ANSWER, _seen("confidence", rows=rows), "confidence")
    for rows in ("patches", "class"):
        _enter(
            f"attention entropy of {rows}, low first", ANSWER, _seen("attention_entropy", rows=rows), "attention_entropy",
            np.negative,
        )  # fmt: skip
    _enter("attention distance, far first", ANSWER, _seen("attention_distance"), "attention_distance")
    _enter("attention to the class token", ANSWER, _seen("attention_share"), "attention_share")
    _enter("weight one hop away", ANSWER, _seen("ring_strength"), "ring_strength")
    _enter("mass of the class token's top 10", ANSWER, _seen("top_mass"), "top_mass")
    _enter("query-key mutual information", ANSWER, _seen("mutual_information"), "mutual_information")
    _enter("rank of the map", ANSWER, _seen("map_rank"), "map_rank")
    _enter("similarity to other heads, low first", ANSWER, _seen("head_similarity"), "head_similarity", np.negative)
    on_object = lambda case: object_energy([case.seen], [case.mask], query="class").values  # noqa: E731
    _enter("class token's attention on the object", ANSWER, on_object, "object_energy")


def _layers() -> None:
    _random(LAYER, (6,))
    _enter("late layers first", LAYER, lambda case: np.arange(6.0))
    _enter("layer relevance", LAYER, _seen("layer_relevance"), "layer_relevance")


def named_types(captures: Sequence[ma.Capture]) -> np.ndarray:
    """[L, H]: the type of each head over these images."""
    return head_types(head_measures(captures)).types


_exact()
_signed()
_unsigned()
_strengths()
_layers()
for _model in ("vit", "vit-registers", "vit-sinks", "swin", "clip"):
    enter(Entry("types", "types of heads", _model, named_types, method="head_types"))
