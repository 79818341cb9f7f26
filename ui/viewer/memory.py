"""Who decided last: the page, by what it passes, or the person at the viewer."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

Choice = Mapping[str, Any]


def decided(memory: MutableMapping[str, Any], given: Choice, selection: Choice) -> dict[str, Any]:
    """The choice that counts in this run.

    A value that the page passes anew moves the viewer, unless it only repeats what the viewer said last; it counts until
    the person chooses something, which the selection then shows.

    Args:
        memory: kept between runs, empty at first; it is written to. Its "moved" says what the page moved last, with a
            serial number: the browser follows it once.
        given: what the page passes in this run; None where it leaves the choice to the person.
        selection: what the browser last reported.
    """
    before = memory.get("given", given)
    moved = {name: value for name, value in given.items() if value is not None and value != before.get(name)}
    told = memory.get("returned", {})
    moved = {name: value for name, value in moved.items() if value != told.get(name)}
    if memory.get("selection") != selection:
        memory["override"] = {}
    if moved:
        memory["moved"] = {**moved, "serial": memory.get("moved", {}).get("serial", 0) + 1}
    memory["override"] = {**memory.get("override", {}), **moved}
    memory["given"], memory["selection"] = dict(given), dict(selection)
    memory["returned"] = {**selection, **memory["override"]}
    return dict(memory["returned"])
