"""The benchmark's own scores on planted answers, and a short run from end to end."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from world.bundled import MODELS
from world.trust.registry import Score, entries, interval, scored
from world.trust.report import to_markdown, write
from world.trust.statistics import (
    area,
    auroc,
    change,
    energy,
    pointing,
    pointing_chance,
    rank_correlation,
    stratified_auroc,
)

COVERAGE = np.zeros((4, 4))
COVERAGE[1:3, 1:3] = 1.0


def test_pointing_game() -> None:
    assert pointing(COVERAGE, COVERAGE) == 1.0
    assert pointing(1 - COVERAGE, COVERAGE) == 0.0
    assert pointing(np.ones((4, 4)), COVERAGE) == pointing_chance(COVERAGE) == 0.25


def test_energy() -> None:
    assert energy(COVERAGE, COVERAGE) == 1.0
    assert energy(np.ones((4, 4)), COVERAGE) == 0.25
    assert energy(np.zeros((4, 4)), COVERAGE) == 0.25
    assert energy(COVERAGE - 10 * (1 - COVERAGE), COVERAGE) == 1.0


def test_change_of_maps() -> None:
    assert change(COVERAGE, 3 * COVERAGE) == pytest.approx(0)
    assert change(COVERAGE, 1 - COVERAGE) == pytest.approx(1)


def test_auroc_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    truth, score = rng.random(40) < 0.4, rng.integers(0, 6, 40).astype(float)
    pairs = [(p > n) + 0.5 * (p == n) for p in score[truth] for n in score[~truth]]
    assert auroc(truth, score) == pytest.approx(np.mean(pairs))
    assert np.isnan(auroc(np.ones(3), np.arange(3)))


def test_a_signal_that_only_knows_the_position_gets_one_half_within_positions() -> None:
    rng = np.random.default_rng(1)
    position = rng.integers(0, 4, 4000)
    truth = rng.random(4000) < 0.1 + 0.2 * position
    assert auroc(truth, position) > 0.65
    assert stratified_auroc(truth, position.astype(float), position) == 0.5
    knows = truth + rng.normal(0, 1, 4000)
    assert stratified_auroc(truth, knows, position) == pytest.approx(0.76, abs=0.03)


def test_rank_correlation() -> None:
    values = np.array([[1.0, 5.0], [2.0, 9.0]])
    assert rank_correlation(values, values**3) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)
    assert rank_correlation(values, np.ones((2, 2))) == 0


def test_area_under_a_line() -> None:
    assert area(np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.5, 0.0])) == pytest.approx(0.5)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        energy(np.ones((3, 3)), COVERAGE)


def test_interval_holds_the_middle() -> None:
    low, high = interval(np.linspace(0, 1, 1001))
    assert (low, high) == pytest.approx((0.025, 0.975))


def test_a_name_is_registered_once() -> None:
    import world.trust.entries  # noqa: F401

    taken = entries("map")[0]
    with pytest.raises(ValueError, match="already registered"):
        scored("map", taken.title, taken.model)(lambda case: np.ones((12, 12)))
    with pytest.raises(ValueError, match="not a kind of participant"):
        scored("charm", "x", "vit")  # type: ignore[arg-type]


def test_report_reads_back(tmp_path: Path) -> None:
    score = Score("map", "random", "vit", "energy", 0.07, 0.06, 0.08, 0.07, 10, True)
    better = Score("map", "attention", "vit", "energy", 0.4, 0.3, 0.5, 0.07, 10, False)
    write([score, better], tmp_path, "trust", 10)
    rows = pq.read_table(tmp_path / "assets" / "trust.parquet").to_pylist()
    assert [row["value"] for row in rows] == [0.07, 0.4]
    text = to_markdown([score, better], "trust", 10)
    assert "| *random* | 0.070 (0.060 to 0.080) |" in text
    assert "| attention | 0.400 (0.300 to 0.500) |" in text


@pytest.mark.skipif(not (MODELS / "vit" / "config.json").exists(), reason="the ViT is not there")
def test_attention_beats_noise_on_the_bundled_vit() -> None:
    import model_adapters as ma
    from world.trust.entries import class_attention, random_map
    from world.trust.map_scores import score_maps
    from world.trust.registry import Entry
    from world.trust.run import scenes

    model, shown = ma.load("bundled:vit"), scenes(12)
    found = {}
    for title, function in {"noise": random_map, "attention": lambda case: class_attention(case, 5)}.items():
        scores = score_maps(Entry("map", title, "vit", function, False), model, shown, faithful_on=5)
        found[title] = {score.score: score for score in scores}
    pointing_name, deletion = "pointing game", "deletion, better than random by"
    assert found["attention"][pointing_name].low > found["noise"][pointing_name].value
    assert found["attention"][deletion].value > 0.1
    assert found["noise"][pointing_name].chance < 0.2
