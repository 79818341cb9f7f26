"""What holds and what does not, told from the figures by rules alone.

A method is better than its baselines in a test when its whole interval lies beyond the best of them (and beyond chance),
worse when its whole interval lies short of the best of these; otherwise the test does not tell them apart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from world.trust.table import Score

RULE = (
    "By rule, from the figures below: a method is *better* in a test when its whole interval lies beyond the best baseline "
    "and beyond chance, *worse* when its whole interval lies short of the best of these; all else is left open."
)
LOWER_IS_BETTER = ("CHAIR", "POPE adversarial, false")
NO_ORDER = ("mentions", "patches left")
FOLLOWS = "moves to the class asked for"
Verdict = Literal["better", "worse", "open"]
Group = tuple[str, str, str]


def ordered(score: Score) -> bool:
    """Whether more (or less) of it is better at all."""
    return score.score not in NO_ORDER and score.against not in NO_ORDER


def direction(score: Score) -> int:
    """1 where higher is better, -1 where lower is."""
    return -1 if score.score.startswith(LOWER_IS_BETTER) else 1


def verdict(score: Score, rivals: Iterable[Score]) -> Verdict:
    """How a figure stands to the baselines of the same test, and to chance."""
    sign = direction(score)
    values = [sign * rival.value for rival in rivals]
    if score.chance == score.chance:
        values.append(sign * score.chance)
    low, high = sorted((sign * score.low, sign * score.high))
    if not values:
        return "open"
    return "better" if low > max(values) else "worse" if high < max(values) else "open"


def groups(scores: Sequence[Score]) -> dict[Group, list[Score]]:
    """Figures of one kind on one model held to one thing, in the order in which they come.

    Types of heads have one method only, so there the models stand beside each other instead.
    """
    found: dict[Group, list[Score]] = {}
    for score in scores:
        if score.kind == "types":
            score = replace(score, title=f"bundled:{score.model}", model="")
        found.setdefault((score.kind, score.model, score.against), []).append(score)
    return found


def verdicts(scores: Sequence[Score]) -> dict[str, dict[str, Verdict]]:
    """Title -> test -> how it stands, of all in one group that are no baselines."""
    rivals = [s for s in scores if s.baseline]
    found: dict[str, dict[str, Verdict]] = {}
    for score in scores:
        if not score.baseline and ordered(score):
            same = [r for r in rivals if r.score == score.score]
            found.setdefault(score.title, {})[score.score] = verdict(score, same)
    return found


def sentences(scores: Sequence[Score]) -> list[str]:
    """The section "What holds here and what does not", as lines of a list with lists in it."""
    told = []
    for (kind, model, against), own in groups(scores).items():
        stands = verdicts(own)
        if stands:
            tests = max(len(found) for found in stands.values())
            about = NAMES[kind] + (f" on bundled:{model}" if model else "") + (f", {against}" if against else "")
            told.append(f"- **{about}** ({tests} test{'s' if tests > 1 else ''})")
            told += [f"  - {line}" for line in _told(own, stands)]
    return told


NAMES = {
    "map": "Maps", "importance": "Importances", "types": "Types of heads", "pruner": "Token reduction", "signal": "Signals",
    "fix": "Fixes",
}  # fmt: skip


def _told(own: Sequence[Score], stands: dict[str, dict[str, Verdict]]) -> list[str]:
    better, worse = ({t: list(f.values()).count(v) for t, f in stands.items()} for v in ("better", "worse"))
    told = []
    for count in sorted(set(better.values()), reverse=True):
        names = [title for title, number in better.items() if number == count]
        told.append(f"better in {count or 'none'}: {'; '.join(names)}")
    if bad := [f"{title} ({number})" for title, number in worse.items() if number]:
        told.append(f"worse in some: {'; '.join(bad)}")
    blind = [s.title for s in own if s.score == FOLLOWS and not s.baseline and s.low <= s.chance]
    if blind:
        told.append(f"not shown to depend on the class that is asked for: {'; '.join(blind)}")
    return told
