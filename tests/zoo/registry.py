"""All families of transformers in the zoo."""

from __future__ import annotations

from . import dual, lvlm_llava, lvlm_native, lvlm_qformer, lvlm_qwen, lvlm_tiles, pairs, seeing, towers
from .records import Family

FAMILIES: dict[str, Family] = {
    family.name: family
    for table in (lvlm_llava, lvlm_qwen, lvlm_native, lvlm_tiles, lvlm_qformer, towers, seeing, dual, pairs)
    for family in table.FAMILIES
}


def families(kind: str | None = None) -> tuple[str, ...]:
    """Names that `build` takes; `kind` is lvlm, tower or dual."""
    return tuple(name for name, family in FAMILIES.items() if kind in (None, family.kind))
