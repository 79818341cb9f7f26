"""The pickers of the sidebar: model, picture, class (captions, question). Shared by all pages and part of the link."""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from ui import controls, link, picture_picker, session
from ui.closest import closest
from ui.pictures import Picture

if TYPE_CHECKING:
    from model_adapters import Model

_MODELS = Path(__file__).resolve().parents[1] / "assets" / "models"
_SEEING = ("vit", "vit-registers", "vit-sinks", "swin", "clip", "lvlm", "lvlm-tuned")
AUTO = "auto"


def model_name() -> str:
    """The chosen model's name."""
    return st.session_state.get("model") or session.START


def weights() -> str:
    """Which weights it gets."""
    return "pretrained" if model_name().startswith(("bundled:", "path:")) else st.session_state.get("weights", "random")


def picture() -> Picture:
    """The chosen picture; instead of one that cannot be shown, the reason and the first one."""
    return picture_picker.chosen()


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
    name = _TEXT[model.kind]
    # Before the widget is drawn for the first time, which needs the model, the link knows.
    given = st.session_state[name] if name in st.session_state else st.query_params.get(name)
    written = (given or "").strip() or _text_to_begin_with(model)
    if model.pairs:  # one text belongs to the picture
        return (" ".join(written.split()),)
    return tuple(line.strip() for line in written.splitlines() if line.strip()) if model.kind == "dual" else written


def labels(model: Model) -> tuple[str, ...]:
    """The names of what can be explained: classes, or captions."""
    import model_adapters as ma

    return ma.class_names(model, text(model))


def target_index(model: Model, scores: object) -> int:
    """The number of the chosen class (caption), given the model's scores [C]; of an LVLM the likeliest next token."""
    import numpy as np

    name, names = target_name(), labels(model)
    if name in names:
        return names.index(name)
    if name.isascii() and name.isdigit() and int(name) < np.size(np.asarray(scores)):
        return int(name)
    return int(np.argmax(np.asarray(scores)))


def bundled() -> list[str]:
    """The models that need no download."""
    return [f"bundled:{name}" for name in _SEEING if (_MODELS / name).is_dir()]


def title(name: str) -> str:
    """What people call a model, and its name."""
    return _model_title(name)


def meant(typed: str) -> str:
    """The model that people mean: a folder without its prefix, or a part of a name that is known."""
    if not typed or ":" in typed:
        return typed
    if Path(typed).expanduser().is_dir():
        return f"path:{typed}"
    return closest(typed, bundled(), _model_title) or closest(typed, _catalogue()) or typed


def sidebar(*, answers: bool = False) -> None:
    """Draw the pickers.

    Args:
        answers: the page is about answers: it asks questions of its own, about the decoder.
    """
    with st.sidebar:
        _pick_model(towers_too=not answers)
        picture_picker.draw()
        if not answers:
            _pick_class()


def _pick_model(*, towers_too: bool) -> None:
    link.begin("model", session.START, str)
    st.session_state["model"] = meant(model_name())
    options = list(dict.fromkeys([*bundled(), *_catalogue(), model_name()]))
    value = st.selectbox(
        "Model", options, key="model", accept_new_options=True, format_func=_model_title, persist_state="session",
        help="Bundled models need no download. Others: timm:NAME, hf:ID, or path:FOLDER for a folder of your own.",
    )  # fmt: skip
    link.keep("model", value, session.START)
    if not model_name().startswith(("bundled:", "path:")):
        controls.pick(
            "weights", "Weights", ["random", "pretrained"],
            help="Pretrained weights are downloaded once. Random ones show that everything works, and nothing about vision.",
        )  # fmt: skip
    _glance(towers_too=towers_too)


def _glance(*, towers_too: bool) -> None:
    """What the check found, in one line, and the card behind it."""
    found = session.loaded(model_name(), weights())
    if found is None:
        session.loading(model_name(), weights())
        return
    mark = ":material/verified:" if found.report.passed else ":material/warning:"
    with st.popover(f"{mark} {len(found.report.seen)} attention sites", width="stretch", help=found.report.sentence):
        from ui import cards

        cards.show_card(found.card)
        cards.show_report(found.report)
    if towers_too and len(towers(found)) > 1:
        controls.pick("tower", "Tower", towers(found), format=str.capitalize, help="Which part of the model is looked at.")


@lru_cache(maxsize=32)
def _model_title(name: str) -> str:
    card = _MODELS / name.removeprefix("bundled:") / "card.json"
    if name.startswith("bundled:") and card.is_file():
        return f"{json.loads(card.read_text())['title'].replace(' of the small world', '')} · {name}"
    return name


def _catalogue() -> list[str]:
    """All names that are known, once the libraries are there."""
    if "timm" not in sys.modules or session.loaded(session.START, "pretrained") is None:
        return []
    return _names()


@lru_cache(maxsize=1)
def _names() -> list[str]:
    import model_adapters as ma

    return [entry.name for entry in ma.catalogue() if entry.library != "bundled"]


def _pick_class() -> None:
    found = session.loaded(model_name(), weights())
    if found is not None and found.kind != "vit":
        _write_text(found)
    if found is not None and (found.kind == "lvlm" or not found.classes):
        return
    link.begin("class", AUTO, str)
    names = labels(found) if found is not None else ()
    if names and target_name() not in (AUTO, *names) and not target_name().isdigit():
        st.session_state["class"] = closest(target_name(), names) or target_name()
    value = st.selectbox(
        "Class", list(dict.fromkeys([AUTO, *names, target_name()])), key="class", accept_new_options=True,
        format_func=lambda name: "the model's first" if name == AUTO else name, persist_state="session",
        help="What maps and importances are about. A number works where classes have no names.",
    )  # fmt: skip
    link.keep("class", value, AUTO)


_TEXT = {"dual": "captions", "lvlm": "question"}


def _write_text(found: Model) -> None:
    start = _text_to_begin_with(found)
    if found.kind == "dual":
        controls.write("captions", "Captions, one per line", default=start, long=True)
    else:
        help = "What is shown is about the first word of the answer, or the chosen one."
        controls.write("question", "Question", default=start, help=help)


def _text_to_begin_with(found: Model) -> str:
    from world.vocabulary import CATEGORIES

    if found.kind == "dual":
        return "\n".join(f"a picture of a {name}" for name in CATEGORIES)
    return "is there a ball?" if found.name.startswith("bundled:") else "Describe the picture."
