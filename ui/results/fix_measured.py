"""What a fix is worth over many pictures: yes/no questions (POPE) and descriptions (CHAIR), always with recall beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import model_adapters as ma
from analysis.evaluation import yes_no
from analysis.evaluation.chair import STATISTICS as CHAIR
from analysis.evaluation.figures import Figure, of_counts
from analysis.evaluation.names import mentioned, names_of
from analysis.evaluation.yes_no import Rule, parse_official, parse_strict
from model_adapters.answer_cost import AnswerCost
from model_adapters.decoding import Decoding
from model_adapters.speaking import speaker
from ui.jobs import Progress
from ui.results.fix import Fix, said
from ui.results.fix_pictures import Shown, Wish, pictures_of

if TYPE_CHECKING:
    from collections.abc import Mapping

WAYS = ("plain", "fixed")


@dataclass(frozen=True)
class Asked:
    """One yes/no question about one picture, and what was said with and without the fix."""

    picture: int
    text: str
    right: bool
    plain: str
    fixed: str


@dataclass(frozen=True)
class Described:
    """One picture's descriptions with and without the fix, and the things that are in it."""

    name: str
    there: tuple[str, ...]
    plain: str
    fixed: str


@dataclass(frozen=True)
class Pair:
    """One figure for the model as it is and under the fix, and its change, over the same pictures."""

    name: str
    better: int
    """1 where more is better, -1 where less is, 0 where neither is."""
    plain: Figure
    fixed: Figure
    change: Figure
    share: bool = True
    """Between 0 and 1; otherwise a number of things."""

    @property
    def clear(self) -> bool:
        """Whether the interval of the change leaves out zero."""
        return self.change.low > 0 or self.change.high < 0


@dataclass(frozen=True, eq=False)
class FixMeasured:
    """A fix over many pictures."""

    fix: Fix
    wish: Wish
    model: str
    decoding: str
    """How tokens are chosen without the fix."""
    described: tuple[Described, ...]
    asked: tuple[Asked, ...]
    pairs: tuple[Pair, ...]
    skipped: tuple[str, ...] = ()
    """Pictures that could not be asked about, and why."""

    @property
    def sentence(self) -> str:
        """Prompt, decoding and lengths: what every figure is about."""
        wish, there = self.wish, sum(each.right for each in self.asked)
        return (
            f"{self.model} on {len(self.described)} {wish.data}, the same for both. Descriptions: “{wish.describe}”, at most "
            f"{wish.longest} tokens; each thing counts once. POPE, {wish.kind}: {there} questions about things that are there "
            f"and {len(self.asked) - there} about things that are not, such as “{self.asked[0].text}”, at most "
            f"{wish.longest_answer} tokens, {wish.rule} rule. Decoding without the fix: {self.decoding}. The fix: "
            f"{self.fix.title}, {self.fix.words or 'its defaults'}. Intervals: 95 %, over pictures."
            + (f" {len(self.skipped)} pictures could not be asked about; the first: {self.skipped[0]}" if self.skipped else "")
        )


def measured(model: ma.Model, fix: Fix, decoding: Decoding, wish: Wish, progress: Progress) -> FixMeasured:
    """Both ways of reading on every picture."""
    speaks = {"plain": speaker(model, decoding=decoding), "fixed": speaker(model, **fix.keywords(decoding))}
    shown, categories = pictures_of(wish)
    described: list[Described] = []
    asked: list[Asked] = []
    skipped: list[str] = []
    for number, each in enumerate(shown):
        progress.step(number / len(shown), f"picture {number + 1} of {len(shown)}")
        try:
            own, answers = _of_picture(each, number, speaks, wish, progress)
        except (ma.AdapterError, ValueError, OSError) as error:
            skipped.append(f"{each.name}: {error}")
            continue
        described.append(own)
        asked += answers
    if not described:
        reason = skipped[0] if skipped else "none is there."
        raise ValueError(f"none of {len(shown)} pictures could be asked about. The first: {reason}")
    pairs = tuple(pairs_of(described, asked, names_of(categories), wish.rule))
    return FixMeasured(fix, wish, model.name, told(decoding), tuple(described), tuple(asked), pairs, tuple(skipped))


def _of_picture(
    shown: Shown, number: int, speaks: Mapping[str, Any], wish: Wish, progress: Progress
) -> tuple[Described, list[Asked]]:
    """What is said of one picture, both ways."""
    texts = {way: speak(shown.image, wish.describe, max_new_tokens=wish.longest).text for way, speak in speaks.items()}
    asked = []
    for text, right in shown.questions:
        progress.check()
        answers = {way: speak(shown.image, text, max_new_tokens=wish.longest_answer).text for way, speak in speaks.items()}
        asked.append(Asked(number, text, right, **answers))
    return Described(shown.name, tuple(sorted(shown.there)), **texts), asked


def told(decoding: Decoding) -> str:
    """A way of decoding in words."""
    fields = ", ".join(f"{name.replace('_', ' ')} {said(value)}" for name, value in vars(decoding).items())
    return f"{type(decoding).__name__.lower()} ({fields})" if fields else type(decoding).__name__.lower()


_CHAIR = (
    ("CHAIR_i", "CHAIR i: made-up share of what is named", -1, True),
    ("CHAIR_s", "CHAIR s: descriptions that make up", -1, True),
    ("recall", "Recall: named of what is there", 1, True), ("mentions", "Things named per description", 0, False),
    ("words", "Words per description", 0, False),
)  # fmt: skip
_POPE = (
    ("accuracy", "POPE accuracy", 1), ("precision", "POPE precision", 1), ("recall", "POPE recall", 1), ("F1", "POPE F1", 1),
    ("false positives", "POPE yes to what is not there", -1), ("yes rate", "POPE share of yes", 0),
    ("unparsable", "POPE neither yes nor no", -1),
)  # fmt: skip


def pairs_of(described: Sequence[Described], asked: Sequence[Asked], names: Mapping[str, str], rule: Rule) -> list[Pair]:
    """All figures, with intervals over pictures, which are drawn together for both ways."""
    captions = [np.array([_description(getattr(d, way), d.there, names) for d in described], float) for way in WAYS]
    answers = [_answers(asked, way, rule) for way in WAYS]
    found = [_pair(title, better, share, CHAIR[key], captions) for key, title, better, share in _CHAIR]
    return found + [_pair(title, better, True, yes_no.STATISTICS[key], answers) for key, title, better in _POPE]


def _pair(
    name: str, better: int, share: bool, statistic: Callable[[np.ndarray], np.ndarray], counts: Sequence[np.ndarray]
) -> Pair:
    kinds = counts[0].shape[1]

    def change(sums: np.ndarray) -> np.ndarray:
        return statistic(sums[..., kinds:]) - statistic(sums[..., :kinds])

    plain, fixed = (of_counts(each, statistic) for each in counts)
    return Pair(name, better, plain, fixed, of_counts(np.concatenate(counts, 1), change), share)


def _description(text: str, there: Sequence[str], names: Mapping[str, str]) -> tuple[float, ...]:
    """The counts of one description, as `chair.STATISTICS` takes them; each thing once."""
    named = set(word.name for word in mentioned(text, names))
    false = len(named - set(there))
    return len(named), false, false > 0, len(named & set(there)), len(there), len(text.split()), 1


def _answers(asked: Sequence[Asked], way: str, rule: Rule) -> np.ndarray:
    """[pictures, 6]: the counts of yes/no answers, as `yes_no.STATISTICS` takes them."""
    _, row = np.unique([each.picture for each in asked], return_inverse=True)
    counts = np.zeros((int(row.max()) + 1 if len(row) else 0, 6))
    for each, picture in zip(asked, row, strict=True):
        text = getattr(each, way)
        strict = parse_strict(text)
        yes = parse_official(text) if rule == "official" else strict
        if yes is None:
            column = yes_no.MISS if each.right else yes_no.WRONG_OTHER
        elif yes:
            column = yes_no.HIT if each.right else yes_no.FALSE_ALARM
        else:
            column = yes_no.MISS if each.right else yes_no.RIGHT_NO
        counts[picture, column] += 1
        counts[picture, yes_no.UNREAD] += strict is None
    return counts


def seconds_of(costs: Sequence[AnswerCost], wish: Wish) -> float:
    """About how long it takes: per picture a description and a few short answers, each way."""

    def one(cost: AnswerCost) -> float:
        token = 0.0 if np.isnan(cost.token_seconds) else cost.token_seconds
        questions = 2 * wish.pairs
        return cost.first_seconds * (1 + questions) + token * (wish.longest / 2 + questions)

    return wish.count * sum(one(cost) for cost in costs)


def table_of(result: FixMeasured) -> list[dict[str, Any]]:
    """A row per figure, for people."""
    rows = []
    for pair in result.pairs:
        texts = [_with_interval(figure, pair.share) for figure in (pair.plain, pair.fixed)]
        change = _with_interval(pair.change, pair.share, "+")
        numbers = {"Without": texts[0], "With the fix": texts[1], "Change": change, "Clear": _verdict(pair)}
        rows.append({"": pair.name.split(":")[0]} | numbers)
    return rows


def _with_interval(figure: Figure, share: bool, sign: str = "") -> str:
    if np.isnan(figure.value):
        return "–"
    scale, digits = (100, 0) if share else (1, 2)
    value, low, high = (f"{scale * number:{sign}.{digits}f}" for number in (figure.value, figure.low, figure.high))
    unit = "" if not share else " points" if sign else " %"
    return f"{value}{unit} ({low} to {high})"


def _verdict(pair: Pair) -> str:
    """Whether the change is more than chance, and for the better or the worse."""
    if not pair.clear:
        return "no clear change"
    if not pair.better:
        return "more" if pair.change.value > 0 else "less"
    return "better" if pair.change.value * pair.better > 0 else "worse"


__all__ = ["Asked", "Described", "FixMeasured", "Pair", "Shown", "Wish", "measured", "pairs_of", "seconds_of", "table_of", "told"]
