"""The vision tower's attention on the decoder's tokens, and how both agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import model_adapters as ma
from analysis.signals import Evidence, signals
from analysis.signals.outliers import shared_outliers
from analysis.words.encoder_decoder import encoder_attention, encoder_decoder_agreement, laid_on, shared_top
from model_adapters import Rows
from tests.words.told import at, made_up, told
from tests.zoo import hf

PLACED = ("bundled:lvlm", "llava", "llava_next", "qwen2_vl", "qwen2_5_vl", "internvl", "paligemma")


def seen(name: str, want=()) -> ma.Capture:
    case = told(name)
    return ma.capture(case.model, case.inputs, want=want)


def placed_rows(boxes, tile=0) -> Rows:
    boxes = np.array(boxes, np.float32)
    zero = np.zeros(len(boxes), np.int16)
    return Rows(np.array(["patch"] * len(boxes), dtype=object), boxes, zero, zero + np.int16(tile), zero)


def test_the_class_tokens_row_by_hand():
    case = told("llava")
    module, _ = hf.build("llava", attn_implementation="eager")
    with torch.no_grad():
        out = module.model.vision_tower(case.inputs.tensors["pixel_values"], output_attentions=True)
    for layer in (-2, -1):
        found = encoder_attention(seen("llava"), case.asked.rows, layer=layer)
        expected = out.attentions[layer][0, :, 0, 1:].mean(0).numpy()
        np.testing.assert_allclose(found[case.answer.image], expected, atol=1e-5)
        assert np.isnan(found[~case.answer.image]).all()


def test_one_wide_head_by_hand():
    case = told("llava")
    capture = seen("llava", {"queries"})
    site = [s for s in capture.sites if s.tower == "vision"][-2]
    attention = case.model.module.get_submodule(site.name)
    kept = {}
    handle = attention.register_forward_pre_hook(
        lambda m, a, k: kept.update(x=(a[0] if a else k["hidden_states"])), with_kwargs=True
    )
    with torch.no_grad():
        case.model.module(**case.inputs.tensors)
        handle.remove()
        q, k = attention.q_proj(kept["x"])[0], attention.k_proj(kept["x"])[0]
        expected = (q[:1] @ k.T / q.shape[-1] ** 0.5).softmax(-1)[0, 1:].numpy()
    found = encoder_attention(capture, case.asked.rows, heads="one wide head")
    np.testing.assert_allclose(found[case.answer.image], expected, atol=1e-5)
    with pytest.raises(ValueError, match="want={'queries'}"):
        encoder_attention(seen("llava"), case.asked.rows, heads="one wide head")


@pytest.mark.parametrize("name", PLACED)
def test_what_the_tower_gives_its_patches_is_all_on_the_decoders_tokens(name):
    case = told(name)
    found = encoder_attention(seen(name), case.asked.rows)
    assert np.isfinite(found[case.asked.rows.placed]).all() and np.isnan(found[~case.asked.rows.placed]).all()
    assert 0 < np.nansum(found) <= max(1, len(set(case.asked.rows.tile.tolist()))) + 1e-5


def test_merged_tokens_hold_the_sum_of_their_patches():
    patches = placed_rows([[0, 0, 10, 10], [10, 0, 20, 10], [20, 0, 30, 10], [30, 0, 40, 10]])
    tokens = placed_rows([[0, 0, 20, 10], [20, 0, 40, 10]])
    np.testing.assert_allclose(laid_on(np.array([1.0, 2, 3, 4]), [patches], tokens), [3, 7])
    shifted = placed_rows([[5, 0, 25, 10]])
    np.testing.assert_allclose(laid_on(np.array([1.0, 2, 3, 4]), [patches], shifted), [0.5 + 2 + 1.5])


def test_tiles_are_kept_apart():
    patches = [placed_rows([[0, 0, 10, 10]], 0), placed_rows([[0, 0, 10, 10]], 1)]
    np.testing.assert_allclose(laid_on(np.array([1.0, 5.0]), patches, placed_rows([[0, 0, 10, 10]], 1)), [5])
    with pytest.raises(ValueError, match="no patch of the vision tower"):
        laid_on(np.array([1.0, 5.0]), patches, placed_rows([[0, 0, 10, 10]], 2))


def answer_of_shares(shares):
    return made_up([[np.array([[0.1, *shares, 0.1]])]], np.zeros((1, 4)), [3], image=len(shares))


def test_agreement_of_planted_maps():
    answer = answer_of_shares([0.4, 0.2, 0.1, 0.1])
    same = np.array([np.nan, 0.8, 0.4, 0.2, 0.1, np.nan])
    found = encoder_decoder_agreement(answer, same, at(0), top=2)
    assert found.overlap.tolist() == [1.0] and found.chance == 0.5 and found.spearman[0] > 0.9
    turned = np.array([np.nan, 0.1, 0.2, 0.4, 0.8, np.nan])
    found = encoder_decoder_agreement(answer, turned, at(0), top=2)
    assert found.overlap.tolist() == [0.0] and found.spearman[0] < -0.9
    assert shared_outliers(answer, turned, at(0), top=3) == pytest.approx(2 / 3)
    assert encoder_decoder_agreement(answer, np.full(6, 0.5), at(0)).spearman.tolist() == [0.0]


def test_shared_top():
    assert shared_top(np.array([3, 2, 1, 0]), np.array([3, 0, 2, 1]), 2) == 0.5


def test_agreement_in_the_table():
    case = told("qwen2_vl")
    encoder = encoder_attention(seen("qwen2_vl"), case.asked.rows)
    table = signals(Evidence(case.answer, encoder=encoder), [at(0), at(2)], ["shared_outliers"])
    np.testing.assert_allclose(table.values[:, 0], [shared_outliers(case.answer, encoder, at(s)) for s in (0, 2)])


def test_what_cannot_be_compared_is_told():
    case = told("instructblip")
    with pytest.raises(ValueError, match="no patch of the vision tower"):
        encoder_attention(seen("instructblip"), case.asked.rows)
    with pytest.raises(ValueError, match="layer 5 was asked for"):
        encoder_attention(seen("llava"), told("llava").asked.rows, layer=5)
    with pytest.raises(ValueError, match="one number per token"):
        encoder_decoder_agreement(told("llava").answer, np.zeros(3), at(0))
