"""Answers as data: rows from a generation and from one pass are the same, and are those of the library's own attention."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import model_adapters as ma
from analysis.words import GROUPS, answer_in, answer_of
from analysis.words.answer import groups_of
from analysis.words.word_confidence import word_confidence
from analysis.words.word_maps import (
    relative_word_map,
    value_weighted_word_map,
    without_sinks,
    word_map,
    word_map_without_sinks,
)
from analysis.words.word_shares import answer_shares, word_shares
from model_adapters.head_weights import head_weights
from tests.words.told import QUESTION, Told, at, model_of, told
from tests.zoo import hf
from tests.zoo.shake import scene

PLACED = ("bundled:lvlm", "llava", "qwen2_vl", "llava_next", "qwen2_5_vl", "internvl", "paligemma")
UNPLACED = ("instructblip",)
OTHERS = ("gemma3", "git", "smolvlm", "llama4", "qwen3_vl")
"""A sliding cache, an image in front of the ids, tiles told by text, a chunked cache, features added in depth."""


@pytest.fixture(scope="module", params=["llava", "qwen2_vl"])
def case(request) -> Told:
    return told(request.param)


def by_hand(case: Told) -> tuple[list[np.ndarray], np.ndarray]:
    """Attention [H, S, S] per layer and scores [S, V] of prompt and answer by the library's eager code."""
    module, _ = hf.build(case.model.name, attn_implementation="eager")
    inputs = ma.continued(case.model, case.inputs, case.ids)
    with torch.no_grad():
        out = module(**inputs.tensors, output_attentions=True)
    return [a[0].numpy() for a in out.attentions], out.logits[0].numpy()


def test_rows_and_scores_are_those_of_the_librarys_own_attention(case):
    attention, logits = by_hand(case)
    start = len(case.asked.rows)
    for answer in (case.answer, case.whole):
        assert len(answer.sites) == len(attention) and len(answer) == len(case.ids)
        for step in range(len(answer)):
            row = start - 1 + step
            np.testing.assert_allclose(answer.logits[step], logits[row], atol=2e-4)
            for layer, whole in enumerate(attention):
                np.testing.assert_allclose(answer.rows[step][layer], whole[:, row, : row + 1], atol=1e-5)


@pytest.mark.parametrize("name", [*PLACED, *UNPLACED, *OTHERS])
def test_both_ways_to_an_answer_say_the_same(name):
    case = told(name)
    first, second = case.answer, case.whole
    assert first.text == second.text and first.words == second.words and first.sites == second.sites
    np.testing.assert_allclose(first.log_probabilities, second.log_probabilities, atol=1e-3)
    for one, other in zip(first.rows, second.rows, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("name", [*PLACED, *UNPLACED])
def test_shares_add_up_to_one(name):
    answer = told(name).answer
    for word in answer.words:
        shares = word_shares(answer, word, tokens="mean")
        np.testing.assert_allclose(np.nansum(shares.values, -1), 1, atol=1e-5)
        assert shares.parts().values.sum() == pytest.approx(1, abs=1e-5)
    whole = answer_shares(answer)
    np.testing.assert_allclose(whole.values.sum(-1), 1, atol=1e-5)
    assert whole.counts.sum(1).tolist() == [len(answer.prompt) + step for step in range(len(answer))]


def test_shares_by_hand(case):
    attention, _ = by_hand(case)
    answer, word = case.answer, at(4)
    start, step = len(case.asked.rows), word.steps[0]
    ids = case.inputs.tensors["input_ids"][0].tolist()
    image = case.model.config.image_token_id
    first, last = ids.index(image), len(ids) - ids[::-1].index(image)
    ends = {"system": (0, first), "image": (first, last), "question": (last, start), "answer": (start, start + step)}
    found = word_shares(answer, word)
    for layer, whole in enumerate(attention):
        for number, group in enumerate(GROUPS):
            slow = [sum(whole[h, start - 1 + step, j] for j in range(*ends[group])) for h in range(len(whole))]
            np.testing.assert_allclose(found.values[layer, :, number], slow, atol=1e-5)
            size = ends[group][1] - ends[group][0]
            assert found.counts[number] == size
            expected = np.array(slow) / size if size else np.full(len(slow), np.nan)
            np.testing.assert_allclose(found.efficiency[layer, :, number], expected, atol=1e-6)


def test_maps_by_hand(case):
    attention, _ = by_hand(case)
    answer, word = case.answer, at(1)
    start = len(case.asked.rows)
    image = np.flatnonzero(case.inputs.tensors["input_ids"][0].numpy() == case.model.config.image_token_id)
    row = start - 1 + word.steps[0]
    made = word_map(answer, word)
    np.testing.assert_allclose(made.values, np.mean([a[:, row, image].mean(0) for a in attention], 0), atol=1e-6)
    one = word_map(answer, word, layer=1, head=2)
    np.testing.assert_allclose(one.values, attention[1][2, row, image], atol=1e-6)
    highest = word_map(answer, word, fuse="max")
    np.testing.assert_allclose(highest.values, np.max([a[:, row, image].max(0) for a in attention], 0), atol=1e-6)
    among = word_map(answer, word, among=[(answer.sites[0], 1), (answer.sites[1], 3)])
    np.testing.assert_allclose(among.values, (attention[0][1, row, image] + attention[1][3, row, image]) / 2, atol=1e-6)


def test_a_word_of_several_tokens_can_be_read_at_each(case):
    word = at(0, 1, 3)
    maps = [word_map(case.answer, at(step)).values for step in word.steps]
    np.testing.assert_allclose(word_map(case.answer, word).values, maps[0])
    np.testing.assert_allclose(word_map(case.answer, word, tokens="last").values, maps[2])
    np.testing.assert_allclose(word_map(case.answer, word, tokens="mean").values, np.mean(maps, 0))


def test_boxes_cover_the_image_once(case):
    made = word_map(case.answer)
    assert made.size == (320, 200)
    area = (made.rows.boxes[:, 2] - made.rows.boxes[:, 0]) * (made.rows.boxes[:, 3] - made.rows.boxes[:, 1])
    assert area.sum() == pytest.approx(320 * 200 if case.model.name == "qwen2_vl" else 200 * 200, rel=0.02)


def test_values_weigh_by_their_length(case):
    answer, capture = case.whole, case.capture
    heads = head_weights(case.model, case.inputs)
    site, image = answer.sites[0], answer.image
    row = answer.rows[0][0][2][: len(image)][image]
    lengths = np.linalg.norm(capture.values[site][2, : len(image)][image], axis=-1)
    made = value_weighted_word_map(answer, at(0), layer=site.layer, head=2)
    np.testing.assert_allclose(made.values, row * lengths, rtol=1e-5)
    weight, values = heads[site]["output"][2], capture.values[site][2, : len(image)][image]
    slow = [np.sqrt(((share * weight @ value) ** 2).sum()) for share, value in zip(row, values, strict=True)]
    projections = {s: heads[s]["output"] for s in answer.sites}
    through = value_weighted_word_map(answer, at(0), layer=site.layer, head=2, projections=projections)
    np.testing.assert_allclose(through.values, slow, rtol=1e-4)


def test_removing_sinks_keeps_what_each_head_gives_the_image(case):
    answer, draw = case.answer, np.random.default_rng(0)
    sinks = (draw.random((len(answer.sites), len(answer.prompt))) < 0.2) & answer.image
    for layer, row in enumerate(answer.rows[0]):
        moved = without_sinks(row.astype(float), answer.image, sinks[layer])
        np.testing.assert_allclose(moved.sum(-1), row.sum(-1), atol=1e-6)
        np.testing.assert_allclose(moved[:, answer.image].sum(-1), row[:, answer.image].sum(-1), atol=1e-6)
        assert not moved[:, sinks[layer]].any()
        kept = answer.image & ~sinks[layer]
        factor = moved[:, kept] / row[:, kept]
        np.testing.assert_allclose(factor, factor[:, :1].repeat(kept.sum(), 1), rtol=1e-5)
    made = word_map_without_sinks(answer, sinks, at(0), layer=answer.sites[1].layer)
    assert made.values.sum() == pytest.approx(word_map(answer, at(0), layer=answer.sites[1].layer).values.sum(), abs=1e-6)
    assert not made.values[sinks[1][answer.image]].any()


def test_heads_that_see_only_sinks_are_left_empty():
    row = np.array([[0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    moved = without_sinks(row, np.array([False, True, True, True]), np.array([False, True, False, False]))
    np.testing.assert_allclose(moved, [[0.5, 0, 0, 0], [0.25, 0, 0.375, 0.375]])


def test_against_itself_nothing_changes(case):
    ratio = relative_word_map(case.answer, case.answer, at(0))
    np.testing.assert_allclose(ratio.values, 1)
    difference = relative_word_map(case.answer, case.answer, at(0), compare="difference")
    assert difference.signed and not difference.values.any()


def test_against_a_neutral_question(case):
    neutral = told(case.model.name, "Describe the image.")
    made = relative_word_map(case.answer, neutral.answer, at(1))
    theirs = np.mean([r.mean(0)[: len(neutral.asked.rows)][neutral.answer.image] for r in neutral.answer.rows[0]], 0)
    np.testing.assert_allclose(made.values, word_map(case.answer, at(1)).values / theirs, rtol=1e-4)


def test_confidence_by_hand(case):
    answer, tokens = case.answer, case.generation.tokens
    word = at(0, 2)
    found = word_confidence(answer, word, alternatives=3)
    assert found.probability == pytest.approx(tokens[0].probability * tokens[2].probability, rel=1e-4)
    shares = torch.tensor(tokens[0].logits).double().softmax(-1)
    assert found.entropy == pytest.approx(float(torch.special.entr(shares).sum()), rel=1e-6)
    best = shares.topk(3)
    assert found.alternative_ids == tuple(best.indices.tolist())
    np.testing.assert_allclose([p for _, p in found.alternatives], best.values, rtol=1e-6)
    assert found.margin == pytest.approx(float(best.values[0] - best.values[1]), rel=1e-5)


# ---- what is refused, and with which sentence


def test_learned_queries_have_no_place_but_shares():
    case = told("instructblip")
    with pytest.raises(ValueError, match="8 image tokens of this prompt are learned queries"):
        word_map(case.answer)
    assert word_shares(case.answer).counts[GROUPS.index("image")] == 8


def test_a_prompt_without_an_image_is_told_so():
    case = told("llava", images=0)
    assert word_shares(case.answer).values[..., GROUPS.index("image")].max() == 0
    with pytest.raises(ValueError, match="no image among the [0-9]+ tokens"):
        word_map(case.answer)


def test_an_image_alone_is_a_prompt():
    case = told("llava", text="")
    assert (groups_of(case.asked.rows) == "image").sum() == 64
    assert word_map(case.answer, at(0)).values.shape == (64,)


def test_an_image_beside_the_sequence_is_told_so():
    case = told("mllama")
    with pytest.raises(ValueError, match="cross attention"):
        word_map(case.answer)


def test_an_encoder_decoder_is_refused():
    model = model_of("florence2")
    with pytest.raises(ma.AdapterError, match="cross attention"):
        ma.asked(model, model.prepare(image=scene(), text="<s>"))


@pytest.mark.parametrize("name", ["llava", "qwen2_vl", "llava_next"])
def test_several_images_have_a_map_each(name):
    case = told(name, images=2)
    first, second = word_map(case.answer, image=0), word_map(case.answer, image=1)
    assert first.size == (320, 200) and second.size == (200, 260)
    assert second.rows.boxes[:, 2].max() <= 201 and second.rows.boxes[:, 3].max() <= 261
    total = word_shares(case.answer).parts().values[GROUPS.index("image")]
    separators = np.mean([row[:, : len(case.asked.rows)][:, case.asked.rows.roles == "separator"].sum(-1).mean() for row in
                          case.answer.rows[case.answer.words[0].steps[0]]])  # fmt: skip
    assert first.values.sum() + second.values.sum() == pytest.approx(total - separators, abs=1e-5)
    with pytest.raises(ValueError, match="image 2 was asked for, but the prompt holds the images"):
        word_map(case.answer, image=2)


def test_an_empty_answer_holds_no_word():
    case = told("llava")
    empty = answer_of(replace(case.generation, tokens=()), case.asked)
    assert empty.text == "" and empty.words == () and len(empty) == 0
    for made in (word_map, word_shares, word_confidence):
        with pytest.raises(ValueError, match="holds no word"):
            made(empty)
    with pytest.raises(ValueError, match="empty"):
        answer_shares(empty)


def test_an_answer_of_one_token():
    case = told("qwen2_vl")
    one = answer_of(replace(case.generation, tokens=case.generation.tokens[:1]), case.asked)
    assert len(one) == 1 and word_shares(one, at(0)).counts[GROUPS.index("answer")] == 0
    np.testing.assert_allclose(word_map(one, at(0)).values, word_map(case.answer, at(0)).values)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"word": 99}, "word 99 was asked for, but the answer has"),
        ({"word": "zebra"}, "'zebra' is not in the answer"),
        ({"layer": 9}, "layer 9 was asked for"),
        ({"head": 9}, "head 9 was asked for"),
        ({"among": []}, "heads of this answer's decoder"),
    ],
)
def test_what_is_not_there_is_named(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        word_map(told("llava").answer, **options)


def test_missing_parts_of_a_pass_are_named():
    case = told("llava")
    with pytest.raises(ValueError, match="want={'values'}"):
        value_weighted_word_map(case.answer)
    with pytest.raises(ValueError, match="Read the answer again with want={'hidden'}"):
        case.answer.hidden(0)
    few = ma.reread(case.model, case.inputs, case.generation, keep=ma.Keep(queries="last"))
    with pytest.raises(ValueError, match="rows that decided the answer were not kept"):
        answer_in(few, case.ids, case.asked)
    with pytest.raises(ValueError, match="of prompt and answer is needed"):
        answer_in(case.capture, case.ids[:-1], case.asked)


def test_rows_of_the_deciding_tokens_are_enough():
    case = told("llava")
    start = len(case.asked.rows)
    sites = tuple(site.name for site in case.answer.sites)
    keep = ma.Keep(sites=sites, queries=tuple(range(start - 1, start + len(case.ids) - 1)))
    answer = answer_in(ma.reread(case.model, case.inputs, case.ids, keep=keep), case.ids, case.asked)
    np.testing.assert_allclose(word_map(answer, at(3)).values, word_map(case.answer, at(3)).values, atol=1e-6)


@pytest.mark.parametrize("name", ["llava", "qwen2_vl"])
def test_a_padded_prompt_of_a_batch_is_read_like_the_prompt_alone(name):
    """The first item of a batch of two, padded on the left, taken out with its padding."""
    case = told(name)
    both = case.model.prepare(image=[scene(), scene()], text=[QUESTION, QUESTION + " Or is there a long blue line?"])
    rows = {n: t for n, t in both.tensors.items() if n in ("input_ids", "attention_mask", "mm_token_type_ids")}
    padded = case.inputs.with_tensors(**{n: t[:1] for n, t in rows.items()})
    more = padded.tensors["input_ids"].shape[1] - len(case.asked.rows)
    assert more > 0 and not padded.tensors["attention_mask"][0, :more].any()
    asked = ma.asked(case.model, padded)
    capture = ma.reread(case.model, padded, case.generation)
    answer = answer_in(capture, case.ids, asked)
    assert (asked.rows.roles[:more] == "pad").all()
    np.testing.assert_allclose(answer.logits, case.answer.logits, atol=1e-4)
    for step in range(len(answer)):
        np.testing.assert_allclose(word_map(answer, at(step)).values, word_map(case.answer, at(step)).values, atol=1e-6)
        shares = [word_shares(a, at(step)).values for a in (answer, case.answer)]
        np.testing.assert_allclose(*shares, atol=1e-5)
    generation = ma.generate(case.model, padded, max_new_tokens=len(case.ids))
    again = answer_of(generation, asked)
    assert again.ids.tolist() == case.ids
    np.testing.assert_allclose(word_map(again, at(2)).values, word_map(case.answer, at(2)).values, atol=1e-5)


def test_a_pass_that_looks_ahead_is_refused():
    case = told("llava")
    site = case.answer.sites[0]
    weights = {s: case.capture.weights[s].copy() for s in case.capture.weights}
    weights[site][:, len(case.asked.rows), -1] = 0.5
    with pytest.raises(ValueError, match="gives 0.5 of its attention to tokens behind it"):
        answer_in(replace(case.capture, weights=ma.BySite(weights)), case.ids, case.asked)


@pytest.mark.parametrize("decoding", [ma.Beam(beams=3), ma.Sample(temperature=2.0, seed=4)], ids=["beams", "sample"])
def test_other_ways_of_decoding_are_read_too(decoding):
    case = told("qwen2_vl")
    generation = ma.generate(case.model, case.inputs, max_new_tokens=5, decoding=decoding)
    answer = answer_of(generation, case.asked)
    whole = answer_in(ma.reread(case.model, case.inputs, generation), answer.ids.tolist(), case.asked)
    np.testing.assert_allclose(answer.log_probabilities, whole.log_probabilities, atol=1e-3)
    for step in range(len(answer)):
        np.testing.assert_allclose(word_map(answer, at(step)).values, word_map(whole, at(step)).values, atol=1e-5)


def test_an_edited_generation_shows_what_the_edit_left():
    case = told("llava")
    edit = ma.edits.Block(where=ma.Where(tower="decoder", queries="last", keys="image"))
    answer = answer_of(ma.generate(case.model, case.inputs, max_new_tokens=3, edits=edit), case.asked)
    assert word_shares(answer, at(1)).values[..., GROUPS.index("image")].max() == 0
    np.testing.assert_allclose(np.nansum(word_shares(answer, at(1)).values, -1), 1, atol=1e-5)


def test_a_prompt_and_an_answer_that_have_no_room_are_told_so():
    model = model_of("bundled:lvlm")
    places = model.config.get_text_config().max_position_embeddings
    inputs = model.prepare(image=scene(), text="is there a red ball? " * 50)
    room = places - inputs.tensors["input_ids"].shape[1]
    assert 0 < room < 200
    assert len(ma.generate(model, inputs, max_new_tokens=room).tokens) > 0
    for ask in (ma.generate, lambda model, inputs, **longest: ma.answers(model, [inputs], **longest)):
        with pytest.raises(ValueError, match=f"up to {places}, room for {room} new ones"):
            ask(model, inputs, max_new_tokens=room + 1)
    with pytest.raises(ValueError, match="ask a shorter question"):
        ma.generate(model, model.prepare(image=scene(), text="is there a red ball? " * 80))
