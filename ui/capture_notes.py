"""What a picture of attention cannot show, said beside it: attention that is not seen, or not used as it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ui.opened_texts import plain

if TYPE_CHECKING:
    from model_adapters import Report
    from ui.recording import View

_MOST = 3


def sentences(view: View, report: Report | None) -> tuple[str, ...]:
    """What is to be known of a view.

    Args:
        view: made of a capture, whose notes it holds.
        report: of the model's check, where the model is there; read where the capture itself has nothing to say.
    """
    notes = tuple(str(note) for note in view.meta.get("notes", ()))
    unseen = () if report is None or notes else tuple(report.unseen)
    if not unseen:
        return notes
    more = f"; and {len(unseen) - _MOST} more" if len(unseen) > _MOST else ""
    return (f"Not all attention of this model is seen: {'; '.join(unseen[:_MOST])}{more}.",)


def show(told: tuple[str, ...], *, small: bool = False) -> None:
    """Below a picture; nothing where there is nothing to say.

    Args:
        told: the sentences.
        small: below one of several small pictures.
    """
    if told and small:
        st.caption(":material/visibility_off: " + " ".join(map(plain, told)))
    elif told:
        st.warning("\n\n".join(map(plain, told)), icon=":material/visibility_off:")
