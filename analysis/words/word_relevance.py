"""Which image tokens and patches raised the probability of a word: gradient x attention through decoder and tower."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.attention_rows import same_tokens
from analysis.registry import method
from analysis.results import TokenMap
from analysis.words.answer import Answer, joined
from analysis.words.encoder_decoder import laid_on
from analysis.words.word_maps import check_places, on_image
from analysis.words.words import Word
from model_adapters import Capture, Layout, Rows, Site

NEEDS = {"generation", "text", "weights", "gradients", "grid"}
ONLY_POSITIVE = "Only positive evidence is kept, and only what flows through attention: values and MLPs are taken as given."


@method(
    title="Gradient x attention of a word",
    kind="word map",
    cites=("chefer2021",),
    needs=NEEDS,
    range="0 and above; the scale is that of the gradient",
    misleads=ONLY_POSITIVE,
)
def word_relevance(answer: Answer, word: Word | int | str = 0, *, image: int = 0, first_layer: int = 0) -> TokenMap:
    """How relevant each image token is for a word, by gradient x attention through the decoder.

    Our use of the rules for one stream: R <- R + mean over heads of (gradient x attention)+ R, read at the row that decided
    the word.

    Args:
        answer: read again with want={"gradients"} and all rows, `target` being the word's first token (`target_of`).
        word: which word; the one that the gradients are of.
        image: which of several images.
        first_layer: layers before this one are left out.
    """
    values = decoder_relevance(answer, word, first_layer)[: len(answer.prompt)]
    return on_image(answer, values, image, f"gradient x attention of {answer.word(word).text!r}")


@method(
    title="Gradient x attention of a word, down to the patches",
    kind="word map",
    cites=("chefer2021",),
    needs=NEEDS,
    range="0 and above; the scale is that of the gradient",
    misleads=ONLY_POSITIVE + " The projector between tower and decoder is taken to keep places.",
)
def patch_relevance(answer: Answer, layouts: Mapping[Site, Layout], word: Word | int | str = 0, *, image: int = 0) -> TokenMap:
    """The relevance of image tokens carried on through the layers of the vision tower, on the tower's patches.

    Our extension: what an image token has is given to the patches that its box covers, by area, and from there goes on by
    the same rules. Layers behind the one that the decoder reads have no gradient and add nothing.

    Args:
        answer: as for `word_relevance`, the gradients of the tower included.
        layouts: of a capture of the prompt alone (`capture.layouts`): where the tower's tokens lie.
        word: which word.
        image: which of several images.
    """
    check_places(answer)
    capture = _with_gradients(answer)
    layers = _tower_layers(capture)
    rows = _tower_rows(layers[-1], layouts)
    values = laid_on_patches(decoder_relevance(answer, word)[: len(answer.prompt)], answer.prompt, rows)
    for sites in reversed(layers):
        if not same_tokens(_tower_rows(sites, layouts), rows):
            raise ValueError(f"{sites[0].name} works on other tokens than the last layer: the layers cannot be multiplied.")
        values = values + _through(values, sites, capture, layouts)
    here = np.flatnonzero(rows.placed & np.isin(rows.image, (image, -1)))
    if not len(here):
        raise ValueError(f"no patch of the tower lies on image {image}.")
    size = answer.sizes[image] if image < len(answer.sizes) else layouts[layers[-1][0]].size
    return TokenMap(values[here], rows.take(here), size, False, f"gradient x attention of {answer.word(word).text!r}, patches")


@method(
    title="Two hops through learned queries",
    kind="word map",
    cites=("chefer2021",),
    needs={"generation", "text", "weights"},
    range="0 to 1 per token",
    misleads="Queries mix with each other and hold what several layers gathered; the last look at the image stands for all.",
)
def two_hop_word_map(
    answer: Answer, capture: Capture, word: Word | int | str = 0, *, layer: int = -1, image: int = 0
) -> TokenMap:
    """Where a word looked through learned queries: its attention to them times their attention to the patches.

    For models whose image tokens are queries of a Q-Former: mean over heads in both hops. The queries' attention among
    themselves is left out.

    Args:
        answer: the answer.
        capture: of the prompt, with the weights of the connector.
        word: which word; its first token is read.
        layer: which cross-attention of the connector, counted among them; the last by default.
        image: which of several images.
    """
    site = crossing(capture.sites, capture.layouts, layer)
    step, queries = answer.word(word).steps[0], np.flatnonzero(answer.image)
    first = np.stack([row.mean(0) for row in answer.rows[step]]).mean(0, dtype=np.float64)[queries]
    second = capture.weights[site].astype(np.float64).mean(0)
    label = f"attention of {answer.word(word).text!r} through {len(queries)} queries"
    return _two_hops(answer, first, second, capture.layouts[site], image, label)


@method(
    title="Gradient x attention through learned queries",
    kind="word map",
    cites=("chefer2021",),
    needs=NEEDS - {"grid"},
    range="0 and above; the scale is that of the gradient",
    misleads=ONLY_POSITIVE,
)
def two_hop_relevance(
    answer: Answer, layouts: Mapping[Site, Layout], word: Word | int | str = 0, *, layer: int = -1, image: int = 0
) -> TokenMap:
    """How relevant each patch is for a word: the relevance of the queries times their gradient x attention to the patches.

    After the rules for two modalities, without the terms that mix the queries, and the tower, among themselves.

    Args:
        answer: read again with want={"gradients"}, all sites and rows, `target` being the word's first token (`target_of`).
        layouts: of a capture of the prompt alone: where the tower's tokens lie.
        word: which word.
        layer: which cross-attention of the connector; the last by default.
        image: which of several images.
    """
    capture = _with_gradients(answer)
    site = crossing(capture.sites, layouts, layer)
    if site not in capture.gradients:
        raise ValueError(f"gradients of {site.name} are needed; keep all sites.")
    first = decoder_relevance(answer, word)[np.flatnonzero(answer.image)]
    label = f"gradient x attention of {answer.word(word).text!r} through {len(first)} queries"
    return _two_hops(answer, first, _step(capture, site), layouts[site], image, label)


def crossing(sites: tuple[Site, ...], layouts: Mapping[Site, Layout], layer: int) -> Site:
    """The cross-attention in which learned queries look at patches."""
    mine = [site for site in sites if site.tower == "connector"]
    found = [s for s in mine if layouts[s].keys.placed.any() and not layouts[s].queries.placed.any()]
    if not found:
        raise ValueError("no learned queries look at the image in this model: its image tokens have places of their own.")
    if not -len(found) <= layer < len(found):
        raise ValueError(f"cross-attention {layer} was asked for, but the connector has {len(found)}.")
    return found[layer]


def _two_hops(answer: Answer, first: np.ndarray, second: np.ndarray, layout: Layout, image: int, label: str) -> TokenMap:
    """[queries] times [queries, patches], on the image."""
    if len(second) != len(first):
        raise ValueError(f"the connector has {len(second)} queries, the prompt {len(first)} image tokens: they do not match.")
    here = np.flatnonzero(layout.keys.placed & np.isin(layout.keys.image, (image, -1)))
    size = answer.sizes[image] if image < len(answer.sizes) else layout.size
    return TokenMap((first @ second)[here], layout.keys.take(here), size, False, label)


def target_of(answer: Answer, word: Word | int | str = 0) -> tuple[int, int]:
    """(token id, position of the row that decided it): what `model_adapters.Token` takes as the target of gradients."""
    step = answer.word(word).steps[0]
    return int(answer.ids[step]), len(answer.prompt) - 1 + step


def decoder_relevance(answer: Answer, word: Word | int | str = 0, first_layer: int = 0) -> np.ndarray:
    """[T + A]: the relevance of every token of the sequence for the row that decided a word."""
    capture = _with_gradients(answer)
    sites = [site for site in answer.sites if site.layer >= first_layer]
    if not sites:
        raise ValueError(f"first_layer={first_layer} was asked for, but the last layer is {answer.sites[-1].layer}.")
    values = np.zeros(len(answer.prompt) + len(answer))
    values[target_of(answer, word)[1]] = 1
    for site in reversed(sites):
        values = values + values @ _step(capture, site)
    return values


def laid_on_patches(values: np.ndarray, prompt: Rows, patches: Rows) -> np.ndarray:
    """[N]: what decoder tokens have, spread over the patches below them by shared area."""
    given = np.where(prompt.placed, values, 0)
    spread = np.zeros(len(patches))
    for patch in np.flatnonzero(patches.placed):
        single = patches.take(np.array([patch]))
        spread[patch] = laid_on(given, [prompt], single)[0] if _meets(prompt, single) else 0
    return spread


def _meets(prompt: Rows, patch: Rows) -> bool:
    mine = prompt.placed & (prompt.image == patch.image[0]) & (prompt.tile == patch.tile[0])
    wide = np.minimum(prompt.boxes[mine, 2], patch.boxes[0, 2]) - np.maximum(prompt.boxes[mine, 0], patch.boxes[0, 0])
    high = np.minimum(prompt.boxes[mine, 3], patch.boxes[0, 3]) - np.maximum(prompt.boxes[mine, 1], patch.boxes[0, 1])
    return bool(((wide > 0) & (high > 0)).any())


def _tower_layers(capture: Capture) -> list[list[Site]]:
    """The attentions of the vision tower, layer by layer; one that looks window by window has several."""
    sites = [site for site in capture.weights if site.tower == "vision"]
    if not sites or any(site not in capture.gradients for site in sites):
        raise ValueError("weights and gradients of the vision tower are needed; keep all sites.")
    return [[site for site in sites if site.layer == layer] for layer in sorted({site.layer for site in sites})]


def _tower_rows(sites: list[Site], layouts: Mapping[Site, Layout]) -> Rows:
    """The tokens of one layer, window after window."""
    rows = layouts[sites[0]].queries
    for site in sites[1:]:
        rows = joined(rows, layouts[site].queries)
    return rows


def _through(values: np.ndarray, sites: list[Site], capture: Capture, layouts: Mapping[Site, Layout]) -> np.ndarray:
    """[N]: relevance carried through one layer of the tower, each window by itself."""
    found, start = [], 0
    for site in sites:
        step, windows = _step(capture, site), layouts[site].windows
        mine = values[start : start + len(step)].reshape(windows, -1)
        found.append(np.einsum("wq,wqk->wk", mine, step.reshape(windows, -1, step.shape[-1])).ravel())
        start += len(step)
    return np.concatenate(found)


def _step(capture: Capture, site: Site) -> np.ndarray:
    """[Q, K]: the positive part of gradient x attention, mean over heads."""
    weights, gradients = capture.weights[site], capture.gradients[site]
    if weights.shape[1] != capture.shapes[site][1]:
        raise ValueError(f"all rows of {site.name} are needed: Keep(queries='all').")
    return np.clip(weights.astype(np.float64) * gradients, 0, None).mean(0)


def _with_gradients(answer: Answer) -> Capture:
    if answer.capture is None or any(site not in answer.capture.gradients for site in answer.sites):
        raise ValueError(
            "gradients of the word are needed. Read the answer again with want={'gradients'} and target=Token(*target_of(...))."
        )
    return answer.capture
