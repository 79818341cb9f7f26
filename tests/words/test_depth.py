"""Flow between groups, the exit curve and the lens: against slow re-implementations and planted truths."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import model_adapters as ma
from analysis.words import GROUPS, answer_runner
from analysis.words.exit_curve import exit_curve
from analysis.words.group_flow import group_flow
from analysis.words.logit_lens import answer_lens, lens_word_map, patch_words
from tests.words.told import Told, at, made_up, told
from tests.zoo import hf

ALL = ("bundled:lvlm", "llava", "llava_next", "qwen2_5_vl", "internvl", "instructblip", "paligemma")


@pytest.fixture(scope="module", params=["llava", "qwen2_vl"])
def case(request) -> Told:
    return told(request.param)


def run_of(case: Told):
    return answer_runner(ma.run, case.model, ma.continued(case.model, case.inputs, case.ids), len(case.ids))


def ends(case: Told) -> dict[str, range]:
    """Where the groups stand, read off the token ids."""
    ids = case.inputs.tensors["input_ids"][0].tolist()
    image = [i for i, token in enumerate(ids) if token == case.model.config.image_token_id]
    whole = len(ids) + len(case.ids)
    places = range(image[0]), range(image[0], image[-1] + 1), range(image[-1] + 1, len(ids)), range(len(ids), whole)
    return dict(zip(GROUPS, places, strict=True))


# ---- flow


def test_flow_by_hand(case):
    module, _ = hf.build(case.model.name, attn_implementation="eager")
    with torch.no_grad():
        out = module(**ma.continued(case.model, case.inputs, case.ids).tensors, output_attentions=True)
    flow = group_flow(case.whole)
    for layer, attention in enumerate(out.attentions):
        weights = attention[0].mean(0).numpy()
        for i, reading in enumerate(ends(case).values()):
            for j, read in enumerate(ends(case).values()):
                slow = np.mean([sum(weights[q, k] for k in read) for q in reading])
                assert flow.values[layer, i, j] == pytest.approx(slow, abs=1e-5)
    assert flow.counts.tolist() == [len(group) for group in ends(case).values()]


@pytest.mark.parametrize("name", ALL)
def test_what_a_group_gives_adds_up_to_one(name):
    flow = group_flow(told(name).whole)
    there = flow.counts > 0
    np.testing.assert_allclose(flow.values[:, there].sum(-1), 1, atol=1e-4)
    assert np.isnan(flow.values[:, ~there]).all()
    if name != "paligemma":  # whose prompt sees both ways
        assert not flow.values[:, 1, 2:].any(), "the image stands before question and answer"


def test_text_within_itself_is_the_mean_over_its_tokens(case):
    flow = group_flow(case.whole)
    question, answer = flow.counts[2:]
    image = (flow.values[:, 2, 1] * question + flow.values[:, 3, 1] * answer) / (question + answer)
    np.testing.assert_allclose(flow.within_text, 1 - image, atol=1e-5)
    np.testing.assert_allclose(flow.early_fusion, flow.values[:, 2, 1])
    np.testing.assert_allclose(flow.reasoning, flow.values[:, 3, 1] + flow.values[:, 3, 2])


def test_flow_needs_all_rows(case):
    with pytest.raises(ValueError, match="read the answer again"):
        group_flow(case.answer)


# ---- exit


def hidden_by_hand(case: Told, first: int) -> np.ndarray:
    """Scores when decoder layers from `first` on are given a mask that hides the image from all else."""
    module, _ = hf.build(case.model.name, attn_implementation="eager")
    image = list(ends(case)["image"])
    inputs = ma.continued(case.model, case.inputs, case.ids)
    others = [i for i in range(inputs.tensors["input_ids"].shape[1]) if i not in image]

    def hide(_, args, kwargs):
        mask = kwargs["attention_mask"].clone()
        mask[..., np.ix_(others, image)[0], np.ix_(others, image)[1]] = torch.finfo(mask.dtype).min
        return args, {**kwargs, "attention_mask": mask}

    for layer in module.model.language_model.layers[first:]:
        layer.register_forward_pre_hook(hide, with_kwargs=True)
    with torch.no_grad():
        logits = module(**inputs.tensors).logits[0]
    return logits[-len(case.ids) - 1 : -1].log_softmax(-1).numpy()


def test_exit_by_hand(case):
    curve = exit_curve(case.answer, run_of(case))
    assert curve.layers.tolist() == [0, 1, 2]
    base = torch.tensor(case.answer.logits).double().log_softmax(-1).numpy()
    for first in (0, 1):
        slow = hidden_by_hand(case, first)
        said = slow[np.arange(len(case.ids)), case.ids]
        np.testing.assert_allclose(curve.log_probabilities[first], said, atol=2e-4)
        np.testing.assert_allclose(curve.divergence[first], (np.exp(base) * (base - slow)).sum(-1), atol=2e-4)
    np.testing.assert_allclose(curve.divergence[2], 0, atol=1e-9)
    assert curve.divergence[0].mean() > 1e-5
    assert curve.of_word(at(0, 1)).values[2] == pytest.approx(curve.log_probabilities[2, :2].sum())


def test_the_exit_is_the_layer_after_which_nothing_changes():
    """A planted model whose only use of the image is in layer 1 of 3."""
    rows = [[np.full((2, 5 + step), 1 / (5 + step))] * 3 for step in range(2)]
    said = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]))
    answer = made_up(rows, said, [0, 1], image=3)

    def run(edits):
        cut = {name for edit in edits for name in edit.where.sites}
        return said[:, ::-1].copy() if "layers.1" in cut else said

    curve = exit_curve(answer, run)
    assert curve.exit() == 2
    np.testing.assert_allclose(curve.divergence.mean(-1)[2:], 0, atol=1e-12)
    assert curve.divergence[0, 0] == pytest.approx(0.6 * np.log(7))
    assert curve.mean().values.shape == (4,)


def test_progress_is_told(case):
    told_shares = []
    exit_curve(case.answer, run_of(case), progress=told_shares.append)
    assert told_shares == [0.5, 1.0]


@pytest.mark.parametrize("name", [*ALL, "mllama"])
def test_every_family_has_an_exit_or_a_reason(name):
    case = told(name)
    if name == "mllama":
        with pytest.raises(ValueError, match="cross attention"):
            exit_curve(case.answer, run_of(case))
        return
    curve = exit_curve(case.answer, run_of(case))
    np.testing.assert_allclose(curve.divergence[-1], 0, atol=1e-9)
    assert curve.divergence[0].max() > 1e-7, "hiding the image everywhere changes something"


def test_the_run_of_another_answer_is_refused(case):
    other = answer_runner(ma.run, case.model, ma.continued(case.model, case.inputs, case.ids[:3]), 3)
    with pytest.raises(ValueError, match="of two answers"):
        exit_curve(case.answer, other)


# ---- lens


def test_the_lens_by_hand(case):
    found = answer_lens(case.whole, ma.lens(case.model, case.inputs), top=3)
    module, start = case.model.module, len(case.asked.rows)
    with torch.no_grad():
        inputs = ma.continued(case.model, case.inputs, case.ids)
        states = module(**inputs.tensors, output_hidden_states=True).hidden_states
    for place, layer in enumerate(found.layers[:-1]):  # the library gives the last one behind its norm
        rows = states[layer][0, start - 1 : -1]
        with torch.no_grad():
            logs = module.lm_head(module.model.language_model.norm(rows)).double().log_softmax(-1)
        for step, token in enumerate(case.ids):
            assert found.log_probabilities[place, step] == pytest.approx(float(logs[step, token]), abs=1e-3)
            likelier = int((logs[step] > logs[step, token] + 1e-4).sum())
            assert abs(found.ranks[place, step] - likelier) <= 2
            assert found.best[place, step, 0] == int(logs[step].argmax())
    np.testing.assert_allclose(found.log_probabilities[-1], case.answer.log_probabilities, atol=1e-3)
    assert (found.ranks[-1] == 0).all(), "greedy: the last layer says what was said"


def test_where_the_answer_is_decided():
    """Token 1 is likeliest from layer 1 on, token 2 already at 0 but not at 1, token 0 never."""
    answer = made_up([[np.full((1, 3 + s), 1 / (3 + s))] for s in range(3)], np.zeros((3, 4)), [1, 2, 0], image=1)
    states = [np.zeros((6, 4)) for _ in range(4)]
    says = {0: (3, 2, 3), 1: (1, 3, 3), 2: (1, 2, 3), 3: (1, 2, 3)}
    for layer, tokens in says.items():
        for step, token in enumerate(tokens):
            states[layer][2 + step, token] = 5
    answer = made_up(list(answer.rows), answer.logits, [1, 2, 0], image=1, hidden=dict(enumerate(states)))
    found = answer_lens(answer, lambda s: s)
    assert found.decided().tolist() == [1, 2, -1]
    assert found.best_texts[0][0][0] == "[3]"
    np.testing.assert_allclose(found.entropies, -np.log(1 / (np.exp(5) + 3)) - 5 * np.exp(5) / (np.exp(5) + 3), rtol=1e-6)


def test_patches_say_their_words():
    states = np.zeros((5, 4))
    states[1, 2], states[2, 3], states[3, 2] = 5, 4, 6
    answer = made_up([[np.full((1, 5), 0.2)]], np.zeros((1, 4)), [3], image=3, hidden={0: states, 1: states * 0})
    found = patch_words(answer, lambda s: s, layer=0, top=1)
    assert found.ids[:, 0].tolist() == [2, 3, 2] and [t[0] for t in found.texts] == ["[2]", "[3]", "[2]"]
    np.testing.assert_allclose(found.map.values, found.probabilities[:, 0])
    said = lens_word_map(answer, lambda s: s, at(0))
    expected = [1 / 4, np.exp(4) / (np.exp(4) + 3), 1 / 4]
    np.testing.assert_allclose(said.values, expected), "the largest over layers"
    np.testing.assert_allclose(lens_word_map(answer, lambda s: s, at(0), layer=1).values, 1 / 4)


@pytest.mark.parametrize("name", ALL)
def test_every_family_is_read_by_its_lens(name):
    case = told(name)
    lens = ma.lens(case.model, case.inputs)
    found = answer_lens(case.whole, lens)
    np.testing.assert_allclose(found.log_probabilities[-1], case.answer.log_probabilities, atol=2e-3)
    if name == "instructblip":
        with pytest.raises(ValueError, match="learned queries"):
            patch_words(case.whole, lens)
    else:
        assert len(patch_words(case.whole, lens).ids) == case.asked.rows.placed.sum()


def test_layers_that_are_not_there_are_named(case):
    with pytest.raises(ValueError, match="layer 9 was asked for"):
        patch_words(case.whole, ma.lens(case.model, case.inputs), layer=9)
    with pytest.raises(ValueError, match="want={'hidden'}"):
        answer_lens(case.answer, ma.lens(case.model, case.inputs))
