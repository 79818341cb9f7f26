"""Models and results for the pages: made in the background, shared by all visits, shown when they are there.

`get` and `part` are the only doors: they paint what is known at once (the estimate, the progress, the place in the queue, a
cancel), and the page goes on when the result is there. Errors become one sentence.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import tensors
from ui.housekeeping import keep_tidy
from ui.jobs import Cancelled, Job, Jobs, Lane, Progress
from ui.pictures import Picture

if TYPE_CHECKING:
    from model_adapters import Model

START = "bundled:vit"
_POLL = 0.4
"""Seconds between two looks at a running job."""
_RETRIED = ("model", "study", "study cost", "triage", "fix-measured", "fewer-curves")
"""Work that depends on a network or on files: what failed once can work the next time."""
PATIENCE = 0.5
"""How long a run of a page waits for a result before it paints that it is waiting; a picture on a usual model takes less."""
_SIDEBAR = "model that the sidebar waits for"
_painted = threading.Event()


@lru_cache(maxsize=1)
def jobs() -> Jobs:
    """All jobs of this server."""
    return Jobs(guard=_interruptible, visit=_visit)


def _visit() -> str:
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context is not None else ""


def lane_of_runs() -> Lane:
    """Where captures and answers wait: among the quick jobs of this process, or for workers elsewhere."""
    from studies import serving

    return "quick" if serving.server() is None else "elsewhere"


def _interruptible(function: Callable[[], Any], check: Callable[[], None]) -> Any:
    from model_adapters.interruption import interruptible

    with interruptible(check):
        return function()


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
    """While the server lives: the libraries and the first model are loaded once the frame has been painted."""
    threading.Thread(target=_warm_up, name="headlight-warm-up", daemon=True).start()
    keep_tidy(lambda: jobs().begun)
    yield {}


def painted() -> None:
    """Told by the frame when it has been drawn for the first time."""
    _painted.set()


def _warm_up() -> None:
    # Importing torch and timm takes seconds; done earlier, it would delay the first picture by as much.
    if _painted.wait(timeout=4):
        tensors.FIRST_SENT.wait(timeout=2)
        time.sleep(0.3)
    _start_model(START, "pretrained").future.exception()
    import gc

    gc.collect()
    gc.freeze()


def _start_model(name: str, weights: str) -> Job:
    def load(progress: Progress) -> Model:
        import model_adapters as ma

        progress.check()
        return ma.load(name, weights=weights)

    return jobs().start(("model", name, weights), load, label=f"Loading {name} and checking it")


def loaded(name: str, weights: str) -> Model | None:
    """The model if it is there already; its loading is begun otherwise."""
    future = _start_model(name, weights).future
    return future.result() if future.done() and future.exception() is None else None


def note_sidebar(name: str, weights: str) -> None:
    """Told by the frame before it draws the sidebar: what that says of the chosen model may be old when the page is drawn."""
    st.session_state[_SIDEBAR] = None if _has_ended(name, weights) else (name, weights)


def catch_up() -> None:
    """Draw everything again if the model came, or failed, since the sidebar was drawn: it still says that it loads."""
    waited = st.session_state.get(_SIDEBAR)
    if waited is not None and _has_ended(*waited):
        st.session_state[_SIDEBAR] = None
        st.rerun()


def _has_ended(name: str, weights: str) -> bool:
    job = jobs().find(("model", name, weights))
    return job is not None and job.future.done()


def loading(name: str, weights: str) -> None:
    """A line on a model that is not there: that it loads, or why it cannot be loaded."""
    job = jobs().find(("model", name, weights))
    ended = job is not None and job.future.done() and not job.future.cancelled()
    error = job.future.exception() if job is not None and ended else None
    if error is None:
        st.caption(":material/hourglass_top: loading …")
        return
    from ui.faults import sentence

    st.caption(f":material/error: could not be loaded. {sentence(error)}")


def model(name: str, weights: str) -> Model:
    """The loaded and checked model; while it loads the page shows so and goes no further."""
    job = _start_model(name, weights)
    return _stopping(_outcome(job))


def subject(name: str, weights: str, picture: Picture) -> Any:
    """One model looking at one picture, for `analysis.explain`."""
    from ui import pickers

    found = model(name, weights)
    text = pickers.text(found)

    def make(progress: Progress) -> Any:
        import model_adapters as ma

        return ma.subject(found, picture.array, list(text) if isinstance(text, tuple) else text)

    return get(("subject", name, weights, picture.key, text), make, label="Preparing the picture")


def get(key: tuple, function: Callable[[Progress], Any], *, label: str, estimate: str = "", lane: Lane = "quick") -> Any:
    """The result of a job; the page stops here until it is there.

    Args:
        key: names the result; it begins with the kind of work and holds everything the result depends on.
        function: what makes it. It gets a `Progress` to report to, and returns something that is not None.
        label: what is being done, for people.
        estimate: what it will take, in words.
        lane: "long" for what takes more than a few seconds: it never stands in the way of quick ones.
    """
    return _stopping(part(key, function, label=label, estimate=estimate, lane=lane))


def part(key: tuple, function: Callable[[Progress], Any], *, label: str, estimate: str = "", lane: Lane = "quick") -> Any | None:
    """As `get`, but the rest of the page is drawn while it is made: None until then."""
    return _outcome(jobs().start(key, function, label=label, estimate=estimate, lane=lane))


def asked(
    key: tuple, function: Callable[[Progress], Any], *, label: str, estimate: str, button: str, lane: Lane = "long"
) -> Any | None:
    """As `part`, but begun by a button that stands beside the estimate; a result that is there is shown at once."""
    job = jobs().find(key)
    if job is None or job.progress.cancelled:
        jobs().forget(key)
        place = st.empty()
        with place.container(horizontal=True, vertical_alignment="center"):
            pressed = st.button(button, key=f"start-{hash(key)}", icon=":material/play_arrow:")
            st.caption(estimate)
        if not pressed:
            return None
        place.empty()
        job = jobs().start(key, function, label=label, estimate=estimate, lane=lane)
    return _outcome(job)


def _stopping(value: Any | None) -> Any:
    if value is None:
        catch_up()
        st.stop()
    return value


def _outcome(job: Job) -> Any | None:
    if job.progress.cancelled:
        _show_error(job, Cancelled())
        return None
    try:
        error = job.future.exception(timeout=PATIENCE)
    except TimeoutError:
        _wait(job)
        return None
    if error is None:
        return job.future.result()
    _show_error(job, error)
    return None


def _show_error(job: Job, error: BaseException) -> None:
    from ui.faults import is_refusal, sentence, show

    if isinstance(error, Cancelled):
        st.info(f"{job.label}: cancelled.", icon=":material/cancel:")
    elif job.key[0] not in _RETRIED and is_refusal(error):
        st.info(sentence(error), icon=":material/block:")
        return
    else:
        show(error)
    st.button("Try again", key=f"again-{hash(job.key)}", on_click=jobs().forget, args=(job.key,))


@st.fragment(run_every=_POLL)
def _wait(job: Job) -> None:
    """What is going on, where the result will be."""
    if job.future.done():
        st.rerun()
    with st.container(border=True):
        place = jobs().place(job)
        left = job.progress.remaining()
        if job.waiting:
            line = f"{job.label}: {_place(place)}"
        else:
            line = f"{job.label}{': ' + job.progress.note if job.progress.note else ''}"
        text = f"{line} …" + (f" about {_span(left)} left" if left is not None else "")
        st.progress(job.progress.done, text=text)
        with st.container(horizontal=True, vertical_alignment="center"):
            if job.key[0] != "model" and st.button("Cancel", key=f"cancel-{hash(job.key)}", icon=":material/stop:"):
                jobs().cancel(job.key)
                st.rerun()
            if job.estimate:
                st.caption(job.estimate)


def _place(before: int) -> str:
    """Where in the queue, with so many before it beside what is running."""
    return f"waiting behind {before} other{'s' if before > 1 else ''}" if before else "next in the queue"


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
