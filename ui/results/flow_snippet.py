"""The Python that reads one answer again, and goes on from there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ui.snippets import picture_lines

if TYPE_CHECKING:
    from ui.asking import Question

_NAMED = re.compile(r"\b([A-Z]\w+)\(")


def answer_lines(question: Question) -> tuple[list[str], list[str]]:
    """Imports, and the lines that leave `model`, `inputs`, `generation` and `asked` behind."""
    decoding = repr(question.decoding)
    parts = [picture_lines(id) for id in question.pictures]
    imports = {line for found, _ in parts for line in found} | {"import model_adapters as ma"}
    imports.add(f"from model_adapters.decoding import {', '.join(sorted(set(_NAMED.findall(decoding))))}")
    images = [expression for _, expression in parts]
    given = images[0] if len(images) == 1 else f"[{', '.join(images)}]"
    if question.film:
        imports.add("from PIL import Image")
        given = f"[Image.fromarray(np.asarray(each)) for each in {given}]"
        imports.add("import numpy as np")
    chosen = "" if question.weights == "pretrained" else f", weights={question.weights!r}"
    seen = f"{'video' if question.film else 'image'}={given}, " if images else ""
    return sorted(imports), [
        f"model = ma.load({json.dumps(question.model)}{chosen})",
        f"inputs = model.prepare({seen}text={question.text!r})",
        f"generation = ma.generate(model, inputs, max_new_tokens={question.longest}, decoding={decoding})",
        "asked = ma.asked(model, inputs)",
    ]


def read_again(question: Question, imports: Sequence[str], lines: Sequence[str]) -> str:
    """A script that reads prompt and answer in one pass, as the page does, and goes on with `answer`."""
    own, before = answer_lines(question)
    again = [
        'capture = ma.reread(model, inputs, generation, keep=ma.Keep(heads="mean"), want={"hidden"})',
        "answer = answer_in(capture, [token.id for token in generation.tokens], asked)",
    ]
    first = sorted({*own, *imports, "from analysis.words import answer_in"}, key=lambda line: (line.startswith("from"), line))
    return "\n".join([*first, "", *before, *again, *lines])
