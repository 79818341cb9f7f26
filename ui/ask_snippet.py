"""The Python that asks again, and goes on with the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ui.asking import Question


def script(question: Question, imports: Sequence[str], lines: Sequence[str]) -> str:
    """Lines that leave `shown` behind, after those that make `model`, `inputs`, `generation`, `asked` and `answer`."""
    from ui.results.flow_snippet import answer_lines

    own, before = answer_lines(question)
    first = sorted({*own, *imports, "from analysis.words import answer_of"}, key=lambda line: (line.startswith("from"), line))
    return "\n".join([*first, "", *before, "answer = answer_of(generation, asked)", *lines])
