"""The over-trust search against beam search, its formula, and made-up languages."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
import torch

import model_adapters as ma
from model_adapters.over_trust import Reading, _reader, columns, penalty, search
from tests.fixes.slow_over_trust import slow_search
from tests.fixes.small import LONGEST, NOTHING, asked, ids

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
NEVER = 10**6


def language(seed: int, words: int, magnets: tuple[int, ...] = ()):
    """A made-up language; from the tenth word on all look at the first magnet, if there is one."""

    @cache
    def read(said: tuple[int, ...]) -> Reading:
        rng = np.random.default_rng([seed, *said])
        answer = np.zeros((len(said), len(said)))
        if said:
            answer[:-1, :-1] = read(said[:-1]).answer
            answer[-1] = rng.uniform(0.001, 0.02 if magnets else 0.06, len(said))
            pulls = [place for place, word in enumerate(said) if word in magnets and place >= 10]
            answer[-1, pulls[:1]] = 0.07
        logs = rng.normal(size=words) * 1.5
        return Reading(logs - np.logaddexp.reduce(logs), answer, float(rng.random()))

    return read


BEAMS = [(2, 2), (2, 5), (3, 3), (5, 5)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("beams", "candidates"), BEAMS)
def test_searches_without_steps_back_are_those_of_the_release(seed, beams, candidates):
    for weight, ends in product((0.5, 1.0, 3.0), ((), (0,))):
        read = language(seed, 12)
        slow, _ = slow_search(read, set(ends), 14, beams, candidates, weight, 50.0, NEVER)
        assert search(read, frozenset(ends), 14, ma.OverTrust(beams, candidates, weight, 50.0, NEVER)) == slow


@pytest.mark.parametrize(("seed", "beams", "candidates", "threshold"), [(0, 2, 2, 2), (1, 2, 4, 3), (2, 3, 3, 2), (3, 2, 2, 3)])
def test_searches_with_steps_back_are_those_of_the_release(seed, beams, candidates, threshold):
    turns = []
    for ends in ((), (0,)):
        read = language(seed, 8, magnets=(1, 2, 3))
        slow, returns = slow_search(read, set(ends), 26, beams, candidates, 1.0, 50.0, threshold)
        assert search(read, frozenset(ends), 26, ma.OverTrust(beams, candidates, 1.0, 50.0, threshold)) == slow
        turns.append(returns)
    assert sum(turns) > 1, "more than one step back was taken"


@pytest.mark.parametrize("name", ["llava", "qwen2_vl", "bundled:lvlm"])
def test_on_models_it_is_the_search_of_the_release(name):
    model, inputs = asked(name)
    read = cache(_reader(model, inputs, ()))
    end = model.module.generation_config.eos_token_id
    slow, _ = slow_search(read, set(np.atleast_1d([] if end is None else end)), 3, 2, 3, 2.0, 50.0, NEVER)
    found = ma.generate(model, inputs, max_new_tokens=3, keep=NOTHING, decoding=ma.OverTrust(2, 3, 2.0))
    assert tuple(token.id for token in found.tokens) == slow


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

    def shared(said):
        """Both candidates behind some words, which share their probability by their paid scores."""
        logs, _ = judged(said)
        paid = {int(t): logs[t] + weight * judged([*said, int(t)])[1] for t in np.argsort(-logs)[:2]}
        return {t: score - np.logaddexp(*paid.values()) for t, score in paid.items()}

    paths = {(a, b): score + more for a, score in shared([]).items() for b, more in shared([a]).items()}
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
    assert len(found) == 40 and found[:11] == trap[:11]
    assert found[11] != trap[11], "after as many returns as there are candidates it goes back one word more"


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
