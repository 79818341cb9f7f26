"""The Python in the menus of the pages gives the numbers of their pictures."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.app.pages import opened, settled
from ui import again
from ui.results.importance_metrics import BY_NAME
from ui.take_away import seen

_METRICS = [name for name, metric in BY_NAME.items() if metric.again[0]]
_THREES = [_METRICS[n : n + 3] for n in range(0, len(_METRICS), 3)]
PAGES = [
    ("heads/strength", {"head": "1"}, {"away-strength", "away-rings", "away-trend", "away-depth", "ring-bars-away"}),
    ("heads/strength", {"over": "scenes", "scenes": "8", "strength": "attention_entropy"}, {"away-strength", "away-depth"}),
    ("heads/importance", {}, {"away-scatter"}),
    *(("heads/importance", {"metrics": ",".join(three)}, {f"away-{n}" for n in three}) for three in _THREES),
    ("heads/passport", {"portrait": "8"}, {"away-type", "away-pattern", "away-rings", "away-without"}),
    ("tokens/sinks", {"model": "bundled:vit-sinks"}, {"histogram-away"}),
    ("tokens/sinks", {"mode": "relative"}, {"film-away"}),
    ("change/prune", {"heads": "1.2", "branches": "m1", "n": "16"}, {"ranking-away", "tried-away"}),
    ("change/prune", {"rank": "exact", "n": "8"}, {"ranking-away"}),
    ("change/prune", {"rank": "norm_output", "n": "8"}, {"ranking-away"}),
    ("trust/benchmark", {}, {"forest-away"}),
    ("trust/benchmark", {"trust": "picture"}, {"course-deletion", "course-insertion"}),
    ("trust/benchmark", {"trust": "shuffled"}, {"film"}),
    ("trust/benchmark", {"trust": "agreement"}, {"agreement"}),
    ("trust/benchmark", {"trust": "examples"}, {"examples-away"}),
]  # fmt: skip
_COLUMNS = {"ring-bars-away": "this_patch", "forest-away": "value"}


def numbers(key: str, found: Any) -> np.ndarray:
    """What is drawn, as one row of numbers."""
    if key == "tried-away":
        return np.array([max(found["kl"]) if isinstance(found, dict) else found.kl], float)
    if key == "away-scatter":
        return np.array([found["exact"], found["cheap"]] if isinstance(found, dict) else [each.values for each in found]).ravel()
    if key == "away-without":
        both = (found["before"], found["after"]) if isinstance(found, dict) else found
        return np.concatenate([np.sort(np.asarray(each, float))[::-1][:3] for each in both])
    if key == "examples-away":
        shares = dict(zip(found["picture"], found["share"], strict=True)) if "picture" in found else found
        return np.array([share for _, share in sorted((int(str(n).removeprefix("scene:")), s) for n, s in shares.items())])
    if isinstance(found, dict):
        found = found[_COLUMNS[key]]
    if isinstance(found, list) and dataclasses.is_dataclass(found[0]):
        return np.sort([row.value for row in found])[::-1]
    for name in ("curve", "measures", "values", "score"):
        found = getattr(found, name, found)
    return np.asarray(found, float).ravel()


@pytest.mark.parametrize(("page", "query", "keys"), PAGES, ids=[f"{p}-{'-'.join(q.values())}" for p, q, _ in PAGES])
def test_the_python_of_a_menu_gives_the_numbers_of_its_picture(page, query, keys):
    test = settled(opened(page, **query), lambda test: keys == set(shown(test, keys)), 60)
    for key, picture in shown(test, keys).items():
        made: dict[str, Any] = {}
        exec(picture.about.snippet, made)  # noqa: S102
        expected = numbers(key, picture.result)
        assert len(expected)
        np.testing.assert_allclose(numbers(key, made["shown"]), expected, rtol=1e-3, atol=1e-5, err_msg=key)


def shown(test, keys) -> dict[str, seen.Seen]:
    """What the menus hold, by their keys."""
    held = test.session_state["seen results"] if "seen results" in test.session_state else {}
    return {key: each for key in keys for place, each in held.items() if place.partition(" ")[2].startswith(f"{key} ")}


def test_a_run_of_scenes_is_one_line_and_others_are_listed():
    run = again.of_pictures(("bundled:vit", "pretrained"), ["scene:4", "scene:5"], None, ["shown = images"])
    assert "for number in range(4, 6)" in run
    mixed = again.of_pictures(("bundled:vit", "pretrained"), ["scene:4", "photo:cat"], ("a", "b"), ["shown = images"])
    assert "cat.jpg" in mixed and "['a', 'b']" in mixed
    made: dict[str, Any] = {}
    exec(run, made)  # noqa: S102
    assert len(made["shown"]) == 2
