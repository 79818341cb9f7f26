"""The pickers of the sidebar: model, picture, class (captions, question). Shared by all pages and part of the link."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from ui import pictures, session
from ui.pictures import Picture

if TYPE_CHECKING:
    from model_adapters import Model

_MODELS = Path(__file__).resolve().parents[1] / "assets" / "models"
_SEEING = ("vit", "vit-registers", "vit-sinks", "swin", "clip", "lvlm", "lvlm-tuned")
AUTO = "auto"
START_PICTURE = "scene:3"


def model_name() -> str:
    """The chosen model's name."""
    return st.session_state.get("model") or session.START


def weights() -> str:
    """Which weights it gets."""
    return "pretrained" if model_name().startswith(("bundled:", "path:")) else st.session_state.get("weights", "random")


def picture() -> Picture:
    """The chosen picture; instead of one that cannot be shown, the reason and the first one."""
    try:
        return pictures.picture(st.session_state.get("image") or START_PICTURE, _uploads())
    except ValueError as error:
        st.error(str(error), icon=":material/image_not_supported:")
        return pictures.picture(START_PICTURE)


def target_name() -> str:
    """The chosen class, or "auto" for the model's first."""
    return st.session_state.get("class") or AUTO


def tower(model: Model) -> str:
    """Which tower's heads are looked at: the vision tower where there is one."""
    names = towers(model)
    return st.session_state["tower"] if st.session_state.get("tower") in names else names[0]


def towers(model: Model) -> list[str]:
    """The towers of the model that have attention, the vision tower first."""
    found = dict.fromkeys(site.tower for site in model.report.seen)
    return sorted(found, key=lambda name: name != "vision")


def text(model: Model) -> str | tuple[str, ...] | None:
    """What the model reads beside the picture: captions to compare, a question, or nothing."""
    if model.kind == "vit":
        return None
    written = (st.session_state.get(_TEXT[model.kind]) or "").strip() or _text_to_begin_with(model)
    return tuple(line.strip() for line in written.splitlines() if line.strip()) if model.kind == "dual" else written


def labels(model: Model) -> tuple[str, ...]:
    """The names of what can be explained: classes, or captions."""
    captions = text(model)
    return captions if isinstance(captions, tuple) else tuple(model.labels or ())


def target_index(model: Model, scores: object) -> int:
    """The number of the chosen class (caption), given the model's scores [C]; of an LVLM the likeliest next token."""
    import numpy as np

    name, names = target_name(), labels(model)
    if name in names:
        return names.index(name)
    if name.isascii() and name.isdigit() and int(name) < np.size(np.asarray(scores)):
        return int(name)
    return int(np.argmax(np.asarray(scores)))


def sidebar() -> bool:
    """Draw the pickers; whether the model was there to be asked for its classes."""
    with st.sidebar:
        _pick_model()
        _pick_picture()
        return _pick_class()


def _pick_model() -> None:
    names = [f"bundled:{name}" for name in _SEEING if (_MODELS / name).is_dir()]
    given = st.query_params.get("model", "")
    options = _with([*names, *_catalogue()], given, _model_title)
    st.selectbox(
        "Model", options, key="model", bind="query-params", accept_new_options=True, format_func=_model_title,
        help="Bundled models need no download. Others: timm:NAME, hf:ID, or path:FOLDER for a folder of your own.",
    )  # fmt: skip
    if not model_name().startswith(("bundled:", "path:")):
        st.segmented_control(
            "Weights", ["random", "pretrained"], default="random", key="weights", bind="query-params", required=True,
            help="Pretrained weights are downloaded once. Random ones show that everything works, and nothing about vision.",
        )  # fmt: skip
    _glance()


def _pick_tower(found: Model) -> None:
    if len(towers(found)) > 1:
        st.segmented_control(
            "Tower", towers(found), default=towers(found)[0], key="tower", bind="query-params", required=True,
            format_func=str.capitalize, help="Which part of the model is looked at.",
        )  # fmt: skip


def _with(options: list[str], given: str, title: Callable[[str], str]) -> list[str]:
    """The options, and what a link asks for besides; Streamlit writes titles into links, and a title is no option."""
    known = list(dict.fromkeys(options))
    if not given or given in known or given in map(title, known):
        return known
    return [*known, given]


def _glance() -> None:
    """What the check found, in one line, and the card behind it."""
    found = session.loaded(model_name(), weights())
    if found is None:
        st.caption(":material/hourglass_top: loading …")
        return
    mark = ":material/verified:" if found.report.passed else ":material/warning:"
    with st.popover(f"{mark} {len(found.report.seen)} attention sites", width="stretch", help=found.report.sentence):
        from ui import cards

        cards.show_card(found.card)
        cards.show_report(found.report)
    _pick_tower(found)


@lru_cache(maxsize=32)
def _model_title(name: str) -> str:
    card = _MODELS / name.removeprefix("bundled:") / "card.json"
    if name.startswith("bundled:") and card.is_file():
        return f"{json.loads(card.read_text())['title'].replace(' of the small world', '')} · {name}"
    return name


def _catalogue() -> list[str]:
    """All names that are known, once the libraries are there."""
    import sys

    if "timm" not in sys.modules or session.loaded(session.START, "pretrained") is None:
        return []
    return _names()


@lru_cache(maxsize=1)
def _names() -> list[str]:
    import model_adapters as ma

    return [entry.name for entry in ma.catalogue() if entry.library != "bundled"]


def _uploads() -> dict[str, Picture]:
    return st.session_state.setdefault("uploads", {})


def _pick_picture() -> None:
    given = st.query_params.get("image", "")
    options = _with([*_uploads(), START_PICTURE, *pictures.offered()], given, pictures.title)
    st.selectbox(
        "Picture", options, key="image", bind="query-params", index=options.index(START_PICTURE), accept_new_options=True,
        format_func=pictures.title, help="Type scene:417 for any other scene; there is one for every number.",
    )  # fmt: skip
    shown = picture()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.image(pictures.thumbnail(shown, 96), width=72)
        with st.popover("Upload", icon=":material/upload:"):
            files = st.file_uploader("Pictures", accept_multiple_files=True, key="files", max_upload_size=20)
            _take(files)
    st.caption(shown.licence)


def _take(files: list) -> None:
    """Keep uploaded files for this visit and choose the first new one."""
    taken = st.session_state.setdefault("taken", {})
    new = [file for file in files if file.file_id not in taken]
    for file in new:
        id = f"upload:{len(_uploads()) + 1}"
        try:
            _uploads()[id] = pictures.opened(file.getvalue(), file.name, id)
            taken[file.file_id] = id
        except ValueError as error:
            taken[file.file_id] = ""
            st.session_state["refused"] = {**st.session_state.get("refused", {}), file.file_id: str(error)}
    added = [taken[file.file_id] for file in new if taken[file.file_id]]
    for file in files:
        if reason := st.session_state.get("refused", {}).get(file.file_id):
            st.error(reason, icon=":material/error:")
    if added:
        st.session_state["wanted_image"] = added[0]
        st.rerun()


def _pick_class() -> bool:
    found = session.loaded(model_name(), weights())
    if found is not None and found.kind != "vit":
        _write_text(found)
    if found is not None and found.kind == "lvlm":
        return True
    names = labels(found) if found is not None else ()
    given = st.query_params.get("class", "")
    options = list(dict.fromkeys([AUTO, *names, *([given] if given else [])]))
    st.selectbox(
        "Class", options, key="class", bind="query-params", accept_new_options=True,
        format_func=lambda name: "the model's first" if name == AUTO else name,
        help="What maps and importances are about. A number works where classes have no names.",
    )  # fmt: skip
    return found is not None


_TEXT = {"dual": "captions", "lvlm": "question"}


def _write_text(found: Model) -> None:
    start = _text_to_begin_with(found)
    if found.kind == "dual":
        st.text_area("Captions, one per line", start, key="captions", bind="query-params", height=110)
    else:
        st.text_input("Question", start, key="question", bind="query-params", help="What is shown is about the next word.")


def _text_to_begin_with(found: Model) -> str:
    from world.vocabulary import CATEGORIES

    if found.kind == "dual":
        return "\n".join(f"a picture of a {name}" for name in CATEGORIES)
    return "is there a ball?" if found.name.startswith("bundled:") else "Describe the picture."
