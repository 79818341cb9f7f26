"""A study that is there: its numbers per head, the records behind one, and questions in SQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import controls, head_choice, page, picture_picker, session, state
from ui.pictures import thumbnail

if TYPE_CHECKING:
    import pyarrow as pa

    from analysis.results import HeadMatrix
    from model_adapters import Site
    from studies.spec import Study
    from studies.store import Store
    from studies.telling import Status

_SHOWN = 6
_VIEWER = Path(__file__).resolve().parents[1] / "pages" / "look" / "attention.py"
_NAMES = {"mean": "mean", "deviation": "deviation", "q50": "median", "q95": "95 %", "q05": "5 %"}


def show(status: Status) -> None:
    """What came of a study so far."""
    from studies.store import Store
    from ui.results import studying

    store = Store(status.url)
    st.caption(status.line)
    for note in status.notes:
        st.caption(f":material/info: {note}")
    study = studying.study_in(store)
    found = studying.summary(store, "heads")
    if found is None or not len(found):
        _without_heads(store, status)
    else:
        _heads(store, study, found)
    _tables(store)


def _heads(store: Store, study: Study, found: pa.Table) -> None:
    from ui.figures import draw
    from ui.results import studying

    with st.container(horizontal=True, vertical_alignment="bottom"):
        model = _model(study)
        tower = controls.pick("study-tower", "Tower", studying.towers(found, model))
        columns = studying.columns(found)
        start = "gate_times_gradient" if "gate_times_gradient" in columns else columns[0]
        column = controls.pick("study-column", "Measured", columns, default=start, format=lambda name: name.replace("_", " "))
        statistic = controls.pick("study-statistic", "Over the records", studying.STATISTICS, format=lambda name: _NAMES[name])
    shown = studying.matrix(found, model, tower, column, statistic)
    row, head = _chosen(shown)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        figure = draw(shown, chosen=(row, head))
        bare = {"displayModeBar": False}
        st.plotly_chart(figure, key="study-heads", on_select=_choose, selection_mode="points", width="stretch", config=bare)
        page.take_away(shown, figure, key="study-heads", title=shown.label.capitalize(), snippet=_snippet(store, column))
    with right:
        _behind(store, study, model, shown.sites[row], row, head, column)


def _model(study: Study) -> int:
    if len(study.models) == 1:
        return 0
    names = [model.name for model in study.models]
    return controls.pick("study-model", "Model", range(len(names)), format=lambda number: names[number])


def _chosen(shown: HeadMatrix) -> tuple[int, int]:
    now, (rows, heads) = state.chosen(), shown.values.shape
    return now.layer % rows if -rows <= now.layer < rows else rows - 1, min(now.head, heads - 1)


def _choose() -> None:
    place = head_choice.clicked(st.session_state.get("study-heads"))
    if place is not None:
        state.choose(layer=place[0], head=place[1])


def _behind(store: Store, study: Study, model: int, site: Site, row: int, head: int, column: str) -> None:
    """The records in which the chosen head has most or least; one click leads to the viewer."""
    from studies.errors import StudyError
    from ui.results import studying

    st.markdown(f"**Layer {row}, head {head}**: {column.replace('_', ' ')}, record by record")
    most = controls.pick("study-end", "Records with the", ("most", "least")) == "most"
    key = ("study records", store.url, len(store.done()), model, site, head, column, most)
    lines = session.part(
        key, lambda _: studying.behind(store, model, site, head, column, most=most, count=_SHOWN), label="Asking the rows"
    )
    for at, column_ in zip(range(0, _SHOWN, 3), (st.columns(3), st.columns(3)), strict=True):
        for line, place in zip((lines or [])[at : at + 3], column_, strict=False):
            with place:
                try:
                    st.image(thumbnail(studying.picture(store.url, line.record), 160), width="stretch")
                except StudyError as error:
                    st.caption(str(error))
                    continue
                st.caption(f"{line.value:.3g} · {line.key}{f' · {line.label}' if line.label else ''}")
                told: Any = (store.url, line.record, study.models[model].name, study.models[model].weights, row, head)
                st.button("Look", key=f"look-{line.record}", icon=":material/visibility:", on_click=_look, args=told)
    if st.session_state.pop("study look", False):
        st.switch_page(str(_VIEWER))


def _look(url: str, record: int, name: str, weights: str, row: int, head: int) -> None:
    """Choose the record's picture, the model and the head for all pages."""
    from ui.results import studying

    picture_picker.want(picture_picker.keep(studying.picture(url, record)))
    st.session_state["model"] = name
    if not name.startswith(("bundled:", "path:")):
        st.session_state["weights"] = weights
    state.choose(layer=row, head=head)
    st.session_state["study look"] = True


def _without_heads(store: Store, status: Status) -> None:
    if not status.done:
        st.info("No shard is finished yet. Numbers come with the first one.", icon=":material/hourglass_top:")
        return
    tables = [name for name in ("answers", "words", "budgets") if store.files(name)]
    st.info(f"This study measured no heads; it has the tables {', '.join(tables)}. Ask them below.", icon=":material/table:")


def _tables(store: Store) -> None:
    """Ready queries, and SQL of one's own."""
    import pandas as pd

    from studies.errors import StudyError
    from studies.reading import QUERIES, query

    if not store.done():
        return
    with st.expander("Tables and SQL", icon=":material/table:"):
        ready = st.segmented_control("Ready queries", list(QUERIES), key="study-query")
        written = st.text_area(
            "SQL", key="study-sql", placeholder='SELECT layer, head, avg(entropy) FROM heads GROUP BY ALL ORDER BY 1, 2',
            help="Tables: images, layers, heads, answers, words, budgets, faults; heads_all and the like hold the statistics.",
        )  # fmt: skip
        asked = written.strip() or ready
        if not asked:
            return
        try:
            names, rows = query(store, asked)
        except StudyError as error:
            st.error(str(error), icon=":material/error:")
            return
        st.dataframe(pd.DataFrame(rows, columns=names), hide_index=True, width="stretch")
        st.caption(f"{len(rows):,} rows")


def _snippet(store: Store, column: str) -> str:
    sql = f"SELECT layer, head, mean, deviation FROM heads_all WHERE \"column\" = '{column}' ORDER BY layer, head"
    imports = "from studies.reading import query\nfrom studies.store import Store\n\n"
    return f"{imports}names, rows = query(Store({store.url!r}), {sql!r})\n"
