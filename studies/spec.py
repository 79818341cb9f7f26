"""What a study is: models, data, measures with options, edits and a seed, as frozen data that can be sent and compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studies.errors import StudyError

Options = tuple[tuple[str, Any], ...]
"""Names and plain values, sorted by name, so that they can be compared and hashed."""
_FIELDS = ("name", "models", "data", "measures", "edits", "seed", "batch", "shard", "store")


@dataclass(frozen=True)
class ModelSpec:
    """A model as `ma.load` is asked for it."""

    name: str
    weights: str = "pretrained"
    seed: int = 0
    dtype: str = "float32"
    device: str | None = None
    adapter: str | None = None


@dataclass(frozen=True)
class DataSpec:
    """A data set: what kind, and what that kind's reader is told."""

    kind: str
    options: Options = ()
    limit: int | None = None
    """How many records are used at most, from the first."""


@dataclass(frozen=True)
class MeasureSpec:
    """A measure and its options."""

    name: str
    options: Options = ()


@dataclass(frozen=True)
class EditSpec:
    """An edit by name, with what it is made of; `where` is a tuple of options itself."""

    name: str
    options: Options = ()


@dataclass(frozen=True)
class Study:
    """A study. The numbers depend on everything here but `batch` and `store`."""

    name: str
    models: tuple[ModelSpec, ...]
    data: DataSpec
    measures: tuple[MeasureSpec, ...]
    edits: tuple[EditSpec, ...] = ()
    seed: int = 0
    batch: int = 16
    """Records that go through the model at once."""
    shard: int = field(default=256)
    """Records that are finished together: what a kill can lose."""
    store: str = ""
    """Path or URL of the folder of its results; "studies-results/NAME" by default."""


def read_study(path: str | Path) -> Study:
    """The study that a YAML file describes."""
    import yaml

    file = Path(path)
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StudyError(f"{file} is not there: give the path of a study file, such as docs/examples/study.yaml.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{file} cannot be read as text: {error}.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise StudyError(f"{file.name} is no YAML: {' '.join(str(error).split())}.") from error
    return study_of(found, file.stem)


def study_of(told: Any, name: str = "study") -> Study:
    """The study of a mapping such as a YAML file holds; every fault is one sentence."""
    from studies.checking import checked

    if not isinstance(told, Mapping):
        raise StudyError(f"a study is a mapping of {', '.join(_FIELDS)}. Got {_kind(told)}.")
    _known(told, _FIELDS, "a study")
    name = _text(told, "name", name)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise StudyError(f"name must be letters, digits, '-', '_' and '.', at most 100. Got {name!r}.")
    study = Study(
        name,
        tuple(_model(one) for one in _several(told, "models")),
        _data(told.get("data")),
        tuple(MeasureSpec(*_named(one, "measures")) for one in _several(told, "measures")),
        tuple(EditSpec(*_named(one, "edits")) for one in _listed(told.get("edits"))),
        _count(told, "seed", 0, 0, 2**31 - 1),
        _count(told, "batch", 16, 1, 65536),
        _count(told, "shard", 256, 1, 1_000_000),
        _text(told, "store", f"studies-results/{name}"),
    )
    return checked(study)


def plain(value: Any) -> Any:
    """A value as lists, mappings and scalars again: for YAML, JSON and the manifest."""
    if isinstance(value, (ModelSpec, DataSpec, MeasureSpec, EditSpec, Study)):
        return {key: dict(plain_pairs(part)) if key == "options" else plain(part) for key, part in vars(value).items()}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    return value


def plain_pairs(options: Options) -> dict[str, Any]:
    """Options as a mapping; options of options too."""
    return {key: plain_pairs(value) if _is_pairs(value) else plain(value) for key, value in options}


def _is_pairs(value: Any) -> bool:
    pairs = isinstance(value, tuple) and all(isinstance(v, tuple) and len(v) == 2 and isinstance(v[0], str) for v in value)
    return pairs and bool(value)


def frozen(value: Any, what: str) -> Any:
    """A plain value that can be hashed: lists become tuples, mappings sorted pairs."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise StudyError(f"{what}: names must be text. Got {[k for k in value if not isinstance(k, str)][0]!r}.")
        return tuple(sorted((key, frozen(one, what)) for key, one in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(frozen(one, what) for one in value)
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise StudyError(f"{what}: values are text, numbers, yes or no, and lists of them. Got {_kind(value)}.")


def _model(told: Any) -> ModelSpec:
    if isinstance(told, str):
        return ModelSpec(told)
    if not isinstance(told, Mapping) or not isinstance(told.get("name"), str):
        raise StudyError(f"models are names such as bundled:vit, or mappings with a 'name'. Got {told!r:.80}.")
    known = tuple(ModelSpec.__dataclass_fields__)
    _known(told, known, "a model")
    for key, value in told.items():
        if key == "seed" and (not isinstance(value, int) or isinstance(value, bool)):
            raise StudyError(f"a model's seed must be a whole number. Got {value!r:.80}.")
        if key != "seed" and not isinstance(value, str):
            raise StudyError(f"a model's {key} must be text. Got {value!r:.80}.")
    return ModelSpec(**told)


def _data(told: Any) -> DataSpec:
    if not isinstance(told, Mapping) or not isinstance(told.get("kind"), str):
        raise StudyError("data must be a mapping with a 'kind', such as {kind: images, path: photos}.")
    rest = {key: value for key, value in told.items() if key not in ("kind", "limit")}
    limit = _count(told, "limit", 0, 1, 10**12) if told.get("limit") is not None else None
    return DataSpec(told["kind"], frozen(rest, "data"), limit)


def _named(told: Any, where: str) -> tuple[str, Options]:
    """"name" or {name: {option: value}}."""
    if isinstance(told, str):
        return told, ()
    if isinstance(told, Mapping) and len(told) == 1:
        ((name, options),) = told.items()
        if isinstance(name, str) and isinstance(options, Mapping | None):
            return name, frozen(options or {}, f"{where}, {name}")
    form = "a name, or one name with its options, as in '- strength: {rings: [1, 2]}'"
    raise StudyError(f"each of {where} is {form}. Got {told!r:.80}.")


def _several(told: Mapping, name: str) -> list[Any]:
    found = _listed(told.get(name))
    if not found:
        raise StudyError(f"a study needs at least one of {name}. None was given.")
    return found


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _count(told: Mapping, name: str, default: int, low: int, high: int) -> int:
    value = told.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise StudyError(f"{name} must be a whole number from {low} to {high}. Got {value!r:.80}.")
    return value


def _text(told: Mapping, name: str, default: str) -> str:
    value = told.get(name, default)
    if not isinstance(value, str) or not value.strip():
        raise StudyError(f"{name} must be text. Got {value!r:.80}.")
    return value


def _known(told: Mapping, names: tuple[str, ...], what: str) -> None:
    unknown = [key for key in told if key not in names]
    if unknown:
        raise StudyError(f"{what} has no {unknown[0]!r:.80}; it has {', '.join(names)}.")


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
