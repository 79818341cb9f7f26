"""The fixes of `analysis.fixes` in the benchmark, with the options of their releases, and what they have to beat."""

from collections.abc import Callable
from functools import partial

from analysis import fixes
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
}
CONTROLS: dict[str, Callable[[], fixes.FixOptions]] = {
    "sampling, temperature 0.7": fixes.sampled,
    "a tenth of the heads silenced": fixes.random_heads_silenced,
}

for _titles, _baseline in ((FIXES, False), (CONTROLS, True)):
    for _title, _recipe in _titles.items():
        _function = _recipe.func if isinstance(_recipe, partial) else _recipe
        enter(Entry("fix", _title, "lvlm", _recipe, baseline=_baseline, method=_function.__name__))
