"""Signals: closed forms, planted truths, and slow re-implementations on random models."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

import model_adapters as ma
from analysis.registry import METHODS, methods
from analysis.signals import Evidence, diffused, gather, picture_views, scores_of, signals
from analysis.signals.attention import (
    column_products,
    falling_image_attention,
    low_image_attention,
    over_trust,
    spread_image_map,
)
from analysis.signals.confidence import small_margin, undecided, unlikely_word
from analysis.signals.divergence import outvoted, unmoved_by_noise, unmoved_without_image
from analysis.signals.inside import low_alignment, low_vision_divergence, unseen_by_lens
from analysis.words import answer_in, hidden_image
from analysis.words.visual_heads import image_attention_of_heads, total_divergence, vision_aware_divergence
from model_adapters.head_weights import head_weights
from tests.words.told import QUESTION, Told, at, made_up, told
from tests.zoo import hf

SLOW = ("llava", "qwen2_vl")


@pytest.fixture(scope="module", params=SLOW)
def case(request) -> Told:
    return told(request.param)


def rows_of(shares: list[float], steps: int, heads: int = 2, layers: int = 2) -> list[list[np.ndarray]]:
    """Per step rows that give the first tokens these shares and the tokens of the answer nothing."""
    return [[np.tile(np.array([*shares, *[0.0] * step]), (heads, 1)) for _ in range(layers)] for step in range(steps)]


def even(vocabulary: int, count: int) -> np.ndarray:
    return np.zeros((count, vocabulary))


# ---- attention


def test_image_attention_of_a_planted_row():
    answer = made_up(rows_of([0.5, 0.1, 0.2, 0.2], 2), even(5, 2), [0, 1], image=2)
    assert low_image_attention(answer, at(0)) == pytest.approx(0.7)
    assert falling_image_attention(answer, at(1)) == pytest.approx(0)


def test_the_fall_is_what_is_gone_since_the_first_token():
    rows = rows_of([0.2, 0.4, 0.2, 0.2], 1) + rows_of([0.2, 0.1, 0.05, 0.65, 0.0], 1)
    answer = made_up(rows, even(5, 2), [0, 1], image=2)
    assert falling_image_attention(answer, at(1)) == pytest.approx(1 - 0.15 / 0.6)
    assert falling_image_attention(answer, at(0)) == 0


def test_spread_is_one_where_the_map_is_even_and_zero_on_one_place():
    assert spread_image_map(made_up(rows_of([0.2, 0.2, 0.2, 0.2, 0.2], 1), even(5, 1), [0], image=3), at(0)) == pytest.approx(1)
    answer = made_up(rows_of([0.2, 0.0, 0.8, 0.0, 0.0], 1), even(5, 1), [0], image=3)
    assert spread_image_map(answer, at(0)) == pytest.approx(0, abs=1e-9)
    sinks = np.array([False, False, True, False, False])
    assert spread_image_map(answer, at(0), sinks=sinks) == pytest.approx(1), "an empty map is even"
    with pytest.raises(ValueError, match="at least 2 image tokens"):
        spread_image_map(made_up(rows_of([0.5, 0.3, 0.2], 1), even(5, 1), [0], image=1), at(0))


def test_over_trust_of_a_column_that_everybody_leans_on():
    """All later tokens give a half to the first: c = 1e-7 (0.5 * 50) ^ rows."""
    rows = []
    for step in range(4):
        row = np.zeros(3 + step)
        row[0] = 1.0 if step == 0 else 0.5
        if step:
            row[3] = 0.5
        rows.append([np.tile(row, (2, 1))])
    answer = made_up(rows, even(5, 4), [0, 1, 2, 3], image=1)
    assert np.isnan(over_trust(answer, at(0)))
    for step in (1, 2, 3):
        assert over_trust(answer, at(step)) == pytest.approx(np.log(1e-7) + step * np.log(25))
    assert over_trust(answer, at(0), early=1) == pytest.approx(0), "the image got nothing"


def test_over_trust_by_hand(case):
    """The column products written as loops over the library's own last layer."""
    module, _ = hf.build(case.model.name, attn_implementation="eager")
    with torch.no_grad():
        found = module(**ma.continued(case.model, case.inputs, case.ids).tensors, output_attentions=True)
    last, start, step = found.attentions[-1][0].numpy().astype(float), len(case.asked.rows), 5
    products = []
    for j in range(step):
        c = 1e-7
        for i in range(j, step):
            row = last[:, start + i].max(0)
            c *= 50 * row[start + j] / row.sum()
        products.append(c)
    np.testing.assert_allclose(column_products(case.answer, step), np.log(products), rtol=1e-4)
    assert over_trust(case.answer, at(step)) == pytest.approx(np.log(max(products)), rel=1e-4)
    short = column_products(case.answer, step, window=2)
    np.testing.assert_allclose(short, np.log(products)[-2:], rtol=1e-4)


# ---- the model's own distribution


def test_confidence_signals_in_closed_form():
    logits = np.log(np.array([[0.5, 0.25, 0.125, 0.125], [0.25] * 4]))
    answer = made_up(rows_of([0.5, 0.3, 0.2], 2), logits, [1, 2], image=1)
    assert unlikely_word(answer, at(0)) == pytest.approx(np.log(4))
    assert unlikely_word(answer, at(0, 1), of="all") == pytest.approx(np.log(16))
    assert unlikely_word(answer, at(0, 1), of="mean") == pytest.approx(np.log(4))
    assert undecided(answer, at(0)) == pytest.approx(1.75 * np.log(2))
    assert undecided(answer, at(1)) == pytest.approx(np.log(4))
    assert small_margin(answer, at(0)) == pytest.approx(0.75)
    assert small_margin(answer, at(1)) == pytest.approx(1)


# ---- other looks


def test_divergence_of_the_same_scores_is_none(case):
    answer = case.answer
    for distance in ("Jensen-Shannon", "Kullback-Leibler", "log ratio"):
        assert unmoved_without_image(answer, answer.logits, at(1), distance=distance) == pytest.approx(0, abs=1e-7)
        assert unmoved_by_noise(answer, answer.logits, at(1), distance=distance) == pytest.approx(0, abs=1e-7)


def test_divergence_in_closed_form():
    sure = np.array([[50.0, 0, 0, 0]])
    answer = made_up(rows_of([0.5, 0.3, 0.2], 1), sure, [0], image=1)
    other = np.array([[0, 50.0, 0, 0]])
    assert unmoved_without_image(answer, other, at(0)) == pytest.approx(-1)
    assert unmoved_without_image(answer, other, at(0), distance="log ratio") == pytest.approx(-50)
    half = np.log(np.array([[0.5, 0.5, 1e-30, 1e-30]]))
    assert unmoved_without_image(answer, half, at(0), distance="Kullback-Leibler") == pytest.approx(-np.log(2), rel=1e-5)


def test_scores_of_a_pass_without_the_image(case):
    blind = case.model.prepare(text=QUESTION)
    capture = ma.reread(case.model, blind, case.ids, keep=ma.Keep(sites="none"))
    scores = scores_of(capture, len(case.ids))
    with torch.no_grad():
        whole = case.model.module(**ma.continued(case.model, blind, case.ids).tensors).logits[0]
    start = blind.tensors["input_ids"].shape[1]
    np.testing.assert_allclose(scores, whole[start - 1 : -1], atol=1e-4)
    assert unmoved_without_image(case.answer, scores, at(2)) < -1e-4


def test_views_vote():
    logits = np.log(np.array([[0.7, 0.2, 0.1]]))
    answer = made_up(rows_of([0.5, 0.3, 0.2], 1), logits, [0], image=1)
    for_it, against = np.log([[0.6, 0.3, 0.1]]), np.log([[0.1, 0.8, 0.1]])
    assert outvoted(answer, np.stack([for_it, for_it]), at(0)) == pytest.approx(0.7)
    assert outvoted(answer, np.stack([for_it, against]), at(0)) == pytest.approx(0.85)
    assert outvoted(answer, np.stack([against]), at(0)) == 1
    with pytest.raises(ValueError, match="at least one view"):
        outvoted(answer, np.zeros((0, 1, 3)), at(0))


def test_scores_of_another_answer_are_refused(case):
    with pytest.raises(ValueError, match="of the same answer"):
        unmoved_without_image(case.answer, case.answer.logits[:-1], at(0))


def test_noise_follows_the_schedule():
    pixels = np.full((3, 200, 200), 2.0, np.float32)
    beta = torch.sigmoid(torch.linspace(-6, 6, 1000, dtype=torch.float64)) * (5e-3 - 1e-5) + 1e-5
    left = float(torch.cumprod(1 - beta, 0)[500])
    noised = diffused(pixels, step=500)
    assert noised.mean() == pytest.approx(2 * left**0.5, abs=0.01)
    assert noised.std() == pytest.approx((1 - left) ** 0.5, rel=0.01)
    np.testing.assert_array_equal(noised, diffused(pixels, step=500))
    assert np.abs(diffused(pixels, step=0) - pixels).max() < 0.05
    with pytest.raises(ValueError, match="between 0 and 999"):
        diffused(pixels, step=1000)


def test_views_keep_most_of_the_picture():
    picture = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    views = picture_views(picture, share=0.8)
    corners = [picture[:16, :24], picture[:16, 6:], picture[4:, :24], picture[4:, 6:]]
    for view, corner in zip(views, corners, strict=True):
        np.testing.assert_array_equal(view, corner)


# ---- inside the decoder


def test_internal_confidence_finds_the_image_token_that_says_the_word():
    states = np.zeros((6, 4))
    states[2, 3] = 3.0  # the second of three image tokens speaks of token 3; the question's (last) row must not count
    states[4, 2] = 9.0
    answer = made_up(rows_of([0.2] * 5, 1), even(4, 1), [3], image=3, hidden={0: np.zeros((6, 4)), 1: states})
    expected = np.exp(3) / (np.exp(3) + 3)
    assert unseen_by_lens(answer, lambda s: s, at(0)) == pytest.approx(-np.log(expected))
    other = made_up(rows_of([0.2] * 5, 1), even(4, 1), [2], image=3, hidden={0: np.zeros((6, 4)), 1: states})
    assert unseen_by_lens(other, lambda s: s, at(0)) == pytest.approx(np.log(4)), "in layer 0 all are even"


def test_internal_confidence_by_hand(case):
    lens = ma.lens(case.model, case.inputs)
    module = case.model.module
    best = 0.0
    for (tower, _), states in case.capture.hidden.items():
        if tower == "decoder":
            image = torch.tensor(states[: len(case.asked.rows)][case.answer.image])
            shares = module.lm_head(module.model.language_model.norm(image)).double().softmax(-1)
            best = max(best, float(shares[:, case.ids[2]].max().detach()))
    assert unseen_by_lens(case.whole, lens, at(2)) == pytest.approx(-np.log(best), rel=1e-4)


def test_alignment_of_states_that_point_the_same_way():
    states = np.tile(np.array([1.0, 2.0, 0.0]), (4, 1))
    answer = made_up(rows_of([0.2] * 3, 1), even(4, 1), [3], image=1, hidden={0: states, 1: 5 * states})
    assert low_alignment(answer, at(0)) == pytest.approx(-1)
    turned = made_up(rows_of([0.2] * 3, 1), even(4, 1), [3], image=1, hidden={0: states, 1: -states})
    assert low_alignment(turned, at(0)) == pytest.approx(1)
    assert low_alignment(turned, at(0), image_layer="same") == pytest.approx(-1)


def test_alignment_by_hand(case):
    hidden, start = case.capture.hidden, len(case.asked.rows)
    for image_layer in ("first", "same"):
        cosines = []
        for layer in (1, 2):
            source = hidden["decoder", 0 if image_layer == "first" else layer]
            image = torch.tensor(source[:start][case.answer.image]).mean(0)
            cosines.append(float(torch.cosine_similarity(image, torch.tensor(hidden["decoder", layer][start + 2]), 0)))
        assert low_alignment(case.whole, at(3), image_layer=image_layer) == pytest.approx(-np.mean(cosines), rel=1e-4)


def blind_answer(case: Told):
    inputs = case.model.prepare(text=QUESTION)
    capture = ma.reread(case.model, inputs, case.ids, want={"heads", "values"})
    return answer_in(capture, case.ids, ma.asked(case.model, inputs))


def test_divergence_of_heads_by_hand(case):
    """Head outputs as attention times values, row by row, in both passes."""
    blind = blind_answer(case)
    found = vision_aware_divergence(case.whole, blind, at(2))
    for layer, site in enumerate(found.sites):
        for head in range(site.heads):
            ours = case.whole.rows[2][layer][head] @ case.capture.values[site][head, : len(case.asked.rows) + 2]
            theirs = blind.rows[2][layer][head] @ blind.capture.values[site][head, : len(blind.prompt) + 2]
            assert found.values[layer, head] == pytest.approx(np.sqrt(((ours - theirs) ** 2).sum()), rel=1e-3)
    quarter = sum(np.sort(row)[-1] for row in found.values)
    assert low_vision_divergence(case.whole, blind, at(2)) == pytest.approx(-quarter)
    assert total_divergence(found, 1.0) == pytest.approx(found.values.sum())


def test_divergence_is_none_where_the_image_is_absent_from_both(case):
    blind = blind_answer(case)
    assert not vision_aware_divergence(blind, blind, at(2)).values.any()


def test_divergence_in_the_stream_is_what_the_projection_makes_of_it(case):
    """The difference of head outputs, through the output projection, is what silencing the difference would change."""
    blind = blind_answer(case)
    projections = head_weights(case.model, case.inputs)
    site = case.whole.sites[0]
    row, other = len(case.asked.rows) + 1, len(blind.prompt) + 1
    change = case.capture.head_outputs[site][:, row] - blind.capture.head_outputs[site][:, other]
    wide = np.concatenate(list(change)) @ np.concatenate(list(projections[site]["output"].transpose(0, 2, 1)))
    apart = sum(projections[site]["output"][h] @ change[h] for h in range(site.heads))
    np.testing.assert_allclose(wide, apart, atol=1e-5)


def test_attention_of_heads_to_the_image(case):
    found = image_attention_of_heads(case.answer, at(3))
    for layer, row in enumerate(case.answer.rows[3]):
        np.testing.assert_allclose(found.values[layer], row[:, : len(case.asked.rows)][:, case.answer.image].sum(-1), rtol=1e-5)


def test_another_answer_cannot_be_compared(case):
    with pytest.raises(ValueError, match="the same answer is needed"):
        vision_aware_divergence(case.whole, replace(case.whole, ids=case.whole.ids + 1), at(0))
    with pytest.raises(ValueError, match="want={'heads'}"):
        vision_aware_divergence(case.answer, case.answer, at(0))


# ---- everything together


@pytest.mark.parametrize("name", ["bundled:lvlm", "llava", "llava_next", "qwen2_5_vl", "internvl", "paligemma"])
def test_all_evidence_of_every_family(name):
    case = told(name)
    model, picture = case.model, np.asarray(case.inputs.images[0][0])
    pixels = case.inputs.tensors["pixel_values"]
    noised = case.inputs.with_tensors(pixel_values=torch.from_numpy(diffused(pixels.numpy(), step=700)))
    views = [model.prepare(image=view, text=QUESTION) for view in picture_views(picture)[:2]]
    capture = ma.capture(model, case.inputs)
    reread = partial(ma.reread, model)
    lens = ma.lens(model, case.inputs)
    blind = "hide"
    if name != "paligemma":  # whose processor takes no prompt without an image
        without = model.prepare(text=QUESTION)
        blind = (without, ma.asked(model, without))
    evidence = gather(
        case.generation, case.asked, reread, case.inputs, blind=blind, noised=noised, views=views, lens=lens, capture=capture
    )
    table = signals(evidence, [at(0), at(1)])
    assert not table.refused and np.isfinite(table.values[1]).all()
    np.testing.assert_allclose(evidence.blind, evidence.blind_answer.logits)
    assert np.abs(evidence.noised - case.answer.logits).max() > 1e-4


def test_what_cannot_go_without_an_image_can_hide_it():
    case = told("instructblip")
    with pytest.raises(ValueError, match="needs pixel_values"):
        case.model.prepare(text=QUESTION)
    hidden = ma.reread(case.model, case.inputs, case.ids, edits=hidden_image(case.answer), want={"heads"})
    blind = answer_in(hidden, case.ids, case.asked)
    for row in blind.rows[2]:
        assert not row[:, : len(case.asked.rows)][:, case.answer.image].any()
    assert unmoved_without_image(case.answer, blind.logits, at(2)) < -1e-5
    assert vision_aware_divergence(case.whole, blind, at(2)).values.max() > 1e-4


def test_an_empty_answer_has_empty_evidence():
    case = told("llava")
    evidence = gather(replace(case.generation, tokens=()), case.asked, partial(ma.reread, case.model), case.inputs)
    assert signals(evidence).words == ()


# ---- the table


def test_the_table_holds_each_signal_of_each_word(case):
    lens = ma.lens(case.model, case.inputs)
    evidence = Evidence(case.whole, blind=case.answer.logits, views=case.answer.logits[None], lens=lens)
    words = [at(0), at(3), at(1, 2)]
    table = signals(evidence, words)
    assert table.values.shape == (3, len(table.names))
    assert set(table.names) | set(table.refused) == {m.name for m in methods("signal")}
    assert "`noised`" in table.refused["unmoved_by_noise"] and "`blind_answer`" in table.refused["low_vision_divergence"]
    np.testing.assert_allclose(table.column("undecided"), [undecided(case.whole, w) for w in words])
    np.testing.assert_allclose(table.column("unseen_by_lens"), [unseen_by_lens(case.whole, lens, w) for w in words])
    assert np.isnan(table.column("over_trust")[0]) and np.isfinite(table.column("over_trust")[1:]).all()
    means = table.of_answer()
    assert means["undecided"] == (pytest.approx(table.column("undecided").mean()), table.column("undecided").max())
    with pytest.raises(ValueError, match="needs `noised`"):
        table.column("unmoved_by_noise")


def test_cheap_signals_need_the_generation_alone(case):
    table = signals(Evidence(case.answer), [at(1)])
    cheap = {"low_image_attention", "falling_image_attention", "spread_image_map", "over_trust"}
    cheap |= {"unlikely_word", "undecided", "small_margin"}
    assert cheap <= set(table.names) and "hidden" in table.refused["low_alignment"]


def test_an_answer_without_words_has_an_empty_table():
    case = told("llava")
    table = signals(Evidence(case.answer), [])
    assert table.values.shape == (0, len(table.names)) and all(np.isnan(v) for v, _ in table.of_answer().values())


def test_without_an_image_the_attention_signals_say_why():
    table = signals(Evidence(told("llava", images=0).answer), [at(0)])
    assert "no image among" in table.refused["low_image_attention"] and "undecided" in table.names


def test_only_signals_can_be_asked_for(case):
    assert signals(Evidence(case.answer), [at(0)], ["undecided"]).names == ("undecided",)
    with pytest.raises(ValueError, match="are no signals"):
        signals(Evidence(case.answer), [at(0)], ["word_map"])


def test_every_signal_names_its_arguments_as_the_evidence_does():
    import inspect
    from dataclasses import fields

    known = {field.name for field in fields(Evidence)} | {"word"}
    for entry in METHODS.values():
        if entry.kind == "signal":
            parameters = inspect.signature(entry.function).parameters.values()
            assert {p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD} <= known
