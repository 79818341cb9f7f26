"""A tokenizer made in memory: bytes, a few common words, and the special tokens of a family."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from string import ascii_letters

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

SENTENCES = (
    "Is there a red circle? yes no",
    "There is a blue square and a green triangle on the left of the image.",
    "How many objects are in this picture? one two three four",
    "Describe the image. A photo of a small yellow star behind a large purple ring.",
    "user: What colour is the cross? assistant: The cross is orange.",
)
SPECIAL = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
RESERVED = tuple(f"<reserved_{number}>" for number in range(16))
"""Tokens that never occur in a text: ids for the modalities which a test does not use."""


@cache
def _words() -> str:
    model = Tokenizer(BPE(unk_token=SPECIAL["unk_token"]))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=400,
        special_tokens=[*SPECIAL.values(), *RESERVED],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    model.train_from_iterator(SENTENCES, trainer)
    return model.to_str()


def build_tokenizer(
    tokens: Mapping[str, str], words: tuple[str, ...] = (), *, begin: bool = True, mark: str = ""
) -> PreTrainedTokenizerFast:
    """Return a fast tokenizer; each of `tokens` becomes an attribute (and, with `_id`, its number)."""
    model = Tokenizer.from_str(_words())
    if begin:
        start = SPECIAL["bos_token"]
        model.post_processor = processors.TemplateProcessing(
            single=f"{start} $A", pair=f"{start} $A {start} $B", special_tokens=[(start, model.token_to_id(start))]
        )
    if mark:
        # Not before the tokens themselves, which are shorter than a text.
        model.normalizer = normalizers.Replace(Regex(r"\A(?=.{20})"), mark)
    special = {name: token for name, token in tokens.items() if name in SPECIAL}
    extra = {name: AddedToken(token, normalized=bool(mark)) for name, token in tokens.items() if name not in SPECIAL}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=model,
        model_input_names=["input_ids", "attention_mask"],
        extra_special_tokens=extra,
        **{**SPECIAL, **special},
    )
    tokenizer.add_tokens([AddedToken(word, normalized=bool(mark)) for word in words], special_tokens=True)
    return tokenizer


def letters() -> list[tuple[str, float]]:
    """A vocabulary of single letters for tokenizers of the sentencepiece kind."""
    special = ["<pad>", "</s>", "<unk>"]
    return [(token, 0.0) for token in special] + [(letter, -2.0) for letter in ("▁", *ascii_letters, *"?.,")]
