"""A study that is there: its numbers per head, the records behind one, and questions in SQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import controls, head_choice, page, session, state, studies_groups, studies_new
from ui.studies_records import SHOWN, Shown, grid, lacking

if TYPE_CHECKING:
    import pyarrow as pa

    from analysis.results import HeadMatrix
    from model_adapters import Site
    from studies.spec import Study
    from studies.store import Store
    from studies.telling import Status

_POLL = 5.0
_NAMES = {"mean": "mean", "deviation": "deviation", "q50": "median", "q95": "95 %", "q05": "5 %"}


def show(status: Status) -> None:
    """What came of a study so far."""
    from studies.store import Store
    from ui.results import study_groups, studying

    store = Store(status.url)
    st.caption(status.line)
    if status.lacking:
        st.warning("\n\n".join(status.lacking), icon=":material/warning:")
    if status.state == "unreadable":
        return
    for note in status.notes:
        st.caption(f":material/info: {note}")
    study = studying.study_in(store)
    if status.lacking and status.state != "running":
        _mend(study, status)
    if status.state == "running":
        _going_on(study, status)
    found = studying.summary(store, "heads")
    model = _model(study)
    kinds = ["heads"] if found is not None and studying.towers(found, model) else []
    kinds += study_groups.tables(store, model)
    if not kinds:
        _nothing(store, status)
    else:
        titles = {"heads": "Heads", **{name: each.title for name, each in study_groups.GROUPINGS.items()}}
        bar = st.container(horizontal=True, vertical_alignment="bottom")
        with bar:
            kind = controls.pick("study-look", "Look at", kinds, format=lambda name: titles[name])
        if kind == "heads" and found is not None:
            _heads(store, study, model, found, bar)
        else:
            studies_groups.show(store, study, model, kind, bar)
    _tables(store)
    _how_to_read()


def _going_on(study: Study, status: Status) -> None:
    """How far a study of this server is, with its cancel button; the page changes with every shard, whoever runs it."""
    job = session.jobs().find(studies_new.key_of(study))
    if job is not None and not job.future.done():
        session.part(job.key, lambda progress: studies_new.conducted(study, progress), label=study.name, lane="study")
    _follow(status.url, status.done)


def _mend(study: Study, status: Status) -> None:
    """The button that computes again what is lost; a study that comes with the app is left as it is."""
    from ui.results import studying

    if Path(status.url).is_relative_to(studying.RECORDED):
        return
    key = studies_new.key_of(study)
    if st.button("Compute it again", key="study-mend", icon=":material/build:"):
        session.jobs().forget(key)
        session.jobs().start(
            key, lambda progress: studies_new.conducted(study, progress), label=study.name, estimate="", lane="study"
        )
    job = session.jobs().find(key)
    if job is not None and not job.future.done() and session.part(key, lambda _: None, label=study.name, lane="study"):
        st.rerun()


@st.fragment(run_every=_POLL)
def _follow(url: str, done: int) -> None:
    from studies.store import Store
    from studies.telling import status

    now = status(Store(url))
    if now.done != done or now.state != "running":
        st.rerun()


def _heads(store: Store, study: Study, model: int, found: pa.Table, bar: Any) -> None:
    from ui.figures import draw
    from ui.results import studying

    with bar:
        towers = studying.towers(found, model)
        tower = controls.pick("study-tower", "Tower", towers) if len(towers) > 1 else towers[0]
        columns = studying.columns(found)
        start = "gate_times_gradient" if "gate_times_gradient" in columns else columns[0]
        with st.container(width=260):
            column = controls.pick("study-column", "Measured", columns, default=start, format=lambda name: name.replace("_", " "))
        statistic = controls.pick("study-statistic", "Over the records", studying.STATISTICS, format=lambda name: _NAMES[name])
    shown = studying.matrix(found, model, tower, column, statistic)
    row, head = _chosen(shown)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        figure = draw(shown, chosen=(row, head))
        bare = {"displayModeBar": False}
        st.plotly_chart(figure, key="study-heads", on_select=_choose, selection_mode="points", width="stretch", config=bare)
        lacking(store, "heads_all")
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
    from ui.results import studying

    st.markdown(f"**Layer {row}, head {head}**: {column.replace('_', ' ')}, record by record")
    most = controls.pick("study-end", "Records with the", ("most", "least")) == "most"
    key = ("study records", store.url, studying.edition(store), model, site, head, column, most)
    lines = session.part(
        key, lambda _: studying.behind(store, model, site, head, column, most=most, count=SHOWN), label="Asking the rows"
    )
    told = {line.record: " · ".join(filter(None, (f"{line.value:.3g}", line.key, line.label))) for line in lines or []}
    shown = [Shown(record, text) for record, text in told.items()]
    lacking(store, "heads", "images")
    grid(store.url, shown, study.models[model], (row, head))


def _nothing(store: Store, status: Status) -> None:
    if not status.done:
        st.info("No shard is finished yet. Numbers come with the first one.", icon=":material/hourglass_top:")
    elif store.files("faults"):
        st.info("No record of this study has numbers. The ready query faults says why.", icon=":material/table:")
    else:
        st.info("There is nothing to draw of this study yet; its tables can be asked below.", icon=":material/table:")


def _tables(store: Store) -> None:
    """Ready queries, and SQL of one's own."""
    import pandas as pd

    from studies.errors import StudyError
    from studies.reading import QUERIES, query, ready
    from studies.reading import lacking as lacking_sentences

    if not store.done():
        return
    with st.expander("Tables and SQL", icon=":material/table:"):
        chosen = st.segmented_control("Ready queries", ready(store), key="study-query")
        written = st.text_area(
            "SQL", key="study-sql", placeholder='SELECT layer, head, avg(entropy) FROM heads GROUP BY ALL ORDER BY 1, 2',
            help="Tables: images, layers, heads, matches, answers, words, budgets, faults; heads_all and so on hold statistics.",
        )  # fmt: skip
        asked = written.strip() or chosen
        if not asked:
            return
        try:
            told = lacking_sentences(store, QUERIES.get(asked, asked))
            names, rows = query(store, asked)
        except StudyError as error:
            st.error(str(error), icon=":material/error:")
            return
        st.dataframe(pd.DataFrame(rows, columns=names), hide_index=True, width="stretch")
        st.caption("\n\n".join([f"{len(rows):,} rows", *(f":material/warning: {each}" for each in told)]))


def _snippet(store: Store, column: str) -> str:
    sql = f"SELECT layer, head, mean, deviation FROM heads_all WHERE \"column\" = '{column}' ORDER BY layer, head"
    imports = "from studies.reading import query\nfrom studies.store import Store\n\n"
    return f"{imports}names, rows = query(Store({store.url!r}), {sql!r})\n"


_HOW = """
A study asks every record of a data set the same questions. A field of the picture of heads is one number over all records: their
mean, how far they lie apart (deviation), or the value that a share of them stays below (median, 95 %, 5 %; right to 1 % of its
size). Click a field for the records in which that head has most or least, and **Look** for the attention in one of them.

Words, budgets, captions, answers and classes are groups of rows: a dot is the mean of a group, its line is where the mean of such
a sample lies 19 times in 20, and the number in brackets counts its rows. Yes and no count as 1 and 0. Groups of few rows move
much from one data set to the next; groups beyond the 24 largest are in the tables.

**Where it misleads**: a mean hides records that are unlike the others, which is why they are one click away. Records that could
not be read are left out, and the query *faults* lists them.
"""


def _how_to_read() -> None:
    with st.expander("How to read this", icon=":material/help:"):
        st.markdown(_HOW)
