"""What went wrong, as a sentence; the details only where somebody develops."""

from __future__ import annotations

import logging
import os
import traceback

import streamlit as st

from studies.errors import StudyError

log = logging.getLogger(__name__)


def show(error: BaseException) -> None:
    """A sentence on what happened and what to do; nothing that was chosen is lost."""
    if not _is_clear(error):
        log.error("unexpected", exc_info=error)
    st.error(sentence(error), icon=":material/error:")
    if os.environ.get("HEADLIGHT_DEVELOPER"):
        with st.expander("Details"):
            st.code("".join(traceback.format_exception(error)), language=None)


def sentence(error: BaseException) -> str:
    """What happened and what to do, for people."""
    if _is_clear(error):
        return str(error)
    return (
        f"Something went wrong here ({type(error).__name__}). Nothing you chose is lost: try again, or choose another "
        "model or picture. The server's log has the details."
    )


def is_refusal(error: BaseException) -> bool:
    """Whether the same question would be refused again for the same reason, so that trying again is of no use."""
    return _is_clear(error) and not isinstance(error, StudyError) and not isinstance(error.__cause__, OSError)


def on_script_error(error: Exception) -> bool:
    """For errors that no page expected."""
    show(error)
    return True


def _is_clear(error: BaseException) -> bool:
    """Errors of ours are written for people: those of models, of studies, and of values that make no sense."""
    ours = any(kind.__name__ == "AdapterError" for kind in type(error).__mro__)
    return ours or isinstance(error, (ValueError, StudyError))
