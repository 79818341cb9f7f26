"""Signals of what a model makes up: per word, per answer, and put together."""

from analysis.signals import attention, combined, confidence, divergence, inside, outliers, table
from analysis.signals.combined import CombinedScore, combined_score
from analysis.signals.divergence import diffused, picture_views, scores_of
from analysis.signals.gather import gather
from analysis.signals.table import Evidence, SignalTable, signals

__all__ = [
    "CombinedScore",
    "Evidence",
    "SignalTable",
    "attention",
    "combined",
    "combined_score",
    "confidence",
    "diffused",
    "divergence",
    "gather",
    "inside",
    "outliers",
    "picture_views",
    "scores_of",
    "signals",
    "table",
]
