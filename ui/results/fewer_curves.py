"""Several pruners over several budgets and pictures: what is left of the answers, and what is left to compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

import model_adapters as ma
from analysis.intervals import mean_interval
from analysis.visual_tokens import VisualPlan, dropping
from model_adapters.decoding import Greedy
from model_adapters.running_cost import answering_cost
from ui.jobs import Progress
from ui.pictures import picture
from ui.results.fewer import Pruner, divergence, seen, visual_tokens
from ui.results.fix_pictures import Wish, pictures_of

Ask = Literal["question", "pope"]
SHARES = (0.75, 0.5, 0.25, 0.125, 0.0625)
"""Of the visual tokens: the five budgets of the benchmark."""
BASELINES = ("random_visual", "uniform_visual")
FIRST = 200
"""Scenes from this number on; those before it are offered to look at."""
MEASURES = {"agreement": "Answers like the full model's", "accuracy": "Right answers", "kl": "KL to the full model (nats)"}
AGAINST = {
    "read": "Read by a layer on average, share of the visual tokens", "budget": "Budget, share of the visual tokens",
    "flops": "FLOPs of the prompt, share",
}  # fmt: skip
LONGEST_ANSWER = {"scene": 3, "biased": 3, "coco": 16}
"""New tokens of a yes or no, by where the pictures come from."""


@dataclass(frozen=True)
class Prompt:
    """One question about one picture."""

    picture: str
    """Its id, or the name of a file."""
    text: str
    right: bool | None = None
    """Whether yes is right, where that is known."""
    file: Path | None = None
    """Where it lies, if it is not drawn."""

    @property
    def image(self) -> np.ndarray | Path:
        """What the model is given."""
        return picture(self.picture).array if self.file is None else self.file


@dataclass(frozen=True, eq=False)
class FewerCurves:
    """What pruners leave of the answers."""

    pruners: tuple[str, ...]
    """[P] titles."""
    methods: tuple[str, ...]
    """[P] registered names."""
    shares: tuple[float, ...]
    """[B] budgets, as shares of the visual tokens."""
    agreement: np.ndarray
    """[P, B, N] 1 where the answer is the full model's to the token; N pictures."""
    accuracy: np.ndarray
    """[P, B, N] share of right yes/no answers; NaN where the truth is unknown."""
    kl: np.ndarray
    """[P, B, N] in nats."""
    read: np.ndarray
    """[P, B] share of the visual tokens that a layer reads on average."""
    flops: np.ndarray
    """[P, B] share of the full model's operations on the first prompt."""
    full_accuracy: float
    """Of the model as it is; NaN where the truth is unknown."""
    said: str
    """Prompt, decoding, lengths: what every figure is about."""

    def over_pictures(self, measure: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """[P, B] mean over pictures and the ends of its interval."""
        numbers = np.moveaxis(getattr(self, measure), -1, 0)
        low, high = mean_interval(numbers)
        return numbers.mean(0), low, high

    def at(self, against: str) -> np.ndarray:
        """[P, B] where the points stand."""
        if against == "budget":
            return np.tile(self.shares, (len(self.pruners), 1))
        return self.read if against == "read" else self.flops


def prompts_of(
    ask: Ask, text: str, stream: str, count: int, annotations: str = "", folder: str = ""
) -> list[list[Prompt]]:
    """Per picture what is asked of it: the user's question, or whether something is there that is and something that is not.

    Args:
        ask: the question, or what is there.
        text: the question.
        stream: "scene" or "biased" for drawn scenes, "coco" for images annotated in COCO's format.
        count: how many pictures.
        annotations: of "coco", the file.
        folder: of "coco", where the images lie; beside the annotations by default.
    """
    if stream == "coco":
        return _annotated(ask, text, Wish("coco", count, "random", annotations=annotations, folder=folder))
    from world.hallucination import pope_questions

    rng, found = np.random.default_rng(0), []
    for number in range(FIRST, FIRST + count):
        id = f"{stream}:{number}"
        if ask == "question":
            found.append([Prompt(id, text)])
            continue
        scene = picture(id).scene
        if scene is None:
            raise ValueError(f"what is on a picture must be known to ask what is there. {id} is no drawn scene.")
        found.append([Prompt(id, q.text, q.answer == "yes") for q in pope_questions(scene, "random", rng, pairs=1)])
    return found


def _annotated(ask: Ask, text: str, wish: Wish) -> list[list[Prompt]]:
    shown, _ = pictures_of(wish)
    if ask == "question":
        return [[Prompt(each.name, text, file=each.image)] for each in shown]
    return [[Prompt(each.name, question, right, each.image) for question, right in each.questions] for each in shown]


def curves(
    model: ma.Model, pruners: Sequence[Pruner], asked: Sequence[Sequence[Prompt]], longest: int, progress: Progress
) -> FewerCurves:
    """Greedy answers of every pruner at every budget, beside those of the model as it is. Tokens are really dropped."""
    shape = len(pruners), len(SHARES), len(asked)
    sums = {name: np.zeros(shape) for name in ("agreement", "accuracy", "kl")}
    read, flops, whole = np.zeros(shape), np.full(shape[:2], np.nan), []
    for number, prompts in enumerate(asked):
        for prompt in prompts:
            inputs = model.prepare(image=prompt.image, text=prompt.text)
            capture, full = seen(model, inputs), _answer(model, inputs, (), longest)
            whole.append(_right(full.text, prompt.right))
            if not number:
                base = answering_cost(model, inputs, repeats=0).flops
            for p, pruner in enumerate(pruners):
                for b, share in enumerate(SHARES):
                    progress.step((number + (p * len(SHARES) + b) / (shape[0] * shape[1])) / shape[2], f"picture {number + 1}")
                    plan = _plan(pruner, capture, share, number)
                    said = _answer(model, inputs, dropping(plan), longest)
                    place, part = (p, b, number), 1 / len(prompts)
                    sums["agreement"][place] += part * ([t.id for t in said.tokens] == [t.id for t in full.tokens])
                    sums["accuracy"][place] += part * _right(said.text, prompt.right)
                    sums["kl"][place] += part * divergence(full, said)
                    read[place] += part * plan.mean_kept / len(plan)
                    if not number and np.isnan(flops[p, b]):
                        flops[p, b] = answering_cost(model, inputs, dropping(plan), repeats=0).flops / base
    return FewerCurves(
        tuple(p.title for p in pruners), tuple(p.method for p in pruners), SHARES, sums["agreement"], sums["accuracy"],
        sums["kl"], read.mean(-1), flops, float(np.mean(whole)), said_of(model.name, asked, longest),
    )  # fmt: skip


def said_of(name: str, asked: Sequence[Sequence[Prompt]], longest: int) -> str:
    """Prompt, decoding and lengths."""
    first = asked[0]
    texts = " and ".join(f"“{prompt.text}”" for prompt in first)
    what = f"{sum(map(len, asked))} yes/no questions, such as {texts}" if first[0].right is not None else texts
    return (
        f"{name} on {len(asked)} pictures ({first[0].picture} to {asked[-1][0].picture}): {what}; greedy, at most {longest} new "
        "tokens, official rule for yes and no. Dropped tokens are really gone; intervals: 95 %, over pictures."
    )


def _plan(pruner: Pruner, capture: ma.Capture, share: float, number: int) -> VisualPlan:
    """A plan at a share of the tokens; chance draws anew for each picture."""
    amount = max(1, round(share * visual_tokens(capture)))
    options = tuple((name, value + number if name == "seed" else value) for name, value in pruner.options)
    if pruner.method == "random_visual" and not options:
        options = (("seed", number),)
    return Pruner(pruner.method, options).plan(capture, amount)


def _right(text: str, right: bool | None) -> float:
    from analysis.evaluation.yes_no import parse_official

    return float("nan") if right is None else float(parse_official(text) == right)


def _answer(model: ma.Model, inputs: ma.Inputs, edits: tuple, longest: int) -> ma.Generation:
    found = ma.generate(model, inputs, max_new_tokens=longest, edits=edits, decoding=Greedy(), keep=ma.Keep(sites="none"))
    if not isinstance(found, ma.Generation):
        raise TypeError("one prompt has one answer.")
    return found
