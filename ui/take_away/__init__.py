"""What can be taken away from a picture: its numbers, the picture itself, the Python that makes it again, and its link."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import streamlit as st

from ui.take_away import seen
from ui.take_away.files import as_csv, as_npz, as_parquet

_DATA = {
    "csv": (as_csv, "text/csv", "A table with one number per line."),
    "npz": (as_npz, "application/octet-stream", "All arrays, for NumPy."),
    "parquet": (as_parquet, "application/octet-stream", "The table with its types."),
}
_PICTURES = {"svg": "image/svg+xml", "png": "image/png", "pdf": "application/pdf"}


def menu(
    result: Any,
    figure: Any | None,
    *,
    key: str,
    snippet: str = "",
    link: str = "",
    title: str = "",
    cites: Iterable[str] = (),
    shown: seen.Seen | None = None,
) -> None:
    """The menu of a picture. A file is made when it is asked for, not before.

    Args:
        result: what is drawn; a mapping of columns is its own table.
        figure: the drawing of `ui.figures`; None where the picture has a menu of its own.
        key: of this menu on its page.
        snippet: Python that makes the result again.
        link: the address of this view.
        title: of the picture; also the beginning of the files' names.
        cites: keys of the sources; those of the methods that the snippet names by default.
        shown: what is known of a picture that comes out of a session file.
    """
    name = _file_name(title or key)
    if shown is None:
        shown = seen.Seen(seen.about(title or key, snippet, link, cites), result, figure)
        seen.note(key, shown)
    with st.popover("", icon=":material/download:", help="Take away: data, figure, Python, report", key=f"{key}-take-away"):
        if figure is not None:
            add_button(shown, key=f"{key}-report")
        _buttons("Data", key, name, {ending: (partial(make, result), mime, help) for ending, (make, mime, help) in _DATA.items()})
        if figure is not None:
            pictures = {ending: (partial(_still, figure, ending, title), mime, "") for ending, mime in _PICTURES.items()}
            _buttons("Figure", key, name, pictures)
        if snippet:
            st.caption("Python")
            st.code(snippet, language="python", wrap_lines=True)
        if link:
            st.caption("Link to this view")
            st.code(link, language=None, wrap_lines=True)


def add_button(shown: seen.Seen, *, key: str) -> bool:
    """The button that puts a picture into the report; whether it has just done so."""
    if not st.button("Add to report", icon=":material/note_add:", key=key, help="Collected on the page Report, with its Python."):
        return False
    from ui import report

    try:
        report.add(shown)
    except (ValueError, TypeError) as error:
        st.error(str(error), icon=":material/error:")
        return False
    count = len(report.pictures())
    st.toast(f"In the report now: {count} picture{'s' if count > 1 else ''}.", icon=":material/description:")
    return True


def _buttons(caption: str, key: str, name: str, made: Mapping[str, tuple[Callable[[], bytes], str, str]]) -> None:
    st.caption(caption)
    with st.container(horizontal=True, gap="small"):
        for ending, (make, mime, help) in made.items():
            st.download_button(
                ending.upper() if ending != "parquet" else "Parquet",
                make,
                file_name=f"{name}.{ending}",
                mime=mime,
                help=help or None,
                key=f"{key}-{ending}",
                on_click="ignore",
            )


def _still(figure: Any, ending: Any, title: str) -> bytes:
    from ui.take_away.still import still

    return still(figure() if callable(figure) else figure, ending, title)


def _file_name(title: str) -> str:
    """Letters, digits and dashes only."""
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in title.lower()).split()
    return "-".join(words)[:60] or "headlight"


__all__ = ["add_button", "as_csv", "as_npz", "as_parquet", "menu"]
