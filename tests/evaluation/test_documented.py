"""What docs/evaluation.md shows is run as it stands, on a folder that is made by it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "evaluation.md"


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S)


def test_the_examples_run_and_print_what_their_figures_depend_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    first, second = blocks()
    exec(compile(first.replace("take(24)", "take(6)"), str(DOCUMENT), "exec"), names)
    said = capsys.readouterr().out
    for kind in ("POPE, adversarial.", "CHAIR.", "official rule:", "strict rule:", "CHAIR_i", "CHAIR_s", "recall", "unparsable"):
        assert kind in said
    assert said.count("bundled:lvlm on annotations: 6 images") == 2
    assert "answers of up to 3 new tokens; prompt 'is there {a} {thing} in the picture ?'; Greedy(); seed 0" in said
    assert "answers of up to 40 new tokens; prompt 'describe the picture.'; Greedy(); seed 0" in said
    assert re.search(r"words \d+\.\d", said), "how long descriptions are stands beside what they make up"
    exec(compile(second, str(DOCUMENT), "exec"), names)
    assert "Contrast(look=Noised(step=500" in capsys.readouterr().out


def test_an_unknown_word_in_the_usual_prompt_is_told():
    """The bundled model is asked with a prompt of its own because the usual one has words that it does not know."""
    import model_adapters as ma
    from analysis.evaluation.chair import PROMPT

    assert PROMPT in DOCUMENT.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="'detail' is not among them"):
        ma.load("bundled:lvlm").prepare(text=PROMPT)
