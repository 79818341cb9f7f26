"""Questions and answers as token rows, several turns packed behind one picture."""

from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from world.questions import Question, ask
from world.scenes import Scene
from world.tokenizer import BOS, EOS, IMAGE, PAD

TURN_KINDS = ("caption", "existence", "existence", "existence", "attribute", "colour", "place", "count", "relation")
_CAPTION_WEIGHT, _ANSWER_WEIGHT, _END_WEIGHT = 1.0, 1.5, 0.5


@dataclass(frozen=True, eq=False)
class PackedTurns:
    """One row per picture: `<s>`, the image's tokens, then turns that cannot see each other.

    Attributes:
        tokens: [B, T].
        positions: each turn starts right behind the image, [B, T].
        visible: which key each query may see, bool [B, T, T].
        weights: the weight of each token as a target, [B, T].
        is_caption: which of them belong to captions, bool [B, T].
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    visible: torch.Tensor
    weights: torch.Tensor
    is_caption: torch.Tensor


def turn_text(question: str) -> str:
    """The words before an answer, as the chat template writes them."""
    return f"user: {question} assistant:"


def _turn(tokenizer: PreTrainedTokenizerFast, question: Question) -> tuple[list[int], list[float], list[bool]]:
    asked = tokenizer(turn_text(question.text), add_special_tokens=False).input_ids
    answer = tokenizer(question.answer, add_special_tokens=False).input_ids + [EOS]
    is_caption = question.kind == "caption"
    weight = _CAPTION_WEIGHT if is_caption else _ANSWER_WEIGHT
    weights = [0.0] * len(asked) + [weight] * (len(answer) - 1) + [_END_WEIGHT]
    return asked + answer, weights, [is_caption] * len(weights)


def pack(
    tokenizer: PreTrainedTokenizerFast, rows: list[list[Question]], image_tokens: int, hidden: np.ndarray | None = None
) -> PackedTurns:
    """Pack the turns of each picture; the turns of a `hidden` picture cannot see it."""
    prefix = [BOS] + [IMAGE] * image_tokens
    turns = [[_turn(tokenizer, question) for question in row] for row in rows]
    length = len(prefix) + max(sum(len(tokens) for tokens, _, _ in row) for row in turns)
    shape = (len(rows), length)
    tokens, positions = np.full(shape, PAD), np.zeros(shape, dtype=np.int64)
    turn_of, weights = np.full(shape, -1), np.zeros(shape, dtype=np.float32)
    is_caption = np.zeros(shape, dtype=bool)
    tokens[:, : len(prefix)], turn_of[:, : len(prefix)] = prefix, 0
    positions[:, : len(prefix)] = np.arange(len(prefix))
    for row, row_turns in enumerate(turns):
        start = len(prefix)
        for number, (words, targets, flags) in enumerate(row_turns, 1):
            here = slice(start, start + len(words))
            tokens[row, here], weights[row, here], is_caption[row, here] = words, targets, flags
            turn_of[row, here] = number
            positions[row, here] = len(prefix) + np.arange(len(words))
            start += len(words)
    visible = _visible(turn_of, tokens == IMAGE, hidden)
    return PackedTurns(*(torch.from_numpy(x) for x in (tokens, positions, visible, weights, is_caption)))


def _visible(turn_of: np.ndarray, is_image: np.ndarray, hidden: np.ndarray | None) -> np.ndarray:
    queries, keys = turn_of[:, :, None], turn_of[:, None, :]
    causal = np.tri(turn_of.shape[1], dtype=bool)[None]
    visible = causal & ((queries == keys) | (keys == 0))
    if hidden is not None:
        visible &= ~(hidden[:, None, None] & is_image[:, None, :] & (queries > 0))
    return visible


def ask_turns(scene: Scene, rng: np.random.Generator, kinds: tuple[str, ...] = TURN_KINDS) -> list[Question]:
    """The turns of one training picture; now and then one asks for the background."""
    return ask(scene, (*kinds, "scene") if rng.random() < 0.15 else kinds, rng)
