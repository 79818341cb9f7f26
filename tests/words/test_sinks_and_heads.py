"""Visual sinks, image-centric heads, activity, alignment, order: planted truths and slow re-implementations."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import model_adapters as ma
from analysis.results import HeadMatrix
from analysis.words import answer_runner
from analysis.words.image_heads import active_heads, alignment_matrix, image_centric_heads, visual_activity
from analysis.words.permutation import permutation_sensitivity
from analysis.words.visual_sinks import (
    KNOWN_DIMENSIONS,
    redistributed,
    sink_contribution,
    sink_dimensions,
    sink_map,
    visual_sinks,
)
from analysis.words.word_maps import word_map
from model_adapters.head_weights import head_weights
from tests.words.told import Told, at, made_up, told
from tests.zoo import hf

FAMILIES = ("bundled:lvlm", "llava", "llava_next", "qwen2_5_vl", "internvl", "instructblip", "paligemma")


@pytest.fixture(scope="module", params=["llava", "qwen2_vl"])
def case(request) -> Told:
    return told(request.param)


def planted(width: int = 1024):
    """Two layers; the first token and the second of three image tokens carry dimension 7 (and 9, in one layer)."""
    draw = np.random.default_rng(0)
    hidden = {layer: draw.normal(0, 0.01, (6, width)) for layer in range(5)}
    for layer in range(5):
        hidden[layer][0, 7] = 30.0
        hidden[layer][2, 7] = -20.0
    hidden[2][0, 9] = 30.0
    rows = [[np.array([[0.4, 0.1, 0.3, 0.1, 0.1], [0.1, 0.4, 0.1, 0.3, 0.1], [0.9, 0.02, 0.02, 0.02, 0.04]])] * 4]
    return made_up(rows, np.zeros((1, 4)), [3], image=3, hidden=hidden)


# ---- sinks


def test_planted_dimensions_and_sinks_are_found():
    answer = planted()
    assert sink_dimensions(answer) == (7, 9), "dimension 9 is massive in one of the two middle layers"
    assert sink_dimensions(answer, share=0.6) == (7,)
    found = visual_sinks(answer)
    assert found.tau == 20
    assert found.is_sink.sum(0).tolist() == [4, 0, 4, 0, 0] and found.visual.sum(0).tolist() == [0, 0, 4, 0, 0]
    np.testing.assert_allclose(found.share(), 1 / 5)
    assert sink_map(answer, found).values.argmax() == 1


def test_given_dimensions_are_taken():
    found = visual_sinks(planted(), [3])
    assert not found.is_sink.any() and found.dimensions == (3,)
    with pytest.raises(ValueError, match="states have 1024"):
        visual_sinks(planted(), KNOWN_DIMENSIONS["LLaMA2-7B"])


def test_a_threshold_out_of_reach_is_told():
    answer = planted(width=100)
    assert visual_sinks(answer).tau == 5, "half of what a width of 100 can reach"
    with pytest.raises(ValueError, match="tau=20 is out of reach: states of width 100 have scores up to 10"):
        visual_sinks(answer, tau=20)


def test_scores_by_hand(case):
    dims = (3, 5)
    found = visual_sinks(case.whole, dims, tau=1.0)
    for layer in (0, 1):
        states = torch.tensor(case.capture.hidden["decoder", layer][: len(case.asked.rows)]).double()
        for token, state in enumerate(states):
            slow = max(abs(float(state[d])) / float((state**2).mean() + 1e-6) ** 0.5 for d in dims)
            assert found.score[layer, token] == pytest.approx(slow, rel=1e-5)
            assert found.is_sink[layer, token] == (slow > 1.0)


def test_contribution_by_hand(case):
    sinks = visual_sinks(case.whole, (3, 5), tau=1.0)
    assert sinks.visual.any()
    projections = {site: w["output"] for site, w in head_weights(case.model, case.inputs).items()}
    found = sink_contribution(case.whole, sinks, at(1), projections=projections)
    image = np.flatnonzero(case.answer.image)
    for layer, site in enumerate(found.sites):
        for head in range(site.heads):
            row = case.answer.rows[1][layer][head]
            lengths = [
                float(np.linalg.norm(row[j] * projections[site][head] @ case.capture.values[site][head, j])) for j in image
            ]
            mine = sinks.visual[layer][image]
            assert found.contribution[layer, head] == pytest.approx(np.array(lengths)[mine].sum() / sum(lengths), rel=1e-4)
            assert found.weight[layer, head] == pytest.approx(row[image][mine].sum() / row[image].sum(), rel=1e-4)


def test_image_centric_heads_of_planted_rows():
    answer = planted()
    found = image_centric_heads(answer, visual_sinks(answer), at(0))
    np.testing.assert_allclose(found.attention.values, [[0.5, 0.8, 0.06]] * 4)
    np.testing.assert_allclose(found.sink_share.values, [[0.6, 1 / 8, 1 / 3]] * 4, rtol=1e-4)
    assert found.chosen.tolist() == [[False, True, False]] * 4
    assert found.heads() == [(site, 1) for site in answer.sites]
    wide = image_centric_heads(answer, visual_sinks(answer), at(0), rho=0.7)
    assert wide.chosen[0].tolist() == [True, True, False]
    strict = image_centric_heads(answer, visual_sinks(answer), at(0), rho=0.7, rule="paper")
    assert strict.chosen[0].tolist() == [False, True, False]
    np.testing.assert_allclose(word_map(answer, at(0), among=found.heads()).values, [0.4, 0.1, 0.3])


def test_both_rules_agree_at_one_half(case):
    sinks = visual_sinks(case.whole, (3, 5), tau=1.0)
    chosen = [image_centric_heads(case.whole, sinks, at(1), rule=rule).chosen for rule in ("code", "paper")]
    np.testing.assert_array_equal(*chosen)


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_redistribution_keeps_every_row_sum(variant):
    draw = np.random.default_rng(0)
    row = draw.dirichlet(np.ones(12), size=5)
    image, sinks = np.arange(12) >= 4, np.isin(np.arange(12), (0, 5, 9))
    moved = redistributed(row, image, sinks, variant=variant)
    np.testing.assert_allclose(moved.sum(-1), 1)
    kept, share = image & ~sinks, 0.4 if variant == "paper" else 0.6
    np.testing.assert_allclose(moved[:, [5, 9]], share * row[:, [5, 9]])
    np.testing.assert_allclose(moved[:, 0], row[:, 0] * (1 if variant == "paper" else 0.6))
    np.testing.assert_allclose(moved[:, 1:4], row[:, 1:4])
    budget = (1 - share) * row[:, [5, 9] if variant == "paper" else [0, 5, 9]].sum(-1)
    np.testing.assert_allclose(moved[:, kept], row[:, kept] * (1 + budget / row[:, kept].sum(-1))[:, None])


def test_the_variants_mirror_each_other_without_text_sinks():
    row = np.random.default_rng(1).dirichlet(np.ones(8), size=3)
    image, sinks = np.arange(8) >= 2, np.arange(8) == 4
    np.testing.assert_allclose(redistributed(row, image, sinks, p=0.3), redistributed(row, image, sinks, p=0.7, variant="paper"))
    nothing = redistributed(np.array([[0.5, 0.5, 0.0]]), np.array([False, True, True]), np.array([False, True, False]))
    np.testing.assert_allclose(nothing, [[0.5, 0.5, 0.0]]), "nobody can receive"


# ---- activity


def test_activity_by_hand(case):
    module, _ = hf.build(case.model.name, attn_implementation="eager")
    with torch.no_grad():
        out = module(**ma.continued(case.model, case.inputs, case.ids).tensors, output_attentions=True)
    image = np.flatnonzero(case.answer.image)
    found = visual_activity(case.whole)
    for layer, attention in enumerate(out.attentions):
        for head, weights in enumerate(attention[0].numpy()):
            seen = sum(float(row[image].sum()) for row in weights)
            assert found.values[layer, head] == pytest.approx(seen / (len(weights) - seen), rel=1e-4)


def test_heads_are_active_in_enough_prompts():
    sites = tuple(SimpleNamespace() for _ in range(3))
    matrices = [HeadMatrix(np.array([[0.0, 0.0], [0.0, 0.0], [value, 1.0]]), sites) for value in (0.5, 0.1, 0.1, 0.1)]
    assert active_heads(matrices).tolist() == [[True, True], [True, True], [False, True]]
    assert active_heads(matrices, threshold=0.05).tolist()[2] == [True, True]
    assert active_heads(matrices, always=0).tolist()[0] == [False, False]
    with pytest.raises(ValueError, match="at least one prompt"):
        active_heads([])


# ---- alignment


@pytest.mark.parametrize("text", ["tokens", "mean"])
def test_alignment_by_hand(case, text):
    found = alignment_matrix(case.whole, text=text)
    length = len(case.asked.rows)
    image = np.flatnonzero(case.answer.image)
    words = range(int(image[-1]) + 1, length + len(case.ids))
    for i, one in enumerate(found.layers):
        seen = torch.tensor(case.capture.hidden["decoder", one][image]).double().mean(0)
        for j, other in enumerate(found.layers):
            states = torch.tensor(case.capture.hidden["decoder", other]).double()
            each = [float(torch.cosine_similarity(seen, states[w], 0)) for w in words]
            mean = float(torch.cosine_similarity(seen, states[list(words)].mean(0), 0))
            assert found.values[i, j] == pytest.approx(np.mean(each) if text == "tokens" else mean, abs=1e-5)
    np.testing.assert_array_equal(found.score, found.values[0])


# ---- order


def run_of(case: Told):
    return answer_runner(ma.run, case.model, ma.continued(case.model, case.inputs, case.ids), len(case.ids))


def test_order_by_hand(case):
    found = permutation_sensitivity(case.whole, run_of(case), draws=2, seed=3)
    draw, image = np.random.default_rng(3), np.flatnonzero(case.answer.image)
    base = torch.tensor(case.answer.logits).double().log_softmax(-1).numpy()
    for number in range(2):
        module, _ = hf.build(case.model.name)
        order = draw.permutation(image)

        def deal(_, args, kwargs, order=order):
            hidden = (args[0] if args else kwargs["hidden_states"]).clone()
            hidden[:, image] = hidden[:, order]
            return ((hidden, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": hidden})

        module.model.language_model.layers[0].register_forward_pre_hook(deal, with_kwargs=True)
        with torch.no_grad():
            logits = module(**ma.continued(case.model, case.inputs, case.ids).tensors).logits[0]
        after = logits[-len(case.ids) - 1 : -1].log_softmax(-1).numpy()
        slow = (base - after)[np.arange(len(case.ids)), case.ids]
        np.testing.assert_allclose(found.drops[number], slow, atol=3e-4)
    assert np.abs(found.drops).max() > 1e-4 and found.same.shape == found.drops.shape


def test_tokens_that_are_all_alike_have_no_order():
    hidden = {0: np.ones((6, 4)), 1: np.ones((6, 4))}
    answer = made_up([[np.full((1, 5), 0.2)]], np.zeros((1, 4)), [3], image=3, hidden=hidden)

    def run(edits):
        for edit in edits:
            assert edit.where.queries == (1, 2, 3) and edit.where.layers == (0,)
            np.testing.assert_array_equal(edit.value.array, np.ones((6, 4)))
        return answer.logits

    assert permutation_sensitivity(answer, run).drop == 0


# ---- every family


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_all_of_them(name):
    case = told(name)
    sinks = visual_sinks(case.whole, (1, 2), tau=1.5)
    assert sinks.score.shape == (len(case.answer.sites), len(case.asked.rows))
    word = at(0)
    assert np.nanmax(sink_contribution(case.whole, sinks, word).weight) <= 1 + 1e-9
    assert image_centric_heads(case.whole, sinks, word).attention.values.max() <= 1 + 1e-6
    assert np.isfinite(visual_activity(case.whole).values).all()
    assert np.abs(alignment_matrix(case.whole).values).max() <= 1 + 1e-6
    assert np.isfinite(permutation_sensitivity(case.whole, run_of(case), draws=1).drops).all()


def test_without_an_image_there_are_no_visual_sinks():
    case = told("llava", images=0)
    with pytest.raises(ValueError, match="no image among"):
        visual_sinks(case.whole, (1,), tau=1.0)
