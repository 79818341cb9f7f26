"""The fixes of `analysis.fixes` in the benchmark, with the options of their releases, and what they have to beat."""

from collections.abc import Callable
from functools import partial

from analysis import METHODS, fixes
from model_adapters import Beam
from world.trust.registry import Entry, enter

FIXES: dict[str, Callable[[], fixes.FixOptions]] = {
    "VCD: contrast with noise": fixes.visual_contrastive_decoding,
    "VCD with the most noise": partial(fixes.visual_contrastive_decoding, step=999),
    "guidance against the mean colour": fixes.image_guidance,
    "guidance against no image": partial(fixes.image_guidance, against="no image"),
    "PAI": fixes.pay_attention_to_image,
    "PAI with guidance 2": partial(fixes.pay_attention_to_image, guidance=2.0),
    "VAR, as released": fixes.attention_moved_off_sinks,
    "VAR, as in the paper": partial(fixes.attention_moved_off_sinks, variant="paper"),
    "VHR": fixes.vision_heads_reinforced,
    "DAMRO": fixes.contrast_with_outliers,
    "balanced attention": fixes.balanced_attention,
    "AGLA, with relevance of its own": fixes.relevant_regions_added,
    "OPERA, 2 beams of 3 candidates": partial(fixes.over_trust_penalty, beams=2, candidates=3),
}
"""OPERA is tried with fewer beams than published: every candidate reads prompt and answer anew."""


def beam_search() -> fixes.FixOptions:
    """What OPERA's search is without its penalty."""
    return {"decoding": Beam(2)}


CONTROLS: dict[str, Callable[[], fixes.FixOptions]] = {
    "sampling, temperature 0.7": fixes.sampled,
    "a tenth of the heads silenced": fixes.random_heads_silenced,
    "beam search, 2 beams": beam_search,
}

for _titles, _baseline in ((FIXES, False), (CONTROLS, True)):
    for _title, _recipe in _titles.items():
        _function = _recipe.func if isinstance(_recipe, partial) else _recipe
        _method = _function.__name__ if _function.__name__ in METHODS else ""
        enter(Entry("fix", _title, "lvlm", _recipe, baseline=_baseline, method=_method))
