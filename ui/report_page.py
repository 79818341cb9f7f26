"""The pieces of the page Report: what can be added, what is in it, and the two files."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial

import streamlit as st

from ui import report
from ui.asking_bar import plain
from ui.report_parts import Report, ReportPicture, made_lines
from ui.session_file_parts import About
from ui.take_away import add_button, seen
from ui.take_away.seen import Seen

NOTE = (
    "A picture is drawn when it is added and stays as it was: a later change of the model or the page does not reach it. "
    "The HTML file holds pictures, words, Python and BibTeX in itself, and its own rule forbids fetching anything.\n\n"
    "**What it cannot say**: more than its pictures show. The numbers behind them are in each picture's own menu, and a "
    "session file keeps them all.\n\n"
    "**Range**: at most 40 pictures, kept for the visit."
)
_FILES: dict[str, tuple[str, str]] = {"html": ("HTML", "text/html"), "pdf": ("PDF", "application/pdf")}


def head() -> None:
    """Title, author and the files."""
    title, author, files = st.columns([3, 2, 2], vertical_alignment="bottom")
    heading = title.text_input("Title", "What the heads look at", key="report-title", max_chars=200, persist_state="session")
    by = author.text_input("Author", "", key="report-author", max_chars=120, persist_state="session")
    # Files are made outside of the page's run, where nothing of the visit can be asked.
    whole = report.whole(heading or "", by or "")
    empty = not whole.pictures
    with files.container(horizontal=True, gap="small"):
        for ending, (name, mime) in _FILES.items():
            st.download_button(
                name, partial(_written, ending, whole) if not empty else b"", disabled=empty, mime=mime,
                file_name=f"report.{ending}", icon=":material/download:", on_click="ignore", key=f"report-{ending}",
                help="One file with everything in it; it asks nobody for anything." if ending == "html" else None,
            )  # fmt: skip


def _written(ending: str, whole: Report) -> bytes:
    if ending == "pdf":
        from ui.report_pdf import as_pdf

        return as_pdf(whole)
    from ui.report_html import as_html

    return as_html(whole).encode()


def listed() -> None:
    """The pictures of the report, each with its words and its place."""
    held = report.pictures()
    if not held:
        st.info(
            "The report is empty. Every picture of the app has “Add to report” in its menu :material/download:. "
            "Below is what was shown so far: add it from here.",
            icon=":material/description:",
        )
    for number, picture in enumerate(held, 1):
        with st.container(border=True):
            _one(number, picture, len(held))


def _one(number: int, picture: ReportPicture, count: int) -> None:
    shown, words = st.columns([2, 3], gap="medium")
    with shown:
        encoded = base64.b64encode(picture.png).decode()
        st.html(f'<img alt="" style="width:100%;background:#fff;border-radius:8px" src="data:image/png;base64,{encoded}">')
    with words:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{number}.** {plain(picture.about.title)}")
            _act("up", "arrow_upward", "Further up", number == 1, picture.id, partial(report.move, picture.id, -1))
            _act("down", "arrow_downward", "Further down", number == count, picture.id, partial(report.move, picture.id, 1))
            _act("remove", "delete", "Take it out", False, picture.id, partial(report.remove, picture.id))
        caption = st.text_input("Caption", picture.caption, key=f"caption-{picture.id}", placeholder=picture.about.title)
        notes = st.text_area("Notes", picture.notes, key=f"notes-{picture.id}", height=90)
        if (caption or "", notes or "") != (picture.caption, picture.notes):
            report.change(picture.id, caption=caption or "", notes=notes or "")
        with st.expander("How it was made"):
            st.markdown("\n".join(f"- {name}: {plain(text)}" for name, text in made_lines(picture)))
            if picture.about.snippet:
                st.code(picture.about.snippet, language="python", wrap_lines=True)


def _act(name: str, icon: str, help: str, disabled: bool, id: int, do: Callable[[], None]) -> None:
    st.button("", icon=f":material/{icon}:", key=f"{name}-{id}", help=help, on_click=do, disabled=disabled)


def addable() -> None:
    """What was shown in this visit and can be added from here."""
    st.subheader("Shown in this visit", anchor=False)
    found = [each for each in seen.results() if each.figure is not None]
    for number, each in enumerate([*found, *_of_views()]):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            added = add_button(each, key=f"add-{number}")
            st.markdown(" · ".join(plain(text) for text in (each.about.title, each.about.model, each.about.picture) if text))
        if added:
            st.rerun()


def _of_views() -> list[Seen]:
    """A picture of each view: the head that is chosen, and where the class token looks. At first, of the shipped one."""
    from ui.figures.recorded import view_figure
    from ui.looking_parts import recorded
    from ui.payload import row_of
    from ui.state import chosen

    pictures = []
    for view in seen.views() or (recorded(),):
        layer = chosen().layer % len(view.layers)
        record = view.layers[layer]
        head, row = min(chosen().head, record.heads - 1), row_of(record, chosen().query or "class")
        who = "all patches" if row is None else f"the {record.queries.roles[row]} token" if row == 0 else f"row {row}"
        title = f"{view.title}: where {who} look{'' if row is None else 's'}, layer {record.number}, head {head}"
        about = About(title, model=str(view.meta.get("model", "")), picture=str(view.meta.get("picture", "")))
        told = str(view.meta.get("weights", "")) if view.recorded else None
        pictures.append(Seen(about, view, partial(view_figure, view, layer, head, row), recorded=told))
    return pictures
