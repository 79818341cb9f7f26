"""Projections: what must not change does not, planted groups stay together, neighbours are those of a slow search."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

import model_adapters as ma
from analysis.patterns import aligned_maps
from analysis.projections import (
    best_scale,
    head_embedding,
    hidden_embedding,
    nearest,
    patch_colours,
    project,
    query_key_embedding,
)
from tests.analysis.pattern_captures import hand_made, random_weights, uniform

T, D = 10, 6


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def with_qk(rng, shift=0.0):
    queries = rng.standard_normal((2, T, D)).astype(np.float32) * 4 + 1
    keys = rng.standard_normal((2, T, D)).astype(np.float32) / 2 + shift
    return hand_made([uniform(T, 2)], grid=(3, 3), queries=[queries], keys=[keys])


def test_joint_embedding_changes_no_weight(rng):
    capture = with_qk(rng, shift=5.0)
    site = capture.sites[0]
    found = query_key_embedding([capture], site, 1)
    queries, keys = found.vectors[:T], found.vectors[T:]
    before = softmax(capture.queries[site][1] @ capture.keys[site][1].T, -1)
    assert softmax(queries @ keys.T, -1) == pytest.approx(before, abs=1e-4)
    assert queries.mean(0) / found.scale == pytest.approx(keys.mean(0) * found.scale, abs=1e-6)
    assert found.embedding.kinds == ("query",) * T + ("key",) * T


def test_scale_makes_distance_go_with_product(rng):
    queries, keys = rng.standard_normal((200, 16)) * 10, rng.standard_normal((200, 16)) * 0.1
    scale, correlation = best_scale(queries, keys)
    distances = np.linalg.norm(queries[:, None] - keys, axis=-1)
    plain = np.corrcoef(distances.ravel(), (queries @ keys.T).ravel())[0, 1]
    assert correlation < plain - 0.3 and 0.03 < scale < 0.3
    scaled = np.linalg.norm(queries[:, None] * scale - keys / scale, axis=-1)
    assert np.corrcoef(scaled.ravel(), (queries @ keys.T).ravel())[0, 1] == pytest.approx(correlation, abs=0.05)


def test_missing_queries_are_named(rng):
    capture = hand_made([uniform(T, 2)], grid=(3, 3))
    capture = ma.Capture(**{**capture.__dict__, "queries": ma.BySite({}), "keys": ma.BySite({})})
    with pytest.raises(ValueError, match="queries of blocks.0.attn are needed"):
        query_key_embedding([capture], capture.sites[0], 0)


def groups(rng, count=20):
    middles = rng.standard_normal((3, 12)) * 10
    return np.concatenate([m + rng.standard_normal((count, 12)) for m in middles]), np.repeat(np.arange(3), count)


def test_pca_is_the_singular_vectors(rng):
    vectors, _ = groups(rng)
    found = project(vectors)
    centred = vectors - vectors.mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    assert np.abs(found.points) == pytest.approx(np.abs(u[:, :2] * s[:2]))
    assert found.explained == pytest.approx((s[:2] ** 2).sum() / (s**2).sum())


@pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")
@pytest.mark.parametrize("by", ["pca", "t-sne", pytest.param("umap", marks=pytest.mark.slow)])
def test_planted_groups_stay_together_and_seeds_repeat(rng, by):
    vectors, kinds = groups(rng)
    points = project(vectors, by=by).points
    assert np.array_equal(points, project(vectors, by=by).points)
    same = kinds[nearest(points, count=5, distance="euclidean").index] == kinds[:, None]
    assert same.mean() > 0.95
    with pytest.raises(ValueError, match="at least 4 points"):
        project(vectors[:3], by=by)


def test_neighbours_are_those_of_a_slow_search(rng):
    vectors = rng.standard_normal((15, 4))
    found = nearest(vectors, count=3)
    for i in range(15):
        cosine = [
            1 - vectors[i] @ v / np.sqrt((vectors[i] @ vectors[i]) * (v @ v)) if j != i else np.inf for j, v in enumerate(vectors)
        ]
        assert list(found.index[i]) == list(np.argsort(cosine)[:3])
        assert found.distance[i] == pytest.approx(sorted(cosine)[:3])


def test_heads_of_one_pattern_lie_together(rng):
    left, right = random_weights(rng, 1, T), random_weights(rng, 1, T)
    capture = hand_made([np.concatenate([left, right, left, right])], grid=(3, 3))
    points = head_embedding(aligned_maps([capture])).points
    assert points[0] == pytest.approx(points[2], abs=1e-9) and np.linalg.norm(points[0] - points[1]) > 0.1


def test_hidden_states_know_their_roles(rng):
    captures = [hand_made([uniform(T)], grid=(3, 3), hidden=[rng.standard_normal((T, D))]) for _ in range(2)]
    found = hidden_embedding(captures)
    assert found.points.shape == (2 * T, 2) and found.kinds[T] == "class" and found.kinds.count("patch") == 18


def test_colours_are_joint_over_images_and_lose_the_artefact_on_demand(rng):
    artefact = rng.standard_normal((T, D)) * 20
    content = rng.standard_normal((2, D)) * 3
    kinds = rng.integers(0, 2, (6, T))
    captures = [
        hand_made([uniform(T)], grid=(3, 3), hidden=[(artefact + content[k] + 0.01 * rng.standard_normal((T, D)))]) for k in kinds
    ]
    kept, removed = patch_colours(captures), patch_colours(captures, artefact="removed")
    assert np.isnan(kept.colours[:, 0]).all() and np.nanmin(kept.colours) == 0 and np.nanmax(kept.colours) == 1
    first = kept.colours[:, 1:, 0]
    assert first.std(0).mean() < 0.2 * first.std()  # the artefact: the same colour at a place whatever the image
    first, kinds = removed.colours[:, 1:, 0], kinds[:, 1:]
    assert (
        removed.explained[0] > 0.9
        and abs(np.corrcoef((first - first.mean(0)).ravel(), (kinds - kinds.mean(0)).ravel())[0, 1]) > 0.9
    )


def test_queries_of_a_model_make_its_weights(tiny_vit):
    import torch

    model = ma.wrap(tiny_vit, name="tiny")
    inputs = ma.Inputs(tensors={"x": torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))})
    capture = ma.capture(model, inputs, want={"queries"})
    site = capture.sites[1]
    found = query_key_embedding([capture], site, 2)
    count = len(found.vectors) // 2
    scores = found.vectors[:count] @ found.vectors[count:].T / np.sqrt(found.vectors.shape[1])
    assert softmax(scores, -1) == pytest.approx(capture.weights[site][2], abs=1e-4)


@pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")
@pytest.mark.parametrize("by", [pytest.param("umap", marks=pytest.mark.slow), "t-sne"])
def test_slow_placing_says_how_far_it_is_and_can_be_stopped(rng, by):
    vectors = np.concatenate([rng.standard_normal((40, 8)) + 20 * corner for corner in np.eye(8)[:3]])
    told = []
    found = project(vectors, by=by, watch=told.append)
    assert told == sorted(told) and 0 <= told[0] < 0.9 and told[-1] > 0.9
    group = np.repeat(range(3), 40)
    assert (group[nearest(found.points, count=5, distance="euclidean").index] == group[:, None]).mean() > 0.95
    assert project(vectors, by=by).points == pytest.approx(found.points)

    class Stopped(Exception):
        pass

    def stop(share: float) -> None:
        told.append(share)
        if share > 0.2:
            raise Stopped

    told.clear()
    with pytest.raises(Stopped):
        project(vectors, by=by, watch=stop)
    assert told[-1] < 0.9
