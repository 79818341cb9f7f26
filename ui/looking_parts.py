"""The pieces of the page Attention: the recorded view first, the live one when it is there, maps with their verdicts."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from ui import controls, faults, page, pickers, picture_picker, session, state
from ui.jobs import Progress
from ui.pictures import Picture
from ui.recording import View
from ui.session_file import read_view
from ui.take_away import seen

if TYPE_CHECKING:
    from ui.results import looking
    from ui.viewer import ViewerState

RECORDED = Path(__file__).resolve().parents[1] / "assets" / "recorded" / "start.zip"
HEIGHT = 590
_POLL = 0.5
_NOTHING = 0.05
"""A probability below which taking patches away says nothing."""


@lru_cache(maxsize=1)
def recorded() -> View:
    """The capture that ships with the app: the first picture needs no model."""
    return read_view(RECORDED)


def view(name: str, weights: str, picture: Picture) -> View:
    """All heads on the picture: live, or recorded while the first model is being loaded."""
    model = session.loaded(name, weights)
    if model is None and (name, picture.id) == (session.START, picture_picker.START):
        st.caption(":material/play_circle: recorded · the live model is being loaded and takes over by itself")
        return recorded()
    subject = session.subject(name, weights, picture)
    from ui.results import looking

    def make(progress: Progress) -> View | looking.Draft:
        return looking.first_view(subject, picture, progress)

    what = (name, weights, picture.key, subject.text if isinstance(subject.text, str) else "")
    first = session.get(("view", *what), make, label="Looking at every head", lane=session.lane_of_runs())
    whole = first if isinstance(first, View) else _measured(first, what)
    found = _of_tower(whole, pickers.tower(subject.model))
    seen.note_view(found)
    return found


def _measured(draft: looking.Draft, what: tuple) -> View:
    """The view with measured places, and the draft while they are being measured."""
    job = session.jobs().start(("measured view", *what), draft.measured, label="Measuring where tokens lie", lane="long")
    if job.future.done() and job.future.exception() is None:
        return job.future.result()
    _wait_for_places(job.key)
    return draft.view


@st.fragment(run_every=_POLL)
def _wait_for_places(key: tuple) -> None:
    """Say on what the picture is drawn, and run the page again once its places are measured."""
    job = session.jobs().find(key)
    if job is None or not job.future.done():
        st.caption(":material/grid_on: drawn on the model's patch grid · measured places take over by themselves")
    elif (error := job.future.exception()) is None:
        st.rerun()
    else:
        st.caption(f":material/error: drawn on the model's patch grid; places could not be measured. {faults.sentence(error)}")


@lru_cache(maxsize=8)
def _of_tower(whole: View, tower: str) -> View:
    from ui.results import looking

    return looking.of_tower(whole, tower)


def query(text: str) -> Literal["class", "mean"] | int | None:
    """What is shown before anything is hovered, from the link."""
    if text in ("class", "mean"):
        return text  # type: ignore[return-value]
    return int(text) if text.isdigit() else None


def follow() -> None:
    """What is chosen in the viewer is chosen on every page."""
    found = st.session_state["attention"]["selection"]
    pins = found["pins"]
    state.choose(
        layer=int(found["layer"]), head=int(found["head"]), query=str(pins[0]) if pins else "", fuse=found["fuse"],
        weighing=found["mode"], smooth=bool(found["smooth"]), order=found["sort"],
    )  # fmt: skip


def answer_line(view: View, shown: ViewerState) -> None:
    """What the model answers, beside what is chosen."""
    order = sorted(range(len(view.labels)), key=lambda n: -view.probabilities[n])[:3]
    answers = " · ".join(f"{view.labels[n]} {view.probabilities[n]:.2f}" for n in order)
    layer = view.layers[shown.layer]
    st.caption(f"{layer.name}, {shown.heads_of(view)}" + (f" — answer: {answers}" if answers else ""))


@st.fragment(run_every=_POLL)
def wait_for(name: str, weights: str) -> None:
    """Run the page again once the model is there."""
    job = session.jobs().find(("model", name, weights))
    if job is None or job.future.done():
        st.rerun()


def offered(subject: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Methods for this subject (name -> title), and why others are not offered (title -> sentence)."""
    from ui.results import looking

    tower = pickers.tower(subject.model)

    def ask(progress: Progress) -> tuple[dict[str, str], dict[str, str]]:
        return looking.map_names(subject, tower)

    return session.get(("map names", id(subject), tower), ask, label="Asking which methods work here")


def first_maps(able: dict[str, str]) -> list[str]:
    """What is shown before anything is chosen."""
    from ui.results import looking

    return [name for name in looking.START["global" if "rollout" in able else "windows"] if name in able]


def show_map(subject: Any, picture: Picture, method: str) -> None:
    """One method's map, with how faithful it is on this very picture, its options and what can be taken away."""
    import analysis
    from ui.figures import draw
    from ui.results import looking
    from ui.viewer import map_view

    chosen = analysis.find(method)
    st.markdown(f"**{chosen.title}**")
    with st.popover("Options", icon=":material/tune:", disabled=not chosen.options):
        options = controls.for_method(chosen, without=("image", "tower", "seed"))
    tower = pickers.tower(subject.model)
    target = pickers.target_index(subject.model, subject.scores) if subject.classes else None
    what = (subject.model.name, picture.key, str(subject.text), target, tower, method, tuple(options.items()))

    def make(progress: Progress) -> Any:
        return analysis.explain(subject, method, target=target, tower=tower, **options)

    shown = session.part(("map", *what), make, label=chosen.title)
    if shown is None:
        return
    map_view(picture.image, shown, key=f"map-{method}", height=300, title="")
    if shown.note:
        st.caption(f":material/warning: {shown.note}")
    given = {name: value for name, value in options.items() if value != _default(chosen, name)}
    over = partial(draw, shown, image=picture.array)
    page.take_away(shown, over, key=f"map-{method}", title=chosen.title, method=method, options=given)

    def judge(progress: Progress) -> looking.Verdict:
        assert target is not None
        return looking.verdict(subject, shown, target, looking.mask_of(subject, picture, target), progress)

    if target is None:
        st.caption(f"Nothing says how faithful it is. {subject.refusals['logits']}")
        return
    found = session.part(("verdict", *what), judge, label="How faithful is it?", estimate=_estimate(subject))
    if found is not None:
        seen.judged(shown, found.sentence, found.numbers)
        _show_verdict(found)


def _default(chosen: Any, name: str) -> Any:
    return next(option.default for option in chosen.options if option.name == name)


def _estimate(subject: Any) -> str:
    from ui.results import looking

    return f"{looking.verdict_passes()} passes of the model"


def _show_verdict(found: Any) -> None:
    better = found.beaten > 0.95
    st.markdown(
        f":{'green' if better else 'orange'}-badge[{found.sentence}]",
        help="Area under the probability while patches are taken away in the map's order; lower is better. "
        "Random is the mean and standard deviation over random orders on this picture.",
    )
    if max(found.insertion, found.random_insertion[0]) < _NOTHING:
        st.caption("The model gives this class almost nothing here, so there is little to take away.")
    if found.energy is not None:
        st.caption(
            f"{'Hottest patch on the object' if found.pointing else 'Hottest patch off the object'} · "
            f"{found.energy:.0%} of the map on it (chance {found.energy_chance:.0%})"
        )


def refused(unable: dict[str, str]) -> None:
    """Which methods are not offered here, and why."""
    if unable:
        with st.expander(f"{len(unable)} methods are not offered for this model"):
            st.markdown("\n".join(f"- {sentence}" for sentence in unable.values()))
