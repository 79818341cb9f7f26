"""The Python that makes a result of several pictures again."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ui.results.heads import Text
from ui.snippets import picture_lines


def set_snippet(model: str, weights: str, text: Text, ids: Sequence[str], lines: Sequence[str], want: Sequence[str] = ()) -> str:
    """A script that captures every picture and goes on from there.

    Args:
        model: as `model_adapters.load` takes it.
        weights: which ones.
        text: what the model reads beside the picture.
        ids: of the pictures.
        lines: what follows; `captures` are there.
        want: what the captures keep beside the weights.
    """
    parts = [picture_lines(id) for id in ids]
    imports = sorted({line for found, _ in parts for line in found})
    images = [f"    {expression}," for _, expression in parts]
    given = "" if text is None else f", {list(text) if isinstance(text, tuple) else text!r}"
    chosen = "" if weights == "pretrained" else f", weights={weights!r}"
    kept = f"frozenset({{{', '.join(map(json.dumps, want))}}})" if want else ""
    return "\n".join(
        [
            "import analysis", "import model_adapters as ma", *imports, "",
            f"model = ma.load({json.dumps(model)}{chosen})", "images = [", *images, "]",
            f"captures = [ma.subject(model, image{given}).capture({kept}) for image in images]", *lines,
        ]
    )  # fmt: skip


__all__ = ["set_snippet"]
