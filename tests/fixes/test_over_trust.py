"""The over-trust search against beam search, its formula, and made-up languages."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

import model_adapters as ma
from model_adapters.over_trust import Reading, columns, penalty, search
from tests.fixes.small import LONGEST, NOTHING, asked, ids

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
NEVER = 10**6


@pytest.mark.parametrize("name", ["llava", "qwen2_vl", "bundled:lvlm"])
def test_without_a_penalty_it_is_beam_search(name):
    found = ids(name, decoding=ma.OverTrust(beams=3, candidates=6, weight=0.0, threshold=NEVER))
    assert found == ids(name, decoding=ma.Beam(beams=3))


def test_one_beam_and_one_candidate_are_greedy():
    assert ids("llava", decoding=ma.OverTrust(1, 1)) == ids("llava")


def test_what_was_found_has_its_rows_and_probabilities():
    model, inputs = asked("llava")
    found = ma.generate(model, inputs, max_new_tokens=LONGEST, decoding=ma.OverTrust(2, 2))
    plain = ma.generate(model, inputs, max_new_tokens=1)
    np.testing.assert_allclose(found.tokens[0].logits, plain.tokens[0].logits, atol=1e-5)
    assert found.tokens[-1].weights[0].shape[-1] == len(found.prompt) + len(found.tokens) - 1


def test_the_first_tokens_are_paid_for_attention_to_the_image():
    """With 2 beams, 2 candidates and 2 tokens, every path can be scored by hand."""
    model, inputs = asked("llava")
    image = ma.Glance(model, inputs).roles == "image"
    weight = 30.0

    def judged(said):
        whole = ma.continued(model, inputs, said) if said else inputs
        seen = ma.capture(model, whole)
        row = [max(seen.weights[seen.sites[-1]][h, -1, k] for h in range(4)) for k in range(len(image) + len(said))]
        share = sum(v for v, pixel in zip(row, image, strict=False) if pixel) / sum(row)
        logs = seen.logits[-1].astype(float) - np.logaddexp.reduce(seen.logits[-1].astype(float))
        return logs, share

    def best_two(logs):
        return [int(t) for t in np.argsort(-logs)[:2]]

    first, _ = judged([])
    scored = {(a,): first[a] + weight * judged([a])[1] for a in best_two(first)}
    paths = {}
    for (a,), score in scored.items():
        logs, _ = judged([a])
        for b in best_two(logs):
            paths[a, b] = score + logs[b] + weight * judged([a, b])[1]
    found = ma.generate(model, inputs, max_new_tokens=2, keep=NOTHING, decoding=ma.OverTrust(2, 2, weight))
    assert tuple(t.id for t in found.tokens) == max(paths, key=paths.__getitem__)


def test_a_column_is_the_product_of_what_leans_on_it():
    answer = np.tril(np.random.default_rng(0).random((12, 12)))
    for j, found in enumerate(columns(answer, 3.0)):
        product_of = 1e-7
        for i in range(j, 12):
            product_of *= 3.0 * answer[i, j]
        assert found == pytest.approx(product_of)
    late = Reading(np.zeros(2), answer, 0.4)
    assert penalty(late, 3.0) == pytest.approx(max(columns(answer, 3.0)))
    assert penalty(Reading(np.zeros(2), answer[:10, :10], 0.4), 3.0) == -0.4


def made_up(said: tuple[int, ...], leans=()) -> Reading:
    """A language of three words; `leans` are beginnings after which all look at one word for ever."""
    rng = np.random.default_rng([7, *said])
    answer = np.full((len(said), len(said)), 1e-3)
    for beginning in leans:
        if said[: len(beginning)] == beginning:
            answer[len(beginning) - 1 :, len(beginning) - 1] = 1.0
    logs = rng.normal(size=3)
    return Reading(logs - np.logaddexp.reduce(logs), answer, 0.0)


def test_a_wide_beam_finds_the_best_of_all_answers():
    told = ma.OverTrust(beams=81, candidates=3, weight=0.0, threshold=NEVER)
    best = max(product(range(3), repeat=4), key=lambda said: sum(made_up(said[:i]).log_probabilities[said[i]] for i in range(4)))
    assert search(made_up, frozenset(), 4, told) == best


def test_the_search_steps_back_behind_a_word_that_all_lean_on():
    first = search(made_up, frozenset(), 40, ma.OverTrust(1, 3, 0.0, threshold=5))
    trap = first[:12]

    def read(said):
        return made_up(said, leans=(trap,))

    never = search(read, frozenset(), 40, ma.OverTrust(1, 3, 0.0, threshold=NEVER))
    assert never == first, "without steps back the trap is walked into"
    found = search(read, frozenset(), 40, ma.OverTrust(1, 3, 0.0, threshold=5))
    assert len(found) == 40 and found[:12] == trap and found[12] != first[12]


def test_a_penalty_turns_the_search_away_from_the_trap():
    first = search(made_up, frozenset(), 16, ma.OverTrust(2, 3, 0.0, threshold=NEVER))

    def read(said):
        return made_up(said, leans=(first[:11],))

    assert search(read, frozenset(), 16, ma.OverTrust(2, 3, 1e6, threshold=NEVER))[:11] != first[:11]


def test_an_answer_may_end():
    def read(said):
        return Reading(np.log([0.2, 0.7 if said else 0.1, 0.1 if said else 0.7]), np.zeros((len(said),) * 2), 0.0)

    assert search(read, frozenset({1}), 10, ma.OverTrust(1, 3, 0.0, threshold=NEVER)) == (2, 1)


def test_what_stands_for_an_image_is_never_said_nor_read():
    def read(said):
        assert 1 not in said
        return Reading(np.array([-3.0, -np.inf, -0.1]), np.zeros((len(said),) * 2), 0.0)

    assert search(read, frozenset(), 3, ma.OverTrust(2, 3, 0.0, threshold=NEVER)) == (2, 2, 2)
    model, inputs = asked("llava")
    image = model.config.image_token_id
    biased = model.module.lm_head.register_forward_hook(lambda m, a, out: out.index_fill(-1, torch.tensor([image]), 99.0))
    try:
        assert ids("llava")[0] == image and image not in ids("llava", decoding=ma.OverTrust(2, 3))
    finally:
        biased.remove()


def test_a_search_without_beams_is_refused():
    with pytest.raises(ValueError, match="beams and candidates must be at least 1"):
        ma.OverTrust(beams=0)
