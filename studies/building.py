"""From what a study file says to edits: by name, with a place and plain values."""

from __future__ import annotations

from typing import Any

from model_adapters.edits import EDITS, Edit
from model_adapters.where import Where
from studies.errors import StudyError
from studies.spec import EditSpec, Study, plain_pairs


def edits_of(study: Study) -> tuple[Edit, ...]:
    """The edits that the models of a study run under."""
    return tuple(_edit(spec) for spec in study.edits)


def _edit(spec: EditSpec) -> Edit:
    if spec.name not in EDITS:
        raise StudyError(f"edits are among {', '.join(sorted(EDITS))}. Got {spec.name!r:.80}.")
    kind = EDITS[spec.name]
    options = plain_pairs(spec.options)
    fields = [name for name in kind.__dataclass_fields__ if name != "stage"]
    unknown = [name for name in options if name not in fields]
    if unknown:
        raise StudyError(f"the edit {spec.name} has no {unknown[0]!r:.80}; it has {', '.join(fields)}.")
    try:
        given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items() if name != "where"}
        edit = kind(where=Where(**_where(options.get("where") or {}, spec.name)), **given)
        hash(edit)
    except (TypeError, ValueError) as error:
        raise StudyError(f"the edit {spec.name} cannot be made: {error}.") from error
    return edit


def _where(told: Any, name: str) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise StudyError(f"'where' of the edit {name} is a mapping such as {{layers: [3], heads: [7]}}. Got {told!r:.80}.")
    known = list(Where.__dataclass_fields__)
    unknown = [key for key in told if key not in known]
    if unknown:
        raise StudyError(f"'where' of the edit {name} has no {unknown[0]!r:.80}; it has {', '.join(known)}.")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in told.items()}
