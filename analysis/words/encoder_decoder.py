"""Does the decoder look where the vision tower looked? Both maps on the decoder's image tokens, and how they agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from scipy.stats import spearmanr

from analysis.attention_rows import Reader, fused, kept_weights
from analysis.maps import view
from analysis.registry import Range, method
from analysis.results import TokenMap
from analysis.words.answer import Answer
from analysis.words.rows import word_rows
from analysis.words.word_maps import on_image
from analysis.words.words import Word
from model_adapters import Capture, Rows, Site


@dataclass(frozen=True, eq=False)
class EncoderDecoder:
    """How the attention of a word to the image agrees with that of the vision tower, layer by layer of the decoder."""

    spearman: np.ndarray
    """[L] rank correlation over image tokens."""
    overlap: np.ndarray
    """[L] the share of the `top` tokens that both have."""
    chance: float
    """What the overlap of random tokens would be."""
    top: int
    layers: tuple[int, ...]
    encoder: TokenMap
    """The vision tower's attention on the decoder's tokens."""
    decoder: TokenMap
    """The word's, mean over layers and heads."""


@method(
    title="Agreement of encoder and decoder",
    kind="word agreement",
    cites=("gong2024",),
    needs={"generation", "text", "weights", "grid"},
    range="-1 to 1 (rank correlation), 0 to 1 (overlap)",
    misleads="Both may agree on background tokens that attract everything: agreement is no sign of seeing.",
)
def encoder_decoder_agreement(
    answer: Answer, encoder: np.ndarray, word: Word | int | str = 0, *, top: Annotated[int, Range(1, 1000)] = 10, image: int = 0
) -> EncoderDecoder:
    """How much a word's attention to the image agrees with that of the vision tower.

    Args:
        answer: the answer.
        encoder: [T] from `encoder_attention`.
        word: which word; its first token is read.
        top: how many of the most attended tokens the overlap looks at.
        image: which of several images is shown.
    """
    there, means = _known(answer, encoder), _means(answer, word)
    top = min(top, int(there.sum()))
    ranks = np.array([_spearman(encoder[there], mean[there]) for mean in means])
    overlaps = overlaps_of(answer, encoder, word, top)
    shown = on_image(answer, np.nan_to_num(encoder), image, "attention of the vision tower")
    return EncoderDecoder(
        ranks, overlaps, top / int(there.sum()), top, tuple(site.layer for site in answer.sites), shown,
        on_image(answer, np.mean(means, 0), image, f"attention of {answer.word(word).text!r}"),
    )  # fmt: skip


def overlaps_of(answer: Answer, encoder: np.ndarray, word: Word | int | str, top: int) -> np.ndarray:
    """[L]: the share of the `top` image tokens that the vision tower and a word both have."""
    there = _known(answer, encoder)
    top = min(top, int(there.sum()))
    return np.array([shared_top(encoder[there], mean[there], top) for mean in _means(answer, word)])


def _means(answer: Answer, word: Word | int | str) -> list[np.ndarray]:
    """[L] arrays [T]: what a word's first token gives to the prompt, mean over heads."""
    return [row.mean(0) for row in word_rows(answer, word)]


def encoder_attention(
    capture: Capture,
    prompt: Rows,
    *,
    layer: int = -2,
    read: Reader = "auto",
    heads: Literal["mean", "one wide head"] = "mean",
) -> np.ndarray:
    """[T]: the attention of the vision tower to what each token of the prompt shows; NaN where it shows nothing.

    Patches are laid on the decoder's tokens by the area of their boxes that they share, tile by tile.

    Args:
        capture: of the prompt, with the weights of the vision tower (and want={"queries"} for one wide head).
        prompt: the decoder's rows, `answer.prompt`.
        layer: which layer of the tower, counted among those that have attention; the last but one by default, whose output
            LLaVA reads.
        read: the class token's view, or the mean over patches where there is none.
        heads: the mean over heads; or one head over the full width, softmax(q K / sqrt(C)), as in the release of DAMRO.
    """
    numbers = sorted({site.layer for site in capture.sites if site.tower == "vision"})
    if not numbers:
        raise ValueError("the weights of the vision tower are needed. The capture keeps none of it.")
    if not -len(numbers) <= layer < len(numbers):
        raise ValueError(f"layer {layer} was asked for, but the vision tower has {len(numbers)} layers with attention.")
    seen, shown = [], []
    for site in capture.sites:
        if site.tower == "vision" and site.layer == numbers[layer]:
            values, rows = _site_view(capture, site, read, heads)
            seen.append(values)
            shown.append(rows)
    if len(seen) > 1:  # windows of their own sizes: each counts as many times as it has queries
        whole = sum(map(len, seen))
        seen = [values * len(values) / whole for values in seen]
    return laid_on(np.concatenate(seen), shown, prompt)


def laid_on(values: np.ndarray, parts: list[Rows], prompt: Rows) -> np.ndarray:
    """[T]: values of tower tokens summed over the boxes of other tokens, by shared area; NaN where no patch lies."""
    boxes = np.concatenate([rows.boxes for rows in parts]).astype(np.float64)
    image, tile = (np.concatenate([getattr(rows, name) for rows in parts]) for name in ("image", "tile"))
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    usable = np.isfinite(area) & (area > 0)
    found = np.full(len(prompt), np.nan)
    for token in np.flatnonzero(prompt.placed):
        x0, y0, x1, y1 = prompt.boxes[token].astype(np.float64)
        mine = usable & (image == prompt.image[token]) & (tile == prompt.tile[token])
        wide = np.clip(np.minimum(boxes[mine, 2], x1) - np.maximum(boxes[mine, 0], x0), 0, None)
        high = np.clip(np.minimum(boxes[mine, 3], y1) - np.maximum(boxes[mine, 1], y0), 0, None)
        shares = wide * high / area[mine]
        if shares.any():
            found[token] = (shares * values[mine]).sum()
    if not np.isfinite(found).any():
        raise ValueError("no patch of the vision tower lies on a token of the prompt: there is nothing to compare.")
    return found


def shared_top(one: np.ndarray, other: np.ndarray, top: int) -> float:
    """The share of the `top` highest entries that both have."""
    best = [set(np.argsort(-values, kind="stable")[:top].tolist()) for values in (one, other)]
    return len(best[0] & best[1]) / top


def _known(answer: Answer, encoder: np.ndarray) -> np.ndarray:
    """[T] bool: image tokens that the tower's attention is known of."""
    if np.shape(encoder) != (len(answer.prompt),):
        raise ValueError(
            f"`encoder` must hold one number per token of the prompt ({len(answer.prompt)}). Got {np.shape(encoder)}."
        )
    there = answer.image & np.isfinite(encoder)
    if there.sum() < 2:
        raise ValueError("fewer than 2 image tokens have a place in the vision tower: there is nothing to compare.")
    return there


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other)[0])


def _site_view(capture: Capture, site: Site, read: Reader, heads: str) -> tuple[np.ndarray, Rows]:
    layout = capture.layouts[site]
    if heads == "mean":
        weights, kept = kept_weights(capture, site)
        return view(fused(weights, "mean"), kept, layout, None, read)
    if layout.windows != 1:
        raise ValueError(f"one wide head needs all patches in one window. {site.name} has {layout.windows}; heads='mean' works.")
    if site not in capture.queries or site not in capture.keys:
        raise ValueError(
            f"one wide head needs the queries and keys of {site.name}: want={{'queries'}}. A model that computes its attention "
            "by hand (attn_implementation='eager') may not show them; heads='mean' works."
        )
    queries, keys = (np.concatenate(list(made[site].astype(np.float64)), axis=-1) for made in (capture.queries, capture.keys))
    scores = queries @ keys.T / np.sqrt(queries.shape[-1])
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    return view(scores / scores.sum(-1, keepdims=True), np.arange(len(queries)), layout, None, read)
