"""The case studies: figures are those that the scripts print, links lead to pages, session files open without the model."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "cases"
CASES = ("heads_that_look", "planted_sink", "invented_object")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
LINK = re.compile(r"\]\(([^)]+)\)")
NAMES = {"model", "image", "ask", "fixes", "maps"}

OPENS = """
import sys
from ui.session_file import read_session
session = read_session(sys.argv[1])
assert session.parts and session.link and session.made["models"]
assert not {"torch", "timm", "transformers"} & set(sys.modules)
"""


def text(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_figure_of_a_text_is_printed_by_its_script(name):
    command = [sys.executable, str(FOLDER / f"{name}.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    prose = re.sub(r"95 % interval|less than 0\.1\b", "", LINK.sub("]", text(name)))
    missing = set(NUMBER.findall(prose)) - set(NUMBER.findall(done.stdout))
    assert len(NUMBER.findall(prose)) > 10 and not missing, missing


@pytest.mark.parametrize("name", CASES)
def test_links_lead_to_pages_with_pictures_and_methods_that_exist(name):
    import analysis
    from ui import pictures
    from ui.frame_pages import SECTIONS

    paths = {path.replace("/", "-") for pages in SECTIONS.values() for path, *_ in pages}
    for link in LINK.findall(text(name)):
        page, _, query = link.partition("?")
        if not query:
            assert (FOLDER / page).exists(), link
            continue
        values = dict(parse_qsl(query, strict_parsing=True))
        assert page in paths and set(values) <= NAMES, link
        assert (ROOT / "assets" / "models" / values["model"].removeprefix("bundled:")).is_dir()
        assert pictures.picture(values["image"]).objects
        for method in ",".join(values.get(each, "") for each in ("fixes", "maps")).split(","):
            assert not method or analysis.find(method)


@pytest.mark.parametrize("name", CASES)
def test_a_session_is_small_and_opens_without_torch(name):
    file = FOLDER / f"{name}.zip"
    assert file.stat().st_size <= 1_500_000 and (FOLDER / f"{name}.png").stat().st_size <= 150_000
    done = subprocess.run([sys.executable, "-c", OPENS, file], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
