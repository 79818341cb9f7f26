"""What is wrong with a study, in one sentence, before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image

from analysis.registry import Option
from model_adapters import AdapterError
from studies.errors import StudyError
from studies.spec import Study, plain_pairs

if TYPE_CHECKING:
    from model_adapters import Model


def checked(study: Study) -> Study:
    """The study, if its measures, edits and data can be made at all; models are looked at when they are loaded."""
    from studies.building import edits_of
    from studies.data import KINDS
    from studies.measures import MEASURES

    if study.data.kind not in KINDS:
        raise StudyError(f"data is of a kind among {', '.join(KINDS)}. Got {study.data.kind!r:.80} instead.")
    edits = edits_of(study)
    names = [measure.name for measure in study.measures]
    for name in names:
        if name not in MEASURES:
            raise StudyError(f"measures are among {', '.join(sorted(MEASURES))}. Got {name!r:.80}.")
        if names.count(name) > 1:
            raise StudyError(f"the measure {name} is asked for {names.count(name)} times; once is enough.")
        if edits and not MEASURES[name].edited:
            raise StudyError(f"the measure {name} changes the model itself and cannot run under edits: leave one out.")
    for spec in study.measures:
        _check_options(spec.name, plain_pairs(spec.options))
    return study


def check_models(study: Study) -> None:
    """Refuse measures that a model has no answer to."""
    from studies.held import held
    from studies.measures import MEASURES

    for spec in study.models:
        model, _ = held(spec)
        if model.frames:
            raise StudyError(f"{spec.name} takes videos of {model.frames} frames, and the data of a study are pictures.")
        for name in (measure.name for measure in study.measures):
            if reason := MEASURES[name].why_not(model):
                others = sorted(n for n, m in MEASURES.items() if not m.why_not(model))
                raise StudyError(f"{reason} For it there are {', '.join(others) or 'none yet'}.")
        _check_texts(model, study)


def _check_texts(model: Model, study: Study) -> None:
    """Refuse texts of the study file that the model does not know the words of."""
    texts = [plain_pairs(study.data.options).get("question")] if model.kind == "lvlm" else []
    if model.kind == "dual":
        asked = next((plain_pairs(each.options) for each in study.measures if each.name == "matches"), {})
        texts = [each for each in asked.get("captions", ()) if "{}" not in each]
    for text in filter(None, texts):
        try:
            model.prepare(image=Image.new("RGB", (64, 64)), text=text)
        except (AdapterError, ValueError) as error:
            raise StudyError(f"{model.name} cannot be given the text {text!r:.200}: {str(error).rstrip('.')}.") from error


def _check_options(name: str, given: dict[str, Any]) -> None:
    from studies.measures import MEASURES

    measure = MEASURES[name]
    known = {option.name: option for option in measure.options}
    for key, value in given.items():
        if key in measure.lists:
            _check_list(name, key, value, measure.lists[key])
        elif key in known:
            _check_option(name, known[key], value)
        else:
            there = ", ".join([*known, *measure.lists]) or "none"
            raise StudyError(f"the measure {name} has no option {key!r:.80}; it has {there}.")


def _check_option(name: str, option: Option, value: Any) -> None:
    what = f"{option.name} of {name}"
    if option.kind == "choice" and value not in option.choices:
        raise StudyError(f"{what} is one of {', '.join(map(str, option.choices))}. Got {value!r:.80}.")
    kinds: dict[str, Any] = {"flag": bool, "integer": int, "number": (int, float), "text": str}
    kind = kinds.get(option.kind)
    if kind is not None and (not isinstance(value, kind) or (isinstance(value, bool) and option.kind != "flag")):
        raise StudyError(f"{what} must be {_said(option.kind)}. Got {value!r:.80}.")
    if option.range is not None and not option.range.low <= value <= option.range.high:
        raise StudyError(f"{what} must lie between {option.range.low} and {option.range.high}. Got {value!r:.80}.")


def _check_list(name: str, key: str, value: Any, default: tuple) -> None:
    from studies.measures.words import why_not_pruner, why_not_signal

    kind = type(default[0])
    fits = isinstance(value, list) and value and all(isinstance(v, kind) and not isinstance(v, bool) for v in value)
    if not fits or len(set(value)) < len(value) or (kind is int and not all(0 <= v <= 100_000 for v in value)):
        what = "whole numbers from 0" if kind is int else "names"
        raise StudyError(f"{key} of {name} must be a list of different {what}, such as {list(default)}. Got {value!r:.80}.")
    reasons = {"pruners": why_not_pruner, "signals": why_not_signal}
    for one in value:
        if reason := reasons.get(key, lambda _: "")(one):
            raise StudyError(reason)


def _said(kind: str) -> str:
    return {"flag": "yes or no (true, false)", "integer": "a whole number", "number": "a number", "text": "text"}[kind]
