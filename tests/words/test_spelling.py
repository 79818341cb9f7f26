"""Tokens to characters to words: the three kinds of tokenizers, bytes, scripts, punctuation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from analysis.words.spelling import spelled
from analysis.words.words import mentions, words_of
from tests.zoo.vocabulary import build_tokenizer

TEXTS = (
    "A dog, a hot dog and the dog's bone: don't eat 3.5 well-known dogs!",
    "Größe und naïve Café-Gäste.",
    "一只狗在草地上。",
    "नमस्ते दुनिया",
    "강아지가 있다",
    "สวัสดี",
    "🐕‍🦺 dog",
)


def byte_level():
    return build_tokenizer({})


def sentencepiece():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>", "</s>"], show_progress=False)
    tokenizer.train_from_iterator(["a dog eats well known dogs", "the bone of a hot dog"], trainer)
    written = json.loads(tokenizer.to_str())
    for byte in range(256):
        written["model"]["vocab"][f"<0x{byte:02X}>"] = len(written["model"]["vocab"])
    written["model"]["byte_fallback"] = True
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(written)), unk_token="<unk>", eos_token="</s>")


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=True)
    trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=["[UNK]", "[SEP]"], show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", eos_token="[SEP]")


KINDS = {"byte-level": byte_level, "sentencepiece": sentencepiece, "wordpiece": wordpiece}


def decode_of(tokenizer):
    return lambda ids: tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", TEXTS)
def test_every_character_has_its_tokens_and_the_end_has_none(kind, text):
    tokenizer = KINDS[kind]()
    ids = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    said, spans = spelled(ids, decode_of(tokenizer))
    assert said == decode_of(tokenizer)(ids)
    covered = np.zeros(len(said), int)
    for start, end in spans:
        covered[start:end] += 1
    assert (covered >= 1).all()
    assert spans[-1][0] == spans[-1][1], "the end of the answer spells nothing"
    assert (np.diff(spans[:, 1]) >= 0).all()
    for word in words_of(said, spans):
        assert said[word.start : word.end] == word.text and word.steps


@pytest.mark.parametrize("kind", ["byte-level", "sentencepiece"])
def test_tokens_of_one_character_share_its_place(kind):
    tokenizer = KINDS[kind]()
    ids = tokenizer("é", add_special_tokens=False)["input_ids"]
    said, spans = spelled(ids, decode_of(tokenizer))
    place = said.index("é")
    tokens = [i for i, (start, end) in enumerate(spans) if start <= place < end]
    assert len(tokens) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_places_equal_the_offsets_of_a_tokenizer_that_has_some(kind):
    tokenizer = KINDS[kind]()
    text = "a dog eats the bone of a dog"
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    said, spans = spelled(found["input_ids"], decode_of(tokenizer))
    assert said == text
    for (start, end), (first, last) in zip(spans, found["offset_mapping"], strict=True):
        assert text[start:end].strip() == text[first:last].strip()


def words(text, tokens=None):
    """Words of a text whose tokens are these pieces; single characters by default."""
    pieces = list(text) if tokens is None else tokens
    ends = np.cumsum([len(p) for p in pieces])
    return words_of(text, np.stack([ends - [len(p) for p in pieces], ends], 1))


def test_words_and_marks():
    found = words(TEXTS[0])
    assert [w.text for w in found if w.kind == "word"] == [
        "A", "dog", "a", "hot", "dog", "and", "the", "dog's", "bone", "don't", "eat", "3.5", "well-known", "dogs",
    ]  # fmt: skip
    assert [w.text for w in found if w.kind == "mark"] == [",", ":", "!"]
    assert [w.occurrence for w in found if w.text.lower() == "a"] == [0, 1]
    assert [w.occurrence for w in found if w.text == "dog"] == [0, 1]
    assert [w.index for w in found] == list(range(len(found)))


def test_a_word_knows_its_tokens():
    found = words("a yellow dog.", ["a", " ye", "llow", " dog", "."])
    assert [(w.text, w.steps) for w in found] == [("a", (0,)), ("yellow", (1, 2)), ("dog", (3,)), (".", (4,))]


def test_a_token_of_two_words_belongs_to_both():
    assert [w.steps for w in words("of the dog", ["of the", " dog"])] == [(0,), (0,), (1,)]


def test_scripts_without_spaces_are_cut_where_tokens_begin():
    found = words("一只狗在草地上。", ["一只", "狗", "在", "草地", "上", "。"])
    assert [w.text for w in found] == ["一只", "狗", "在", "草地", "上", "。"]
    assert [w.kind for w in found][-1] == "mark"
    assert [w.text for w in words("a狗b", ["a狗b"])] == ["a", "狗", "b"]


def test_marks_stay_with_their_letters():
    assert [w.text for w in words("नमस्ते दुनिया")] == ["नमस्ते", "दुनिया"]
    assert [w.text for w in words("강아지가 있다")] == ["강아지가", "있다"]
    assert [w.text for w in words("สวัสดี", ["สวัส", "ดี"])] == ["สวัส", "ดี"]


def test_mentions_take_the_longest_name_each_time():
    names = {"dog": "dog", "dogs": "dog", "hot dog": "hot dog", "bone": "bone"}
    found = mentions(words("A dog, a hot dog, a hot-dog and the dog's bone."), names)
    assert [(m.name, m.occurrence) for m in found] == [
        ("dog", 0), ("hot dog", 0), ("hot dog", 1), ("dog", 1), ("bone", 0),
    ]  # fmt: skip
    assert found[1].text == "hot dog" and found[1].kind == "mention" and len(found[1].steps) == 6
    assert mentions((), names) == () and mentions(words("a dog"), {}) == ()


def test_an_empty_answer_has_no_words():
    text, spans = spelled([], decode_of(byte_level()))
    assert text == "" and spans.shape == (0, 2) and words_of(text, spans) == ()
