"""The Python that takes the same steps again."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ui.results.fix_snippet import Asking
from ui.results.whatif_steps import Step, as_text


def whatif_snippet(asking: Asking, steps: Sequence[Step], *, place: tuple[int, int] | None = None, film: bool = False) -> str:
    """What steps did, as `shown`: word by word, or what they did to one map.

    Args:
        asking: the question.
        steps: what is changed.
        place: of the map: which word of the answer as it was, on which picture.
        film: the pictures are the frames of one video.
    """
    shown = "word_changes(before, after)" if place is None else f"map_change(before, after, {place[0]}, {place[1]})"
    taking = [
        f"steps = steps_of({json.dumps(as_text(steps), ensure_ascii=False)})",
        f"before, after = (what_if(asked, each, {asking.longest}) for each in ((), steps))",
        f"shown = {shown}",
    ]
    imports = [
        f"from ui.results.whatif import {shown.partition('(')[0]}, what_if", "from ui.results.whatif_steps import steps_of",
    ]  # fmt: skip
    return _script(asking, imports, taking, film)


def map_snippet(asking: Asking, place: tuple[int, int], *, film: bool = False) -> str:
    """Where the answer looked on a picture when it said a word, before any step."""
    imports = ["from ui.results.fix import map_of_word"]
    return _script(asking, imports, [f"shown = map_of_word(asked.answer, {place[0]}, {place[1]})"], film)


def _script(asking: Asking, imports: Sequence[str], lines: Sequence[str], film: bool) -> str:
    uploaded = any(id.startswith("upload:") for id in asking.pictures)
    given = ", film=True" if film else ""
    return "\n".join(
        [
            "import model_adapters as ma",
            *(["from pathlib import Path"] if uploaded else []),
            f"from ui.pictures import {', '.join(['opened'] * uploaded + ['picture'])}",
            "from ui.results.answering import answered",
            *imports,
            "",
            asking.loading,
            f"pictures = [{', '.join(map(_picture, asking.pictures))}]",
            f"asked = answered(model, pictures, {json.dumps(asking.text, ensure_ascii=False)}, longest={asking.longest}, "
            f"decoding=ma.{asking.decoding!r}{given})",
            *lines,
        ]
    )


def _picture(id: str) -> str:
    if id.startswith("upload:"):
        return f'opened(Path("picture.png").read_bytes(), "picture.png", {id!r})'
    return f"picture({json.dumps(id)})"
