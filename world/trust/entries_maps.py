"""Maps: every registered map method on the models that can give it, and what each has to beat."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

import analysis
import model_adapters as ma
from analysis.baselines import centre_prior, mean_map, random_map
from analysis.registry import find
from analysis.results import TokenMap
from world.datasets import TRUST_SEED, SceneStream
from world.scenes import UNBIASED
from world.trust.cases import GRID, PATCH, SIZE, Case, case_of
from world.trust.registry import Entry, enter

EXCLUDED = {
    "attention_flow": "one maximum flow per token is solved up to 50,000 edges; the bundled ViT has 126,150",
    "co_attention_relevance": "it needs a stream of tokens that reads the image by cross-attention; no bundled model has one",
    "patch_colours": "it colours features by their likeness: no colour says more or less, so there is nothing to score",
}
"""Registered maps that take no part, and why."""
OTHERS = 30
"""On how many other pictures the mean map rests."""
_FLAT = TokenMap(
    np.zeros(GRID * GRID),
    ma.Rows(
        np.full(GRID * GRID, "patch", dtype=object),
        np.array([(x, y, x + PATCH, y + PATCH) for y in range(0, SIZE, PATCH) for x in range(0, SIZE, PATCH)], np.float32),
        *(np.zeros(GRID * GRID, np.int16) for _ in range(3)),
    ),
    (SIZE, SIZE),
)


def on_grid(shown: TokenMap) -> np.ndarray:
    """[GRID, GRID]: the mean of a map over each cell; cells without a token are as low as the lowest."""
    cells = shown.raster((SIZE, SIZE)).reshape(GRID, PATCH, GRID, PATCH).swapaxes(1, 2).reshape(GRID, GRID, -1)
    seen = np.isfinite(cells)
    means = np.where(seen, cells, 0).sum(-1) / np.maximum(seen.sum(-1), 1)
    return np.where(seen.any(-1), means, np.nanmin(cells))


def explained(name: str, **options: Any) -> Callable[[Case], np.ndarray]:
    """A registered map of a case's target, on the grid."""

    def heat(case: Case) -> np.ndarray:
        return on_grid(analysis.explain(case.subject, name, target=case.aim, **options))

    return heat


def without_sinks(layer: int, whose: Callable[[Case, int], tuple[int, ...]]) -> Callable[[Case], np.ndarray]:
    """Attention of one layer without the tokens that receive much more than their share there."""

    def heat(case: Case) -> np.ndarray:
        sinks = whose(case, layer)
        return on_grid(analysis.explain(case.subject, "cleaned_attention", site=layer, mode="sinks removed", sinks=sinks))

    return heat


def own_sinks(case: Case, layer: int) -> tuple[int, ...]:
    """The sinks that are found on this very picture."""
    return find("sinks_by_attention").function(case.subject.capture(), layer=layer).of_image()


def usual_sinks(case: Case, layer: int) -> tuple[int, ...]:
    """The tokens that are sinks on at least half of other pictures: what shows an object is none of them."""
    return _usual_sinks(case.model, layer)


@cache
def _usual_sinks(model: ma.Model, layer: int) -> tuple[int, ...]:
    found = [token for case in _others(model) for token in own_sinks(case, layer)]
    return tuple(sorted(token for token in set(found) if found.count(token) >= OTHERS / 2))


@cache
def _others(model: ma.Model) -> tuple[Case, ...]:
    stream = SceneStream(TRUST_SEED + 500, UNBIASED)
    return tuple(case_of(model, scene, number) for number, scene in enumerate(stream.take(OTHERS)))


@cache
def _mean_map(model: ma.Model) -> np.ndarray:
    maps = [analysis.explain(case.subject, "raw_attention") for case in _others(model)]
    return on_grid(mean_map(maps[0], maps))


def _enter(model: str, title: str, name: str, *, slow: bool = False, **options: Any) -> None:
    enter(Entry("map", title, model, explained(name, **options), method=name, slow=slow))


def _baselines(model: str) -> None:
    noise: Callable[[Case], np.ndarray] = lambda case: on_grid(random_map(_FLAT, seed=case.seed))  # noqa: E731
    enter(Entry("map", "random", model, noise, True, "random_map"))
    enter(Entry("map", "centre prior", model, _centre, True, "centre_prior"))
    if model != "lvlm":
        enter(Entry("map", "mean attention of other pictures", model, _usual, True, "mean_map"))


def _centre(case: Case) -> np.ndarray:
    return on_grid(centre_prior(_FLAT))


def _usual(case: Case) -> np.ndarray:
    return _mean_map(case.model)


def _of_layers(model: str, layers: tuple[int, ...]) -> None:
    for layer in layers:
        _enter(model, f"raw attention, layer {layer}", "raw_attention", site=layer)


def _all_layers(model: str) -> None:
    """Methods that multiply or add up layers of square attention."""
    _enter(model, "rollout", "rollout")
    _enter(model, "gradient x attention, all layers", "gradient_attention_relevance")
    _enter(model, "gradient-weighted rollout", "gradient_rollout")


def _pixels(model: str) -> None:
    _enter(model, "input x gradient", "input_x_gradient")
    _enter(model, "AttnLRP", "attn_lrp")
    for name in ("integrated_gradients", "gradient_shap", "patch_ablation", "occlusion"):
        _enter(model, find(name).title.lower().replace("shap", "SHAP"), name, slow=True)


def _vit() -> None:
    _of_layers("vit", (0, 1, 2, 3, 4, 5))
    _all_layers("vit")
    _pixels("vit")
    _enter("vit", "rollout, largest of heads, lowest 90 % dropped", "rollout", fuse="max", discard=0.9)
    _enter("vit", "gradient x attention, last layer alone", "gradient_attention_relevance", first_layer=-1)
    _enter("vit", "direct contribution by patch", "patch_contributions")
    _enter("vit", "attention relative to what patches receive", "cleaned_attention", mode="relative")
    for layer in (1, 3, 5):
        _enter("vit", f"attention x value, layer {layer}", "value_weighted_attention", site=layer)
        _enter("vit", f"gradient x attention, layer {layer}", "gradient_attention", site=layer)
        _enter("vit", f"Grad-CAM, input of layer {layer}", "token_grad_cam", layer=layer)


def _relatives() -> None:
    """Models with registers, and with a planted sink: what sinks do to maps, and what cleaning them mends."""
    for model in ("vit-registers", "vit-sinks"):
        _baselines(model)
        _of_layers(model, (2, 3, 4, 5))
        _all_layers(model)
        _enter(model, "attention relative to what patches receive", "cleaned_attention", mode="relative")
        for layer in (3, 5):
            for words, whose in (("this picture's", own_sinks), ("the usual", usual_sinks)):
                heat = without_sinks(layer, whose)
                enter(Entry("map", f"attention without {words} sinks, layer {layer}", model, heat, method="cleaned_attention"))


def _windowed() -> None:
    for layer in (1, 5, 7):
        _enter("swin", f"raw attention, layer {layer}", "raw_attention", site=layer)
        _enter("swin", f"attention x value, layer {layer}", "value_weighted_attention", site=layer)
        _enter("swin", f"gradient x attention, layer {layer}", "gradient_attention", site=layer)
    _pixels("swin")


def _dual() -> None:
    _of_layers("clip", (3, 4, 5))
    _all_layers("clip")
    _enter("clip", "attention x value, last layer", "value_weighted_attention", site=5)
    _enter("clip", "gradient x attention, last layer", "gradient_attention", site=5)
    _enter("clip", "input x gradient", "input_x_gradient")
    _enter("clip", "AttnLRP", "attn_lrp")


def _asking() -> None:
    """The decoder of an LVLM that is asked whether the target is there; gradients are those of the word "yes"."""
    for layer in range(6):
        _enter("lvlm", f"raw attention of the last word, layer {layer}", "raw_attention", tower="decoder", site=layer)
    for layer in (1, 3, 5):
        _enter("lvlm", f"gradient x attention, layer {layer}", "gradient_attention", tower="decoder", site=layer)
    _enter("lvlm", "attention x value, layer 1", "value_weighted_attention", tower="decoder", site=1)
    _enter("lvlm", "rollout", "rollout", tower="decoder")
    _enter("lvlm", "gradient x attention, all layers", "gradient_attention_relevance", tower="decoder")
    _enter("lvlm", "gradient-weighted rollout", "gradient_rollout", tower="decoder")
    _enter("lvlm", "input x gradient", "input_x_gradient")
    _enter("lvlm", "AttnLRP", "attn_lrp")


for _model in ("vit", "swin", "clip", "lvlm"):
    _baselines(_model)
_vit()
_relatives()
_windowed()
_dual()
_asking()
