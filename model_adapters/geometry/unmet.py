"""Layouts for attention that ran, but that the geometry could not follow: no place, and the reason."""

from __future__ import annotations

from collections.abc import Mapping

from model_adapters.geometry.records import Key
from model_adapters.layout import Layout, Rows
from model_adapters.site import Site

_UNMET = (
    "The geometry did not meet this attention: it runs for some pictures or sizes of a batch only, so the places of its "
    "rows cannot be measured."
)
_OTHER_COUNT = (
    "This attention has {count} query rows here and had {met} when places were measured: how many there are depends on the "
    "picture, so the places of its rows cannot be measured."
)


def completed(found: Mapping[Key, Layout], shapes: Mapping[Site, tuple[int, int, int]]) -> dict[Key, Layout]:
    """The layouts of all sites that ran.

    Args:
        found: what was measured.
        shapes: heads, query rows and keys of every site of the run.
    """
    made = dict(found)
    size = next((layout.size for layout in found.values()), (0, 0))
    for site, (_, queries, keys) in shapes.items():
        key = (site.name, site.call)
        known = made.get(key)
        if known is None:
            made[key] = _nowhere(queries, keys, _UNMET, size)
        elif len(known.queries) != queries:
            made[key] = _nowhere(queries, keys, _OTHER_COUNT.format(count=queries, met=len(known.queries)), size)
    return made


def _nowhere(queries: int, keys: int, reason: str, size: tuple[int, int]) -> Layout:
    looked_at = Rows.plain(["unknown"] * keys)
    return Layout(Rows.plain(["unknown"] * queries), looked_at, looked_at, quality="none", reason=reason, size=size)
