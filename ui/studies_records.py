"""Records of a study as pictures; one click leads from each to the viewer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import picture_picker, state
from ui.pictures import thumbnail

if TYPE_CHECKING:
    from studies.store import Store

SHOWN = 6
_VIEWER = Path(__file__).resolve().parents[1] / "pages" / "look" / "attention.py"
_WANTED = "study look"


@dataclass(frozen=True)
class Shown:
    """One record, and what stands below its picture."""

    record: int
    told: str
    question: str = ""
    """What the model was asked; empty where it reads no question."""


def lacking(store: Store, *tables: str) -> None:
    """What the figure above lacks, because files of these tables are missing or changed."""
    from ui.results import studying

    for sentence in studying.lacking(store, *tables):
        st.caption(f":material/warning: {sentence}")


def grid(url: str, records: Sequence[Shown], model: Any, head: tuple[int, int] | None = None) -> None:
    """The pictures, three side by side.

    Args:
        url: of the store.
        records: at most `SHOWN`.
        model: the study's own, which the viewer will look with.
        head: layer and head that the viewer will show.
    """
    from studies.errors import StudyError
    from ui.results import studying

    for at in range(0, len(records), 3):
        for each, place in zip(records[at : at + 3], st.columns(3), strict=False):
            with place:
                try:
                    st.image(thumbnail(studying.picture(url, each.record), 160), width="stretch")
                except StudyError as error:
                    st.caption(str(error))
                    continue
                st.caption(each.told)
                look: Callable[..., None] = _look
                st.button("Look", key=f"look-{each.record}", on_click=look, args=(url, each, model, head), width="stretch")
    if st.session_state.pop(_WANTED, False):
        st.switch_page(str(_VIEWER))


def _look(url: str, each: Shown, model: Any, head: tuple[int, int] | None) -> None:
    """Choose the record's picture, the model, the question and the head for all pages."""
    from ui.results import studying

    picture_picker.want(picture_picker.keep(studying.picture(url, each.record)))
    st.session_state["model"] = model.name
    if not model.name.startswith(("bundled:", "path:")):
        st.session_state["weights"] = model.weights
    if each.question:
        st.session_state["question"] = each.question
    if head is not None:
        state.choose(layer=head[0], head=head[1])
    st.session_state[_WANTED] = True
