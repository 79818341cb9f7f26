"""The Python that makes again what more than one registered method makes: it begins with what is chosen, and goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ui.snippets import picture_lines

Text = str | tuple[str, ...] | None


def of_picture(
    chosen: tuple[str, str], picture: str, text: Text, lines: Sequence[str], imports: Sequence[str] = (), said: Sequence[int] = ()
) -> str:
    """A script about one picture; `model`, `image` and `subject` are there when `lines` begin.

    Args:
        chosen: the model's name, and its weights.
        picture: its id.
        text: what the model reads beside the picture.
        lines: what follows; the last one makes `shown`.
        imports: beside those of the library.
        said: tokens of an answer that stand behind the prompt.
    """
    after = f".after({list(said)})" if said else ""
    needed, image = picture_lines(picture)
    start = [f"image = {image}", f"subject = ma.subject(model, image{beside(text)}){after}"]
    return _script(chosen, (*needed, *imports), [*start, *lines])


def of_pictures(
    chosen: tuple[str, str], pictures: Sequence[str], text: Text, lines: Sequence[str], imports: Sequence[str] = ()
) -> str:
    """As `of_picture`, over several: `images` and `subjects` are there."""
    needed, images = pictures_of(pictures)
    start = [*images, f"subjects = [ma.subject(model, image{beside(text)}) for image in images]"]
    return _script(chosen, (*needed, *imports), [*start, *lines])


def of_model(chosen: tuple[str, str], lines: Sequence[str], imports: Sequence[str] = ()) -> str:
    """As `of_picture`, where `lines` find their pictures themselves: only `model` is there."""
    return _script(chosen, imports, lines)


def followed(script: str, call: str, imports: str) -> str:
    """A script that goes on with its result."""
    head, found, rest = script.partition("\n\nmodel = ")
    return f"{head}\n{imports}{found}{rest}\n{call}" if script else ""


def joined(first: str, second: str, names: tuple[str, str]) -> str:
    """Two scripts about the same picture as one; their results have these names, and are `shown` together."""
    if not first or not second:
        return ""
    start = "\nsubject = "
    above, _, rest = second.partition(start)
    head, found, tail = first.partition("\n\nmodel = ")
    known = set(head.splitlines())
    extra = [line for line in above.partition("\n\nmodel = ")[0].splitlines() if line not in known]
    lines = rest.partition("\n")[2]
    return "\n".join(
        [
            "\n".join([head, *extra]) + found + tail,
            f"{names[0]} = shown", lines, f"{names[1]} = shown", f"shown = {names[0]}, {names[1]}",
        ]
    )  # fmt: skip


def _script(chosen: tuple[str, str], imports: Sequence[str], lines: Sequence[str]) -> str:
    name, weights = chosen
    given = "" if weights == "pretrained" else f", weights={weights!r}"
    load = f"model = ma.load({json.dumps(name, ensure_ascii=False)}{given})"
    return "\n".join(["import analysis", "import model_adapters as ma", *sorted(set(imports)), "", load, *lines])


def beside(text: Text) -> str:
    """What follows the picture in a call of `ma.subject`."""
    return "" if text is None else f", {list(text) if isinstance(text, tuple) else text!r}"


def pictures_of(pictures: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Imports, and the lines that make `images`; a run of drawn scenes is one line."""
    needed, first = picture_lines(pictures[0])
    source, _, number = pictures[0].partition(":")
    start = int(number) if number.isdigit() else -1
    if list(pictures) == [f"{source}:{start + n}" for n in range(len(pictures))]:
        each = first.replace(f"[{start}]", "[number]")
        return needed, [f"images = [{each} for number in range({start}, {start + len(pictures)})]"]
    parts = [picture_lines(picture) for picture in pictures]
    lines = ["images = [", *(f"    {expression}," for _, expression in parts), "]"]
    return tuple(line for found, _ in parts for line in found), lines


def called(function: str, *arguments: str, **options: Any) -> str:
    """A call as text; options that are None are left out."""
    given = [f"{name}={value!r}" for name, value in options.items() if value is not None]
    return f"{function}({', '.join([*arguments, *given])})"


__all__ = ["beside", "called", "followed", "joined", "of_model", "of_picture", "of_pictures", "pictures_of"]
