"""Study files: what is wrong is one sentence; the examples of the documentation run; the command line does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from studies import StudyError, read_study, study_of
from studies.__main__ import main
from studies.conduct import readable
from studies.measures import MEASURES
from studies.spec import plain
from studies.store import Store
from tests.studies.small import MODEL, rows, study

ROOT = Path(__file__).resolve().parents[2]
GOOD = {"models": ["bundled:vit"], "data": {"kind": "world", "count": 4}, "measures": ["strength"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"modles": []}, "has no 'modles'; it has name, models"),
        ({"models": []}, "at least one of models"),
        ({"models": [3]}, "models are names"),
        ({"models": [{"name": "bundled:vit", "size": "large"}]}, "a model has no 'size'"),
        ({"models": [{"name": "bundled:vit", "seed": "one"}]}, "seed must be a whole number"),
        ({"data": "photos"}, "data must be a mapping"),
        ({"data": {"kind": "film"}}, "data is of a kind among"),
        ({"data": {"kind": "world", "limit": -1}}, "limit must be a whole number"),
        ({"measures": ["strenght"]}, "measures are among .* Got 'strenght'"),
        ({"measures": ["strength", "strength"]}, "asked for 2 times"),
        ({"measures": [{"strength": {"hop": 1}}]}, "strength has no option 'hop'; it has rings"),
        ({"measures": [{"strength": {"rings": [1, 1]}}]}, "rings of strength must be a list of different whole numbers"),
        ({"measures": [{"strength": {"rings": "1"}}]}, "rings of strength must be a list"),
        ({"measures": [{"sinks": {"factor": True}}]}, "factor of sinks must be a number"),
        ({"measures": [{"sinks": {"factor": 1e9}}]}, "must lie between 1 and 1000"),
        ({"measures": [{"importance_exact": {"change": "none"}}]}, "change of importance_exact is one of"),
        ({"measures": [{"answers": {"signals": ["psychic"]}}]}, "signals are among"),
        ({"measures": [{"budgets": {"pruners": ["scissors"]}}]}, "pruners are among"),
        ({"measures": [{"sinks": {}, "strength": {}}]}, "is a name, or one name with its options"),
        ({"edits": [{"Gate": {"value": 0, "where": {"layer": 3}}}]}, "has no 'layer'; it has tower, layers"),
        ({"edits": ["Scissors"]}, "edits are among"),
        ({"edits": [{"Gate": {"strength": 1}}]}, "the edit Gate has no 'strength'"),
        ({"edits": ["Uniform"], "measures": ["importance_exact"]}, "cannot run under edits"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"batch": 0}, "batch must be a whole number from 1"),
        ({"name": "../../etc"}, "name must be letters"),
        ({"store": 7}, "store must be text"),
        ({"data": {"kind": "world", "count": {"a": {3: 4}}}}, "names must be text"),
    ],
)
def test_a_fault_is_one_sentence(change, said):
    with pytest.raises(StudyError, match=said) as told:
        study_of({**GOOD, **change})
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "3", "{", "!!python/object/apply:os.system ['true']", "a: &a [*a]", "\x00", "models: !!binary x",
        "&x {models: *x}", "- - - -", "models: {<<: [1]}", "[" * 5000,
    ],
)  # fmt: skip
def test_hostile_yaml_is_refused(text, tmp_path):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(StudyError):
        read_study(tmp_path / "s.yaml")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["name", "models", "data", "measures", "edits", "seed", "batch", "shard", "store"]), JSON)
def test_anything_in_a_field_is_a_study_or_one_sentence(field, value):
    try:
        made = study_of({**GOOD, field: value})
    except StudyError as error:
        assert str(error)
    else:
        assert hash(made) is not None


def test_a_study_survives_its_manifest():
    edits = [{"Gate": {"value": 0.0, "where": {"layers": [1], "heads": [0, 2]}}}]
    told = {**GOOD, "measures": [{"strength": {"rings": [1, 3]}}, "sinks"], "edits": edits, "seed": 4}
    made = study_of(told, "one")
    assert study_of(readable(yaml.safe_load(yaml.safe_dump(plain(made))))) == made


def test_edits_change_the_numbers(tmp_path):
    data = {"kind": "world", "count": 4}
    main_run, edited = study(tmp_path / "a", data), study(tmp_path / "b", data, edits=[{"Uniform": {"where": {"layers": [0]}}}])
    from studies.conduct import conduct

    conduct(main_run)
    conduct(edited)
    found = rows(tmp_path / "b", "heads").to_pandas()
    assert (abs(found[found.layer == 0].entropy - 1) < 1e-5).all()
    assert not (abs(rows(tmp_path / "a", "heads").to_pandas().entropy - 1) < 1e-5).all()


@pytest.mark.parametrize("name", ["study", "answers"])
def test_the_examples_run(name, tmp_path, capsys):
    told = yaml.safe_load((ROOT / "docs" / "examples" / f"{name}.yaml").read_text())
    told["data"]["limit"] = 3 if name == "answers" else 20
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(told))
    store = str(tmp_path / "store")
    assert main(["run", str(tmp_path / "s.yaml"), "--store", store]) == 0
    assert main(["status", store]) == 0
    assert main(["report", store]) == 0
    assert main(["list", str(tmp_path)]) == 0
    assert main(["query", store, "SELECT count(*) AS images FROM images"]) == 0
    said = capsys.readouterr().out
    assert f"{told['name']}: finished" in said and "| images |" in said
    assert ("## Heads" if name == "study" else "## Budgets") in said
    assert Store(store).manifest()["study"]["name"] == told["name"]


def test_the_command_line_says_what_is_wrong(tmp_path, capsys):
    told = {**GOOD, "models": [MODEL], "measures": ["answers"], "store": str(tmp_path / "s")}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(told))
    assert main(["run", str(tmp_path / "s.yaml")]) == 1
    assert "answers is measured on models of kind lvlm" in capsys.readouterr().err
    for wrong in (["run", "nowhere.yaml"], ["status", str(tmp_path / "none")], ["resume", str(tmp_path / "none")]):
        assert main(wrong) == 1
    assert main(["run", str(tmp_path / "s.yaml"), "--address", "x"]) == 1
    assert "the local engine takes no address" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "change"),
    [
        ("bundled:lvlm", {"data": {"kind": "world", "count": 2, "question": "Describe every detail."}, "measures": ["answers"]}),
        ("bundled:clip", {"measures": [{"matches": {"captions": ["a picture of a ball", "detail"]}}]}),
    ],
)
def test_a_text_with_words_that_a_model_lacks_is_refused_before_anything_runs(model, change, tmp_path):
    from studies.conduct import conduct

    with pytest.raises(StudyError, match="cannot be given the text '.*detail.*bundled:.* knows .* words, and .*'detail'"):
        conduct(study_of({**GOOD, "models": [model], "store": str(tmp_path / "s"), **change}))
    assert not (tmp_path / "s" / "manifest.json").exists()


@pytest.mark.parametrize(("model", "measure"), [("bundled:lvlm", "answers"), ("bundled:clip", "matches")])
def test_a_measure_without_options_works_on_the_models_that_come_along(model, measure, tmp_path):
    from studies.conduct import conduct

    told = {"models": [model], "measures": [measure], "data": {"kind": "world", "count": 2}}
    found = conduct(study_of({**told, "store": str(tmp_path / "s")}))
    assert (found.records, found.broken) == (2, 0)
    assert len(rows(tmp_path / "s", measure)) == 2


def test_queries_reach_the_study_only(tmp_path, capsys):
    from studies.conduct import conduct

    conduct(study(tmp_path / "s", {"kind": "world", "count": 3}))
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for sql in (
        f"SELECT * FROM read_csv('{tmp_path}/secret.csv')", f"COPY (SELECT 1) TO '{tmp_path}/out.csv'", "INSTALL httpfs",
        "SET enable_external_access = true", f"ATTACH '{tmp_path}/x.db'", "SELECT * FROM os", "SELEC", "",
    ):  # fmt: skip
        main(["query", str(tmp_path / "s"), sql])
    assert not (tmp_path / "out.csv").exists() and not (tmp_path / "x.db").exists()
    assert "1 |" not in capsys.readouterr().out
    assert main(["query", str(tmp_path / "s"), "heads"]) == 0


def test_every_measure_says_what_it_is():
    for measure in MEASURES.values():
        assert measure.summary.endswith(".") or measure.summary
        assert measure.title and measure.kinds and measure.tables
