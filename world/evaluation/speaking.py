"""Captions and answers of an LVLM, and what it makes up in them."""

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration

from analysis import evaluation
from analysis.evaluation import names
from analysis.evaluation.figures import Figure, change_of_ratio, ratio
from world.captions import caption
from world.hallucination import NAMES, POPE_KINDS, mentioned, pope_questions
from world.questions import Question, ask
from world.rendering import render
from world.scenes import Scene
from world.tokenizer import BOS, IMAGE, build_tokenizer
from world.training.lvlm import IMAGE_TOKENS, packed_logits
from world.training.pictures import normalise
from world.training.turns import pack, turn_text

ASKED_KINDS = ("attribute", "colour", "place", "count", "relation", "scene")

Truth = list[list[Question]]
Said = list[list[tuple[str, ...]]]


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
def first_words(model: LlavaForConditionalGeneration, scenes: list[Scene], asked: Truth, batch: int = 16) -> Said:
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
    kinds = [
        [pope_questions(scene, kind, np.random.default_rng([seed, number, i])) for i, kind in enumerate(POPE_KINDS)]
        for number, scene in enumerate(scenes)
    ]
    said = first_words(model, scenes, [[question for row in rows for question in row] for rows in kinds])
    found: dict[str, Figure] = {}
    for i, kind in enumerate(POPE_KINDS):
        before = [sum(len(row) for row in rows[:i]) for rows in kinds]
        asked = [rows[i] for rows in kinds]
        own = [row[start : start + len(q)] for row, start, q in zip(said, before, asked, strict=True)]
        found |= _yes_no_figures(f"pope_{kind}", own, asked)
    return found


def _yes_no_figures(name: str, said: Said, asked: Truth) -> dict[str, Figure]:
    pairs = [list(zip(answers, questions, strict=True)) for answers, questions in zip(said, asked, strict=True)]
    right = [sum(a[0] == q.answer for a, q in row) for row in pairs]
    wrongly = [sum(a[0] == "yes" for a, q in row if q.answer == "no") for row in pairs]
    negatives = [sum(q.answer == "no" for _, q in row) for row in pairs]
    return {
        f"{name}_accuracy": ratio(right, [len(row) for row in pairs]),
        f"{name}_false_positives": ratio(wrongly, negatives),
    }


def chair_figures(said: list[str], scenes: list[Scene]) -> dict[str, Figure]:
    """CHAIR of unique mentions, recall, and captions that are right to the word."""
    words = [names.mentioned(text, NAMES) for text in said]
    found = evaluation.chair_figures(said, [scene.categories for scene in scenes], words, repeats=False)
    exact = [text == caption(scene) for text, scene in zip(said, scenes, strict=True)]
    kept = {"CHAIR_i": "chair_i", "CHAIR_s": "chair_s", "recall": "recall", "mentions": "mentions"}
    return {own: found[name] for name, own in kept.items()} | {"exact_captions": ratio(exact)}


def chair_changes(before: list[str], after: list[str], scenes: list[Scene]) -> dict[str, Figure]:
    """What two models' captions of the same scenes differ by, in CHAIR of mentions and in recall."""
    counts = []
    for said in (before, after):
        named = [set(mentioned(text)) for text in said]
        invented = [len(names - scene.categories) for names, scene in zip(named, scenes, strict=True)]
        known = [len(names & scene.categories) for names, scene in zip(named, scenes, strict=True)]
        counts.append((invented, [len(names) for names in named], known))
    there = [len(scene.categories) for scene in scenes]
    (invented, mentions, known), (invented_after, mentions_after, known_after) = counts
    return {
        "chair_i_change": change_of_ratio((invented, mentions), (invented_after, mentions_after)),
        "recall_change": change_of_ratio((known, there), (known_after, there)),
    }


def answer_figures(model: LlavaForConditionalGeneration, scenes: list[Scene], seed: int = 0) -> dict[str, Figure]:
    """Share of right answers for each other kind of question."""
    asked = [ask(scene, ASKED_KINDS, np.random.default_rng([seed, 9, n])) for n, scene in enumerate(scenes)]
    said = first_words(model, scenes, asked)
    right: dict[str, list[bool]] = {kind: [] for kind in ASKED_KINDS}
    for answers, questions in zip(said, asked, strict=True):
        for answer, question in zip(answers, questions, strict=True):
            right[question.kind].append(" ".join(answer) == question.answer)
    return {f"{kind}_accuracy": ratio(hits) for kind, hits in right.items()}
