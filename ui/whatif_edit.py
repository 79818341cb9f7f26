"""What can be changed on the page What if: the picture, the question, heads, edges from text to the image, attention to it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import streamlit as st
from PIL import Image

from ui import controls, link, pickers, state, whatif_state
from ui.results.whatif_steps import Ask, Cut, Fill, Paint, Reader, Scale, Silence, Step, Window, as_text, mask_of_pixels

if TYPE_CHECKING:
    from model_adapters import Site
    from ui.results.answering import Answered
    from ui.results.whatif_steps import History

KINDS = {"picture": "Picture", "question": "Question", "heads": "Heads", "edges": "Edges", "attention": "Attention"}
FILLS: dict[Fill, str] = {"mean": "Mean", "blur": "Blur", "noise": "Noise"}
READERS: dict[Reader, str] = {"all text": "All text", "question": "Question", "answer": "Answer"}
HEIGHT = 340
MOST_THINGS = 4
_SMALL = 260
"""Pixels of the picture below other editors."""


def pick(answered: Answered) -> str:
    """Which editor is shown."""
    kinds = tuple(KINDS) if answered.pictures else ("question", "heads")
    return controls.pick("change", "What is changed", kinds, format=lambda each: KINDS[each])


def draw(kind: str, answered: Answered, history: History) -> None:
    """One editor; each ends with the button that takes the step."""
    from ui.results.whatif import painted

    {"picture": _picture, "question": _question, "heads": _heads, "edges": _edges, "attention": _attention}[kind](
        answered, history
    )
    if answered.pictures and kind != "picture":
        shown = painted(answered.pictures, history.now)
        st.image(list(shown), width=_SMALL if len(shown) == 1 else _SMALL // 2, caption=["what it is shown"] * len(shown))


def _picture(answered: Answered, history: History) -> None:
    from ui.brush import brush
    from ui.results.whatif import painted

    number = 0
    if len(answered.pictures) > 1:
        places = tuple(range(len(answered.pictures)))
        number = controls.pick("painted", "Picture", places, format=lambda n: answered.pictures[n].title)
    serial = zlib.crc32(f"{as_text(history.now)}|{answered.pictures[number].key}".encode())
    shown = Image.fromarray(painted(answered.pictures, history.now)[number])
    mask = brush(shown, key=f"brush-{number}", serial=serial, height=HEIGHT)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        fill = controls.pick("fill", "Filled with", tuple(FILLS), format=lambda each: FILLS[each])
        seed = 0
        if fill == "noise":
            with st.container(width=90):
                seed = int(controls.slide("fill-seed", "Seed", 0, 9, 0))
        step = None if mask is None else Paint(mask, fill, seed, number)
        _button("Ask without it", "format_paint", step, help="Paint a region on the picture first.")
    _things(answered, number, fill, seed)


def _things(answered: Answered, number: int, fill: Fill, seed: int) -> None:
    """Where it is known what is drawn, one click paints a thing away."""
    things = dict.fromkeys(name for name, _ in answered.pictures[number].objects)
    with st.container(horizontal=True, vertical_alignment="center"):
        for name in list(things)[:MOST_THINGS]:
            seen = answered.pictures[number].mask(name)
            mask = None if seen is None else mask_of_pixels(seen)
            if mask is not None and mask.share:
                _button(f"Without the {name}", "ink_eraser", Paint(mask, fill, seed, number), key=f"without-{name}")


def _question(answered: Answered, history: History) -> None:
    before = next((step.text for step in reversed(history.now) if isinstance(step, Ask)), answered.text)
    text = controls.write("asked-instead", "Asked instead", default=before, long=True).strip()
    _button("Ask this", "edit", Ask(text) if text and text != before else None, help="Write another question first.")
    st.caption("The answer as it was is read again behind the new question. Painted regions and other steps stay.")


def _heads(answered: Answered, history: History) -> None:
    from ui.head_switches import head_switches
    from ui.results.heads import sites_of

    tower = controls.pick("tower", "Tower", pickers.towers(answered.model), format=str.capitalize)
    sites = sites_of(answered.model, tower)
    chosen = tuple((row, head) for row, head in state.chosen().heads if row < len(sites) and head < sites[row].heads)
    key = f"silenced-{answered.model.name}-{tower}"

    def follow() -> None:
        clicked = st.session_state[key].off
        if clicked is not None:
            state.choose(heads=tuple(_pair(id) for id in clicked))

    st.caption("Click heads off. Those sent from other pages are off already.")
    head_switches(
        [f"layer {row}" for row in range(len(sites))], [site.heads for site in sites], [f"h{row}.{head}" for row, head in chosen],
        key=key, parts=False, on_change=follow,
    )  # fmt: skip
    label = f"Silence {len(chosen)} head{'s' * (len(chosen) != 1)}"
    _button(label, "voice_over_off", Silence(tower, chosen) if chosen else None, help="Click heads off first.")


def _pair(id: str) -> tuple[int, int]:
    row, _, head = id.removeprefix("h").partition(".")
    return int(row), int(head)


def _edges(answered: Answered, history: History) -> None:
    reader = controls.pick("reader", "No longer sees the image", tuple(READERS), format=lambda each: READERS[each])
    _button("Cut these edges", "link_off", Cut(reader, _window(answered, "cut-layers")))
    st.caption("In these layers its rows of attention are shared out among the other tokens.")


def _attention(answered: Answered, history: History) -> None:
    factor = controls.slide(
        "factor", "Attention of text to the image, times", 0.0, 4.0, 0.5, step=0.1,
        help="Before rows are brought back to one; 1 leaves it, 0 takes the image away from the text. The last such step counts.",
    )  # fmt: skip
    window = _window(answered, "scaled-layers")
    _button("Ask with it", "tune", Scale(factor, window) if factor != 1 else None, help="Choose a factor other than 1.")


def _window(answered: Answered, name: str) -> Window:
    """Layers of the decoder; all to begin with."""
    from ui.results.heads import sites_of

    numbers = sorted({site.layer for site in _decoder(sites_of(answered.model, "decoder"))})
    low, high = numbers[0], numbers[-1]
    link.begin(name, (low, high), _ends, lambda ends: low <= ends[0] <= ends[1] <= high)
    value = st.slider("Layers of the decoder", low, high, step=1, key=name, persist_state="session") if high > low else (low, low)
    link.keep(name, list(value), [low, high])
    return Window(*value)


def _decoder(sites: tuple[Site, ...]) -> tuple[Site, ...]:
    if not sites:
        raise ValueError("This model has no decoder whose layers were seen; paint on the picture or ask otherwise.")
    return sites


def _ends(text: str) -> tuple[int, int] | None:
    parts = text.split(",")
    return (int(parts[0]), int(parts[1])) if len(parts) == 2 and all(part.isdigit() for part in parts) else None


def _button(label: str, icon: str, step: Step | None, *, help: str = "", key: str = "take-step") -> None:
    st.button(
        label, icon=f":material/{icon}:", key=key, type="primary" if key == "take-step" else "secondary", disabled=step is None,
        help=help if step is None else None, on_click=whatif_state.take, args=(step,),
    )  # fmt: skip


