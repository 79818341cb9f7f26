"""What a study can measure. New measures are one function in a module that is named here."""

from studies.measures import attention, heads, pairs, words
from studies.measures.batch import Batch, Looks
from studies.measures.registry import KEYS, MEASURES, Lines, Measure, PerHead, PerLayer, measure

__all__ = [
    "KEYS", "MEASURES", "Batch", "Lines", "Looks", "Measure", "PerHead", "PerLayer", "attention", "heads", "measure", "pairs",
    "words",
]  # fmt: skip
