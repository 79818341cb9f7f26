"""The tour's panel at the right of every page while a tour runs: text, task, check, hint, next. It blocks nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import pickers, picture_picker, session, state
from ui.lessons import progress

if TYPE_CHECKING:
    from ui.lessons.tour import Step, Tour
    from ui.results.lessons import Here, Outcome

_PAGES = Path(__file__).resolve().parents[2] / "pages"
_FIRST = "look-attention"
_ASKED = "tour asked"
_WIDTH = 310
_STYLE = f"""<style>
.st-key-tour {{
  position: fixed; right: 12px; top: 64px; width: {_WIDTH}px; max-height: calc(100vh - 84px); overflow-y: auto; z-index: 40;
  padding: 10px 16px 14px; border-radius: 10px; border: 1px solid rgba(128,128,128,.35);
  background: color-mix(in srgb, currentColor 5%, transparent); backdrop-filter: blur(18px);
}}
.st-key-tour p {{ margin-bottom: 0.35rem; }}
.st-key-tour summary p {{ margin-bottom: 0; }}
.tour-bar {{ display: flex; gap: 4px; }}
.tour-bar i {{ flex: 1; height: 4px; border-radius: 2px; background: rgba(128,128,128,.35); }}
.tour-bar i.done {{ background: #1a8a7d; }}
.tour-bar i.now {{ box-shadow: 0 0 0 1.5px currentColor; }}
[data-testid=stMainBlockContainer] {{ padding-right: {_WIDTH + 36}px !important; }}
@media (max-width: 1180px) {{
  .st-key-tour {{ position: sticky; top: 60px; right: 0; width: 100%; max-height: 46vh; }}
  [data-testid=stMainBlockContainer] {{ padding-right: 2.5rem !important; }}
}}
</style>"""


def draw(page: str) -> None:
    """The panel, where a tour runs.

    Args:
        page: the path of the page in the link.
    """
    progress.write_link()
    now = progress.running()
    if now is None:
        return
    from ui.lessons.all_tours import TOURS

    name, number = now
    tour = TOURS[name]
    st.html(_STYLE)
    with st.container(key="tour", gap="small"):
        _head(tour, number)
        _task(tour, number, page or _FIRST)
        _foot(tour, number)


def _head(tour: Tour, number: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{tour.title} · {number + 1} of {len(tour.steps)}", width="content")
        end: Any = {"on_click": progress.go, "args": ("",)}
        st.button("", icon=":material/close:", key="tour-end", help="End the tour", type="tertiary", **end)
    done = progress.passed(tour.name)
    marks = [" ".join(["done"] * (n in done) + ["now"] * (n == number)) for n in range(len(tour.steps))]
    told = f"{len(done)} of {len(tour.steps)} tasks passed"
    st.html(f"<div class='tour-bar' title='{told}'>{''.join(f'<i class={mark!r}></i>' for mark in marks)}</div>")


def _task(tour: Tour, number: int, page: str) -> None:
    step = tour.steps[number]
    st.markdown(f"**{step.title}**")
    st.markdown(step.text)
    st.markdown(f":material/flag: **{step.task}**")
    buttons = st.container(horizontal=True, vertical_alignment="center", gap="small")
    _check(tour, number, step, page, buttons)
    there = page == step.page.replace("/", "-")
    label = "Set it up again" if there else f"Go to {step.page.split('/')[-1].capitalize()}"
    given: Any = {"type": "tertiary" if there else "primary", "on_click": progress.set_up, "args": (step.settings,)}
    if buttons.button(label, key="tour-go", icon=":material/near_me:", **given):
        st.switch_page(str(_PAGES / f"{step.page}.py"), query_params=dict(step.settings))


def _check(tour: Tour, number: int, step: Step, page: str, buttons: Any) -> None:
    model = session.loaded(pickers.model_name(), pickers.weights())
    if model is None:
        st.caption(":material/hourglass_top: The model is being loaded; then the task can be checked.")
        return
    here = _here(step, page, model)
    key = _key(tour, number, here)
    done = number in progress.passed(tour.name)
    if buttons.button("Check", key="tour-check", icon=":material/task_alt:", type="secondary" if done else "primary"):
        st.session_state[_ASKED] = key
    if st.session_state.get(_ASKED) == key:
        found = session.part(key, lambda _: _judged(step, here), label="Checking")
        if found is not None:
            _say(tour, number, step, found)
    elif done:
        st.caption(":material/check_circle: passed")
    with st.expander("A hint", icon=":material/lightbulb:"):
        st.markdown(step.hint)


def _judged(step: Step, here: Here) -> Outcome:
    from ui.results.lessons import Outcome

    try:
        return step.check(here)
    except ValueError as error:
        return Outcome(False, str(error))


def _say(tour: Tour, number: int, step: Step, found: Outcome) -> None:
    if found.passed:
        progress.passed(tour.name).add(number)
        st.success(found.told, icon=":material/check_circle:")
    else:
        st.warning(f"{found.told}\n\n{step.hint}", icon=":material/replay:")


def _here(step: Step, page: str, model: Any) -> Here:
    from ui.results.lessons import Here

    values = {name: st.session_state[name] if name in st.session_state else st.query_params.get(name) for name in step.reads}
    return Here(
        page, model, pickers.weights(), picture_picker.chosen(), pickers.text(model), pickers.tower(model), pickers.target_name(),
        state.chosen(), values, _answer(), _load,
    )  # fmt: skip


def _answer() -> Any:
    """The last answer, where it is there."""
    job = session.jobs().find(("answer", st.session_state.get("asked before")))
    there = job is not None and job.future.done() and not job.future.cancelled() and job.future.exception() is None
    return job.future.result() if job is not None and there else None


def _load(name: str) -> Any:
    import model_adapters as ma

    return session.loaded(name, "pretrained") or ma.load(name)


def _key(tour: Tour, number: int, here: Here) -> tuple:
    values = tuple((name, tuple(v) if isinstance(v, list) else v) for name, v in here.values.items())
    return (
        "lesson", tour.name, number, here.page, here.model.name, here.weights, here.picture.key, here.picture.id, here.text,
        here.tower, here.class_name, here.chosen, values, id(here.answered),
    )  # fmt: skip


def _foot(tour: Tour, number: int) -> None:
    last = number == len(tour.steps) - 1
    done = number in progress.passed(tour.name)
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.button("Back", key="tour-back", disabled=number == 0, on_click=progress.go, args=(tour.name, number - 1))
        if last:
            count = len(progress.passed(tour.name))
            label = "Finish" if done else "End"
            told = f"{count} of {len(tour.steps)} tasks passed"
            kind: Any = "primary" if done else "secondary"
            st.button(label, key="tour-next", type=kind, help=told, on_click=progress.go, args=("",))
        else:
            label = "Next" if done else "Skip"
            kind = "primary" if done else "secondary"
            st.button(label, key="tour-next", type=kind, on_click=progress.go, args=(tour.name, number + 1))
