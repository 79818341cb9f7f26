"""What is chosen: one selection for all pages, kept for the visit and written into the link.

Model, picture and class are widgets of the sidebar, bound to the link by Streamlit. A head, a token, a word or a set of heads is
chosen inside pictures, so it is kept here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import streamlit as st

_KEY = "chosen"
Fuse = Literal["mean", "max", "single"]
Mode = Literal["raw", "sinks removed", "relative"]
FUSES: tuple[Fuse, ...] = get_args(Fuse)
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True)
class Chosen:
    """A head, a token, and heads that were gathered."""

    layer: int = -1
    """Row of the head matrix of the tower that is looked at; -1 is the last."""
    head: int = 0
    query: str = ""
    """"class", or the number of a row; empty: what the model offers first."""
    heads: tuple[tuple[int, int], ...] = ()
    """(layer, head) pairs sent from one page to another."""
    word: int = -1
    """Which word of the answer, marks counted; -1: the one that the answer offers first."""
    fuse: Fuse = "mean"
    """How the viewer puts heads together: "mean", "max", or "single" for the chosen head alone."""
    weighing: Mode = "raw"
    """What the viewer shows of weights: "raw", "sinks removed" or "relative"."""
    smooth: bool = False
    """Whether the viewer blends between patches."""
    order: str = ""
    """The number by which the viewer sorts its small maps, with a minus for low first."""

    def as_query(self) -> dict[str, str]:
        """What differs from the start, as text for the link; a link with a head opens that head, so it says where not."""
        start = Chosen()
        found = {f.name: _text(getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) != getattr(start, f.name)}
        if "head" in found:
            found["fuse"] = self.fuse
            if self.fuse == "single":
                del found["fuse"]
        return found

    @classmethod
    def from_query(cls, query: dict[str, str]) -> Chosen:
        """What a link says; what makes no sense is left at its start."""
        found: dict[str, Any] = {}
        for name in ("layer", "head", "word"):
            if _number(query.get(name, "")):
                found[name] = int(query[name])
        if query.get("query", "").isalnum():
            found["query"] = query["query"]
        fuse = query.get("fuse", "single" if "head" in found else "mean")
        found["fuse"] = fuse if fuse in FUSES else "mean"
        found["weighing"] = query["weighing"] if query.get("weighing") in MODES else "raw"
        found["smooth"] = query.get("smooth") == "yes"
        found["order"] = query.get("order", "")[:60]
        pairs = [part.split(".") for part in query.get("heads", "").split(",")]
        heads = [(int(p[0]), int(p[1])) for p in pairs if len(p) == 2 and _number(p[0]) and _number(p[1])]
        return cls(**found, heads=tuple(dict.fromkeys(heads)))


def _text(value: Any) -> str:
    if value is True:
        return "yes"
    return ",".join(f"{layer}.{head}" for layer, head in value) if isinstance(value, tuple) else str(value)


def _number(text: str) -> bool:
    return text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() and len(text) < 6


def chosen() -> Chosen:
    """What is chosen now."""
    if _KEY not in st.session_state:
        st.session_state[_KEY] = Chosen.from_query(st.query_params.to_dict())
    return st.session_state[_KEY]


def choose(**changes: Any) -> None:
    """Change the selection for all pages; who chooses a head wants to see that head."""
    if "head" in changes:
        changes = {"fuse": "single", **changes}
    st.session_state[_KEY] = replace(chosen(), **changes)
    write_link()


def write_link() -> None:
    """Put the selection into the address, beside what widgets have bound to it."""
    wanted = chosen().as_query()
    for name in (f.name for f in fields(Chosen)):
        if name in wanted and st.query_params.get(name) != wanted[name]:
            st.query_params[name] = wanted[name]
        elif name not in wanted and name in st.query_params:
            del st.query_params[name]
