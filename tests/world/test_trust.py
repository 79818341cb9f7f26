"""The benchmark's own scores on planted answers, who takes part, and what is read and written."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import analysis
from world.trust import entries as participants
from world.trust.entries_maps import EXCLUDED
from world.trust.findings import sentences, verdict, verdicts
from world.trust.registry import KINDS, Entry, enter, entries, interval, scored
from world.trust.report import beside, best_first, to_markdown, write
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
from world.trust.table import Score, baselines, scores, table

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


# ---- who takes part


def test_a_name_is_registered_once() -> None:
    taken = entries("map")[0]
    with pytest.raises(ValueError, match="already registered"):
        scored("map", taken.title, taken.model)(lambda case: np.ones((12, 12)))
    with pytest.raises(ValueError, match="not a kind of participant"):
        enter(Entry("charm", "x", "vit", len))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "takes_part_as"), [("map", "map"), ("baseline", "map"), ("head", "importance"), ("tokens", "pruner")]
)
def test_every_method_takes_part_or_is_left_out_for_a_reason(kind: str, takes_part_as: str) -> None:
    assert participants.__all__
    entered = {entry.method for entry in entries(takes_part_as)}  # type: ignore[arg-type]
    registered = {method.name for method in analysis.methods(kind)}
    assert registered <= entered | set(EXCLUDED), f"{sorted(registered - entered - set(EXCLUDED))} take no part"
    assert not entered & set(EXCLUDED)


def test_what_is_named_is_registered() -> None:
    named = {entry.method for entry in entries()} - {""}
    assert named <= set(analysis.METHODS)
    assert set(EXCLUDED) <= set(analysis.METHODS)
    assert all(len(reason.split()) > 5 for reason in EXCLUDED.values())


def test_every_kind_on_every_model_has_something_to_beat() -> None:
    for kind in ("map", "importance", "pruner", "signal", "fix"):
        for model in {entry.model for entry in entries(kind)}:  # type: ignore[arg-type]
            own = entries(kind, model)  # type: ignore[arg-type]
            for claims in {entry.claims for entry in own}:
                assert any(e.baseline for e in own if e.claims == claims), (kind, model, claims)


# ---- what is said of the figures

NOISE = Score("map", "random_map", "random", "vit", "energy", 0.07, 0.06, 0.08, 0.07, 10, True)
GOOD = replace(NOISE, method="rollout", title="attention", value=0.4, low=0.3, high=0.5, baseline=False)
BAD = replace(GOOD, title="wrong", value=0.03, low=0.02, high=0.05)
OPEN = replace(GOOD, title="so so", value=0.08, low=0.05, high=0.11)


def test_verdicts() -> None:
    assert [verdict(score, [NOISE]) for score in (GOOD, BAD, OPEN)] == ["better", "worse", "open"]
    strong = replace(NOISE, value=0.35)
    assert verdict(GOOD, [NOISE, strong]) == "open"
    assert verdict(replace(GOOD, chance=float("nan")), []) == "open"
    assert verdicts([NOISE, GOOD, BAD]) == {"attention": {"energy": "better"}, "wrong": {"energy": "worse"}}


def test_of_what_is_made_up_less_is_better() -> None:
    none = replace(NOISE, kind="fix", score="CHAIR, of captions", value=0.4, chance=float("nan"))
    fewer, more = replace(none, low=0.1, high=0.2, baseline=False), replace(none, low=0.5, high=0.6, baseline=False)
    assert verdict(fewer, [none]) == "better"
    assert verdict(more, [none]) == "worse"
    assert best_first([replace(more, title="more", value=0.55), replace(fewer, title="fewer", value=0.15)]) == ["fewer", "more"]


def test_sentences_name_each_method_where_it_stands() -> None:
    head, *lines = sentences([NOISE, GOOD, BAD, OPEN])
    assert head == "- **Maps on bundled:vit** (1 test)"
    assert lines == ["  - better in 1: attention", "  - better in none: wrong; so so", "  - worse in some: wrong (1)"]


def test_maps_that_do_not_depend_on_the_class_are_named() -> None:
    blind = replace(GOOD, score="moves to the class asked for", value=0.5, low=0.5, high=0.5, chance=0.5)
    sees = replace(blind, title="gradient", value=0.9, low=0.8, high=1.0)
    assert sentences([blind, sees])[-1] == "  - not shown to depend on the class that is asked for: attention"


def test_the_best_stand_first() -> None:
    other = [replace(s, score="pointing game") for s in (NOISE, GOOD, BAD)]
    assert best_first([NOISE, BAD, GOOD, *other]) == ["attention", "random", "wrong"]


# ---- what is written and read


def test_report_and_table(tmp_path: Path) -> None:
    write([NOISE, BAD, GOOD], ["No second vit."], tmp_path, "trust")
    rows = pq.read_table(tmp_path / "assets" / "trust.parquet").to_pylist()
    assert [row["method"] for row in rows] == ["random_map", "rollout", "rollout"]
    assert table(assets=tmp_path / "assets") == (NOISE, BAD, GOOD)
    assert table(assets=tmp_path) == ()
    text = (tmp_path / "docs" / "trust.md").read_text()
    assert text == to_markdown([NOISE, BAD, GOOD], "trust", ["No second vit."])
    assert text.index("| attention | 0.400 (0.300 to 0.500) |") < text.index("| *random* | 0.070 (0.060 to 0.080) |")
    assert "- No second vit." in text


def test_long_and_short_results_lie_beside_each_other(tmp_path: Path) -> None:
    write([NOISE], [], tmp_path, "trust")
    write([NOISE, GOOD], [], tmp_path, "trust-full")
    assert len(table(assets=tmp_path / "assets")) == 1
    assert len(table(full=True, assets=tmp_path / "assets")) == 2
    assert "`make trust-full`" in (tmp_path / "docs" / "trust-full.md").read_text()


def test_figures_of_kinds_that_were_not_asked_for_stay() -> None:
    old, new = replace(GOOD, kind="signal", value=0.1), replace(GOOD, kind="signal", value=0.2)
    fix = replace(GOOD, kind="fix")
    assert beside([new], ["signal"], [NOISE, old, fix]) == [NOISE, new, fix]
    assert beside([NOISE, new], ["map", "signal"], []) == [NOISE, new]
    assert beside([fix], list(KINDS), [NOISE, old]) == [fix]


def test_pages_can_ask_for_one_method() -> None:
    found = scores("rollout", model="vit")
    assert {s.method for s in found} == {"rollout"}
    assert {s.model for s in found} == {"vit"}
    assert {"random_map", "centre_prior"} <= {s.method for s in baselines(found[0])}
    assert scores("no such method") == ()
    assert "chance" in str(found[0])


def test_reading_needs_no_torch() -> None:
    code = "import sys, world.trust.table; sys.exit(any(m in sys.modules for m in ('torch', 'model_adapters', 'analysis')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0


def test_types_of_heads_stand_model_by_model_with_their_own_chance() -> None:
    one = Score("types", "head_types", "types of heads", "vit", "kept", 0.9, 0.8, 1.0, 0.44, 40, False, "two halves")
    text = to_markdown([one, replace(one, model="swin", value=0.95, chance=0.21)], "trust")
    assert text.index("| bundled:swin | 0.950 (0.800 to 1.000; chance 0.21) |") < text.index("| bundled:vit | 0.900 (")
    assert "  - better in 1: bundled:vit; bundled:swin" in text
