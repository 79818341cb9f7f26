"""Patterns of heads: against slow loops, on even attention, and on heads whose pattern was planted."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.clusters import density_clusters, k_means
from analysis.pattern_autoencoder import pattern_autoencoder
from analysis.patterns import AlignedMaps, aligned_maps, pattern_pca, typical_images
from model_adapters import BySite, Capture, Layout, Rows, Site
from tests.analysis.pattern_captures import CELL, grid_rows, hand_made, random_weights, uniform

HEIGHT, WIDTH = 3, 5
T = 1 + HEIGHT * WIDTH


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def slow_aligned(weights, value):
    """Sum over all pairs of patches, one by one."""
    total, count = np.zeros((2, 2 * HEIGHT - 1, 2 * WIDTH - 1))
    for q in range(T - 1):
        for k in range(T - 1):
            y, x = k // WIDTH - q // WIDTH + HEIGHT - 1, k % WIDTH - q % WIDTH + WIDTH - 1
            total[y, x] += weights[q + 1, k + 1]
            count[y, x] += 1
    return total / (T - 1) if value == "mass" else total / count


@pytest.mark.parametrize("value", ["mass", "strength"])
def test_aligned_maps_are_sums_over_pairs(rng, value):
    first, second = random_weights(rng, 2, T), random_weights(rng, 2, T)
    maps = aligned_maps([hand_made([w], grid=(HEIGHT, WIDTH)) for w in (first, second)], value=value)
    assert maps.images == 2 and [h for _, h in maps.heads] == [0, 1]
    for head in range(2):
        slow = (slow_aligned(first[head], value) + slow_aligned(second[head], value)) / 2
        assert maps.values[head] == pytest.approx(slow, rel=1e-5)


def test_mass_adds_up_to_what_patches_give_patches(rng):
    weights = random_weights(rng, 3, T)
    batch = np.stack([weights, weights])
    maps = aligned_maps([hand_made([batch], grid=(HEIGHT, WIDTH))])
    assert maps.images == 2
    assert maps.values.sum((1, 2)) == pytest.approx(1 - weights[:, 1:, 0].mean(1), rel=1e-5)


def test_even_attention_has_the_same_strength_at_every_offset():
    maps = aligned_maps([hand_made([uniform(T)], grid=(HEIGHT, WIDTH))], value="strength")
    assert maps.values == pytest.approx(np.full((1, 2 * HEIGHT - 1, 2 * WIDTH - 1), 1 / T))


def test_windows_meet_only_their_own_keys(rng):
    rows = grid_rows(2, 4, prefix=())
    order = np.array([0, 1, 4, 5, 2, 3, 6, 7])  # two windows of 2 x 2, side by side
    rows = rows.take(order)
    layout = Layout(rows, rows, rows, windows=2, size=(4 * CELL, 2 * CELL))
    site = Site("w", heads=1)
    weights = np.zeros((1, 8, 4), np.float32)
    weights[0, :, 0] = 1  # every query looks at the upper left of its window
    capture = Capture(
        "windows", (site,), BySite({site: weights}), BySite({site: np.arange(8)}), BySite({site: (1, 8, 4)}), {site: layout},
        np.zeros(2),
    )  # fmt: skip
    maps = aligned_maps([capture])
    assert maps.values.shape == (1, 3, 3)
    assert maps.values[0, :2, :2] == pytest.approx(np.full((2, 2), 0.25)) and maps.values.sum() == pytest.approx(1)


def test_maps_of_other_grids_share_a_middle(rng):
    small, large = hand_made([uniform(5)], grid=(2, 2)), hand_made([uniform(17)], grid=(4, 4))
    site = Site("later", layer=1, heads=1)
    both = Capture(
        "two stages", (*large.sites, site), BySite({large.sites[0]: large.weights[0], site: small.weights[0]}),
        BySite({large.sites[0]: np.arange(17), site: np.arange(5)}), BySite({large.sites[0]: (1, 17, 17), site: (1, 5, 5)}),
        {large.sites[0]: large.layouts[large.sites[0]], site: small.layouts[small.sites[0]]}, np.zeros(2),
    )  # fmt: skip
    maps = aligned_maps([both], value="strength")
    assert maps.values.shape == (2, 7, 7)
    assert maps.of(site, 0)[2:5, 2:5] == pytest.approx(np.full((3, 3), 0.2)) and np.isnan(maps.of(site, 0)[0, 0])


def test_tokens_without_a_place_are_refused():
    rows = Rows.plain(["patch"] * 4)
    capture = hand_made([uniform(5)], grid=(2, 2))
    site = capture.sites[0]
    capture.layouts[site] = Layout(rows, rows, rows, quality="none", reason="attention over channels")
    with pytest.raises(ValueError, match="with a place is needed"):
        aligned_maps([capture])


def planted(rng, kinds=4, copies=12, noise=0.02):
    """Heads of a few kinds, each looking at one offset, with noise."""
    offsets = [(0, 1), (1, 0), (0, -1), (-1, 0)][:kinds]
    heads = []
    for i in range(kinds * copies):
        dy, dx = offsets[i % kinds]
        weights = noise * rng.random((26, 26))
        for q in range(25):
            y, x = (q // 5 + dy) % 5, (q % 5 + dx) % 5
            weights[q + 1, y * 5 + x + 1] += 1
        heads.append(weights / weights.sum(-1, keepdims=True))
    return aligned_maps([hand_made([np.array(heads, np.float32)], grid=(5, 5))])


def test_pca_tells_planted_patterns_with_few_numbers(rng):
    maps = planted(rng)
    summary = pattern_pca(maps, components=3)  # four points span three dimensions
    assert summary.total_error < 0.02 and (summary.error < 0.1).all()
    rebuilt = summary.codes @ summary.components.reshape(3, -1) + maps.vectors().mean(0)
    missed, spread = ((maps.vectors() - rebuilt) ** 2).sum(), ((maps.vectors() - maps.vectors().mean(0)) ** 2).sum()
    assert summary.total_error == pytest.approx(missed / spread)
    assert pattern_pca(maps, components=2).total_error > 10 * summary.total_error


def test_autoencoder_is_the_same_for_a_seed_and_says_what_it_leaves_out(rng):
    maps = planted(rng)
    first = pattern_autoencoder(maps, latent=4, steps=250)
    again = pattern_autoencoder(maps, latent=4, steps=250)
    assert np.array_equal(first.summary.codes, again.summary.codes)
    assert not np.allclose(first.summary.codes, pattern_autoencoder(maps, latent=4, steps=250, seed=1).summary.codes)
    assert first.summary.total_error < 0.2 and first.losses[-1] < 0.3 * first.losses[0]
    assert first.pca_error < 0.05
    untrained = pattern_autoencoder(maps, latent=4, steps=10)
    assert untrained.summary.total_error > 2 * first.summary.total_error
    assert first.summary.held_out < 0.3 and first.pca_held_out < 0.05  # the heads held out are of the same four kinds


def test_patterns_that_have_nothing_in_common_are_learned_by_heart_and_the_held_out_error_says_so(rng):
    noise = np.exp(2 * rng.standard_normal((24, 26, 26)))
    weights = np.zeros((24, 26, 26))
    for head, offsets in enumerate(noise):
        for q in range(25):
            for k in range(25):
                weights[head, q + 1, k + 1] = offsets[k // 5 - q // 5 + 4, k % 5 - q % 5 + 4]
    weights[:, 0] = 1
    maps = aligned_maps([hand_made([(weights / weights.sum(-1, keepdims=True)).astype(np.float32)], grid=(5, 5))])
    found = pattern_autoencoder(maps, latent=16, steps=400)
    assert found.summary.total_error < 0.4 and found.summary.held_out > 0.8
    order = np.random.default_rng(0).permutation(24)
    held, others = maps.vectors()[order[:6]], maps.vectors()[order[6:]]
    axes = np.linalg.svd(others - others.mean(0), full_matrices=False)[2][:16]
    away = held - others.mean(0)
    assert found.pca_held_out == pytest.approx(1 - ((away @ axes.T) ** 2).sum() / (away**2).sum(), abs=1e-6)
    few = pattern_autoencoder(AlignedMaps(maps.values[:5], maps.heads[:5], 1), latent=2, steps=10)
    assert few.summary.held_out is None and few.pca_held_out is None


def test_clusters_are_the_planted_kinds(rng):
    codes = pattern_pca(planted(rng), components=3).codes
    kinds = np.arange(len(codes)) % 4
    for clusters in (k_means(codes), density_clusters(codes)):
        assert len(set(zip(clusters.labels, kinds, strict=True))) == 4 and clusters.silhouette > 0.8
        assert sorted(kinds[clusters.exemplars]) == [0, 1, 2, 3]
    assert k_means(codes).tried[np.argmax(k_means(codes).scores)] == 4
    assert len(set(k_means(codes, groups=2).labels)) == 2


def test_noise_has_a_low_silhouette(rng):
    assert k_means(rng.standard_normal((60, 8))).silhouette < 0.25
    with pytest.raises(ValueError, match="at least 3 points"):
        k_means(np.zeros((2, 3)))


def test_typical_images_are_those_that_look_like_the_mean(rng):
    usual, other = random_weights(rng, 1, T), random_weights(rng, 1, T)
    captures = [hand_made([w], grid=(HEIGHT, WIDTH)) for w in (usual, other, usual)]
    assert set(typical_images(captures, captures[0].sites[0], 0, count=2)) == {0, 2}
