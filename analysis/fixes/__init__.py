"""What is said to help against made-up answers, as keywords for `model_adapters.generate`.

`ma.generate(model, inputs, **visual_contrastive_decoding())`: every function here returns plain data, and nothing runs before
`generate` does.
"""

from analysis.fixes.balance import balanced_attention
from analysis.fixes.controls import random_heads_silenced, sampled
from analysis.fixes.more_attention import pay_attention_to_image
from analysis.fixes.options import FixOptions
from analysis.fixes.other_looks import image_guidance, visual_contrastive_decoding
from analysis.fixes.outlier_contrast import contrast_with_outliers
from analysis.fixes.over_trust import over_trust_penalty
from analysis.fixes.relevant_regions import Match, dual_matcher, relevant_regions_added
from analysis.fixes.sinks import attention_moved_off_sinks
from analysis.fixes.strong_heads import vision_heads_reinforced

__all__ = [
    "FixOptions",
    "Match",
    "attention_moved_off_sinks",
    "balanced_attention",
    "contrast_with_outliers",
    "dual_matcher",
    "image_guidance",
    "over_trust_penalty",
    "pay_attention_to_image",
    "random_heads_silenced",
    "relevant_regions_added",
    "sampled",
    "vision_heads_reinforced",
    "visual_contrastive_decoding",
]
