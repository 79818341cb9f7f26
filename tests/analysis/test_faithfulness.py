"""Faithfulness where the truth is planted: the score is the brightness of one object."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.baselines import centre_prior, mean_map, random_map
from analysis.faithfulness import faithfulness, faithfulness_cost
from analysis.localisation import energy_in_mask, pointing_game
from analysis.map_agreement import map_agreement, randomisation_check, similarity
from analysis.perturbation import FILLS, Cells, cell_means, cut, deletion, filled, insertion, ranked, scored
from analysis.results import TokenMap

from .hand_made import grid_rows

SIZE = (40, 30)


def map_of(values, columns=4, rows=3, size=SIZE) -> TokenMap:
    return TokenMap(np.asarray(values, float), grid_rows(columns, rows, size, prefix=()), size)


def picture(seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (30, 40, 3)).astype(np.uint8)


def object_mask() -> np.ndarray:
    """The token in row 1, column 2 of 4 x 3 tokens of 10 x 10 pixels."""
    mask = np.zeros((30, 40), bool)
    mask[10:20, 20:30] = True
    return mask


TRUE = np.eye(12)[6]


class Brightness:
    """The mean of the object's pixels, and how many pictures were asked about."""

    def __init__(self):
        self.seen = 0

    def __call__(self, pictures):
        self.seen += len(pictures)
        return pictures[:, object_mask()].mean((1, 2)) / 255


def white_object() -> np.ndarray:
    image = np.zeros((30, 40, 3), np.uint8)
    image[object_mask()] = 255
    return image


@pytest.mark.parametrize("grid", [4, 8])
def test_the_true_map_beats_random_orders_and_its_opposite_loses(grid):
    score = Brightness()
    options = {"grid": grid, "steps": 12, "orders": 20, "samples": 0}
    good = faithfulness(score, map_of(TRUE), white_object(), **options)
    bad = faithfulness(score, map_of(-TRUE), white_object(), **options)
    for fill in ("mean", "blur", "shuffle"):
        assert good.deletion[fill].better_than_random > 0.9 and good.insertion[fill].better_than_random > 0.9, fill
        assert bad.deletion[fill].better_than_random < 0.1 and bad.insertion[fill].better_than_random < 0.1, fill
        assert good.deletion[fill].area < good.insertion[fill].area
        curve = good.deletion[fill].curve
        assert (curve.low <= curve.high + 1e-9).all() and curve.low[0] == curve.high[0] == curve.values[0] == 1


def test_a_score_that_sees_nothing_is_chance():
    flat = faithfulness(lambda pictures: np.full(len(pictures), 0.3), map_of(TRUE), picture(), orders=3, steps=4)
    assert all(
        c.better_than_random == 0.5 and c.area == pytest.approx(0.3) for c in (*flat.deletion.values(), *flat.insertion.values())
    )
    assert flat.infidelity == pytest.approx(0)


def test_random_maps_beat_half_of_the_random_orders_on_average():
    shares = [
        faithfulness(
            Brightness(), random_map(map_of(TRUE), seed=s), white_object(), fills=["mean"], grid=4, orders=20, samples=0, seed=s
        )
        for s in range(30)
    ]
    assert 0.35 < np.mean([s.deletion["mean"].better_than_random for s in shares]) < 0.65


@pytest.mark.parametrize(
    "options", [{}, {"fills": ("blur",), "steps": 5, "orders": 2, "samples": 0}, {"samples": 7, "grid": 5, "batch": 3}]
)
def test_the_cost_said_before_is_the_cost(options):
    score, explained = Brightness(), []

    def explain(image):
        explained.append(image)
        return map_of(TRUE)

    result = faithfulness(score, map_of(TRUE), picture(), explain=explain, **options)
    said = faithfulness_cost(nudges=3, **{k: v for k, v in options.items() if k not in ("grid", "batch")})
    assert score.seen == said.passes == result.cost.passes
    assert len(explained) == said.explanations == result.cost.explanations == 4


def test_deletion_and_insertion_written_out():
    image = picture()
    numbers = cut(image, 4)
    assert numbers.max() == 11 and (numbers[10:20, 20:30] == 6).all()
    cells = Cells(image, filled(image, "mean", numbers), numbers)
    order = np.array([6, 0, 11, 1, 2, 3, 4, 5, 7, 8, 9, 10])
    for index, shown in enumerate(deletion(cells, order, 12), start=1):
        expected = image.copy()
        for cell in order[:index]:
            r, c = divmod(cell, 4)
            expected[r * 10 : r * 10 + 10, c * 10 : c * 10 + 10] = np.rint(image.mean((0, 1)))
        assert np.array_equal(shown, expected)
    assert index == 11
    backwards = list(deletion(cells, order[::-1], 12))[::-1]
    assert all(np.array_equal(a, b) for a, b in zip(insertion(cells, order, 12), backwards, strict=True))


def test_fills_keep_what_they_should():
    image = picture()
    numbers = cut(image, 4)
    shuffled = filled(image, "shuffle", numbers, seed=3)
    assert np.array_equal(np.sort(shuffled.reshape(-1, 3), 0), np.sort(image.reshape(-1, 3), 0))
    parts = [(numbers == cell) for cell in range(12)]
    assert not any(np.array_equal(shuffled[part], image[part]) for part in parts)
    assert filled(image, "blur", numbers).std() < image.std() / 2
    assert all(filled(image, fill, numbers).dtype == np.uint8 for fill in FILLS)
    plain = np.full((30, 40, 3), 7, np.uint8)
    assert all(np.array_equal(filled(plain, fill, numbers), plain) for fill in FILLS)


def test_cells_without_tokens_come_last_and_equals_at_random():
    half = map_of(np.arange(12))
    values = cell_means(TokenMap(half.values[:8], half.rows.take(np.arange(8)), SIZE), cut(picture(), 4))
    assert np.array_equal(values[:8], np.arange(8)) and np.isnan(values[8:]).all()
    orders = [ranked(values, np.random.default_rng(s)) for s in range(9)]
    assert all(np.array_equal(o[:8], np.arange(8)[::-1]) for o in orders)
    assert len({tuple(o[8:]) for o in orders}) > 3


def test_scores_must_be_one_number_per_picture():
    with pytest.raises(ValueError, match="one number per picture.*\\(3, 2\\)"):
        scored(lambda pictures: np.zeros((len(pictures), 2)), [picture()] * 3, 8)
    with pytest.raises(ValueError, match="as the map is"):
        faithfulness(Brightness(), map_of(TRUE), np.zeros((40, 30, 3)))


def test_infidelity_is_zero_for_a_linear_score_and_the_mean_squared_drop_for_an_empty_map():
    weights = np.random.default_rng(2).random(12)
    image = np.full((30, 40, 3), 255, np.uint8)
    image[15:] = 0  # the mean colour differs from every cell
    numbers = cut(image, 4)

    def linear(pictures):
        light = [[p[numbers == c].mean() for c in range(12)] for p in pictures.astype(float)]
        return np.array(light) @ weights

    cells = Cells(image, filled(image, "mean", numbers), numbers)
    drops = np.array([weights[c] * (image[numbers == c].mean() - cells.fill[numbers == c].mean()) for c in range(12)])
    options = {"grid": 4, "fills": ["mean"], "steps": 2, "orders": 1, "samples": 30}
    right = faithfulness(linear, map_of(0.01 * drops), image, **options).infidelity
    empty = faithfulness(linear, map_of(np.zeros(12)), image, **options).infidelity
    wrong = faithfulness(linear, random_map(map_of(drops)), image, **options).infidelity
    assert right == pytest.approx(0, abs=1e-6) and 1 < wrong <= empty


def test_sensitivity_of_a_constant_map_is_zero_and_of_a_jumpy_one_is_not():
    options = {"fills": ["mean"], "steps": 2, "orders": 1, "samples": 0, "nudges": 4}
    still = faithfulness(Brightness(), map_of(TRUE), picture(), explain=lambda image: map_of(TRUE), **options)
    jumpy = faithfulness(Brightness(), map_of(TRUE), picture(), explain=lambda i: map_of(i[:12, 0, 0] % 7), **options)
    assert still.sensitivity == 0 and jumpy.sensitivity > 0.1
    assert faithfulness(Brightness(), map_of(TRUE), picture(), **options).sensitivity is None


def test_pointing_game_and_energy():
    assert pointing_game(map_of(TRUE), object_mask()).value == 1
    assert pointing_game(map_of(np.eye(12)[5]), object_mask()).value == 0
    assert pointing_game(map_of(np.eye(12)[5]), object_mask(), tolerance=5).value == 1
    flat = pointing_game(map_of(np.ones(12)), object_mask())
    assert flat.value == flat.chance == pytest.approx(1 / 12)
    assert energy_in_mask(map_of(TRUE), object_mask()).value == 1
    both = energy_in_mask(map_of(TRUE + 3 * np.eye(12)[0] - 5 * np.eye(12)[1]), object_mask())
    assert both.value == pytest.approx(0.25) and both.chance == pytest.approx(1 / 12)
    for bad in (np.zeros((30, 40), bool), np.zeros((40, 30), bool)):
        with pytest.raises(ValueError, match="mask"):
            pointing_game(map_of(TRUE), bad)
    with pytest.raises(ValueError, match="no positive value"):
        energy_in_mask(map_of(np.zeros(12)), object_mask())
    done = faithfulness(
        Brightness(), map_of(TRUE), white_object(), mask=object_mask(), fills=["mean"], steps=2, orders=1, samples=0
    )
    assert done.pointing.value == done.energy.value == 1


def test_baselines():
    like = map_of(TRUE)
    assert np.array_equal(random_map(like, seed=1).values, random_map(like, seed=1).values)
    assert not np.array_equal(random_map(like, seed=1).values, random_map(like, seed=2).values)
    middle = centre_prior(map_of(np.zeros(15), 5, 3), spread=0.2)
    assert middle.values.argmax() == 7 and middle.values[7] == pytest.approx(1)
    assert middle.values[8] == pytest.approx(np.exp(-0.5)) and np.allclose(middle.values, middle.values[::-1])
    others = [map_of(np.eye(12)[0]), map_of(4 * np.eye(12)[3])]
    assert np.allclose(mean_map(like, others).values, (np.eye(12)[0] + np.eye(12)[3]) / 2)
    with pytest.raises(ValueError, match="same 12 tokens"):
        mean_map(like, [map_of(np.ones(15), 5, 3)])


def test_agreement_against_scipy_and_across_grids():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    maps = {"a": map_of(rng.integers(0, 5, 12)), "b": map_of(rng.random(12)), "flat": map_of(np.ones(12))}
    matrix = map_agreement(maps).values
    assert matrix[0, 1] == pytest.approx(spearmanr(maps["a"].values, maps["b"].values).statistic)
    assert matrix[0, 0] == 1 and np.isnan(matrix[2]).all() and matrix[0, 1] == matrix[1, 0]
    fine = map_of(np.repeat(np.repeat(maps["b"].values.reshape(3, 4), 2, 0), 2, 1).ravel(), 8, 6)
    assert similarity(maps["b"], fine, grid=24) == pytest.approx(1)
    assert similarity(maps["b"], map_of(-maps["b"].values)) == pytest.approx(-1)
    assert similarity(maps["b"], map_of(-maps["b"].values), absolute=True) == pytest.approx(1)


def test_randomisation_check_tells_a_map_of_the_model_from_an_edge_detector():
    truth = np.random.default_rng(1).random(12)
    learned = randomisation_check(lambda n: map_of(truth if n < 2 else np.random.default_rng(n).random(12)), 4)
    assert learned.values[:2] == pytest.approx([1, 1]) and np.abs(learned.values[2:]).max() < 0.9
    edges = randomisation_check(lambda n: map_of(truth), 4)
    assert edges.values == pytest.approx(np.ones(5)) and edges.area() == pytest.approx(1)
    with pytest.raises(ValueError, match="at least one layer"):
        randomisation_check(lambda n: map_of(truth), 0)
