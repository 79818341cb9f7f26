"""The controls of the page Compare: which thing differs, and what stands on each side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import controls, link, pickers, picture_picker, pictures, session, state
from ui.pictures import Picture
from ui.results.compare import Run, edits_of
from ui.results.heads import sites_of

if TYPE_CHECKING:
    from model_adapters import Model, Subject
    from model_adapters.edits import Edit
    from ui.results.heads import Text

DIFFERS = ("model", "picture", "text", "layer", "head", "method", "edit")
_PARTNERS = {
    "bundled:vit": "bundled:vit-sinks", "bundled:vit-sinks": "bundled:vit", "bundled:vit-registers": "bundled:vit",
    "bundled:lvlm": "bundled:lvlm-tuned", "bundled:lvlm-tuned": "bundled:lvlm", "bundled:swin": "bundled:vit",
    "bundled:clip": "bundled:vit",
}  # fmt: skip
"""What a bundled model is held against before anything is chosen."""
ROWS, WORD = "attention", "word"
_EDITS = {
    "layer": "A layer's heads are silent", "head": "One head is silent", "even": "A layer looks evenly",
    "sent": "The heads that were sent are silent",
}  # fmt: skip
_SHORT = {
    "layer": "without the heads of layer {0}", "head": "without layer {0}, head {1}", "even": "layer {0} looks evenly",
    "sent": "without the heads that were sent",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two runs."""

    model: Model
    weights: str
    picture: Picture
    text: Text
    edits: tuple[Edit, ...] = ()

    @property
    def run(self) -> Run:
        """Names it in the keys of jobs."""
        return Run(self.model.name, self.weights, self.picture.key, self.text, self.edits)


@dataclass(frozen=True, eq=False)
class Wish:
    """What the controls say."""

    differs: str
    sides: tuple[Side, Side]
    titles: tuple[str, str]
    tower: str
    layers: tuple[int, int]
    heads: tuple[int | None, int | None]
    methods: tuple[str, str]
    """Registered names; "attention" for what a token looks at, "word" for a word of the answers."""
    subjects: tuple[Subject, Subject]

    @property
    def one_run(self) -> bool:
        """Whether both columns come from one run of the model."""
        return self.differs in ("layer", "head", "method")

    @property
    def key(self) -> tuple:
        """Names the two runs and the tower."""
        return self.sides[0].run, self.sides[1].run, self.tower


def wish() -> Wish:
    """The rows of controls."""
    base = _base()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        able = [name for name in DIFFERS if name != "text" or base.model.kind != "vit"]
        words = {"text": "Captions" if base.model.kind == "dual" else "Question"}
        differs = controls.pick(
            "differs", "What differs", able, format=lambda each: words.get(each, each.capitalize()),
            help="Everything else is shared by both sides and comes from the sidebar.",
        )  # fmt: skip
        other, titles = _other(base, differs)
        tower = _tower(base, other, differs)
        subjects = _subject(base), _subject(other)
        layers, heads, methods = _looks(differs, subjects, tower)
    if differs == "layer":
        titles = f"layer {layers[0]}", f"layer {layers[1]}"
    elif differs == "head":
        titles = f"layer {layers[0]}, head {heads[0]}", f"layer {layers[1]}, head {heads[1]}"
    return Wish(differs, (base, other), titles, tower, layers, heads, methods, subjects)


def _base() -> Side:
    model = session.model(pickers.model_name(), pickers.weights())
    return Side(model, pickers.weights(), pickers.picture(), pickers.text(model))


def _other(base: Side, differs: str) -> tuple[Side, tuple[str, str]]:
    """The right side, and what both are called."""
    if differs == "model":
        return _other_model(base)
    if differs == "picture":
        return _other_picture(base)
    if differs == "text":
        return _other_text(base)
    if differs == "edit":
        return _edited(base)
    return base, ("left", "right")


def _other_model(base: Side) -> tuple[Side, tuple[str, str]]:
    start = _PARTNERS.get(base.model.name, session.START)
    name = _choose("other-model", "Against", start, pickers.bundled(), pickers.title, pickers.meant)
    weights = "pretrained"
    if not name.startswith(("bundled:", "path:")):
        weights = controls.pick("other-weights", "Its weights", ["random", "pretrained"])
    model = session.model(name, weights)
    return Side(model, weights, base.picture, pickers.text(model)), (base.model.name, name)


def _other_picture(base: Side) -> tuple[Side, tuple[str, str]]:
    start = "scene:5" if base.picture.id != "scene:5" else picture_picker.START
    id = _choose("other-image", "Against", start, [*picture_picker.uploads(), *pictures.offered()], pictures.title,
                 picture_picker.meant)
    try:
        picture = pictures.picture(id, picture_picker.uploads())
    except ValueError as error:
        st.error(str(error), icon=":material/image_not_supported:")
        st.stop()
    return Side(base.model, base.weights, picture, base.text), (base.picture.title, picture.title)


def _other_text(base: Side) -> tuple[Side, tuple[str, str]]:
    if isinstance(base.text, tuple):
        start = "\n".join(f"there is a {line.split()[-1]}" for line in base.text)
        lines = controls.write("other-text", "Against, one per line", default=start, long=True).splitlines()
        text: Text = tuple(line.strip() for line in lines if line.strip()) or base.text
        return Side(base.model, base.weights, base.picture, text), ("captions of the sidebar", "other captions")
    start = next(text for text in ("what is in the picture?", "is there a ball?") if text != base.text)
    text = controls.write("other-text", "Against", default=start).strip() or start
    return Side(base.model, base.weights, base.picture, text), (f"“{base.text}”", f"“{text}”")


def _edited(base: Side) -> tuple[Side, tuple[str, str]]:
    towers = pickers.towers(base.model)
    tower = pickers.tower(base.model) if len(towers) > 1 else towers[0]
    sites = sites_of(base.model, tower)
    sent = [(sites[row], head) for row, head in state.chosen().heads if row < len(sites) and head < sites[row].heads]
    kind = controls.pick(
        "edit", "Against", [name for name in _EDITS if name != "sent" or sent], format=lambda each: _EDITS[each]
    )
    layer = head = 0
    if kind != "sent":
        layer = controls.pick("edit-layer", "Layer", range(len(sites)), default=len(sites) // 2)
    if kind == "head":
        head = controls.pick("edit-head", "Head", range(sites[layer].heads))
    edits = edits_of(kind, sites[layer], head, sent)
    return Side(base.model, base.weights, base.picture, base.text, edits), ("as it is", _SHORT[kind].format(layer, head))


def _choose(name: str, label: str, start: str, options: list[str], format: Any, meant: Callable[[str], str]) -> str:
    """One of many, or anything that is typed; `meant` says which of them a part of a name means."""
    link.begin(name, start, str)
    st.session_state[name] = meant(st.session_state[name] or start)
    known = list(dict.fromkeys([start, *options, st.session_state[name]]))
    value = st.selectbox(label, known, key=name, accept_new_options=True, format_func=format, persist_state="session")
    link.keep(name, value, start)
    return value or start


def _tower(base: Side, other: Side, differs: str) -> str:
    """Which tower's attention is compared. What was asked, and what a language model was tuned on, shows in its decoder."""
    shared = [name for name in pickers.towers(base.model) if name in pickers.towers(other.model)]
    if not shared:
        first, second = (" and ".join(pickers.towers(side.model)) for side in (base, other))
        st.info(f"{base.model.name} has attention in {first}, {other.model.name} in {second}: no tower to compare.")
        st.stop()
    if len(shared) == 1:
        return shared[0]
    deep = [name for name in shared if name != "vision"]
    reads = differs == "text" or (differs == "model" and base.model.kind == other.model.kind == "lvlm")
    if differs in ("layer", "head", "method", "edit"):
        return pickers.tower(base.model)
    return controls.pick(
        "compared", "Tower compared", shared, default=deep[0] if reads else shared[0], format=str.capitalize,
        help="One that both sides have. The sidebar's tower is that of pages about one model.",
    )  # fmt: skip


def _subject(side: Side) -> Subject:
    from ui.results.compare import subject_of

    name = ("subject", side.model.name, side.weights, side.picture.key, side.text, *side.edits)
    return session.get(
        name, lambda progress: subject_of(side.model, side.picture, side.text, side.edits), label="Preparing the picture"
    )


def _looks(
    differs: str, subjects: tuple[Subject, Subject], tower: str
) -> tuple[tuple[int, int], tuple[int | None, int | None], tuple[str, str]]:
    """Layers, heads and methods of both sides."""
    depths = [len(sites_of(subject.model, tower)) for subject in subjects]
    now = state.chosen()
    row = now.layer % depths[0] if -depths[0] <= now.layer < depths[0] else depths[0] - 1
    if differs == "layer":
        other = controls.pick("other-layer", "Against layer", range(depths[0]))
        return (row, other), (None, None), (ROWS, ROWS)
    count = sites_of(subjects[0].model, tower)[row].heads
    own = min(now.head, count - 1)
    if differs == "head":
        other_layer = controls.pick("other-layer", "Against layer", range(depths[0]), default=row)
        start = (own + 1) % count
        others = sites_of(subjects[0].model, tower)[other_layer].heads
        other_head = controls.pick("other-head", "head", range(others), default=min(start, others - 1))
        return (row, other_layer), (own, other_head), (ROWS, ROWS)
    able = _methods(subjects[0], tower)
    if differs == "method":
        names = list(able)
        begin = [name for name in ("raw_attention", "gradient_attention_relevance", "gradient_attention", *names) if name in able]
        first = controls.pick("left-method", "Left", names, default=begin[0], format=lambda n: able[n])
        second = controls.pick("right-method", "Right", names, default=begin[min(1, len(begin) - 1)], format=lambda n: able[n])
        return (row, row), (None, None), (first, second)
    speaks = {WORD: "a word of the answers"} if subjects[0].kind == subjects[1].kind == "lvlm" else {}
    able = {ROWS: "what a token looks at", **speaks, **able}
    shown = controls.pick(
        "shown", "Shows", list(able), format=lambda n: able[n],
        help="Attention of the layer that is chosen on the other pages, or the map of a method.",
    )  # fmt: skip
    single = shown == ROWS and controls.pick(
        "fused", "Heads", ("mean", "single"), format=lambda n: "all" if n == "mean" else f"head {own}"
    ) == "single"  # fmt: skip
    depth = min(row, depths[1] - 1)
    other_count = sites_of(subjects[1].model, tower)[depth].heads
    return (row, depth), (own, min(own, other_count - 1)) if single else (None, None), (shown, shown)


def _methods(subject: Subject, tower: str) -> dict[str, str]:
    from ui.results import looking

    return session.get(
        ("map names", id(subject), tower), lambda progress: looking.map_names(subject, tower),
        label="Asking which methods work here",
    )[0]  # fmt: skip
