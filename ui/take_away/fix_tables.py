"""Tables of what fixes and fewer visual tokens do to answers."""

from __future__ import annotations

import numpy as np

from analysis.evaluation import ChairResult, PopeResult
from ui.results.fewer_curves import FewerCurves
from ui.results.fix import WordLogs
from ui.results.fix_measured import FixMeasured
from ui.take_away.columns import Table, melted, table


@table.register
def _(result: WordLogs) -> Table:
    return {
        "word": np.array(result.words, str),
        "log-probability with the fix": result.own,
        "log-probability without": result.plain,
        "said without": result.same,
    }


@table.register
def _(result: FixMeasured) -> Table:
    """A row per figure and way; the change stands beside them."""
    rows = [(pair, way, getattr(pair, way)) for pair in result.pairs for way in ("plain", "fixed", "change")]
    return {
        "figure": np.array([pair.name for pair, _, _ in rows], str),
        "way": np.array([way for _, way, _ in rows], str),
        **{end: np.array([getattr(f, end) for _, _, f in rows], float) for end in ("value", "low", "high")},
        "pictures": np.array([f.images for _, _, f in rows], int),
    }


@table.register
def _(result: FewerCurves) -> Table:
    pruners, budgets, images = result.agreement.shape
    numbers = {"agreement": result.agreement, "accuracy": result.accuracy, "KL [nats]": result.kl}
    flat = melted(numbers, pruner=np.array(result.methods, str), budget=np.array(result.shares), picture=range(images))
    reads = {"read per layer [share]": result.read, "FLOPs [share]": result.flops}
    return flat | {name: np.repeat(values.ravel(), images) for name, values in reads.items()}


@table.register
def _(result: PopeResult) -> Table:
    return {
        "image": np.array([question.image.name for question in result.questions], str),
        "question": np.array([question.text for question in result.questions], str),
        "is there": np.array([question.there for question in result.questions], bool),
        "answer": np.array([answer.text for answer in result.answers], str),
    }


@table.register
def _(result: ChairResult) -> Table:
    numbers = range(len(result.answers))
    return {
        "image": np.array([image.name for image in result.images], str),
        "description": np.array([answer.text for answer in result.answers], str),
        "there": np.array([", ".join(sorted(there)) for there in result.there], str),
        "named": np.array([", ".join(word.name for word in words) for words in result.mentions], str),
        "made up": np.array([", ".join(word.name for word in result.made_up(n)) for n in numbers], str),
    }
