"""Files read back to the same numbers, without code; stills are what they say, and ask nobody."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from tests.app import results_by_hand as made
from ui import figures
from ui.take_away import as_csv, as_npz, as_parquet
from ui.take_away.still import still
from ui.take_away.tables import melted, table

RESULTS = made.by_hand()


def same(read: list, array: np.ndarray) -> bool:
    if array.dtype.kind == "f":
        return bool(
            np.array_equal(np.array([np.nan if v is None else float(v) for v in read], array.dtype), array, equal_nan=True)
        )
    if array.dtype.kind == "U":
        return ["" if v is None else str(v) for v in read] == array.tolist()
    return list(read) == array.tolist()


@pytest.mark.parametrize("name", RESULTS)
def test_tables_read_back_to_the_same_numbers(name):
    columns = table(RESULTS[name])
    assert len({len(array) for array in columns.values()}) == 1
    types = {n: pyarrow.from_numpy_dtype(a.dtype) if a.dtype.kind != "U" else pyarrow.string() for n, a in columns.items()}
    options = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=True)
    for read in (
        pyarrow.csv.read_csv(io.BytesIO(as_csv(RESULTS[name])), convert_options=options),
        pyarrow.parquet.read_table(io.BytesIO(as_parquet(RESULTS[name]))),
    ):
        assert read.column_names == list(columns)
        assert all(same(read.column(n).to_pylist(), array) for n, array in columns.items())


@pytest.mark.parametrize("name", RESULTS)
def test_arrays_need_no_code_to_be_read(name):
    with np.load(io.BytesIO(as_npz(RESULTS[name])), allow_pickle=False) as read:
        found = {key: read[key] for key in read.files}
    assert found and all(array.dtype.kind != "O" for array in found.values())
    values = getattr(RESULTS[name], "values", None)
    if values is not None:
        assert np.array_equal(found["values"], values, equal_nan=True)


def test_every_drawn_type_can_be_a_table():
    import ui.figures.every_rule  # noqa: F401
    from ui.figures.rules import rule

    assert set(rule.registry) <= set(table.registry)


def test_a_head_matrix_says_who_each_head_is_and_in_which_unit():
    matrix = made.matrix()
    columns = table(matrix)
    assert list(columns) == ["row", "tower", "layer", "site", "head", "importance [nats]", "low", "high"]
    place = np.flatnonzero((columns["layer"] == 2) & (columns["head"] == 1))
    assert columns["importance [nats]"][place] == matrix.values[2, 1] and columns["site"][place] == ["blocks.2.attn#0"]


def test_a_map_says_where_each_number_lies():
    columns = table(made.token_map())
    assert list(columns)[:6] == ["token", "role", "x0 [px]", "y0 [px]", "x1 [px]", "y1 [px]"]
    assert (columns["role"][0], columns["x0 [px]"][2], columns["y1 [px]"][12]) == ("class", 10, 30)


def test_records_in_rows_become_one_array_per_field():
    with np.load(io.BytesIO(as_npz(made.matrix()))) as read:
        assert read["sites.layer"].tolist() == [0, 1, 2] and read["sites.name"][1] == "blocks.1.attn"


def test_arrays_that_do_not_fit_their_axes_are_refused():
    with pytest.raises(ValueError, match="axes"):
        melted({"x": np.zeros((2, 3))}, row=range(3), head=range(2))


@pytest.mark.parametrize("name", RESULTS)
def test_an_svg_is_whole_and_asks_nobody(name):
    root = ET.fromstring(still(figures.draw(RESULTS[name], chosen=(1, 2)), "svg", name))
    assert root.tag.endswith("svg")
    for element in root.iter():
        for key, value in element.attrib.items():
            if key.endswith("href"):
                assert value.startswith(("#", "data:image/"))
            assert "url(http" not in value


def test_png_and_pdf_are_what_they_say():
    figure = figures.draw(RESULTS["head matrix"])
    with Image.open(io.BytesIO(still(figure, "png", "a title"))) as read:
        assert read.format == "PNG" and read.width == 1280
    assert still(figure, "pdf").startswith(b"%PDF")


def test_a_still_holds_the_numbers_of_its_figure():
    """The colour of the largest cell is that of the scale's end, and texts are texts."""
    drawn = still(figures.draw(RESULTS["head matrix"]), "svg").decode()
    assert "#f6f367" in drawn.lower() and "Importance (nats)" in drawn and ">Head<" in drawn


def test_other_figures_have_stills_too():
    pair = figures.draw_matrix_pair(made.matrix(), made.matrix(), chosen=(0, 0))
    scatter = figures.draw_scatter(made.matrix(), made.matrix(label="gate"), chosen=(0, 0))
    forest = figures.draw_forest(["a", "b"], [0.1, 0.2], [0.0, 0.1], [0.2, 0.3], chance=0.1)
    for figure in (pair, scatter, forest, figures.draw(made.token_map(), image=np.zeros((30, 40, 3), np.uint8))):
        assert still(figure, "pdf").startswith(b"%PDF")


def test_a_kind_of_trace_that_has_no_still_is_refused():
    import plotly.graph_objects as go

    with pytest.raises(TypeError, match="'pie' has no still"):
        still(go.Figure(go.Pie(values=[1, 2])), "svg")


def shown_menu():
    from tests.app import results_by_hand as made
    from ui import figures, take_away

    result = made.matrix()
    take_away.menu(
        result, figures.draw(result), key="heads", snippet="import analysis", link="/heads?layer=1", title="Head importance"
    )


def test_the_menu_offers_six_files_python_and_the_link():
    page = AppTest.from_function(shown_menu, default_timeout=60).run()
    assert not page.exception
    assert [code.value for code in page.code] == ["import analysis", "/heads?layer=1"]
    assert [button.label for button in page.get("download_button")] == ["CSV", "NPZ", "Parquet", "SVG", "PNG", "PDF"]


def test_no_file_is_made_before_it_is_asked_for(monkeypatch):
    from ui.take_away import still as module

    monkeypatch.setattr(module, "still", lambda *given: pytest.fail("a still was drawn unasked"))
    page = AppTest.from_function(shown_menu, default_timeout=60).run()
    assert not page.exception
