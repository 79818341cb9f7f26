"""What a signal says of a word, in plain words: each sentence follows from the numbers it holds."""

from __future__ import annotations

import numpy as np

from ui.sentences import share

SAID: dict[str, tuple[str, str]] = {
    # signal: (said of a word that is doubted more than others, of one that is doubted less)
    "low_image_attention": ("lower image attention", "higher image attention"),
    "falling_image_attention": ("a larger fall of image attention", "a smaller fall of image attention"),
    "spread_image_map": ("a more spread image map", "a sharper image map"),
    "over_trust": ("more trust in one earlier word", "less trust in one earlier word"),
    "unlikely_word": ("lower probability", "higher probability"),
    "undecided": ("a less decided choice", "a more decided choice"),
    "small_margin": ("a closer rival", "a rival further away"),
    "unmoved_without_image": ("less change without the image", "more change without the image"),
    "unmoved_by_noise": ("less change under noise", "more change under noise"),
    "outvoted": ("fewer votes from views of the picture", "more votes from views of the picture"),
    "unseen_by_lens": ("less trace of the word in the image tokens", "more trace of the word in the image tokens"),
    "low_alignment": ("lower alignment with the image", "higher alignment with the image"),
    "low_vision_divergence": ("heads moved less by the image", "heads moved more by the image"),
    "shared_outliers": ("more outliers shared with the encoder", "fewer outliers shared with the encoder"),
}


def place(name: str, title: str, less_doubted: float, more_doubted: float) -> str:
    """How a word stands among the true ones: "lower image attention than 83 % of true words".

    Args:
        name: of the signal.
        title: of the signal, for those that have no words here.
        less_doubted: the share of the true words that the signal doubts less.
        more_doubted: the share that it doubts more; the rest is doubted as much.
    """
    if not np.isfinite(less_doubted):
        return f"{title}: no true word to compare with"
    doubted, trusted = SAID.get(name, (f"more of “{title.lower()}”", f"less of “{title.lower()}”"))
    if less_doubted >= more_doubted:
        return f"{doubted} than {share(less_doubted)} of true words"
    return f"{trusted} than {share(more_doubted)} of true words"


def separates(value: float, low: float, high: float) -> str:
    """Whether a signal tells made-up words from true ones, by its AUROC and the interval."""
    if not np.isfinite(value):
        return "cannot be judged: only one kind of words is there"
    if low > 0.5:
        return "tells them apart" if value >= 0.7 else "tells them apart a little"
    if high < 0.5:
        return "fails: it points the wrong way here"
    return "fails: no better than chance here"


def auroc(value: float, low: float, high: float) -> str:
    """An AUROC with its interval."""
    return "–" if not np.isfinite(value) else f"{value:.2f} ({low:.2f} to {high:.2f})"


def underline(value: float, by: str, known: bool) -> str:
    """What the line below a word says.

    Args:
        value: the doubt, 0 to 1.
        by: "combined", or one signal.
        known: whether it is held against words whose truth is known.
    """
    if by == "combined":
        return doubt(value)
    if known:
        return f"doubted more than {share(value)} of true words"
    return f"{value:.2f} between the least and the most doubted word"


def doubt(value: float) -> str:
    """The probability of a combined score, for people."""
    return "–" if not np.isfinite(value) else f"{share(value)} likely made up"
