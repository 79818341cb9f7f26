"""Looking changes nothing, and what is kept is what was asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import model_adapters as ma
from model_adapters import attention
from tests.core.by_hand import HEADS, TOKENS, WAYS, net, tokens
from tests.core.comparing import close, wrapped, wrapped_timm

TIMM = ("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "volo_d1_224", "nest_tiny", "crossvit_tiny_240")
DECODERS = ("llava", "qwen2_5_vl", "mllama", "t5gemma2")


@pytest.fixture(scope="module", params=DECODERS)
def decoder(request):
    return wrapped(request.param)


@pytest.mark.parametrize("name", TIMM)
@pytest.mark.parametrize("want", [(), ("hidden", "values", "queries", "heads")])
def test_logits_are_the_same_to_the_bit(name, want):
    model, inputs = wrapped_timm(name, 2)
    with torch.no_grad():
        plain = model.logits(model.forward(inputs)).numpy()
    assert np.array_equal(ma.capture(model, inputs, want=want).logits, plain)


def test_logits_of_decoders_are_the_same_to_the_bit(decoder):
    model, inputs = decoder
    with torch.no_grad():
        plain = model.logits(model.forward(inputs))[0].numpy()
    assert np.array_equal(ma.capture(model, inputs, want={"hidden", "heads"}).logits, plain)


def test_generated_ids_are_the_same(decoder):
    model, inputs = decoder
    with torch.no_grad():
        plain = model.module.generate(**inputs.tensors, max_new_tokens=4, do_sample=False)[0]
    ids = [token.id for token in ma.generate(model, inputs, max_new_tokens=4).tokens]
    assert len(ids) == 4
    assert ids == plain[-4:].tolist()


@pytest.mark.parametrize("name", TIMM)
def test_batch_equals_single_pictures(name):
    model, inputs = wrapped_timm(name, 3)
    batch = ma.capture(model, inputs, want={"hidden", "values", "queries", "heads"})
    argument, pictures = next(iter(inputs.tensors.items()))
    for item in range(3):
        single = ma.capture(
            model, ma.Inputs({argument: pictures[item : item + 1]}), want={"hidden", "values", "queries", "heads"}
        )
        assert single.sites == batch.sites
        for part in ("weights", "values", "queries", "keys", "head_outputs", "hidden"):
            one, many = getattr(single, part), getattr(batch, part)
            assert set(one) == set(many)
            for key in one:
                np.testing.assert_allclose(many[key][item], one[key], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_every_layout_of_axes_gives_the_same_rows(way):
    """Rows of windows lie one window after the other, whatever axis the windows were in."""
    inputs = tokens(2)
    whole = ma.capture(net("sdpa"), inputs, keep=ma.Keep(sites=(0,)), want={"heads"})
    capture = ma.capture(net(way), inputs, keep=ma.Keep(sites=(0,)), want={"heads"})
    site = capture.sites[0]
    assert (site.heads, capture.shapes[site][1]) == (HEADS, TOKENS)
    if capture.shapes[site][2] == TOKENS:
        np.testing.assert_allclose(capture.weights[0], whole.weights[0], atol=1e-6)
        np.testing.assert_allclose(capture.head_outputs[0], whole.head_outputs[0], atol=1e-5)
    else:  # the same scores, over the keys of the window alone
        cut = np.concatenate([whole.weights[0][:, :, :3, :3], whole.weights[0][:, :, 3:, 3:]], axis=2)
        np.testing.assert_allclose(capture.weights[0], cut / cut.sum(-1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("want", ["values", "heads", "queries"])
@pytest.mark.parametrize("way", ["sdpa", "windows_first", "heads_first", "folded"])
def test_head_outputs_are_weights_times_values(way, want):
    capture = ma.capture(net(way), tokens(2), want={"values", "heads", "queries"})
    for site in capture.sites:
        weights, values, outputs = (part[site] for part in (capture.weights, capture.values, capture.head_outputs))
        windows = values.shape[2] // weights.shape[-1]
        by_window = [np.split(part, windows, axis=2) for part in (weights, values)]
        made = np.concatenate([w @ v for w, v in zip(*by_window, strict=True)], axis=2)
        np.testing.assert_allclose(outputs, made, atol=1e-5)
        queries, keys = (np.split(part[site], windows, axis=2) for part in (capture.queries, capture.keys))
        scores = np.concatenate([q @ k.swapaxes(-1, -2) for q, k in zip(queries, keys, strict=True)], axis=2) / 2
        np.testing.assert_allclose(np.exp(scores) / np.exp(scores).sum(-1, keepdims=True), weights, atol=1e-5)


# ---- other precisions

TOLERANCE = {torch.float16: 2e-3, torch.bfloat16: 1.5e-2}


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_low_precision_models(dtype):
    """The answer is the same to the bit; rows are computed in float32 and sum to 1."""
    model, inputs = wrapped_timm("vit_tiny_patch16_224")
    exact = ma.capture(model, inputs)
    model.module.to(dtype)
    low = ma.Inputs({name: value.to(dtype) for name, value in inputs.tensors.items()})
    with torch.no_grad():
        plain = model.forward(low)[0]
    capture = ma.capture(model, low)
    assert torch.equal(torch.from_numpy(capture.logits), plain.float())
    for site in capture.sites:
        assert capture.weights[site].dtype == np.float32
        np.testing.assert_allclose(capture.weights[site].sum(-1), 1, atol=1e-5)
        np.testing.assert_allclose(capture.weights[site], exact.weights[site], atol=TOLERANCE[dtype])
    edited = ma.run(model, low, ma.edits.Identity())
    assert edited.dtype == dtype
    torch.testing.assert_close(edited[0], plain, atol=20 * TOLERANCE[dtype], rtol=0)


# ---- chunks


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "keep", [ma.Keep(), ma.Keep(queries=(1, 4)), ma.Keep(reduce="received"), ma.Keep(reduce="entropy")]
)
def test_chunks_of_queries_equal_the_whole(way, keep, monkeypatch):
    model, inputs = net(way), tokens(2)
    whole = ma.capture(model, inputs, keep=keep)
    edit = ma.edits.Boost(ma.Where(queries=(1, 5), keys=(0,)), alpha=0.9)
    edited = ma.run(model, inputs, edit)
    monkeypatch.setattr(attention, "CHUNK_BYTES", 1)
    for site in whole.sites:
        chunked = ma.capture(model, inputs, keep=keep)
        np.testing.assert_allclose(chunked.weights[site], whole.weights[site], atol=1e-6)
    close(ma.run(model, inputs, edit), edited)
    assert float((edited - model.forward(inputs)).abs().max()) > 1e-3


# ---- what is kept


def entropy(rows):
    return -(rows * np.log(np.where(rows > 0, rows, 1))).sum(-1)


second_moment = ma.Reduction("second moment", lambda rows: (rows**2).sum(2), merge="sum")
largest_two = ma.Reduction("largest two", lambda rows: rows.topk(2, -1).values)
two_keys = ma.Reduction("two keys", lambda rows: rows[..., 1:3])
everything = ma.Reduction("everything", lambda rows: rows)

KEPT = {
    "class": (ma.Keep(queries="class"), lambda w: w[:, :, [0]]),
    "last": (ma.Keep(queries="last"), lambda w: w[:, :, [-1]]),
    "numbers": (ma.Keep(queries=(3, 0, 9)), lambda w: w[:, :, [0, 3, 9]]),
    "from the end": (ma.Keep(queries=[-1, -3]), lambda w: w[:, :, [-3, -1]]),
    "heads": (ma.Keep(heads=(2, 0)), lambda w: w[:, [2, 0]]),
    "heads from the end": (ma.Keep(heads=(-1,)), lambda w: w[:, [-1]]),
    "mean head": (ma.Keep(heads="mean"), lambda w: w.mean(1, keepdims=True)),
    "heads and rows": (ma.Keep(heads=(1,), queries=(2,)), lambda w: w[:, [1]][:, :, [2]]),
    "mean head of rows": (ma.Keep(heads="mean", queries="class"), lambda w: w.mean(1, keepdims=True)[:, :, [0]]),
    "entropy": (ma.Keep(reduce="entropy"), entropy),
    "entropy of the mean head": (ma.Keep(reduce="entropy", heads="mean"), lambda w: entropy(w.mean(1, keepdims=True))),
    "received": (ma.Keep(reduce="received"), lambda w: w.mean(2)),
    "received from rows": (ma.Keep(reduce="received", queries=(1, 2, 5)), lambda w: w[:, :, [1, 2, 5]].mean(2)),
    "highest": (ma.Keep(reduce="highest", heads=(3,)), lambda w: w[:, [3]].max(-1)),
    "a sum of one's own": (ma.Keep(reduce=second_moment), lambda w: (w**2).sum(2)),
    "rows of one's own": (ma.Keep(reduce=largest_two), lambda w: np.sort(w, -1)[..., :-3:-1]),
    "a part of the rows": (ma.Keep(reduce=two_keys), lambda w: w[..., 1:3]),
    "the rows as they are": (ma.Keep(reduce=everything), lambda w: w),
}


@pytest.fixture(scope="module", params=["vit_tiny_patch16_224", "tnt_s_patch16_224"])
def tower(request):
    """One that calls the fused kernel and one that calls softmax, with all they give."""
    model, inputs = wrapped_timm(request.param, 2)
    return model, inputs, ma.capture(model, inputs).weights


@pytest.mark.parametrize("chunk", [1, 2**20])
@pytest.mark.parametrize("case", KEPT)
def test_kept_is_what_the_full_weights_hold(case, chunk, tower, monkeypatch):
    model, inputs, full = tower
    keep, expected = KEPT[case]
    if keep.queries == "class" and list(full)[0].name.endswith("attn_in"):
        pytest.skip("the inner tokens of TNT have no class token")
    monkeypatch.setattr(attention, "CHUNK_BYTES", chunk)
    capture = ma.capture(model, inputs, keep=keep)
    assert capture.sites == tuple(full)
    for site in full:
        np.testing.assert_allclose(capture.weights[site], expected(full[site]), atol=2e-6)


@pytest.mark.parametrize("way", WAYS)
def test_numbered_rows_of_windows(way):
    model, inputs = net(way), tokens(2)
    full, some = ma.capture(model, inputs), ma.capture(model, inputs, keep=ma.Keep(queries=(4, 1)))
    for site in full.sites:
        np.testing.assert_allclose(some.weights[site], full.weights[site][:, :, [1, 4]], atol=1e-6)
        assert some.rows[site].tolist() == [1, 4]
    mean = ma.capture(model, inputs, keep=ma.Keep(reduce="received", heads="mean"))
    for site in full.sites:
        np.testing.assert_allclose(mean.weights[site], full.weights[site].mean((1, 2))[:, None], atol=1e-6)


def test_lengths_of_hidden_states_need_no_states(tower):
    model, inputs, _ = tower
    full, some = ma.capture(model, inputs, want={"hidden"}), ma.capture(model, inputs, keep=ma.Keep(sites="none"), want={"norms"})
    assert list(some.norms) == list(full.hidden) and len(some.norms) > 2 and not some.hidden
    single = ma.capture(model, ma.Inputs({name: t[:1] for name, t in inputs.tensors.items()}), want={"norms"})
    for place, states in full.hidden.items():
        expected = np.linalg.norm(states.astype(np.float64), axis=-1)
        np.testing.assert_allclose(some.norms[place], expected, rtol=1e-5)
        np.testing.assert_allclose(single.norms[place], expected[0], rtol=1e-4)


def test_half_precision_halves_the_bytes(tower):
    model, inputs, full = tower
    half = ma.capture(model, inputs, keep=ma.Keep(dtype="float16")).weights
    for site in full:
        assert half[site].dtype == np.float16 and 2 * half[site].nbytes == full[site].nbytes
        np.testing.assert_allclose(half[site], full[site], atol=5e-4)


def test_only_the_sites_asked_for_are_kept(tower):
    model, inputs, full = tower
    sites = list(full)
    for asked in ((sites[1],), (sites[1].name,)):
        capture = ma.capture(model, inputs, keep=ma.Keep(sites=asked))
        assert capture.sites == (sites[1],) and set(capture.shapes) == set(sites)
    by_layer = ma.capture(model, inputs, keep=ma.Keep(sites=(0,)))
    assert by_layer.sites == tuple(site for site in sites if site.layer == 0)
    assert ma.capture(model, inputs, keep=ma.Keep(sites="none")).sites == ()


def test_roles_of_a_prompt_are_kept():
    model, inputs = wrapped("llava")
    names = tuple(name for name, _ in model.module.named_modules() if "language_model" in name)
    full = ma.capture(model, inputs, keep=ma.Keep(sites=names))
    assert len(full.sites) == 2
    image = np.flatnonzero(inputs.tensors["input_ids"][0] == model.config.image_token_id)
    text = np.setdiff1d(np.arange(inputs.tensors["input_ids"].shape[1]), image)
    assert len(image) > 10 and len(text) > 3
    for role, rows in (("image", image), ("text", text)):
        capture = ma.capture(model, inputs, keep=ma.Keep(sites=names, queries=role))
        for site in full.sites:
            assert capture.rows[site].tolist() == rows.tolist()
            np.testing.assert_allclose(capture.weights[site], full.weights[site][:, rows], atol=1e-6)


@pytest.mark.parametrize(
    ("keep", "sentence"),
    [
        ({"queries": (99,)}, r"queries \[99\] of blocks.0.attn were asked for, but it has rows 0 to 5"),
        ({"heads": (4,)}, "4.* but it has heads 0 to 3"),
    ],
)
def test_wrong_rows_get_their_sentence(keep, sentence):
    with pytest.raises((ValueError, ma.AdapterError), match=sentence):
        ma.capture(net(), tokens(), keep=ma.Keep(**keep))


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="reduce must be one of .*'entropy'.* Got 'sum'"):
        ma.Keep(reduce="sum")
    with pytest.raises(ValueError, match="dtype must be .* Got 'int8'"):
        ma.Keep(dtype="int8")
    with pytest.raises(ValueError, match=r"want must be among .* Got \['logits'\]"):
        ma.capture(net(), tokens(), want={"logits"})


# ---- batches of prompts


def test_left_padding_gives_empty_rows_and_the_rest_unchanged():
    model, inputs = wrapped("llava")
    model.processor.tokenizer.padding_side = "left"
    picture = Image.new("RGB", (120, 112), (200, 30, 90))
    texts = ["Is there a red circle?", "Is there a red circle? yes no one two three"]
    batch = model.prepare(image=[picture, picture], text=texts)
    capture = ma.capture(model, batch)
    padded = int((batch.tensors["attention_mask"][0] == 0).sum())
    assert padded > 0
    single = ma.capture(model, model.prepare(image=picture, text=texts[0]))
    decoder = [site for site in capture.sites if site.tower == "decoder"]
    assert len(decoder) == 2
    for site in decoder:
        rows = capture.weights[site][0]
        assert np.isfinite(rows).all() and not rows[:, :padded].any()
        assert not rows[:, :, :padded].any()
        np.testing.assert_allclose(rows[:, padded:, padded:], single.weights[site], atol=1e-5)
