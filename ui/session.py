"""Models and results for the pages: made in the background, kept for all sessions, and their errors as sentences."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    from PIL import Image

    from model_adapters import Model

_BUNDLED = Path(__file__).resolve().parents[1] / "assets" / "models" / "vit" / "config.json"
_POLL = 0.5
"""Seconds between two looks at a running job."""


def start_model() -> tuple[str, str]:
    """Name and weights of the model that needs no download: the bundled one, else a tiny random one."""
    return ("bundled:vit", "pretrained") if _BUNDLED.is_file() else ("timm:test_vit", "random")


def model(name: str, weights: str) -> Model:
    """A loaded and checked model. While it loads, the page shows so and goes no further."""
    return _result(_loading(name, weights), f"Loading {name} and checking it", _loading.clear)


def inspection(name: str, weights: str) -> Image.Image:
    """Where the tokens of the model's first attention site lie on a picture."""
    return _result(_inspecting(name, weights), "Finding out where its tokens lie on the image", _inspecting.clear)


@st.cache_resource(show_spinner=False)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="headlight")


@st.cache_resource(max_entries=2, show_spinner=False)
def _loading(name: str, weights: str) -> Future[Model]:
    return _pool().submit(_load, name, weights)


@st.cache_resource(max_entries=2, show_spinner=False)
def _inspecting(name: str, weights: str) -> Future[Image.Image]:
    return _pool().submit(_inspect, _loading(name, weights))


def _load(name: str, weights: str) -> Model:
    import model_adapters as ma  # takes seconds: here, so that the page is painted before

    return ma.load(name, weights=weights)


def _inspect(loading: Future[Model]) -> Image.Image:
    from model_adapters.geometry import layouts
    from model_adapters.geometry.inspect import inspection as drawn

    found = loading.result()
    picture = _scene()
    layout = next(iter(layouts(found, found.prepare(picture)).values()))
    return drawn(layout, [picture])


def _scene(number: int = 3, size: int = 768) -> Image.Image:
    """A drawn scene of the small world."""
    import numpy as np
    from PIL import Image

    from world.rendering import render
    from world.scenes import sample_scene

    return Image.fromarray(render(sample_scene(np.random.default_rng(number)), size).image)


def _result(job: Future[Any], label: str, forget: Callable[[], None]) -> Any:
    if not job.done():
        with st.status(f"{label} …", expanded=False):
            st.write("This happens once; afterwards it is kept.")
        _wait(job)
        st.stop()
    error = job.exception()
    if error is None:
        return job.result()
    from model_adapters import AdapterError

    if not isinstance(error, (AdapterError, ValueError)):
        raise error
    st.error(str(error), icon=":material/error:")
    st.button("Try again", on_click=forget)
    st.stop()


@st.fragment(run_every=_POLL)
def _wait(job: Future[Any]) -> None:
    if job.done():
        st.rerun()
