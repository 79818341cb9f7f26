"""What people mean who type a part of a name."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def closest(text: str, names: Iterable[str], title: Callable[[str], str] = str) -> str | None:
    """The name that a text means best: the same, then one that begins so, a whole word of one, any part; shorter ones first.

    Args:
        text: what was typed.
        names: what there is, the first of equals counts.
        title: what people call each.
    """
    wanted = " ".join(text.casefold().split())
    if not wanted:
        return None
    ranked = [(_rank(wanted, (name.casefold(), title(name).casefold())), len(title(name)), name) for name in names]
    found = [(rank, length, place, name) for place, (rank, length, name) in enumerate(ranked) if rank is not None]
    return min(found)[3] if found else None


def _rank(wanted: str, texts: tuple[str, ...]) -> int | None:
    tests: tuple[Callable[[str], bool], ...] = (
        lambda text: wanted in (text, text.partition(":")[2]), lambda text: text.startswith(wanted),
        lambda text: wanted in text.replace(":", " ").split(), lambda text: wanted in text,
    )  # fmt: skip
    return next((number for number, test in enumerate(tests) if any(map(test, texts))), None)
