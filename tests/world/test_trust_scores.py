"""What the benchmark does with a model: planted maps, planted heads, planted types, and exact ablation done the slow way."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import model_adapters as ma
from analysis.results import TokenMap
from model_adapters.edits import DropTokens, MergeTokens
from world.bundled import MODELS
from world.datasets import SceneStream
from world.scenes import UNBIASED
from world.trust import entries_tokens
from world.trust.cases import GRID, PATCH, SIZE, Case, case_of, cells_covered
from world.trust.entries_heads import per_layer
from world.trust.entries_maps import on_grid
from world.trust.head_scores import agreement, truths, within_layers
from world.trust.map_scores import faithfulness, follows, score_maps, steps_of, twins_of
from world.trust.registry import RANDOM, Entry, entries
from world.trust.run import SHORT, Job, do
from world.trust.token_scores import right_under, score_pruners
from world.trust.type_scores import chance_of, compared, in_common, kept_share, matched_heads

STREAM = SceneStream(77, UNBIASED)
CLAIM = Entry("importance", "planted", "vit", len, claims="rise of the loss")
needs_vit = pytest.mark.skipif(not (MODELS / "vit" / "config.json").exists(), reason="the ViT is not there")


@cache
def vit() -> ma.Model:
    return ma.load("bundled:vit")


@cache
def some_case(number: int = 0) -> Case:
    return case_of(vit(), STREAM[number], number)


# ---- maps


@pytest.mark.parametrize("side", [6, 12, 24])
def test_maps_of_any_grid_are_read_in_the_same_cells(side: int) -> None:
    step = SIZE / side
    boxes = np.array([(x * step, y * step, (x + 1) * step, (y + 1) * step) for y in range(side) for x in range(side)], np.float32)
    place = np.zeros(side * side, np.int16)
    rows = ma.Rows(np.full(side * side, "patch", dtype=object), boxes, place, place, place)
    values = boxes[:, 0] + boxes[:, 2] + 100 * (boxes[:, 1] + boxes[:, 3])
    found = on_grid(TokenMap(values, rows, (SIZE, SIZE)))
    middle = np.arange(GRID) * PATCH + PATCH / 2
    if side == 6:
        middle = np.repeat(middle.reshape(-1, 2).mean(1), 2)
    assert np.allclose(found, 2 * middle[None] + 200 * middle[:, None])
    some = np.arange(side * side) > 4 * side * side // GRID
    cut = on_grid(TokenMap(values[some], rows.take(np.flatnonzero(some)), (SIZE, SIZE)))
    assert cut[0, 0] == cut.min()


def test_the_hottest_cells_go_first() -> None:
    image, empty = np.full((SIZE, SIZE, 3), 255, np.uint8), np.zeros((SIZE, SIZE, 3), np.uint8)
    heat = np.zeros((GRID, GRID))
    heat[3, 5] = 1
    pictures = steps_of(heat, image, empty, np.random.default_rng(0))
    half = len(pictures) // 2
    for picture in pictures[:half]:
        assert not picture[3 * PATCH : 4 * PATCH, 5 * PATCH : 6 * PATCH].any()
    for deleted, inserted in zip(pictures[:half], pictures[half:], strict=True):
        assert np.array_equal(deleted, 255 - inserted)


def test_a_map_follows_the_class_asked_for_or_not() -> None:
    there, elsewhere = np.eye(GRID), np.ones((GRID, GRID)) - np.eye(GRID)
    assert follows(elsewhere, there, there) == 1
    assert follows(there, elsewhere, there) == 0
    assert follows(there, 3 * there, there) == 0.5


@needs_vit
def test_twins_differ_in_one_object() -> None:
    twins = next(t for t in (twins_of(vit(), scene, n) for n, scene in enumerate(STREAM.take(20))) if t.gone)
    assert twins.gone is not None
    assert twins.touched is not None
    assert twins.other is not None
    assert twins.case.target not in twins.gone.scene.categories
    assert twins.touched.scene.categories == twins.case.scene.categories
    assert twins.touched.scene != twins.case.scene
    assert twins.other.target in twins.case.scene.categories - {twins.case.target}
    assert twins.other.image is twins.case.image


@needs_vit
def test_deleting_the_object_first_is_better_than_random_and_deleting_it_last_is_worse() -> None:
    cases = [some_case(n) for n in range(6)]
    found = []
    for case in cases:
        cover = cells_covered(case.scene, case.target)
        found.append(faithfulness(case, [cover, -cover]))
    deletion, insertion = np.array(found).mean(0).T
    assert deletion[0] > 0.1 > -0.1 > deletion[1]
    assert insertion[0] > 0.1 > -0.1 > insertion[1]


@needs_vit
def test_a_map_that_knows_the_truth_wins_and_noise_does_not() -> None:
    knows = Entry("map", "truth", "vit", lambda case: cells_covered(case.scene, case.target) * _there(case))
    noise = next(e for e in entries("map", "vit") if e.title == RANDOM)
    found, seconds = score_maps([knows, noise], vit(), STREAM.take(12), faithful_on=2, slow_on=12)
    by_title = {title: {s.score: s for s in found if s.title == title} for title in ("truth", RANDOM)}
    assert set(seconds) == {"truth", RANDOM}
    for name in ("pointing game", "energy on the object", "moves to the class asked for"):
        assert by_title["truth"][name].value > 0.7
        assert by_title["truth"][name].low > by_title[RANDOM][name].value
    assert by_title["truth"]["changes when, and only when, the object does"].value == 1
    assert by_title[RANDOM]["moves to the class asked for"].value == 0.5
    assert by_title["truth"]["deletion, better than random by"].count == 2


def _there(case: Case) -> bool:
    return case.target in case.scene.categories


@needs_vit
def test_slow_maps_are_tried_on_fewer_scenes() -> None:
    entry = Entry("map", "slow", "vit", lambda case: np.eye(GRID), slow=True)
    found, _ = score_maps([entry], vit(), STREAM.take(5), faithful_on=1, slow_on=3)
    assert next(s for s in found if s.score == "pointing game").count == 3


# ---- importances


def planted(images: int = 40) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.random((6, 4)) + 0.05 * rng.normal(size=(images, 6, 4))


def test_an_importance_that_is_right_and_one_that_is_upside_down() -> None:
    true = planted()
    right = {s.score: s for s in agreement(CLAIM, 3 * true + 1, true)}
    assert [s.value for s in right.values()] == pytest.approx([1, 1, 1])
    assert {s.against for s in right.values()} == {"rise of the loss"}
    assert right["overlap of the top 6"].chance == 0.25
    wrong = agreement(replace(CLAIM, finish=np.negative), true, true)
    assert [s.value for s in wrong] == pytest.approx([-1, 0, -1])


def test_depth_alone_helps_over_all_heads_but_not_within_layers() -> None:
    depth = np.repeat(np.arange(6.0)[:, None], 4, axis=1)
    true = depth + 0.3 * planted()
    rank, _, within = agreement(CLAIM, np.repeat(depth[None], 40, 0), true)
    assert rank.low > 0.9
    assert within.value == within.low == within.high == 0
    assert within_layers(true[0], true[0]) == pytest.approx(1)


def test_noise_gets_nothing_on_average_and_a_wide_interval() -> None:
    draw = np.random.default_rng(0)
    noise = replace(CLAIM, title=RANDOM, finish=lambda mean: draw.random(mean.shape))
    rank = agreement(noise, np.zeros((40, 6, 4)), planted())[0]
    assert abs(rank.value) < 0.05
    assert rank.low < -0.3
    assert rank.high > 0.3


def test_importances_of_other_heads_are_refused() -> None:
    with pytest.raises(ValueError, match="the exact effects are"):
        agreement(CLAIM, planted()[:, :3], planted())


@needs_vit
def test_exact_effects_done_the_slow_way() -> None:
    case, found = some_case(), truths(some_case())
    logits = ma.run(case.model, case.inputs)[0].double()
    gate = ma.edits.Gate(where=ma.Where(sites=("blocks.4.attn",), heads=(2,)), value=0.0)
    silenced = ma.run(case.model, case.inputs, (gate,))[0].double()
    loss = [-torch.log_softmax(z, -1)[case.label].item() for z in (logits, silenced)]
    assert found["rise of the loss"][4, 2] == pytest.approx(loss[1] - loss[0], abs=1e-3)
    assert found["fall of the score"][4, 2] == pytest.approx((logits - silenced)[case.label].item(), abs=1e-3)
    heads = [replace(gate, where=ma.Where(sites=("blocks.4.attn",), heads=(h,))) for h in range(4)]
    everything = ma.run(case.model, case.inputs, heads)[0].double()
    one, other = logits.softmax(-1), everything.softmax(-1)
    middle = (one + other) / 2
    bits = ((one * (one / middle).log2()).sum() + (other * (other / middle).log2()).sum()) / 2
    assert found["change of the answer by layer"][4] == pytest.approx(bits.sqrt().item(), abs=1e-4)


@needs_vit
def test_means_over_images_give_what_the_methods_give_on_all_images() -> None:
    from analysis.importance_gradient import gate_gradient, squared_gradient

    cases = [some_case(n) for n in range(3)]
    labels = torch.tensor([case.label for case in cases])
    inputs = vit().prepare(image=[case.image for case in cases])
    together = ma.capture(
        vit(), inputs, want=("heads", "gradients"), target=lambda z: z.log_softmax(-1).gather(1, labels[:, None]).sum()
    )
    found = {e.title: e for e in entries("importance", "vit") if e.claims == "change of the answer"}
    expected = {
        "gate gradient per token, layer normalised": gate_gradient(together).values,
        "gate gradient per gate": gate_gradient(together, per="gate", layer_normalised=False).values,
        "squared gradient, each image": squared_gradient(together).values,
        "squared gradient, batch": squared_gradient(together, squared="batch").values,
    }
    for title, whole in expected.items():
        entry = found[title]
        mean = np.mean([entry.function(case) for case in cases], axis=0)
        mean = mean if entry.finish is None else entry.finish(mean)
        assert np.corrcoef(mean.ravel(), whole.ravel())[0, 1] == pytest.approx(1, abs=1e-4), title


def test_layers_get_length_1() -> None:
    assert np.allclose(np.linalg.norm(per_layer(planted()), axis=-1), 1)


# ---- types of heads


def test_shares_of_heads_that_keep_their_type() -> None:
    one = np.array([["a", "b"], ["a", ""]], dtype=object)
    other = np.array([["a", "a"], ["b", ""]], dtype=object)
    assert kept_share(one, one) == 1
    assert kept_share(one, other) == pytest.approx(1 / 3)
    assert chance_of(one, other) == pytest.approx(2 / 3 * 2 / 3 + 1 / 3 * 1 / 3)


def test_heads_in_another_order_are_found_again() -> None:
    rng = np.random.default_rng(0)
    maps = rng.random((6, 4, 50))
    maps /= np.linalg.norm(maps, axis=-1, keepdims=True)
    types = np.array([["a", "b", "c", "d"]] * 6, dtype=object)
    orders = np.stack([rng.permutation(4) for _ in range(6)])
    mixed = np.take_along_axis(maps, orders[..., None], axis=1)
    found = compared(types, np.take_along_axis(types, orders, axis=1), maps, mixed)
    assert [value for value, _ in found.values()] == pytest.approx([1, 1, 1])
    assert found["matched heads of the same type"][1] == pytest.approx(0.25)
    assert found["likeness of matched heads (cosine)"][1] < 0.9
    assert matched_heads(maps[0], mixed[0]).tolist() == np.argsort(orders[0]).tolist()


def test_types_in_common_count_heads_not_names() -> None:
    one = np.array([["a", "a", "a", "b"]], dtype=object)
    other = np.array([["a", "b", "b", "b"]], dtype=object)
    assert in_common(one, other) == 0.5


# ---- token reduction


def test_budgets_are_reached_in_even_steps() -> None:
    for budget in entries_tokens.BUDGETS:
        left = (entries_tokens.PATCHES, *entries_tokens.lefts(budget))
        assert left[-1] == budget
        shares = np.array(left[1:]) / np.array(left[:-1])
        assert np.ptp(shares) < 0.06
        assert shares.min() >= 0.5  # more cannot be merged in one step


@needs_vit
@pytest.mark.parametrize("name", [n for n in entries_tokens.PRUNERS if n != "ats"])
def test_plans_leave_what_was_asked_for(name: str) -> None:
    plan = entries_tokens.PRUNERS[name][1](some_case(), 36)
    extra = len(entries_tokens.LAYERS) if name == "evit" else 0
    assert entries_tokens.patches_left(plan) in range(36, 36 + extra + 1)
    assert sum(isinstance(e, DropTokens | MergeTokens) for e in plan.edits) == len(entries_tokens.LAYERS)


@needs_vit
def test_dropping_the_object_costs_the_answer_and_dropping_the_rest_does_not() -> None:
    def keep(case: Case, budget: int, first: bool) -> entries_tokens.TokenPlan:
        cover = cells_covered(case.scene, case.target).ravel()
        order = np.argsort(-cover if first else cover, kind="stable")[:budget]
        dropped = tuple(sorted(set(range(1, 145)) - {int(i) + 1 for i in order}))
        plan = entries_tokens.kept_by_rate("random_tokens", case, budget)
        groups = np.arange(145)
        groups[list(dropped)] = -1
        groups[groups >= 0] = np.arange((groups >= 0).sum())
        return replace(plan, steps=(replace(plan.steps[0], layer=0, groups=groups),))

    seen = Entry("pruner", "object", "vit", lambda case, budget: keep(case, budget, True))
    hidden = Entry("pruner", "rest", "vit", lambda case, budget: keep(case, budget, False))
    cases = [case for case in (some_case(n) for n in range(12)) if right_under(case, replace(_nothing(), steps=()))]
    found = {(s.title, s.score): s.value for s in score_pruners([seen, hidden], cases) if s.against == "accuracy"}
    assert found["object", "48 patches"] > 0.8
    assert found["rest", "48 patches"] < 0.4


def _nothing() -> entries_tokens.TokenPlan:
    return entries_tokens.kept_by_rate("random_tokens", some_case(), 108)


@needs_vit
def test_seeds_are_compared_where_there_is_a_second_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("world.trust.type_scores.HALVINGS", 2)
    job = Job("types", "vit", replace(SHORT, types=4), tmp_path)
    alone = do(job)
    assert {s.against for s in alone.scores} == {"two halves of the images"}
    assert alone.notes == (f"No second vit lies in {tmp_path}, so types are not compared between seeds.",)
    twice = do(replace(job, second=MODELS))
    assert [s.value for s in twice.scores if s.against == "two seeds of the model"] == pytest.approx([1, 1, 1])
    assert not twice.notes
