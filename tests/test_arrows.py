"""The arrow of the design: who may import whom, read from the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MAY_USE = {
    "app": {"pages", "ui", "studies", "analysis", "model_adapters"},
    "pages": {"ui", "studies", "analysis", "model_adapters"},
    "ui": {"studies", "analysis", "model_adapters", "world"},
    "studies": {"analysis", "model_adapters"},
    "analysis": {"model_adapters"},
    "model_adapters": set(),
    "world": {"analysis", "model_adapters"},
    "benchmarks": {"ui", "studies", "analysis", "model_adapters", "world"},
}
ONLY_IN = {
    "streamlit": ("app.py", "pages/", "ui/"),
    "plotly": ("ui/figures.py", "ui/figures/"),
    "timm": ("model_adapters/", "world/", "benchmarks/"),
    "transformers": ("model_adapters/", "world/", "benchmarks/"),
}
DATA_TYPES = {"Capture", "Layout", "Rows", "Site", "Keep", "Edit", "Where", "Reduction", "AdapterError", "Generation"}
DATA_MODULES = {"capturing", "layout", "site", "edits", "where", "errors", "decoding"}


def sources() -> list[Path]:
    files = [ROOT / "app.py"]
    for folder in MAY_USE:
        files += sorted((ROOT / folder).rglob("*.py"))
    return [file for file in files if file.is_file()]


def imports(tree: ast.AST) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Dotted module and the names taken from it, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or "", tuple(alias.name for alias in node.names)


def faults(where: str, text: str) -> list[str]:
    """Every import and call of a file that breaks a rule."""
    tree = ast.parse(text)
    house = where.split("/")[0].removesuffix(".py")
    found = []
    for module, names in imports(tree):
        top = module.split(".")[0]
        if top in MAY_USE and top != house and top not in MAY_USE[house]:
            found.append(f"{house} may not use {top}")
        if top in ONLY_IN and not where.startswith(ONLY_IN[top]):
            found.append(f"{top} only in {', '.join(ONLY_IN[top])}")
        if house == "ui" and where.startswith("ui/figures") and top == "streamlit":
            found.append("figures know no streamlit")
        if house == "analysis" and top == "model_adapters" and not _data_only(module, names):
            found.append(f"analysis takes data types from model_adapters, not {module} {names}")
        if top in ("pickle", "_pickle", "dill", "cloudpickle", "joblib") and names != ("UnpicklingError",):
            found.append(f"{top} can run code")
    return found + [f for node in ast.walk(tree) if isinstance(node, ast.Call) for f in _unsafe(node)]


def _data_only(module: str, names: tuple[str, ...]) -> bool:
    if module == "model_adapters":
        return bool(names) and set(names) <= DATA_TYPES | DATA_MODULES
    return module.removeprefix("model_adapters.") in DATA_MODULES


def _unsafe(call: ast.Call) -> Iterator[str]:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if ast.unparse(call.func) == "torch.load":
        value = given.get("weights_only")
        if not (isinstance(value, ast.Constant) and value.value is True):
            yield "torch.load without weights_only=True"
    trust = given.get("trust_remote_code")
    if trust is not None and not (isinstance(trust, ast.Constant) and trust.value is False):
        yield "trust_remote_code must be False"
    if "allow_pickle" in given and ast.unparse(given["allow_pickle"]) != "False":
        yield "allow_pickle can run code"


@pytest.mark.parametrize("file", sources(), ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_follow_the_arrow(file):
    assert faults(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("model_adapters/x.py", "from analysis import maps"),
        ("analysis/x.py", "import streamlit as st"),
        ("analysis/x.py", "from model_adapters import load"),
        ("analysis/x.py", "from model_adapters.tap import AttentionTap"),
        ("analysis/x.py", "import model_adapters"),
        ("studies/x.py", "def f():\n    from ui import session"),
        ("ui/figures.py", "import streamlit"),
        ("ui/session.py", "import plotly.graph_objects as go"),
        ("ui/session.py", "import timm"),
        ("pages/look/maps.py", "from transformers import AutoModel"),
        ("world/x.py", "import ui.session"),
        ("model_adapters/x.py", "import pickle"),
        ("model_adapters/x.py", "from pickle import loads"),
        ("model_adapters/x.py", "torch.load(path)"),
        ("model_adapters/x.py", "torch.load(path, weights_only=False)"),
        ("model_adapters/x.py", "AutoModel.from_pretrained(x, trust_remote_code=True)"),
        ("studies/x.py", "np.load(path, allow_pickle=True)"),
    ],
)
def test_a_broken_rule_is_found(where, text):
    assert len(faults(where, text)) == 1


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("analysis/x.py", "from model_adapters import Capture, Layout"),
        ("ui/figures.py", "import plotly.graph_objects as go"),
        ("world/training/x.py", "import timm"),
        ("model_adapters/x.py", "from pickle import UnpicklingError"),
        ("model_adapters/x.py", "torch.load(path, map_location='cpu', weights_only=True)"),
    ],
)
def test_what_is_allowed_passes(where, text):
    assert faults(where, text) == []


def test_the_library_imports_neither_timm_nor_transformers_before_they_are_needed():
    heavy = "{'timm', 'transformers', 'peft', 'streamlit', 'torchvision', 'sklearn'}"
    command = f"import sys, model_adapters; sys.exit(repr(sorted({heavy} & set(sys.modules))))"
    found = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stderr.strip().splitlines()[-1] == "[]"


def test_the_frame_of_the_app_imports_no_torch():
    command = "import sys; from ui import cards, session; sys.exit(repr(sorted({'torch', 'timm'} & set(sys.modules))))"
    found = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stderr.strip().splitlines()[-1] == "[]"
