"""Conditions on heads as people write them: "local", "only row", "importance: top 10 %", "on object > 1.5".

Nothing is evaluated: a text is one of three forms, or it is refused with what would work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.head_query import Condition, FoundHead, HeadTable, OfType

_BOUND = re.compile(r"(?P<name>[a-z][a-z ]*?)\s*(?P<sign><=|>=|<|>|≤|≥)\s*(?P<value>-?\d+(\.\d+)?(e-?\d+)?)\s*(?P<percent>%)?")
_SHARE = re.compile(r"(?P<name>[a-z][a-z ]*?)\s*:?\s+(?P<end>top|highest|bottom|lowest)\s+(?P<value>\d+(?:\.\d+)?)\s*%")
_TYPE = re.compile(r"(?P<only>only\s+)?(?P<names>[a-z]+(?:\s+or\s+[a-z]+)*)")


def types_of() -> tuple[str, ...]:
    """The types that can be asked for."""
    from analysis.head_measures import MEASURES

    return (*MEASURES, "unclear")


def suggestions(names: Sequence[str]) -> list[str]:
    """Conditions to begin with, as far as the numbers are known.

    Args:
        names: the numbers that are known of the heads.
    """
    offered = ["importance: top 10 %", "on object: top 10 %", "on object > 1.5", "distance: bottom 10 %", "entropy: bottom 10 %"]
    known = [text for text in offered if condition_name(text) in names]
    return [*known, "local", "content", "sink", "row or column", "self", "global", "unclear", "layer > 2"]


def condition_name(text: str) -> str | None:
    """Which number a condition speaks of; None for types."""
    match = _SHARE.fullmatch(_plain(text)) or _BOUND.fullmatch(_plain(text))
    return None if match is None else match["name"].strip()


def condition(text: str, names: Sequence[str]) -> Condition | OfType:
    """What a text asks for.

    Args:
        text: as written.
        names: the numbers that are known of the heads.

    Raises:
        ValueError: if it is none of the forms, or speaks of a number that is not known.
    """
    from analysis.head_query import OfType

    plain = _plain(text)
    if match := (_SHARE.fullmatch(plain) or _BOUND.fullmatch(plain)):
        name = match["name"].strip()
        if name not in names:
            raise ValueError(f"“{text}”: no number “{name}” is known of these heads. There are {', '.join(names)}.")
        return _of_share(name, match) if "end" in match.groupdict() else _of_bound(name, match)
    match = _TYPE.fullmatch(plain)
    asked = tuple(re.split(r"\s+or\s+", match["names"])) if match else ()
    if match and set(asked) <= set(types_of()):
        return OfType(asked, alone=bool(match["only"]))
    if asked == ("hybrid",):
        raise ValueError("“hybrid”: ask for its parts, such as “row” and “local” as two conditions.")
    raise ValueError(
        f"“{text}” is not understood. A condition is a type ({', '.join(types_of())}), a bound such as “on object > 1.5”, "
        "or a share such as “importance: top 10 %”."
    )


def found(table: HeadTable, texts: Iterable[str]) -> tuple[FoundHead, ...]:
    """The heads that meet all conditions, the highest of the first number first."""
    from analysis.head_query import Condition, find_heads

    conditions = [condition(text, table.names) for text in texts]
    numbers = [c for c in conditions if isinstance(c, Condition)]
    ordered = find_heads(table, conditions, sort_by=numbers[0].name if numbers else None)
    low = numbers and numbers[0].bottom is not None
    return tuple(reversed(ordered)) if low else ordered


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip().lower())


def _of_share(name: str, match: re.Match[str]) -> Condition:
    from analysis.head_query import Condition

    share = float(match["value"]) / 100
    if not 0 < share <= 1:
        raise ValueError(f"“{match[0]}”: a share lies above 0 % and is at most 100 %.")
    return Condition(name, top=share) if match["end"] in ("top", "highest") else Condition(name, bottom=share)


def _of_bound(name: str, match: re.Match[str]) -> Condition:
    from analysis.head_query import Condition

    value = float(match["value"]) / (100 if match["percent"] else 1)
    return Condition(name, least=value) if match["sign"] in (">", ">=", "≥") else Condition(name, most=value)
