"""Methods: arrays in, small frozen results out; each registered with its citation, its range, and where it misleads.

Importing this package registers all of them. Adding a method is one function, one entry of the bibliography, one test.
"""

from analysis import (
    agreement,
    baselines,
    captum_maps,
    compare,
    faithfulness,
    flow,
    importance_exact,
    importance_free,
    importance_gradient,
    importance_partial,
    layer_similarity,
    localisation,
    logit_attribution,
    map_agreement,
    maps,
    relevance,
    rollout,
    strength,
    strength_maps,
    trends,
)
from analysis.offers import offers
from analysis.registry import METHODS, Method, find, method, methods

__all__ = [
    "METHODS",
    "Method",
    "agreement",
    "baselines",
    "captum_maps",
    "compare",
    "faithfulness",
    "find",
    "flow",
    "importance_exact",
    "importance_free",
    "importance_gradient",
    "importance_partial",
    "layer_similarity",
    "localisation",
    "logit_attribution",
    "map_agreement",
    "maps",
    "method",
    "methods",
    "offers",
    "relevance",
    "rollout",
    "strength",
    "strength_maps",
    "trends",
]
