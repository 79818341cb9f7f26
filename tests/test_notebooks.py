"""The example notebooks: they run from the first cell to the last, and print what is kept in them."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
LARGEST = 300_000
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell) -> str:
    """What a cell prints; pictures are not compared."""
    return "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stdout")


def pictures(cell) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def test_there_are_three():
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_as_it_ran_small_and_without_the_app(path):
    notebook = read(path)
    nbformat.validate(notebook)
    cells = code(notebook)
    assert path.stat().st_size <= LARGEST and notebook.cells[0].cell_type == "markdown"
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert sum(map(pictures, cells)) >= 1 and sum(bool(texts(cell)) for cell in cells) >= 3
    assert all(output.output_type in ("stream", "display_data") for cell in cells for output in cell.outputs)
    source = "\n".join(cell.source for cell in cells)
    assert not re.search(r"^\s*(?:from|import) (?:ui|streamlit|pages)\b", source, re.MULTILINE)
    assert str(ROOT) not in path.read_text(encoding="utf-8") and "http" not in source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_notebook_runs_and_prints_what_is_kept_in_it(path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # libraries that other tests import set it
    kept, run = read(path), read(path)
    for cell in code(run):
        cell.outputs = []
    NotebookClient(run, kernel_name="python3", timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    for before, after in zip(code(kept), code(run), strict=True):
        assert pictures(before) == pictures(after)
        old, new = texts(before), texts(after)
        assert NUMBER.sub("#", old).split() == NUMBER.sub("#", new).split()
        expected = list(map(float, NUMBER.findall(old)))
        assert list(map(float, NUMBER.findall(new))) == pytest.approx(expected, rel=0.1, abs=0.06)
