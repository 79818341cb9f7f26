"""What the page Embedding asks for: its controls, and the results that answer them, each made once in the background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ui import controls, session, set_jobs
from ui.jobs import Progress
from ui.pictures import Picture
from ui.results import embedding
from ui.results.embedding_tokens import matching
from ui.results.heads import Text, pass_seconds, subject_for

if TYPE_CHECKING:
    from model_adapters import Model
    from ui.point_map import Tokens

_BY = {"pca": "PCA", "umap": "UMAP", "t-sne": "t-SNE"}
_SECONDS = {"umap": (15, 1.1e-3), "t-sne": (1, 1.5e-2)}
"""Seconds to begin with, and per point."""
_EVERY = "any"
MODES = ("heads", "states", "colours")
_MODES_HELP = "Queries and keys of one head, hidden states of one layer, or patch features as colours."


@dataclass(frozen=True)
class Wish:
    """What the controls say."""

    mode: str
    count: int
    by: Any
    colouring: Any


def wish() -> Wish:
    """The row of controls, without the search."""
    from ui.results.embedding_maps import COLOURINGS

    mode = controls.pick("show", "Show", MODES, help=_MODES_HELP)
    count = controls.pick("beside", "Pictures", (1, 4, 8, 32), default=4, help="The chosen one and drawn scenes beside it.")
    if mode == "colours":
        return Wish(mode, count, "pca", "kind")
    by = controls.pick("points-by", "Places by", tuple(_BY), format=lambda each: _BY[each])
    if mode == "states":
        return Wish(mode, count, by, controls.pick("states-colour", "Colours tell", COLOURINGS[1:]))
    colouring = controls.pick("points-colour", "Colours tell", COLOURINGS)
    return Wish(mode, count, by, colouring)


@dataclass(frozen=True, eq=False)
class Asked:
    """One tower of one model before several pictures."""

    seen: embedding.Seen
    key: tuple
    """Names it in the keys of jobs."""


def look(model: Model, name: str, weights: str, tower: str, text: Text, picture: Picture, count: int) -> Asked:
    """Run the model on the pictures; the page stops until that is done."""
    ids = embedding.companions(picture, count)
    key = (name, weights, tower, text, picture.key, ids)

    def make(progress: Progress) -> embedding.Seen:
        return embedding.look(model, embedding.known_pictures(ids, picture), text, tower, progress)

    once = ("seconds", name, weights, tower, text)
    seconds = session.get(once, lambda _: pass_seconds(subject_for(model, picture, text)), label="Running the model once")
    found: Any = set_jobs.begin(
        ("view", "embedding", *key), make, label="Looking at the pictures", what=f"{count} pictures",
        seconds=3 * seconds * count, button="Look at them",
    )  # fmt: skip
    if found is None:
        st.stop()
    if "grid" not in found.offered:
        st.info(f"Tokens of the {tower} tower have no place on a picture. Choose the vision tower.", icon=":material/info:")
        st.stop()
    return Asked(found, key)


def refuse(model: Model, reason: str) -> None:
    """Why queries and keys cannot be shown, and what can."""
    able = "Its hidden states and the colours of its patches can be shown: choose them above."
    st.info(
        f"{reason.rstrip('.')}, and {model.name} does not give them. {able}",
        icon=":material/info:",
    )


def placed(asked: Asked, kind: tuple, by: str, make: Callable[[str, Callable[[float], None] | None], Any]) -> Any:
    """Points placed by PCA at once; by others when they are there, and by PCA until then."""
    quick = session.get(("embedding", *asked.key, *kind, "pca"), lambda _: make("pca", None), label="Placing points")
    if by == "pca":
        return quick
    first, each = _SECONDS[by]
    count = len(quick.tokens.kind)
    slow = session.part(
        ("embedding", *asked.key, *kind, by),
        lambda progress: make(by, progress.step),
        label=f"{_BY[by]} of {count:,} points; until then PCA",
        estimate=f"about {first + each * count:.0f} s",
        lane="long",
    )
    return quick if slow is None else slow


def search(tokens: Tokens, seen: embedding.Seen) -> np.ndarray | None:
    """Where to look for: a picture, a row, a column, an object; None where nothing is asked."""
    titles = [picture.title for picture in seen.pictures]
    rows, columns = (range(int(tokens.place[:, axis].max()) + 1) for axis in (0, 1))
    with st.popover("Find", icon=":material/search:", help="Points that fit stay bright."):
        picture = controls.pick("find-picture", "Picture", [_EVERY, *titles])
        word = controls.pick("find-word", "What is there", [_EVERY, *sorted(word for word in tokens.words if word)])
        left, right = st.columns(2)
        with left:
            row = controls.pick("find-row", "Row", [_EVERY, *map(str, rows)])
        with right:
            column = controls.pick("find-column", "Column", [_EVERY, *map(str, columns)])
    found = matching(
        tokens,
        picture=None if picture == _EVERY else titles.index(picture),
        row=None if row == _EVERY else int(row),
        column=None if column == _EVERY else int(column),
        word=None if word == _EVERY else str(word),
    )
    if found is not None:
        st.caption(f"{int(found.sum()):,} of {len(found):,} points fit")
    return found
