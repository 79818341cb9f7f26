"""The fold under a picture: what the method says, what it cannot say, its range, its source, and what the benchmark found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from ui.references import references

if TYPE_CHECKING:
    from analysis.registry import Method
    from world.trust.table import Score

UNTRIED = "The trust benchmark has not tried this method: nothing measured says how far it can be believed."
_MOST = 6
"""So many tests of the benchmark are shown."""


def how_to_read(*names: str) -> None:
    """The fold "How to read this" for one method or several.

    Args:
        names: as registered.
    """
    # From the package: of its parts alone one may be met before the methods are registered.
    from analysis import find

    with st.expander("How to read this", icon=":material/help:"):
        for name in names:
            method = find(name)
            if len(names) > 1:
                st.markdown(f"**{method.title}**")
            st.markdown(note(method))


def note(method: Method) -> str:
    """The text of the fold."""
    lines = [
        method.summary,
        f"**Range**: {_sentence(method.range)}",
        f"**Where it misleads**: {_sentence(method.misleads)}",
        f"**Measured**: {benchmark_line(method.name)}",
    ]
    if method.cites:
        lines.append("**Source**: " + " ".join(f"after {references()[key].markdown}" for key in method.cites))
    return "\n\n".join(lines)


def benchmark_line(name: str) -> str:
    """What the trust benchmark says about a method, or that it says nothing."""
    found = figures_of(name)
    if not found:
        return UNTRIED
    tests: dict[tuple[str, str, str], list[Score]] = {}
    for score in found:
        tests.setdefault((score.model, score.score, score.against), []).append(score)
    told = [_test(scores) for scores in tests.values()]
    rest = f"; and {len(told) - _MOST} more tests" if len(told) > _MOST else ""
    counts = sorted({score.count for score in found})
    count = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{'; '.join(told[:_MOST])}{rest}. In the small world, over {count} images."


def figures_of(name: str) -> Sequence[Score]:
    """The benchmark's figures of a method; none where it took no part."""
    from world.trust.table import scores

    return scores(name)


def _test(scores: Sequence[Score]) -> str:
    """One test: the figure with its interval, or the span where a method took part in several ways."""
    first = scores[0]
    against = f" with the {first.against}" if first.against else ""
    chance = f", chance {first.chance:.2f}" if first.chance == first.chance else ""
    if len(scores) == 1:
        told = f"{first.value:.2f} ({first.low:.2f} to {first.high:.2f}{chance})"
    else:
        values = [score.value for score in scores]
        told = f"{min(values):.2f} to {max(values):.2f} over {len(values)} variants{chance}"
    return f"{first.score}{against}, bundled:{first.model}: {told}"


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
