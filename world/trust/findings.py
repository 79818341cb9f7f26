"""What holds and what does not, told from the figures by rules alone.

A method is better than its baselines in a test when its whole interval lies beyond the best of them (and beyond chance),
worse when its whole interval lies short of the best of these; otherwise the test does not tell them apart.
"""

from collections.abc import Iterable, Sequence
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
    """Figures of one kind on one model held to one thing, in the order in which they come."""
    found: dict[Group, list[Score]] = {}
    for score in scores:
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
    """The section "What holds here and what does not", as lines of a list."""
    told = []
    for (kind, model, against), own in groups(scores).items():
        stands = verdicts(own)
        if stands:
            about = f"{NAMES[kind]} on bundled:{model}" + (f", {against}" if against else "")
            told.append(f"- **{about}.** {' '.join(_told(own, stands))}")
    return told


NAMES = {
    "map": "Maps", "importance": "Importances", "types": "Types of heads", "pruner": "Token reduction", "signal": "Signals",
    "fix": "Fixes",
}  # fmt: skip


def _told(own: Sequence[Score], stands: dict[str, dict[str, Verdict]]) -> list[str]:
    everywhere = [t for t, found in stands.items() if set(found.values()) == {"better"}]
    partly = {t: [n for n, v in f.items() if v == "better"] for t, f in stands.items() if t not in everywhere}
    nowhere = [t for t, better in partly.items() if not better]
    worse = {t: [n for n, v in f.items() if v == "worse"] for t, f in stands.items()}
    tests = max(len(found) for found in stands.values())
    told = [f"Better in {'all ' + str(tests) + ' tests' if tests > 1 else 'the test'}: {_listed(everywhere)}."]
    if some := [f"{t} ({len(b)} of {len(stands[t])})" for t, b in partly.items() if b]:
        told.append(f"Better in some: {_listed(some)}.")
    if nowhere:
        told.append(f"Better in none: {_listed(nowhere)}.")
    if bad := [f"{t} ({'; '.join(names)})" for t, names in worse.items() if names]:
        told.append(f"Worse: {_listed(bad)}.")
    blind = [s.title for s in own if s.score == FOLLOWS and not s.baseline and s.low <= s.chance]
    if blind:
        told.append(f"Not shown to depend on the class that is asked for: {_listed(blind)}.")
    return told


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"
