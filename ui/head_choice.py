"""A head is chosen by a click in any picture of heads, for all pages; and links that take it along."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import page, state

if TYPE_CHECKING:
    from model_adapters import Model, Site
    from ui.figures import Figure

_PAGES = Path(__file__).resolve().parents[1] / "pages"


def chosen_head(model: Model, tower: str) -> tuple[Site, int]:
    """The head that is chosen, or the nearest that this model has."""
    from ui.results.heads import site_at

    now = state.chosen()
    return site_at(model, tower, now.layer, now.head)


def outlined(sites: Sequence[Site], model: Model, tower: str) -> tuple[int, int] | None:
    """(row, head) of the chosen head in a figure of these rows; None where it is not among them."""
    from ui.results.heads import row_of

    site, head = chosen_head(model, tower)
    row = row_of(sites, site)
    return None if row is None else (row, head)


def chart(figure: Figure, key: str, sites: Sequence[Site], model: Model, tower: str) -> None:
    """A figure whose points are heads: clicking one chooses it."""
    st.plotly_chart(
        figure, key=key, on_select=_chooser(key, sites, model, tower), selection_mode="points", width="stretch",
        config={"displayModeBar": False},
    )  # fmt: skip


def _chooser(key: str, sites: Sequence[Site], model: Model, tower: str) -> Callable[[], None]:
    def choose() -> None:
        from ui.results.heads import row_of, sites_of

        place = clicked(st.session_state.get(key))
        if place is None or place[0] >= len(sites):
            return
        row = row_of(sites_of(model, tower), sites[place[0]])
        if row is not None:
            state.choose(layer=row, head=place[1])

    return choose


def clicked(event: Any) -> tuple[int, int] | None:
    """The first two numbers that the clicked point carries."""
    points = ((event or {}).get("selection") or {}).get("points") or []
    carried = points[0].get("customdata") if points else None
    if isinstance(carried, dict):
        carried = [carried[name] for name in sorted(carried)]
    return (int(carried[0]), int(carried[1])) if carried is not None and len(carried) > 1 else None


@contextmanager
def titled(
    text: str,
    result: Any,
    figure: Figure,
    *,
    key: str,
    help: str = "",
    method: str = "",
    options: Mapping[str, Any] | None = None,
    snippet: str = "",
) -> Iterator[None]:
    """A picture's title above what is drawn inside, and its menu below.

    Args:
        text: the title.
        result: what is drawn.
        figure: the drawing.
        key: of the menu.
        help: what the picture says, and what it cannot say.
        method: the registered method that made it, where one picture is enough to make it again.
        options: those of the method that differ from its defaults.
        snippet: Python to show instead of the one that follows from the method.
    """
    st.markdown(f"**{text}**", help=help or None)
    yield
    page.take_away(result, figure, key=key, title=text, method=method, options=options, snippet=snippet)


def title(model: Model, tower: str) -> str:
    """What people call the chosen head."""
    from ui.results.heads import row_of, sites_of

    site, head = chosen_head(model, tower)
    return f"Layer {row_of(sites_of(model, tower), site)}, head {head}"


def link(page: str, label: str, icon: str) -> None:
    """A link to another page, which finds the same head chosen."""
    path = _PAGES / f"{page}.py"
    if path.is_file():
        st.page_link(str(path), label=label, icon=f":material/{icon}:")
