"""What a study says per word, budget, caption, answer or class; and the records behind one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import controls, page, session
from ui.studies_records import SHOWN, Shown, grid, lacking

if TYPE_CHECKING:
    from studies.spec import Study
    from studies.store import Store
    from ui.results.study_groups import Groups, Row


def show(store: Store, study: Study, model: int, table: str, bar: Any) -> None:
    """The groups of a table, and the records of the chosen one."""
    from ui.figures import draw
    from ui.results import study_groups, studying

    columns = study_groups.columns(store, table)
    with bar, st.container(width=320):
        column = controls.pick(f"study-{table}", "Measured", columns, format=lambda name: name.replace("_", " "))
    key = ("study groups", store.url, studying.edition(store), model, table, column)
    found: Groups | None = session.part(key, lambda _: study_groups.groups(store, table, model, column), label="Asking the rows")
    if found is None:
        return
    left, right = st.columns([3, 2], gap="medium")
    with right:
        group = controls.pick(f"study-{table}-group", study_groups.GROUPINGS[table].each, found.names, listed=True)
        _behind(store, study, model, table, column, group)
    with left:
        figure = draw(found)
        chart = f"study-{table}-chart"
        st.plotly_chart(
            figure, key=chart, on_select=_chooser(chart, f"study-{table}-group", found.names), selection_mode="points",
            width="stretch", config={"displayModeBar": False},
        )  # fmt: skip
        lacking(store, table)
        title = f"{found.label.capitalize()} by {study_groups.GROUPINGS[table].each.lower()}"
        page.take_away(found, figure, key=chart, title=title, snippet=_snippet(store, table, model, column))


def _chooser(chart: str, control: str, names: tuple[str, ...]) -> Any:
    def choose() -> None:
        points = ((st.session_state.get(chart) or {}).get("selection") or {}).get("points") or []
        if points:
            carried = points[0].get("customdata")
            st.session_state[control] = names[int(carried[0] if isinstance(carried, (list, tuple)) else carried)]

    return choose


def _behind(store: Store, study: Study, model: int, table: str, column: str, group: str) -> None:
    """The records in which the chosen group has most or least."""
    from ui.results import study_groups, studying

    most = controls.pick("study-end", "Records with the", ("most", "least")) == "most"
    key = ("study group", store.url, studying.edition(store), model, table, column, group, most)
    rows: list[Row] | None = session.part(
        key, lambda _: study_groups.behind(store, table, model, column, group, most=most, count=SHOWN), label="Asking the rows"
    )
    lacking(store, table, "images")
    grid(store.url, [Shown(row.record, _told(row), row.question) for row in rows or []], study.models[model])


def _told(row: Row) -> str:
    said = row.said if len(row.said) <= 80 else f"{row.said[:79]}…"
    return " · ".join(part for part in (f"{row.value:.3g}", row.key, f"“{said}”" if said else "") if part)


def _snippet(store: Store, table: str, model: int, column: str) -> str:
    from ui.results.study_groups import sql_of

    imports = "from studies.reading import query\nfrom studies.store import Store\n\n"
    return f"{imports}names, rows = query(Store({store.url!r}), {sql_of(table, model, column)!r})\n"
