"""The registry as a list that people read: one entry per method, grouped by what it makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui.notes import benchmark_line
from ui.references import references

if TYPE_CHECKING:
    from analysis.registry import Method

KINDS = {
    "map": "Maps of a picture", "head": "Numbers per head", "profile": "Curves per head", "pattern": "Patterns and types",
    "rows": "What one head does for each patch", "token": "Tokens and sinks", "tokens": "Fewer tokens", "embedding": "Embeddings",
    "colours": "Features as colours", "attribution": "Parts of a score", "curve": "Curves over layers and heads",
    "partial": "Parts of a head", "whatif": "What if", "pruning": "Pruning", "word map": "Maps of a word",
    "word share": "Where words come from", "word confidence": "How sure a word was", "vote": "Answers by vote",
    "word head": "Heads at a word",
    "word flow": "How the image enters an answer", "word lens": "Words inside the layers",
    "word agreement": "Words and the image", "word alignment": "Words and the image, layer by layer",
    "word sink": "Sinks of an answer", "word knockout": "What an answer depends on", "fix": "What may help",
    "visual tokens": "Fewer visual tokens", "evaluation": "How often a model makes things up",
    "signal": "Signs of made-up words", "signal fit": "Signs taken together", "comparison": "Comparisons",
    "agreement": "Agreement", "faithfulness": "Faithfulness", "localisation": "Localisation", "sanity": "Sanity checks",
    "trust": "Cheap against exact", "baseline": "To be beaten",
}  # fmt: skip
"""What each kind is called, in the order in which they are shown; kinds that are not named here follow under their own name."""


@dataclass(frozen=True)
class Row:
    """One method in words."""

    name: str
    title: str
    kind: str
    summary: str
    needs: str
    models: str
    range: str
    misleads: str
    source: str
    measured: str

    @property
    def words(self) -> str:
        """All that a search looks through."""
        return " ".join(
            (self.name, self.title, self.kind, self.summary, self.needs, self.models, self.misleads, self.source)
        ).lower()


def rows(progress: Any = None) -> list[Row]:
    """All methods; imports them, which takes seconds the first time."""
    import analysis

    order = list(KINDS)
    found = [_row(method) for method in analysis.methods()]
    return sorted(found, key=lambda row: (order.index(row.kind) if row.kind in order else len(order), row.title))


def matching(listed: Sequence[Row], text: str) -> list[Row]:
    """The rows that hold every word."""
    return [row for row in listed if all(word in row.words for word in (text or "").lower().split())]


def kinds(listed: Sequence[Row]) -> list[str]:
    """The kinds among them, in order."""
    return list(dict.fromkeys(row.kind for row in listed))


def show_kind(kind: str, listed: Sequence[Row], *, unfolded: bool) -> None:
    """One kind under its name."""
    with st.expander(f"**{KINDS.get(kind, kind.capitalize())}** · {len(listed)}", expanded=unfolded):
        st.markdown("\n\n".join(_entry(row) for row in listed))


def _entry(row: Row) -> str:
    facts = {
        "Range": row.range,
        "Where it misleads": row.misleads,
        "For": f"{row.models}; needs {row.needs}" if row.needs else row.models,
        "Source": row.source,
        "Measured": row.measured,
    }
    lines = "\n".join(f"- :gray[{name}:] {_plain(text)}" for name, text in facts.items())
    return f"##### {_plain(row.title)}\n{_plain(row.summary)}\n{lines}"


def _plain(text: str) -> str:
    """Text that is not read as mathematics."""
    return text.replace("$", "\\$").replace("\n", " ")


def _row(method: Method) -> Row:
    source = "; ".join(references()[key].markdown for key in method.cites) or "ours"
    return Row(
        method.name, method.title, method.kind, method.summary, _needs(method), supported(method), method.range, method.misleads,
        source, benchmark_line(method.name),
    )  # fmt: skip


def _needs(method: Method) -> str:
    from analysis.registry import NEEDS

    sentences = (NEEDS[need].removeprefix("needs ").split(";")[0] for need in sorted(method.needs))
    return "; ".join(sentences)


def supported(method: Method) -> str:
    """Which models can meet the needs, in words."""
    needs = method.needs
    if "generation" in needs or "text" in needs:
        return "models that write an answer"
    if "cross" in needs:
        return "models whose words read the image by cross-attention"
    if "class_token" in needs:
        return "ViTs and dual encoders with a class token"
    if "module" in needs and "hidden" in needs:
        return "ViTs whose blocks add up to their score"
    if "square" in needs:
        return "all models with global attention; not windows"
    return "all models"
