"""The Python that measures the signals of a word again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.results.flow_snippet import answer_lines

if TYPE_CHECKING:
    from ui.asking import Question


def places_snippet(question: Question, word: str) -> str:
    """Signals of all words in `table`, and the place of one word among true words in `shown`, where there is a reference."""
    imports, lines = answer_lines(question)
    film = ", film=True" if question.film else ""
    own = {"import numpy as np", "from world.signal_evidence import evidence_of", "from world.signal_reference import reference"}
    first = sorted({*imports, *own}, key=lambda line: (line.startswith("from"), line))
    return "\n".join(
        [
            *first, "", *lines,
            "pictures = [np.asarray(image) for image in inputs.images[0]]",
            f"table = evidence_of(model, pictures, {question.text!r}, generation{film}).table()",
            f"words = reference({question.model!r})",
            f"row = [word.text for word in table.words].index({word!r})",
            "shown = {n: words.shares(n, v, made_up=False) for n, v in zip(table.names, table.values[row]) if words}",
        ]
    )  # fmt: skip

