"""Types of heads: planted heads get their names, even attention is at chance, and queries return the evidence."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.head_measures import MEASURES, head_measures
from analysis.head_query import Condition, OfType, find_heads, head_table
from analysis.head_types import HYBRID, UNCLEAR, head_types
from analysis.object_energy import coverage, object_energy
from analysis.results import HeadMatrix
from tests.analysis.pattern_captures import CELL, hand_made, random_weights, uniform

G = 6
T = 1 + G * G


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def rows_like(rule):
    """[T, T]: each patch spreads its attention over the patches for which the rule holds; the class token over all."""
    weights = np.zeros((T, T), np.float32)
    weights[0] = 1
    for q in range(G * G):
        for k in range(G * G):
            weights[q + 1, k + 1] = rule(q // G, q % G, k // G, k % G)
        if not weights[q + 1].any():
            weights[q + 1, q + 1] = 1
    return weights / weights.sum(-1, keepdims=True)


def to_class():
    weights = np.zeros((T, T), np.float32)
    weights[:, 0] = 1
    return weights


PLANTED = {
    "class": to_class(),
    "sink": rows_like(lambda qy, qx, ky, kx: (ky, kx) == (2, 3)),
    "self": rows_like(lambda qy, qx, ky, kx: (qy, qx) == (ky, kx)),
    "diagonal": rows_like(lambda qy, qx, ky, kx: (ky, kx) == (qy, qx - 1)),
    "row": rows_like(lambda qy, qx, ky, kx: ky == qy),
    "column": rows_like(lambda qy, qx, ky, kx: kx == qx),
    "local": rows_like(lambda qy, qx, ky, kx: max(abs(ky - qy), abs(kx - qx)) <= 1),
    "global": uniform(T)[0],
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_head_gets_its_name(name):
    types = head_types(head_measures([hand_made([PLANTED[name][None]], grid=(G, G))]))
    assert types.types[0, 0] == name and types.parts[0, 0] == name
    assert 0 < types.confidence[0, 0] <= 1
    if name == "diagonal":
        assert tuple(types.measures.offsets[0, 0]) == (0, -1)


def test_attention_that_follows_the_image_is_content(rng):
    captures = []
    for _ in range(8):
        weights = np.zeros((1, T, T), np.float32)
        weights[0, np.arange(T), rng.permutation(T)] = 1
        captures.append(hand_made([weights], grid=(G, G)))
    types = head_types(head_measures(captures))
    assert types.types[0, 0] == "content"
    alone = head_measures(captures[:1])
    assert np.isnan(alone.values[0, 0, MEASURES.index("content")])


def test_even_attention_is_at_chance_and_fixed_attention_has_no_content():
    capture = hand_made([uniform(T)], grid=(G, G))
    values = dict(zip(MEASURES, head_measures([capture, capture]).values[0, 0], strict=True))
    assert values["global"] == pytest.approx(1, abs=1e-5)
    assert np.isnan(values["register"])
    rest = [v for n, v in values.items() if n not in ("global", "register")]
    assert rest == pytest.approx([0] * 8, abs=1e-6)


def test_two_things_at_once_are_hybrid_and_none_is_unclear(rng):
    half = (PLANTED["class"] + PLANTED["self"]) / 2
    vague = (0.45 * PLANTED["row"] + 0.55 * rows_like(lambda qy, qx, ky, kx: abs(kx - qx) in (2, 3))).astype(np.float32)
    types = head_types(head_measures([hand_made([np.stack([half, vague])], grid=(G, G))]))
    assert types.types[0, 0] == HYBRID and set(types.parts[0, 0].split(" + ")) == {"class", "self"}
    assert types.types[0, 1] == UNCLEAR and 0 <= types.confidence[0, 1] < 0.5
    moved = head_types(head_measures([hand_made([np.stack([half, vague])], grid=(G, G))]), to_class=0.6, to_self=0.3)
    assert moved.types[0, 0] == "self"


def test_what_a_class_head_leaves_to_patches_gives_it_no_second_type():
    mostly = (0.9 * PLANTED["class"] + 0.1 * PLANTED["self"]).astype(np.float32)
    assert head_types(head_measures([hand_made([mostly[None]], grid=(G, G))])).types[0, 0] == "class"


def slow_local(weights):
    """Share of patch attention on the eight neighbours, by loops, beyond chance, times the attention to patches."""
    near = total = chance = 0.0
    for q in range(G * G):
        around = [
            (y, x) for y in range(q // G - 1, q // G + 2) for x in range(q % G - 1, q % G + 2)
            if 0 <= y < G and 0 <= x < G and (y, x) != divmod(q, G)
        ]  # fmt: skip
        near += sum(weights[q + 1, y * G + x + 1] for y, x in around)
        total += weights[q + 1, 1:].sum()
        chance += len(around) / (G * G) / (G * G)
    return (near / total - chance) / (1 - chance) * total / (G * G)


def test_local_measure_is_the_slow_one(rng):
    weights = random_weights(rng, 3, T)
    measures = head_measures([hand_made([weights], grid=(G, G))])
    assert measures.matrix("local").values[0] == pytest.approx([slow_local(w) for w in weights], rel=1e-4)


def table(rng):
    weights = np.stack([PLANTED["row"], PLANTED["class"], PLANTED["local"], PLANTED["self"]])
    capture = hand_made([weights, random_weights(rng, 3, T, 4.0)], grid=(G, G))
    types = head_types(head_measures([capture]))
    importance = HeadMatrix(np.array([[0.1, 0.9, 0.5, 0.2], [0.3, 0.0, 0.7, np.nan]]), capture.sites)
    return head_table(types, {"importance": importance}, {(capture.sites[0], 2): (4, 1)})


def test_query_returns_the_planted_heads_with_evidence(rng):
    heads = table(rng)
    assert len(heads.heads) == 7  # the second layer has three heads
    found = find_heads(heads, [OfType(("row", "local")), Condition("importance", least=0.3)])
    assert [(f.site.layer, f.head, f.type) for f in found] == [(0, 2, "local")]
    assert found[0].evidence == (("importance", 0.5),) and found[0].typical == (4, 1)
    assert dict(found[0].record)["importance"] == 0.5
    top = find_heads(heads, [Condition("importance", top=0.3)], sort_by="importance")
    assert [dict(f.record)["importance"] for f in top] == [0.9, 0.7]
    low = find_heads(heads, [Condition("importance", bottom=0.15)])
    assert [dict(f.record)["importance"] for f in low] == [0.0]
    assert find_heads(heads, []) and not find_heads(heads, [Condition("importance", least=2)])
    with pytest.raises(ValueError, match="no number 'beauty'"):
        find_heads(heads, [Condition("beauty")])


def test_conditions_say_themselves():
    assert str(Condition("importance", least=0.2, top=0.1)) == "importance at least 0.2 and among the highest 10%"
    assert str(OfType(("row", "local"), alone=True)) == "only row or local"


def test_object_energy_is_one_for_even_attention_and_one_over_area_for_a_head_on_the_object():
    mask = np.zeros((G * CELL, G * CELL), bool)
    mask[: 2 * CELL, : 3 * CELL] = True  # 6 of 36 patches
    on_object = rows_like(lambda qy, qx, ky, kx: ky < 2 and kx < 3)
    away = rows_like(lambda qy, qx, ky, kx: ky > 3)
    capture = hand_made([np.stack([uniform(T)[0], on_object, away])], grid=(G, G))
    assert object_energy([capture, capture], [mask, mask]).values[0] == pytest.approx([1, 6, 0], rel=1e-5)
    assert object_energy([capture], [mask], query="object").values[0, 1] == pytest.approx(6, rel=1e-5)
    mask[:CELL, 3 * CELL : 3 * CELL + CELL // 2] = True
    assert coverage(capture.layouts[capture.sites[0]].keys, mask).sum() == pytest.approx(6.5)
