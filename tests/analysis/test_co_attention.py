"""Relevance across two streams: against the rules written out number by number, a planted path, and real models."""

from __future__ import annotations

import numpy as np
import pytest

import model_adapters as ma
from analysis import offers
from analysis.co_attention import co_attention_relevance, normalised, streams
from analysis.registry import find
from model_adapters import BySite, Capture, Layout, Rows, Site
from tests.core.comparing import wrapped, wrapped_timm

from .hand_made import SIZE, grid_rows, stochastic

IMAGE = grid_rows(3, 2)
QUERIES = Rows.plain(["query"] * 4)
PROMPT = Rows.plain(["bos", *["query"] * 4, "question"])
PLAN = (
    ("vision", 0, IMAGE, IMAGE), ("vision", 1, IMAGE, IMAGE),
    ("connector", 0, QUERIES, QUERIES), ("connector", 0, QUERIES, IMAGE), ("connector", 1, QUERIES, QUERIES),
    ("connector", 1, QUERIES, IMAGE), ("decoder", 0, PROMPT, PROMPT), ("decoder", 1, PROMPT, PROMPT),
)  # fmt: skip


def two_streams(plan=PLAN, weights=None, gradients=None, seed: int = 0) -> Capture:
    rng = np.random.default_rng(seed)
    sites = tuple(Site(f"{t}.{n}.{len(k)}", 0, t, layer, heads=2) for n, (t, layer, _, k) in enumerate(plan))
    shapes = [(2, len(q), len(k)) for _, _, q, k in plan]
    weights = weights or [stochastic(rng, *shape) for shape in shapes]
    gradients = gradients or [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    layouts = [Layout(q, k, k, quality="tile" if q is IMAGE else "none", size=SIZE) for _, _, q, k in plan]
    each = lambda values: BySite(dict(zip(sites, values, strict=True)))  # noqa: E731
    return Capture(
        "hand made", sites, each(weights), each([np.arange(s[1]) for s in shapes]), each(shapes),
        dict(zip(sites, layouts, strict=True)), np.zeros(3, np.float32), gradients=each(gradients), size=SIZE,
    )  # fmt: skip


def evidence(capture: Capture, number: int) -> list[list[float]]:
    """The mean over heads of (gradient x attention)+, number by number."""
    w, g = capture.weights[number], capture.gradients[number]
    return [
        [sum(max(float(w[h][q][k]) * float(g[h][q][k]), 0) for h in range(2)) / 2 for k in range(w.shape[2])]
        for q in range(w.shape[1])
    ]


def times(a, b):
    return [[sum(a[i][m] * b[m][j] for m in range(len(b))) for j in range(len(b[0]))] for i in range(len(a))]


def plus(a, b):
    return [[x + y for x, y in zip(r, s, strict=True)] for r, s in zip(a, b, strict=True)]


def eye(n):
    return [[float(i == j) for j in range(n)] for i in range(n)]


def scaled(relevance):
    """Rows of R - I divided by their sums, and the identity again."""
    made = []
    for i, row in enumerate(relevance):
        rest = [v - (i == j) for j, v in enumerate(row)]
        total = sum(rest) or 1
        made.append([v / total + (i == j) for j, v in enumerate(rest)])
    return made


def by_rules(capture: Capture, last: int = 5) -> list[list[float]]:
    """R of the queries for the image, as the rules for two streams say."""
    image = eye(7)
    for number in (0, 1):
        image = plus(image, times(evidence(capture, number), image))
    within, across = eye(4), [[0.0] * 7 for _ in range(4)]
    for number in range(2, last + 1):
        step = evidence(capture, number)
        if len(step[0]) == 4:
            across, within = plus(across, times(step, across)), plus(within, times(step, within))
        else:
            turned = [list(column) for column in zip(*scaled(within), strict=True)]
            across = plus(across, times(times(turned, step), scaled(image)))
    return across


def test_two_streams_follow_the_rules():
    capture = two_streams(PLAN[:6])
    across = np.array(by_rules(capture))
    for query in range(4):
        assert co_attention_relevance(capture, query=query).values == pytest.approx(across[query, 1:], rel=1e-5)
    assert co_attention_relevance(capture).values == pytest.approx(across.mean(0)[1:], rel=1e-5)
    with pytest.raises(ValueError, match="reading token 4 was asked for"):
        co_attention_relevance(capture, query=4)


def test_a_decoder_says_how_much_each_query_counts():
    capture = two_streams()
    decoder = eye(6)
    for number in (6, 7):
        decoder = plus(decoder, times(evidence(capture, number), decoder))
    expected = np.array(decoder)[5, 1:5] @ np.array(by_rules(capture))
    assert co_attention_relevance(capture).values == pytest.approx(expected[1:], rel=1e-5)


def test_words_behind_the_queries_do_not_look():
    """As in a Q-Former that reads an instruction: six tokens attend to each other, the first four to the image."""
    words = Rows.plain(["query"] * 6)
    plan = (*PLAN[:2], ("connector", 0, words, words), ("connector", 0, QUERIES, IMAGE))
    capture = two_streams(plan)
    within = np.eye(6) + np.array(evidence(capture, 2))
    step = np.zeros((6, 7))
    step[:4] = evidence(capture, 3)
    image = np.eye(7)
    for number in (0, 1):
        image = image + np.array(evidence(capture, number)) @ image
    expected = np.array(scaled(within)).T @ step @ np.array(scaled(image))
    for query in (0, 5):
        assert co_attention_relevance(capture, query=query).values == pytest.approx(expected[query, 1:], rel=1e-5)


def test_a_planted_path_is_found():
    """Patch 3 is all that query 2 reads, and query 2 is all that the last word reads."""
    weights = [np.full((2, len(q), len(k)), 1 / len(k), np.float32) for _, _, q, k in PLAN]
    gradients = [np.zeros((2, len(q), len(k)), np.float32) for _, _, q, k in PLAN]
    for number, query, key in ((5, 2, 4), (7, 5, 3)):
        weights[number][:, query] = np.eye(weights[number].shape[2], dtype=np.float32)[key]
        gradients[number][:, query, key] = 1
    assert co_attention_relevance(two_streams(weights=weights, gradients=gradients)).values.tolist() == [0, 0, 0, 1, 0, 0]


def test_normalised_rows_sum_to_two_or_to_one():
    relevance = np.eye(3)
    relevance[0, 1:] = 0.2, 0.6
    assert normalised(relevance).sum(1).tolist() == [2, 1, 1]


@pytest.mark.parametrize("name", ["blip-2", "instructblip", "blip", "detr"])
def test_real_models_with_cross_attention_have_a_map(name):
    model, inputs = wrapped(name)
    target = None if model.classes else lambda answer: answer[:, 0].amax(-1).sum()  # the first query's strongest class
    capture = ma.capture(model, inputs, want={"gradients"}, target=target)
    found = streams(capture)
    assert {s.tower for s in found.sites} == {"connector"} if "-" in name or "instruct" in name else {"decoder"}
    assert find("co_attention_relevance").why_not(offers(capture)) is None
    values = co_attention_relevance(capture).values
    assert len(values) == len(found.image.where("patch")) and np.isfinite(values).all() and (values >= 0).all()
    assert np.ptp(values) > 0


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "crossvit_tiny_240", "swin_tiny_patch4_window7_224"])
def test_models_of_one_stream_are_refused_with_the_reason(name):
    capture = ma.capture(*wrapped_timm(name), want={"gradients"})
    assert "cross-attention; here there are none." in find("co_attention_relevance").why_not(offers(capture))
    with pytest.raises(ValueError, match="cross-attention; here there are none"):
        co_attention_relevance(capture)
