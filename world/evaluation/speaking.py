"""Captions and answers of an LVLM, and what it makes up in them."""

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration

from world.captions import caption
from world.evaluation.figures import Figure, ratio
from world.hallucination import POPE_KINDS, mentioned, pope_questions
from world.questions import Question, ask
from world.rendering import render
from world.scenes import Scene
from world.tokenizer import BOS, IMAGE, build_tokenizer
from world.training.lvlm import IMAGE_TOKENS, packed_logits
from world.training.pictures import normalise
from world.training.turns import pack, turn_text

ASKED_KINDS = ("attribute", "colour", "place", "count", "relation", "scene")


def _pixels(scenes: list[Scene]) -> torch.Tensor:
    return normalise(np.stack([render(scene).image for scene in scenes]))


@torch.no_grad()
def captions(
    model: LlavaForConditionalGeneration, scenes: list[Scene], prompt: str = "describe the picture.", batch: int = 50
) -> list[str]:
    """What the model says of each scene, greedily."""
    tokenizer = build_tokenizer()
    words = tokenizer(turn_text(prompt), add_special_tokens=False).input_ids
    row = torch.tensor([BOS] + [IMAGE] * IMAGE_TOKENS + words)
    said: list[str] = []
    for start in range(0, len(scenes), batch):
        pixels = _pixels(scenes[start : start + batch])
        rows = row.expand(len(pixels), -1)
        found = model.generate(
            input_ids=rows,
            attention_mask=torch.ones_like(rows),
            pixel_values=pixels,
            max_new_tokens=40,
            do_sample=False,
        )
        said += tokenizer.batch_decode(found[:, row.numel() :], skip_special_tokens=True)
    return said


@torch.no_grad()
def first_words(
    model: LlavaForConditionalGeneration, scenes: list[Scene], asked: list[list[Question]], batch: int = 16
) -> list[list[tuple[str, ...]]]:
    """What the model says to each question, all questions about a picture in one pass.

    The words are read where the right answer stands; those behind the first count only where the first are right.
    """
    tokenizer, said = build_tokenizer(), []
    for start in range(0, len(scenes), batch):
        here = slice(start, start + batch)
        turns = pack(tokenizer, asked[here], IMAGE_TOKENS)
        logits = packed_logits(model, _pixels(scenes[here]), turns)
        guesses = logits.argmax(-1).numpy()
        for row, questions in enumerate(asked[here]):
            said.append(_answers(tokenizer, questions, guesses[row]))
    return said


def _answers(tokenizer: object, questions: list[Question], guesses: np.ndarray) -> list[tuple[str, ...]]:
    # Guess i is made behind text token i; the first text token behind the image is number 0.
    answers, start = [], 0
    for question in questions:
        asked = len(tokenizer(turn_text(question.text), add_special_tokens=False).input_ids)
        length = len(tokenizer(question.answer, add_special_tokens=False).input_ids)
        first = start + asked - 1
        answers.append(tuple(tokenizer.convert_ids_to_tokens(guesses[first : first + length].tolist())))
        start += asked + length + 1
    return answers


def pope_figures(model: LlavaForConditionalGeneration, scenes: list[Scene], seed: int = 0) -> dict[str, Figure]:
    """Accuracy and false-positive rate for each kind of POPE question."""
    found: dict[str, Figure] = {}
    for kind in POPE_KINDS:
        rng = np.random.default_rng([seed, POPE_KINDS.index(kind)])
        asked = [pope_questions(scene, kind, rng) for scene in scenes]
        said = first_words(model, scenes, asked)
        right = [[a[0] == q.answer for a, q in zip(x, y, strict=True)] for x, y in zip(said, asked, strict=True)]
        wrongly = [
            sum(a[0] == "yes" for a, q in zip(x, y, strict=True) if q.answer == "no") for x, y in zip(said, asked, strict=True)
        ]
        negatives = [sum(q.answer == "no" for q in row) for row in asked]
        found[f"pope_{kind}_accuracy"] = ratio([sum(row) for row in right], [len(row) for row in right])
        found[f"pope_{kind}_false_positives"] = ratio(wrongly, negatives)
    return found


def chair_figures(said: list[str], scenes: list[Scene]) -> dict[str, Figure]:
    """CHAIR of unique mentions, recall, and captions that are right to the word."""
    named = [set(mentioned(text)) for text in said]
    invented = [len(names - scene.categories) for names, scene in zip(named, scenes, strict=True)]
    known = [len(names & scene.categories) for names, scene in zip(named, scenes, strict=True)]
    exact = [text == caption(scene) for text, scene in zip(said, scenes, strict=True)]
    return {
        "chair_i": ratio(invented, [len(names) for names in named]),
        "chair_s": ratio([count > 0 for count in invented]),
        "recall": ratio(known, [len(scene.categories) for scene in scenes]),
        "mentions": ratio([len(names) for names in named]),
        "exact_captions": ratio(exact),
    }


def answer_figures(model: LlavaForConditionalGeneration, scenes: list[Scene], seed: int = 0) -> dict[str, Figure]:
    """Share of right answers for each other kind of question."""
    found: dict[str, Figure] = {}
    for kind in ASKED_KINDS:
        rng = np.random.default_rng([seed, 9, ASKED_KINDS.index(kind)])
        pairs = [(scene, questions) for scene in scenes if (questions := ask(scene, [kind], rng))]
        said = first_words(model, [scene for scene, _ in pairs], [questions for _, questions in pairs])
        right = [" ".join(a[0]) == q[0].answer for a, (_, q) in zip(said, pairs, strict=True)]
        found[f"{kind}_accuracy"] = ratio(right)
    return found
