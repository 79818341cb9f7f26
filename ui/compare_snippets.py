"""The Python that makes the difference of the page Compare again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.snippets import picture_lines

if TYPE_CHECKING:
    from ui.compare_asked import Side, Wish
    from ui.results.heads import Text


def snippet(asked: Wish, chosen: tuple[int | None, int | None]) -> str:
    """Python that gives the difference in `shown`.

    Args:
        asked: what is compared.
        chosen: the row of attention on each side (None is the mean row), or the class that each map is about.
    """
    rows = asked.methods[0] == "attention"
    lines, imports = [], {"import model_adapters as ma"}
    imports |= set() if rows else {"from analysis.compare import map_difference"}
    if asked.methods[0] == "word":
        imports |= {"from analysis.words import answer_of", "from analysis.words.word_maps import word_map"}
    else:
        imports |= {"from analysis.compare import map_difference, row_of_attention"} if rows else {"import analysis"}
    for number, name in enumerate(("first", "second")):
        side = asked.sides[number]
        from_picture, picture = picture_lines(side.picture.id)
        imports |= set(from_picture) | _imports_of(side)
        if side.edits and asked.methods[0] not in ("attention", "word"):
            imports |= {"from ui.results.compare import EditedSubject"}
        weights = "" if side.weights == "pretrained" else f", weights={side.weights!r}"
        lines.append(f'{name} = ma.subject(ma.load("{side.model.name}"{weights}), {picture}{_read(side.text)})')
        make = _rows_of if rows else _word_of if asked.methods[0] == "word" else _map_of
        lines += make(asked, number, name, chosen[number])
    given = (", scale=False" if rows else "") + (", stretch=True" if asked.differs == "picture" else "")
    lines.append("# Right minus left, on the tokens of the left.")
    lines.append(f'shown = map_difference(second_map, first_map, on="second"{given})')
    return "\n".join([*sorted(imports), "", *lines])


def _read(text: Text) -> str:
    return "" if text is None else f", {list(text) if isinstance(text, tuple) else text!r}"


def _imports_of(side: Side) -> set[str]:
    names = {type(edit).__name__ for edit in side.edits}
    return {f"from model_adapters.edits import {', '.join(sorted(names))}"} if names else set()


def _captured(side: Side, name: str, want: str = "") -> str:
    given = f", edits={_edits(side)}" if side.edits else ""
    return f"ma.capture({name}.model, {name}.inputs{given}{want})"


def _edits(side: Side) -> str:
    told = []
    for edit in side.edits:
        heads = "" if edit.where.heads == "all" else f", heads={edit.where.heads!r}"
        value = f", {edit.value!r}" if hasattr(edit, "value") else ""
        told.append(f"{type(edit).__name__}(ma.Where(sites={edit.where.sites!r}{heads}){value})")
    return f"({', '.join(told)},)"


def _rows_of(asked: Wish, number: int, name: str, row: int | None) -> list[str]:
    head, layer = asked.heads[number], asked.layers[number]
    only = ("" if head is None else f", head={head}") + ("" if row is None else f", query={row}")
    return [
        f"{name}_capture = {_captured(asked.sides[number], name)}",
        f"{name}_site = [site for site in {name}_capture.sites if site.tower == {asked.tower!r}][{layer}]",
        f"{name}_map = row_of_attention({name}_capture, {name}_site{only})",
    ]


def _word_of(asked: Wish, number: int, name: str, word: int | None) -> list[str]:
    from ui.results.compare import LONGEST

    side = asked.sides[number]
    given = f", edits={_edits(side)}" if side.edits else ""
    return [
        f"{name}_said = ma.generate({name}.model, {name}.inputs, max_new_tokens={LONGEST}{given})",
        f"{name}_map = word_map(answer_of({name}_said, ma.asked({name}.model, {name}.inputs)), {word})",
    ]


def _map_of(asked: Wish, number: int, name: str, target: int | None) -> list[str]:
    method, side = asked.methods[number], asked.sides[number]
    tower = "" if asked.tower == "vision" else f", tower={asked.tower!r}"
    aim = f", target={target}" if asked.subjects[number].classes else ""
    if not side.edits:
        return [f'{name}_map = analysis.explain({name}, "{method}"{aim}{tower})']
    return [f"{name} = EditedSubject({name}.model, {name}.inputs, {name}.text, edits={_edits(side)})",
            f'{name}_map = analysis.explain({name}, "{method}"{aim}{tower})']  # fmt: skip
