"""Groups of a study's rows against slow sums over the rows, and the way from a word or a budget down to the viewer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from studies.conduct import conduct
from studies.errors import StudyError
from studies.reading import QUERIES, query, ready
from studies.spec import MeasureSpec, ModelSpec, study_of
from studies.store import Store
from tests.app.browser import chromium, needs_chromium, serving, settle, watched_page
from tests.app.pages import opened, settled
from tests.studies.small import rows as table_of
from ui.results import study_groups, studying

QUESTION = "what is in the picture?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one finished study of answers."""
    made = tmp_path_factory.mktemp("studies")
    conduct(study_of({
        "name": "spoken", "models": ["bundled:lvlm"], "store": str(made / "spoken"), "shard": 4,
        "data": {"kind": "world", "count": 8, "biased": True, "question": QUESTION},
        "measures": [{"answers": {"longest": 24}}, {"budgets": {"pruners": ["fastv"], "keep": [8], "longest": 24}}],
    }))  # fmt: skip
    return made


@pytest.fixture
def store(folder):
    return Store(str(folder / "spoken"))


def rows(store: Store, table: str) -> list[dict]:
    return table_of(store.url, table).to_pylist()


def test_only_tables_and_queries_that_say_something_are_offered(store):
    assert study_groups.tables(store, 0) == ["words", "budgets", "answers"]
    assert study_groups.tables(store, 1) == []
    assert ready(store) == [name for name in QUERIES if name in ("words", "answers", "budgets")]
    assert study_groups.columns(store, "words")[0] == "to_image" and "there" in study_groups.columns(store, "words")
    with pytest.raises(StudyError, match="groups are made of the tables words, budgets"):
        study_groups.groups(store, "heads", 0, "entropy")


@pytest.mark.parametrize("column", ["to_image", "unlikely_word"])
def test_the_mean_of_a_word_is_that_of_its_rows(store, column):
    found = study_groups.groups(store, "words", 0, column)
    assert sum(found.counts) == len(rows(store, "words")) and list(found.counts) == sorted(found.counts, reverse=True)
    for name, mean, low, high, count in zip(found.names, found.values, found.low, found.high, found.counts, strict=True):
        own = [row[column] for row in rows(store, "words") if row["name"] == name]
        assert count == len(own) and mean == pytest.approx(np.mean(own), rel=1e-6)
        if count > 1:
            wide = 1.96 * np.std(own, ddof=1) / np.sqrt(count)
            assert (low, high) == (pytest.approx(mean - wide, rel=1e-4), pytest.approx(mean + wide, rel=1e-4))
        else:
            assert np.isnan(low) and np.isnan(high)


def test_shares_have_the_interval_of_wilson(store):
    found = study_groups.groups(store, "words", 0, "there")
    for name, low, high, count in zip(found.names, found.low, found.high, found.counts, strict=True):
        right = sum(row["there"] for row in rows(store, "words") if row["name"] == name)
        expected = binomtest(right, count).proportion_ci(method="wilson")
        assert (low, high) == (pytest.approx(expected.low, abs=1e-4), pytest.approx(expected.high, abs=1e-4))


@pytest.mark.parametrize("most", [True, False])
@pytest.mark.parametrize(("table", "group", "column"), [("words", "", "to_image"), ("budgets", "fastv, 8 kept", "drift")])
def test_behind_a_group_lie_its_records_in_order(store, table, group, column, most):
    group = group or study_groups.groups(store, table, 0, column).names[0]
    best = {}
    for row in rows(store, table):
        if table == "budgets" or row["name"] == group:
            best[row["record"]] = (max if most else min)(best.get(row["record"], row[column]), row[column])
    expected = sorted(best, key=lambda record: (-best[record] if most else best[record], record))[:5]
    found = study_groups.behind(store, table, 0, column, group, most=most, count=5)
    assert [row.record for row in found] == expected
    assert [row.value for row in found] == pytest.approx([best[record] for record in expected])
    assert {row.question for row in found} == {QUESTION} and all(row.said for row in found)


def test_the_query_to_take_away_gives_the_means_again(store):
    found = study_groups.groups(store, "words", 0, "to_image")
    told = {name: mean for name, _, mean in query(store, study_groups.sql_of("words", 0, "to_image"))[1]}
    assert [told[name] for name in found.names] == pytest.approx(list(found.values))


def test_what_is_shown_while_a_study_runs_grows_with_its_shards(store, tmp_path):
    """Of the shards that are there, whether or not an earlier look saw some of them."""
    study = studying.study_in(store)
    half = replace(study, store=str(tmp_path / "s"), measures=(MeasureSpec("answers", (("longest", 24),)),))
    seen = []

    def look(progress) -> None:
        found = studying.so_far(Store(half.store))
        seen.append(0 if found is None else int(sum(found.counts)))
        assert found is None or np.isfinite(found.values).all()

    conduct(half, report=look)
    assert seen[0] == 0 < seen[1] < seen[2] == len(rows(Store(half.store), "words"))
    vit = replace(half, models=(ModelSpec("bundled:vit"),), measures=(MeasureSpec("strength"),), store=str(tmp_path / "v"))
    means = []
    conduct(vit, report=lambda progress: means.append(studying.so_far(Store(vit.store))))
    assert means[0] is None and not np.allclose(means[1].values, means[2].values)
    own = [row for row in rows(Store(vit.store), "heads") if (row["layer"], row["head"]) == (2, 1)]
    assert means[2].values[2, 1] == pytest.approx(np.mean([row["distance"] for row in own]), rel=1e-6)


def test_a_hostile_name_stays_a_name(store):
    assert study_groups.behind(store, "words", 0, "to_image", "x' OR '1'='1", most=True) == []


def looked(page) -> bool:
    """Whether the records of a group are there."""
    return any(button.label == "Look" for button in page.button)


def test_the_page_shows_words_and_budgets(folder, monkeypatch):
    monkeypatch.setenv("HEADLIGHT_STUDIES", str(folder))
    page = settled(opened("studies/studies", study="spoken"), looked)
    assert page.session_state["study-look"] == "words"
    assert any("How to read this" in each.label for each in page.expander)
    page = settled(opened("studies/studies", **{"study": "spoken", "study-look": "budgets"}), looked)
    assert page.selectbox(key="study-budgets-group").value == "fastv, 8 kept" and not page.error


@needs_chromium
def test_from_a_word_to_the_viewer_in_a_browser(folder, store, monkeypatch):
    monkeypatch.setenv("HEADLIGHT_STUDIES", str(folder))
    name = study_groups.groups(store, "words", 0, "to_image").names[1]
    with serving("app.py") as address, chromium() as browser, watched_page(browser, address) as page:
        page.goto(f"{address}/studies-studies?study=spoken")
        main = page.get_by_test_id("stMain")
        main.get_by_role("button", name="Look").first.wait_for(timeout=120_000)
        settle(page)
        main.get_by_role("combobox", name="Word").click()
        page.get_by_role("option", name=name, exact=True).click()
        wanted = study_groups.behind(store, "words", 0, "to_image", name, most=True)[0]
        main.get_by_text(f"{wanted.value:.3g} · {wanted.key}").wait_for(timeout=60_000)
        page.wait_for_url(f"**study-words-group={name}*")
        main.get_by_role("button", name="Look").first.click()
        page.wait_for_selector("h1:has-text('Attention')", timeout=60_000)
        settle(page)
        page.get_by_text(f"of the study's data: {wanted.key}").wait_for(timeout=60_000)
        page.get_by_text("bundled:lvlm").first.wait_for(timeout=60_000)
        assert page.get_by_role("textbox", name="Question").input_value() == QUESTION
