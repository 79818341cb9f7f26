"""What can be taken out of a model: one setting as data, its edits, its cut, and words for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from analysis.pruning import Unit
    from model_adapters import Model, Site
    from model_adapters.edits import Edit
    from model_adapters.slimming import Cut

Part = Literal["attention", "mlp", "layer"]
_LETTERS: dict[str, Part] = {"a": "attention", "m": "mlp", "l": "layer"}


@dataclass(frozen=True)
class Parts:
    """Heads, branches and layers that are off, by the rows of the head matrix."""

    heads: tuple[tuple[int, int], ...] = ()
    attention: tuple[int, ...] = ()
    mlp: tuple[int, ...] = ()
    layer: tuple[int, ...] = ()

    @property
    def any(self) -> bool:
        """Whether anything is off."""
        return bool(self.heads or self.attention or self.mlp or self.layer)

    @property
    def ids(self) -> list[str]:
        """As the switches name them: "h2.3", "a2", "m2", "l2"."""
        rows = [(letter, row) for letter, part in _LETTERS.items() for row in getattr(self, part)]
        return [*(f"h{row}.{head}" for row, head in self.heads), *(f"{letter}{row}" for letter, row in rows)]

    @property
    def branches(self) -> str:
        """What is off beside heads, for a link: "m1,l3"."""
        return ",".join(replace(self, heads=()).ids)

    @classmethod
    def of(cls, ids: Iterable[str]) -> Parts:
        """From what the switches, or a link, name; what makes no sense is left out."""
        heads: list[tuple[int, int]] = []
        found: dict[Part, list[int]] = {part: [] for part in get_args(Part)}
        for id in ids:
            letter, numbers = id[:1], id[1:].split(".")
            if not all(n.isascii() and n.isdigit() and len(n) < 5 for n in numbers):
                continue
            if letter == "h" and len(numbers) == 2:
                heads.append((int(numbers[0]), int(numbers[1])))
            elif letter in _LETTERS and len(numbers) == 1:
                found[_LETTERS[letter]].append(int(numbers[0]))
        return cls(tuple(sorted(set(heads))), **{part: tuple(sorted(set(rows))) for part, rows in found.items()})

    def within(self, sites: Sequence[Site]) -> Parts:
        """What of it this model has."""
        heads = tuple((row, head) for row, head in self.heads if 0 <= row < len(sites) and 0 <= head < sites[row].heads)
        rows = {part: tuple(row for row in getattr(self, part) if 0 <= row < len(sites)) for part in get_args(Part)}
        return Parts(heads, **rows)

    def units(self, sites: Sequence[Site]) -> tuple[Unit, ...]:
        """As units of `analysis.pruning`."""
        from analysis.pruning import Unit

        found = [Unit("head", sites[row].layer, head, sites[row].tower) for row, head in self.heads]
        for part in get_args(Part):
            found += [Unit(part, sites[row].layer, -1, sites[row].tower) for row in getattr(self, part)]
        return tuple(found)

    def edits(self, sites: Sequence[Site]) -> tuple[Edit, ...]:
        """The edits that stand for it."""
        from analysis.pruning import edits_of

        return edits_of(self.units(sites))

    @property
    def words(self) -> str:
        """3 heads, MLP of 2 layers."""
        said = [_count(len(self.heads), "head")] if self.heads else []
        for part, name in (("attention", "attention"), ("mlp", "MLP")):
            rows = getattr(self, part)
            said += [f"{name} of layer{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows))}"] if rows else []
        if self.layer:
            said.append(f"layer{'s' if len(self.layer) > 1 else ''} {', '.join(map(str, self.layer))}")
        return "without " + ", ".join(said) if said else "the whole model"


def parts_of(units: Iterable[Unit], sites: Sequence[Site]) -> Parts:
    """Units of `analysis.pruning` as switches."""
    rows = {(site.tower, site.layer): row for row, site in enumerate(sites)}
    letters = {part: letter for letter, part in _LETTERS.items()}
    ids = []
    for unit in units:
        row = rows[unit.tower, unit.layer]
        ids.append(f"h{row}.{unit.head}" if unit.kind == "head" else f"{letters[unit.kind]}{row}")
    return Parts.of(ids)


def cut_for(model: Model, edits: tuple[Edit, ...]) -> Cut:
    """The cut that makes the model really smaller; raises `AdapterError` with the reason where none can."""
    from model_adapters import AdapterError
    from model_adapters.slimming import cut_of

    blocks = getattr(model.module, "blocks", None)
    if blocks is None:
        raise AdapterError(f"{type(model.module).__name__} cannot be slimmed: timm's VisionTransformer, DeiT and their like can.")
    return cut_of(edits, len(blocks), max(site.heads for site in model.report.seen))


def why_not_sliced(model: Model) -> str:
    """The sentence that says why no smaller model can be made; empty where one can, as far as the model's class tells."""
    from model_adapters import AdapterError

    try:
        cut_for(model, ())
    except AdapterError as error:
        return str(error)
    return ""


def why_no_tokens(model: Model) -> str:
    """The sentence that says why tokens are not reduced here; empty where they are."""
    if model.kind == "lvlm":
        return (
            "Here tokens of models that score classes or captions are reduced. What a model that writes does with fewer visual "
            "tokens, answer and all, is on the page Fewer tokens, under Words."
        )
    return ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
