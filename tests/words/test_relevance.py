"""Gradients, two hops, knock-outs and hidden tokens: against slow re-implementations and planted truths."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

import model_adapters as ma
from analysis.words import answer_in, answer_runner
from analysis.words.knockout import cells_of, hidden_tokens, knockout, painted_over
from analysis.words.word_relevance import (
    decoder_relevance,
    laid_on_patches,
    patch_relevance,
    target_of,
    two_hop_relevance,
    two_hop_word_map,
    word_relevance,
)
from model_adapters import Rows
from tests.words.told import Told, at, made_up, told
from tests.zoo import hf

WORD = at(2)


@pytest.fixture(scope="module", params=["llava", "qwen2_vl"])
def case(request) -> Told:
    return told(request.param)


@cache
def with_gradients(name: str, step: int = 2):
    case = told(name)
    token, position = target_of(case.answer, at(step))
    capture = ma.reread(case.model, case.inputs, case.generation, want={"gradients"}, target=ma.Token(token, position))
    return answer_in(capture, case.ids, case.asked)


def run_of(case: Told):
    return answer_runner(ma.run, case.model, ma.continued(case.model, case.inputs, case.ids), len(case.ids))


# ---- gradients


def relevance_by_hand(case: Told, step: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The whole matrix R of Chefer's rules by the library's eager attention and torch's own gradients; the row read.

    Also the positive gradient x attention of the tower, layer by layer.
    """
    module, _ = hf.build(case.model.name, attn_implementation="eager")
    inputs = ma.continued(case.model, case.inputs, case.ids)
    tower = []
    for name, part in module.named_modules():
        if name.endswith("self_attn") and "vision" in name:
            part.register_forward_hook(lambda m, a, out: tower.append(out[1]))
    with torch.enable_grad():
        out = module(**inputs.tensors, output_attentions=True)
        row = len(case.asked.rows) - 1 + step
        score = out.logits[0, row].log_softmax(-1)[case.ids[step]]
        gradients = torch.autograd.grad(score, [*out.attentions, *tower], allow_unused=True)
    steps = [
        torch.zeros(a.shape[-2:]) if g is None else (a[0] * g[0]).clamp(min=0).mean(0).detach()
        for a, g in zip((*out.attentions, *tower), gradients, strict=True)
    ]
    relevance = torch.eye(steps[0].shape[0])
    for made in steps[: len(out.attentions)]:
        relevance = relevance + made @ relevance
    return relevance[row].numpy(), [made.numpy() for made in steps[len(out.attentions) :]]


def test_relevance_by_hand(case):
    answer = with_gradients(case.model.name)
    row, _ = relevance_by_hand(case, 2)
    np.testing.assert_allclose(decoder_relevance(answer, WORD), row, atol=1e-6, rtol=1e-3)
    made = word_relevance(answer, WORD)
    np.testing.assert_allclose(made.values, row[: len(case.asked.rows)][case.answer.image], atol=1e-6, rtol=1e-3)
    assert made.values.max() > 0


def test_relevance_goes_on_through_the_tower():
    case = told("llava")
    row, tower = relevance_by_hand(case, 2)
    image = row[: len(case.asked.rows)][case.answer.image]
    expected = np.concatenate([[0], image])  # token i of the projector is patch i; the class token is read by nobody
    for step in reversed(tower):
        expected = expected + expected @ step
    layouts = ma.capture(case.model, case.inputs, keep=ma.Keep(queries="last")).layouts
    made = patch_relevance(with_gradients("llava"), layouts, WORD)
    np.testing.assert_allclose(made.values, expected[1:], rtol=1e-3, atol=1e-7)


def test_a_merged_token_gives_to_its_patches_by_area():
    def rows(boxes):
        zero = np.zeros(len(boxes), np.int16)
        return Rows(np.array(["image"] * len(boxes), dtype=object), np.array(boxes, np.float32), zero, zero, zero)

    tokens = rows([[0, 0, 20, 20], [20, 0, 40, 20]])
    patches = rows([[x, y, x + 10, y + 10] for y in (0, 10) for x in (0, 10, 20, 30, 40)])
    spread = laid_on_patches(np.array([4.0, 8.0]), tokens, patches)
    np.testing.assert_allclose(spread, [1, 1, 2, 2, 0, 1, 1, 2, 2, 0])


@pytest.mark.parametrize("name", ["bundled:lvlm", "llava", "llava_next", "qwen2_vl", "qwen2_5_vl", "internvl", "paligemma"])
def test_every_family_has_patches(name):
    case = told(name)
    layouts = ma.capture(case.model, case.inputs, keep=ma.Keep(queries="last")).layouts
    answer = with_gradients(name, 0)
    made = patch_relevance(answer, layouts, at(0))
    assert np.isfinite(made.values).all() and made.values.max() > 0
    given = decoder_relevance(answer, at(0))[: len(answer.prompt)][answer.prompt.placed].sum()
    assert made.values.sum() >= 0.5 * given, "relevance grows on its way down, less what goes to padding and the class token"


def test_windows_are_followed_by_their_places():
    """Qwen2.5-VL looks in windows in some layers: the slow way names every patch by its box."""
    case, answer = told("qwen2_5_vl"), with_gradients("qwen2_5_vl")
    capture = answer.capture
    layouts = ma.capture(case.model, case.inputs, keep=ma.Keep(queries="last")).layouts
    sites = [s for s in capture.sites if s.tower == "vision"]
    layers = sorted({s.layer for s in sites})
    assert len(sites) > len(layers), "some layer has windows"
    start = decoder_relevance(answer, WORD)
    image = np.flatnonzero(answer.image)
    held: dict[tuple, float] = {}
    for site in (s for s in sites if s.layer == layers[-1]):
        for box in layouts[site].queries.boxes:
            middle, boxes = np.tile((box[:2] + box[2:]) / 2, 2), answer.prompt.boxes[image]
            covers = image[((boxes <= middle) == [True, True, False, False]).all(1)]
            held[tuple(box.round(3))] = start[covers[0]] / 4  # a token is four patches
    for layer in reversed(layers):
        after = dict(held)
        for site in (s for s in sites if s.layer == layer):
            step = np.clip(capture.weights[site] * capture.gradients[site], 0, None).mean(0)
            names = [tuple(box.round(3)) for box in layouts[site].queries.boxes]
            for q, name in enumerate(names):
                for k, other in enumerate(names):
                    after[other] += held[name] * step[q, k]
        held = after
    made = patch_relevance(answer, layouts, WORD)
    expected = [held[tuple(box.round(3))] for box in made.rows.boxes]
    np.testing.assert_allclose(made.values, expected, rtol=1e-2)  # measured boxes are no exact quarters of a token's


def test_without_gradients_it_is_said_how_to_get_them(case):
    with pytest.raises(ValueError, match="target=Token"):
        word_relevance(case.whole, WORD)
    with pytest.raises(ValueError, match="first_layer=7 was asked for"):
        word_relevance(with_gradients(case.model.name), WORD, first_layer=7)


# ---- two hops


@pytest.mark.parametrize("name", ["instructblip", "blip-2"])
def test_two_hops_by_hand(name):
    case = told(name)
    capture = ma.capture(case.model, case.inputs)
    made = two_hop_word_map(case.answer, capture, at(1))
    site = next(s for s in capture.sites if "crossattention" in s.name)
    second = capture.weights[site].mean(0)
    image = np.flatnonzero(case.answer.image)
    expected = np.zeros(second.shape[1])
    for place, query in enumerate(image):
        first = np.mean([row.mean(0)[query] for row in case.answer.rows[1]])
        expected += first * second[place]
    patches = capture.layouts[site].keys.placed
    np.testing.assert_allclose(made.values, expected[patches], rtol=1e-5)
    assert made.values.sum() <= np.mean([row[:, image].sum(-1).mean() for row in case.answer.rows[1]]) + 1e-6
    assert made.size == (320, 200) and len(made.values) == 64


@pytest.mark.parametrize("name", ["instructblip", "blip-2"])
def test_two_hops_of_relevance_by_hand(name):
    """The second hop by the library's eager cross-attention and torch's own gradient of the word."""
    case, answer = told(name), with_gradients(name)
    module, _ = hf.build(name, attn_implementation="eager")
    kept = []
    for part_name, part in module.named_modules():
        if part_name.endswith("crossattention.attention"):
            part.register_forward_hook(lambda m, a, out: kept.append(out[1]))
    with torch.enable_grad():
        logits = module(**ma.continued(case.model, case.inputs, case.ids).tensors).logits[0]
        score = logits[len(case.asked.rows) - 1 + 2].log_softmax(-1)[case.ids[2]]
        (gradient,) = torch.autograd.grad(score, kept[-1])
    second = (kept[-1][0] * gradient[0]).clamp(min=0).mean(0).detach().numpy()
    first = decoder_relevance(answer, WORD)[np.flatnonzero(answer.image)]
    layouts = ma.capture(case.model, case.inputs, keep=ma.Keep(queries="last")).layouts
    made = two_hop_relevance(answer, layouts, WORD)
    np.testing.assert_allclose(made.values, (first @ second)[1:], rtol=1e-3, atol=1e-9)
    assert made.values.max() > 0


def test_models_without_queries_need_one_hop(case):
    with pytest.raises(ValueError, match="no learned queries"):
        two_hop_word_map(case.answer, ma.capture(case.model, case.inputs), at(1))


# ---- knock-out


def scores_by_hand(case: Told, layers: list[int], queries: list[int], keys: list[int]) -> np.ndarray:
    """Log-probabilities of the answer when these edges are masked in the library's eager attention."""
    module, _ = hf.build(case.model.name, attn_implementation="eager")

    def cut(_, args, kwargs):
        mask = kwargs["attention_mask"].clone()
        for query in queries:
            mask[..., query, keys] = torch.finfo(mask.dtype).min
        return args, {**kwargs, "attention_mask": mask}

    for layer in layers:
        module.model.language_model.layers[layer].register_forward_pre_hook(cut, with_kwargs=True)
    with torch.no_grad():
        logits = module(**ma.continued(case.model, case.inputs, case.ids).tensors).logits[0]
    return logits[-len(case.ids) - 1 : -1].log_softmax(-1).numpy()


def of_word(case: Told, scores: np.ndarray, steps=(2,)) -> float:
    return float(sum(scores[step, case.ids[step]] for step in steps))


def test_knockout_by_hand(case):
    found = knockout(case.answer, run_of(case), WORD)
    length, whole = len(case.asked.rows), len(case.asked.rows) + len(case.ids)
    image = np.flatnonzero(case.answer.image).tolist()
    question = list(range(image[-1] + 1, length))
    base = of_word(case, np.asarray(torch.tensor(case.answer.logits).double().log_softmax(-1)))
    edges = {
        "image to question": (question[:-1], image),
        "image to answer": ([length - 1, *range(length, whole)], image),
        "image to all text": ([*question, *range(length, whole)], image),
        "question to answer": ([length - 1, *range(length, whole)], question[:-1]),
    }
    for route, (queries, keys) in edges.items():
        for layer in (0, 1):
            slow = base - of_word(case, scores_by_hand(case, [layer], queries, keys))
            assert found.drops[route][layer] == pytest.approx(slow, abs=3e-4), (route, layer)
    assert np.abs(found.drops["image to all text"]).max() > 1e-3
    both = knockout(case.answer, run_of(case), WORD, window=2, routes=["image to all text"])
    slow = base - of_word(case, scores_by_hand(case, [0, 1], *edges["image to all text"]))
    assert both.drops["image to all text"][0] == pytest.approx(slow, abs=3e-4)
    assert both.curve("image to all text").values.shape == (2,)


def test_unknown_routes_are_named(case):
    with pytest.raises(ValueError, match="routes must be of"):
        knockout(case.answer, run_of(case), WORD, routes=["answer to image"])


# ---- hidden tokens


def test_hidden_cells_by_hand(case):
    made = hidden_tokens(case.answer, run_of(case), WORD, grid=2)
    cells = cells_of(case.answer, 2)
    image = np.flatnonzero(case.answer.image)
    others = [i for i in range(len(case.asked.rows) + len(case.ids)) if i not in set(image.tolist())]
    base = of_word(case, np.asarray(torch.tensor(case.answer.logits).double().log_softmax(-1)))
    for cell in range(4):
        members = np.flatnonzero(cells == cell)
        slow = base - of_word(case, scores_by_hand(case, [0, 1], others, members.tolist()))
        np.testing.assert_allclose(made.values[cells[image] == cell], slow, atol=3e-4)
    kept = hidden_tokens(case.answer, run_of(case), WORD, grid=2, keep=True)
    members = image[cells[image] != 1].tolist()
    slow = base - of_word(case, scores_by_hand(case, [0, 1], others, members))
    np.testing.assert_allclose(kept.values[cells[image] == 1], slow, atol=3e-4)


def test_one_cell_is_the_whole_image(case):
    made = hidden_tokens(case.answer, run_of(case), WORD, grid=1)
    whole = knockout(case.answer, run_of(case), WORD, window=9, routes=["image to all text"]).drops["image to all text"][0]
    np.testing.assert_allclose(made.values, whole, atol=1e-5)
    assert not hidden_tokens(case.answer, run_of(case), WORD, grid=1, keep=True).values.any()


def test_the_cell_that_matters_is_found():
    """A planted model that speaks of nothing but the third image token."""
    rows = [[np.full((1, 6), 1 / 6)] * 2]
    answer = made_up(rows, np.log(np.array([[0.8, 0.2]])), [0], image=4)

    def run(edits):
        hidden = {key for edit in edits for key in edit.where.keys}
        return np.log(np.array([[0.1, 0.9]])) if 3 in hidden else answer.logits

    made = hidden_tokens(answer, run, at(0), grid=4)
    np.testing.assert_allclose(made.values, [0, 0, np.log(8), 0], atol=1e-9)
    alone = hidden_tokens(answer, run, at(0), grid=4, keep=True)
    np.testing.assert_allclose(alone.values, [np.log(8), np.log(8), 0, np.log(8)], atol=1e-9)


def test_the_painted_cell_that_matters_is_found():
    answer = made_up([[np.full((1, 6), 1 / 6)]], np.zeros((1, 2)), [0], image=4)
    picture = np.zeros((10, 40, 3), np.uint8)
    picture[:, 20:30] = 200

    def shown(pictures):
        return (pictures[:, :, 20:30] == 200).mean((1, 2, 3)).astype(float)

    made = painted_over(answer, shown, picture, at(0), grid=4)
    np.testing.assert_allclose(made.values, [0, 0, 0.3, 0], err_msg="the cell in the middle is 3 of the 10 rows high")


def test_cells_follow_the_boxes():
    answer = made_up([[np.full((1, 6), 1 / 6)]], np.zeros((1, 2)), [0], image=4)
    assert cells_of(answer, 2).tolist() == [-1, 2, 2, 3, 3, -1]  # a strip lies on the middle line, which is the lower half's


def test_painting_changes_a_real_answer():
    case = told("bundled:lvlm")
    picture = np.asarray(case.inputs.images[0][0])

    def shown(pictures):
        found = []
        for one in pictures:
            capture = ma.reread(case.model, case.model.prepare(image=one, text="Is there a red ball?"), case.ids,
                                keep=ma.Keep(sites="none"))  # fmt: skip
            logits = torch.tensor(capture.logits[-len(case.ids) - 1]).log_softmax(-1)
            found.append(float(logits[case.ids[0]]))
        return np.array(found)

    made = painted_over(case.answer, shown, picture, at(0), grid=3)
    assert np.abs(made.values).max() > 1e-3 and len(set(made.values.round(6).tolist())) > 3
