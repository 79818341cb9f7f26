"""What every page begins with: its title, its question, and what is chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import streamlit as st

from ui import pickers, picture_picker, pictures
from ui.state import chosen

if TYPE_CHECKING:
    from ui.figures import Figure


def header(title: str, question: str, *, about: tuple[str, ...] = ("model", "picture", "head")) -> None:
    """Title, question and breadcrumb."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.title(title, anchor=False, width="content")
        st.markdown(f":gray[{question}]", width="stretch")
    st.caption(" · ".join(_crumbs(about)))


def _crumbs(about: tuple[str, ...]) -> list[str]:
    crumbs = []
    if "model" in about:
        crumbs.append(f"`{pickers.model_name()}`")
    if "picture" in about:
        crumbs.append(pictures.title(picture_picker.chosen_id()))
    if "class" in about and pickers.target_name() != pickers.AUTO:
        crumbs.append(f"“{pickers.target_name()}”")
    if "head" in about or "heads" in about:
        crumbs.append(_head(alone="head" in about or chosen().fuse == "single"))
    return crumbs


def _head(*, alone: bool) -> str:
    """The chosen head, or the nearest that the model has, once it is there.

    Args:
        alone: whether it is shown alone, or with all others of its layer.
    """
    from ui import session

    now = chosen()
    model = session.loaded(pickers.model_name(), pickers.weights())
    if model is None or not pickers.towers(model):
        return f"layer {'last' if now.layer < 0 else now.layer} · {f'head {now.head}' if alone else _TOGETHER[now.fuse]}"
    from ui.results.heads import row_of, site_at, sites_of

    tower = pickers.tower(model)
    site, head = site_at(model, tower, now.layer, now.head)
    return f"layer {row_of(sites_of(model, tower), site)} · {f'head {head}' if alone else _TOGETHER[now.fuse]}"


_TOGETHER = {"mean": "mean of its heads", "max": "maximum of its heads"}


def take_away(
    result: Any,
    figure: Figure | Callable[[], Figure] | None,
    *,
    key: str,
    title: str,
    method: str = "",
    options: Mapping[str, Any] | None = None,
    snippet: str = "",
) -> None:
    """The menu of a picture: its data, its figure, the Python that makes it again, and the link to this page as it is.

    Args:
        result: what is drawn.
        figure: the drawing, or what makes it when it is asked for.
        key: of this menu on its page.
        title: of the picture, and of the files.
        method: the registered method that made the result; its snippet is written from what is chosen.
        options: those of the method.
        snippet: Python to show instead.
    """
    from ui.take_away import menu

    said = snippet or snippet_of(method, options or {})
    menu(result, figure, key=key, snippet=said, link=address(), title=title, cites=_cites(method))


def _cites(method: str) -> tuple[str, ...]:
    if not method:
        return ()
    import analysis

    return tuple(analysis.find(method).cites)


def address() -> str:
    """The link to this page as it is."""
    parts = urlsplit(st.context.url or "")
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(st.query_params.to_dict()), ""))


def snippet_of(method: str, options: Mapping[str, Any]) -> str:
    """The Python of a registered method, with what is chosen; empty where one picture is not enough."""
    from ui import session
    from ui.snippets import Shown, snippet_for

    model = session.loaded(pickers.model_name(), pickers.weights())
    if not method or model is None:
        return ""
    now, names = chosen(), pickers.labels(model)
    target = names.index(pickers.target_name()) if pickers.target_name() in names else None
    shown = Shown(
        pickers.model_name(), picture_picker.chosen_id(), pickers.weights(), pickers.text(model), target,
        pickers.tower(model), now.layer, now.head,
    )  # fmt: skip
    return snippet_for(shown, method, dict(options)) or ""
