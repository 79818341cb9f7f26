"""The sidebar's picker of pictures: drawn scenes, photographs, uploads."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from ui import link, pictures
from ui.closest import closest
from ui.pictures import Picture

START = "scene:3"


def chosen() -> Picture:
    """The chosen picture; instead of one that cannot be shown, the reason and the first one."""
    try:
        return pictures.picture(chosen_id(), _uploads())
    except ValueError as error:
        st.error(str(error), icon=":material/image_not_supported:")
        return pictures.picture(START)


def chosen_id() -> str:
    """Its id."""
    return st.session_state.get("image") or START


def meant(typed: str) -> str:
    """The picture that people mean: an id, or a part of the name of one that is offered."""
    if ":" in typed:
        return typed
    return closest(typed, [*_uploads(), *pictures.offered()], pictures.title) or typed


def want(id: str) -> None:
    """Choose a picture for all pages, from a callback or before the page runs again."""
    st.session_state[_WANTED] = id


def keep(shown: Picture) -> str:
    """Hold a picture of a file for this visit, as if it had been uploaded; its id."""
    held = next((id for id, other in _uploads().items() if other.key == shown.key), None)
    if held is None:
        held = f"upload:{len(_uploads()) + 1}"
        _uploads()[held] = replace(shown, id=held, title=pictures.title(held))
    return held


def draw() -> None:
    """The picker, a small copy of what is chosen, and the upload."""
    link.begin("image", START, str)
    if (wanted := st.session_state.pop(_WANTED, None)) is not None:
        st.session_state["image"] = wanted
    st.session_state["image"] = meant(chosen_id())
    options = list(dict.fromkeys([*_uploads(), START, *pictures.offered(), chosen_id()]))
    value = st.selectbox(
        "Picture", options, key="image", accept_new_options=True, format_func=pictures.title, persist_state="session",
        help="Type scene:417 for any other scene; there is one for every number.",
    )  # fmt: skip
    link.keep("image", value, START)
    shown = chosen()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.image(pictures.thumbnail(shown, 96), width=72)
        with st.popover("Upload", icon=":material/upload:"):
            _take(st.file_uploader("Pictures", accept_multiple_files=True, key="files", max_upload_size=20))
    st.caption(_plain(shown.licence) if shown.id.startswith("upload:") else shown.licence)


def _plain(text: str) -> str:
    """A text that holds the name of somebody's file."""
    from ui.asking_bar import plain

    return plain(text)


def several() -> tuple[Picture, ...]:
    """The chosen picture and those chosen beside it, for models that see several."""
    return (chosen(), *of(tuple(id for id in st.session_state.get(MORE, ()) if id != chosen().id)))


def of(ids: tuple[str, ...]) -> tuple[Picture, ...]:
    """The pictures of these ids; those that cannot be shown are left out, with the reason."""
    found = []
    for id in ids:
        try:
            found.append(pictures.picture(id, _uploads()))
        except ValueError as error:
            st.error(str(error), icon=":material/image_not_supported:")
    return tuple(found)


def draw_more(*, film: bool) -> None:
    """The picker of further pictures, or of a video's further frames."""
    link.begin(MORE, [], lambda text: [part for part in text.split(",") if part and _is_one(part)][:MOST])
    options = list(dict.fromkeys([*_uploads(), *pictures.offered(), *st.session_state[MORE]]))
    value = st.multiselect(
        "Further frames" if film else "Further pictures", options, key=MORE, max_selections=MOST, format_func=pictures.title,
        persist_state="session", help="The first one is chosen at the left. Uploads made there are offered here too.",
    )  # fmt: skip
    link.keep(MORE, value, [])


MORE = "more"
MOST = 7
"""So many pictures beside the first."""


def _is_one(id: str) -> bool:
    try:
        pictures.picture(id, _uploads())
    except ValueError:
        return False
    return True


_WANTED = "wanted image"


def uploads() -> dict[str, Picture]:
    """The pictures of this visit by their id."""
    return _uploads()


def _uploads() -> dict[str, Picture]:
    return st.session_state.setdefault("uploads", {})


def _take(files: list) -> None:
    """Keep uploaded files for this visit and choose the first new one."""
    outcomes = st.session_state.setdefault("upload outcomes", {})
    new = [file for file in files if file.file_id not in outcomes]
    for file in new:
        id = f"upload:{len(_uploads()) + 1}"
        try:
            _uploads()[id] = pictures.opened(file.getvalue(), file.name, id)
            outcomes[file.file_id] = ""
            st.session_state.setdefault(_WANTED, id)
        except ValueError as error:
            outcomes[file.file_id] = str(error)
    for file in files:
        if reason := outcomes[file.file_id]:
            st.error(_plain(reason), icon=":material/error:")
    if _WANTED in st.session_state:
        st.rerun()
