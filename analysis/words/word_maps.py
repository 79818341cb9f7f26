"""Where the image was attended to when a word was decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from analysis.registry import method
from analysis.results import TokenMap
from analysis.words.answer import Answer
from analysis.words.rows import Fuse, Heads, Tokens, chosen_heads, put_together, word_rows
from analysis.words.words import Word
from model_adapters import Site

NEEDS = {"generation", "text", "grid"}
ANY = "attention says where a head reads, not what of it reaches the word"


@method(
    title="Image map of a word",
    kind="word map",
    cites=("zhang2025",),
    needs=NEEDS,
    range="0 to 1 per token",
    misleads=f"A few tokens attract most heads whatever is said, and {ANY}.",
)
def word_map(
    answer: Answer,
    word: Word | int | str = 0,
    *,
    image: int = 0,
    layer: int | None = None,
    head: int | None = None,
    fuse: Fuse = "mean",
    tokens: Tokens = "first",
    among: Heads | None = None,
) -> TokenMap:
    """How much attention each place on the image got when a word was decided.

    Args:
        answer: from `answer_of` or `answer_in`.
        word: which word; a number, its text, or one of `answer.words` or `answer.mentions(...)`.
        image: which of several images.
        layer: one layer of the decoder; all by default.
        head: one head of the layer, or of every layer.
        fuse: how heads and layers are put together.
        tokens: which tokens of the word speak for it.
        among: only these heads, such as the visual ones.
    """
    return _shown(answer, word, word_rows(answer, word, tokens), chosen_heads(answer, layer, head, among), fuse, image)


@method(
    title="Image map of a word without sinks",
    kind="word map",
    cites=("kang2025",),
    needs=NEEDS,
    range="0 to 1 per token; each head gives the image as much as before",
    misleads=f"What counts as a sink is a threshold, and a sink may lie on the very thing that is named; {ANY}.",
)
def word_map_without_sinks(
    answer: Answer,
    sinks: np.ndarray,
    word: Word | int | str = 0,
    *,
    image: int = 0,
    layer: int | None = None,
    head: int | None = None,
    fuse: Fuse = "mean",
    tokens: Tokens = "first",
    among: Heads | None = None,
) -> TokenMap:
    """The map of a word when each head's weight on sink tokens is spread over its other image tokens, in proportion.

    After the redistribution of Kang et al., with all of the sinks' budget moved. A head that looks at nothing but sinks is
    left empty.

    Args:
        answer: the answer.
        sinks: [L, T] bool, or [T] for all layers: which tokens of the prompt are sinks, as `visual_sinks` finds them.
        word: which word.
        image: which of several images.
        layer: one layer; all by default.
        head: one head.
        fuse: how heads are put together.
        tokens: which tokens of the word speak for it.
        among: only these heads.
    """
    rows, seen = word_rows(answer, word, tokens), answer.image
    sinks = np.broadcast_to(np.asarray(sinks, bool), (len(rows), len(seen)))
    moved = [without_sinks(row, seen, sink) for row, sink in zip(rows, sinks, strict=True)]
    return _shown(answer, word, moved, chosen_heads(answer, layer, head, among), fuse, image, more=", sinks removed")


@method(
    title="Image map of a word against a neutral question",
    kind="word map",
    cites=("zhang2025",),
    needs=NEEDS,
    range="ratio: 0 and above, 1 where nothing changed; difference: -1 to 1",
    misleads="A ratio of two small numbers is large: places that hardly any head looks at may light up.",
)
def relative_word_map(
    answer: Answer,
    neutral: Answer,
    word: Word | int | str = 0,
    *,
    image: int = 0,
    layer: int | None = None,
    head: int | None = None,
    fuse: Fuse = "mean",
    tokens: Tokens = "first",
    among: Heads | None = None,
    compare: Literal["ratio", "difference"] = "ratio",
) -> TokenMap:
    """How a word's attention differs from that of the first word said to a neutral question about the same image.

    After the relative attention of Zhang et al.: heads are put together first, then one map is divided by the other.

    Args:
        answer: the answer.
        neutral: the answer to a neutral question, such as "Write a general description of the image."
        word: which word; other options are those of `word_map`.
        image: which of several images.
        layer: one layer.
        head: one head.
        fuse: how heads are put together.
        tokens: which tokens speak.
        among: only these heads.
        compare: divide, or subtract.
    """
    if not len(neutral):
        raise ValueError("the answer to the neutral question is empty: it needs at least one token.")
    heads = chosen_heads(answer, layer, head, among)
    ours = put_together(word_rows(answer, word, tokens), heads, fuse)[answer.image]
    length = len(neutral.prompt)
    theirs = put_together([row[:, :length].astype(np.float64) for row in neutral.rows[0]], heads, fuse)[neutral.image]
    if len(ours) != len(theirs):
        raise ValueError(f"the neutral question must be about the same image. Got {len(theirs)} image tokens for {len(ours)}.")
    made = ours / np.maximum(theirs, 1e-12) if compare == "ratio" else ours - theirs
    values = np.zeros(len(answer.prompt))
    values[answer.image] = made
    label = f"attention of {answer.word(word).text!r} against neutral"
    return on_image(answer, values, image, label, signed=compare == "difference")


@method(
    title="Value-weighted image map of a word",
    kind="word map",
    cites=("kobayashi2020",),
    needs=NEEDS | {"values"},
    range="0 and above",
    misleads="Long vectors may cancel each other, and later layers may undo what one layer adds.",
)
def value_weighted_word_map(
    answer: Answer,
    word: Word | int | str = 0,
    *,
    image: int = 0,
    layer: int | None = None,
    head: int | None = None,
    fuse: Fuse = "mean",
    tokens: Tokens = "first",
    among: Heads | None = None,
    projections: Mapping[Site, np.ndarray] | None = None,
) -> TokenMap:
    """How long the vectors are that each place on the image adds when a word is decided: |a v|, or |a v W_O|.

    Args:
        answer: read again with want={"values"}.
        word: which word.
        image: which of several images.
        layer: one layer; all by default.
        head: one head.
        fuse: how heads are put together.
        tokens: which tokens of the word speak for it.
        among: only these heads.
        projections: per site [H, out, D], the output projection head by head; without it lengths are those of the values.
    """
    lengths = value_lengths(answer, projections)
    weighted = [row * length for row, length in zip(word_rows(answer, word, tokens), lengths, strict=True)]
    return _shown(answer, word, weighted, chosen_heads(answer, layer, head, among), fuse, image, "attention x value")


def _shown(
    answer: Answer, word: Word | int | str, rows: Sequence[np.ndarray], heads: Sequence[tuple[int, int]], fuse: Fuse,
    image: int, what: str = "attention", more: str = "",
) -> TokenMap:  # fmt: skip
    """Rows [L] of a word as one map, heads put together."""
    return on_image(answer, put_together(rows, heads, fuse), image, f"{what} of {answer.word(word).text!r}{more}")


def value_lengths(answer: Answer, projections: Mapping[Site, np.ndarray] | None = None) -> list[np.ndarray]:
    """[L] arrays [H, T]: the length of what each token of the prompt offers to each head."""
    values = {} if answer.capture is None else answer.capture.values
    found = []
    for site in answer.sites:
        if site not in values:
            raise ValueError(f"the values of {site.name} are needed. Read the answer again with want={{'values'}}.")
        offered = values[site][:, : len(answer.prompt)].astype(np.float64)
        if projections is not None:
            if site not in projections:
                raise ValueError(f"no output projection is known of {site.name}; leave `projections` out.")
            offered = np.einsum("htd,hod->hto", offered, projections[site].astype(np.float64))
        found.append(np.linalg.norm(offered, axis=-1))
    return found


def without_sinks(row: np.ndarray, seen: np.ndarray, sinks: np.ndarray) -> np.ndarray:
    """[H, T]: the weight of image sinks given to the other image tokens, in proportion to theirs."""
    taken, kept = row * (seen & sinks), row * (seen & ~sinks)
    held = kept.sum(-1, keepdims=True)
    gained = np.divide(taken.sum(-1, keepdims=True), held, out=np.zeros_like(held), where=held > 0)
    return row * ~seen + kept * (1 + gained)


def on_image(answer: Answer, values: np.ndarray, image: int, label: str, *, signed: bool = False) -> TokenMap:
    """The values of those tokens of the prompt that lie on one image, as a map."""
    check_places(answer)
    prompt, seen = answer.prompt, answer.image
    here = np.flatnonzero(prompt.placed & seen & np.isin(prompt.image, (image, -1)))
    if not len(here):
        there = sorted({int(n) for n in prompt.image[prompt.placed]})
        raise ValueError(f"image {image} was asked for, but the prompt holds the images {there}.")
    size = answer.sizes[image] if image < len(answer.sizes) else _size(prompt.boxes[here])
    return TokenMap(np.asarray(values, np.float64)[here], prompt.take(here), size, signed, label)


def check_places(answer: Answer) -> None:
    """Refuse a prompt whose image tokens lie nowhere."""
    count = int(answer.image.sum())
    if not answer.prompt.placed.any():
        raise ValueError(
            f"the {count} image tokens of this prompt are learned queries that each read the whole image: they have no place. "
            "Two hops, through the attention of the queries, give a map."
        )


def _size(boxes: np.ndarray) -> tuple[int, int]:
    """The size of an image that was not given along: as far as its tokens reach."""
    return int(np.ceil(boxes[:, 2].max())), int(np.ceil(boxes[:, 3].max()))
