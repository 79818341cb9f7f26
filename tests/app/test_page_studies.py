"""Studies in the app: numbers against the rows, a study set up, started, cancelled, gone on with, opened, and followed down."""

from __future__ import annotations

import numpy as np
import pytest

from studies import study_of
from studies.conduct import conduct
from studies.store import Store, read_table
from tests.app.browser import chromium, needs_chromium, serving, settle, watched_page
from tests.app.pages import opened, settled
from ui.results import studying

RECORDED = Store(str(studying.RECORDED / "heads-of-the-small-vit"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADLIGHT_STUDIES", str(tmp_path / "studies"))
    return tmp_path / "studies"


def rows(table: str) -> list[dict]:
    return [row for file in RECORDED.files(table) for row in read_table(file).to_pylist()]


def test_the_matrix_is_the_mean_of_the_rows():
    found = studying.matrix(studying.summary(RECORDED, "heads"), 0, "vision", "class_entropy", "mean")
    own = rows("heads")
    for layer, head in ((0, 0), (3, 2), (5, 3)):
        values = [row["class_entropy"] for row in own if (row["layer"], row["head"]) == (layer, head)]
        assert len(values) == 200 and found.values[layer, head] == pytest.approx(np.mean(values), rel=1e-6)


@pytest.mark.parametrize("most", [True, False])
def test_behind_a_number_lie_the_records_with_the_most_and_the_least(most):
    site = studying.matrix(studying.summary(RECORDED, "heads"), 0, "vision", "to_self", "mean").sites[2]
    found = studying.behind(RECORDED, 0, site, 1, "to_self", most=most, count=5)
    values = {row["record"]: row["to_self"] for row in rows("heads") if (row["layer"], row["head"]) == (2, 1)}
    expected = sorted(values, key=lambda record: -values[record] if most else values[record])[:5]
    assert [line.record for line in found] == expected
    assert [line.value for line in found] == pytest.approx([values[record] for record in expected])
    keys = {row["record"]: row["key"] for row in rows("images")}
    assert [line.key for line in found] == [keys[record] for record in expected]


def test_a_record_is_read_from_the_data_again():
    from studies.data import opened as source_of

    study = studying.study_in(RECORDED)
    first, items = list(source_of(study.data).chunks(study.shard, study.data.limit))[2]
    wanted = list(source_of(study.data).pending(first, items))[7]
    assert np.array_equal(studying.picture(RECORDED.url, wanted.number).array, np.asarray(wanted.read().image.convert("RGB")))
    with pytest.raises(studying.StudyError, match="record 999 is not"):
        studying.picture(RECORDED.url, 999)


def test_the_recorded_study_is_open_at_once_and_answers_sql(folder):
    page = settled(opened("studies/studies"), lambda page: page.get("plotly_chart"))
    assert any("200 records" in each.value for each in page.caption)
    page.text_area(key="study-sql").input("SELECT count(*) AS n FROM images").run()
    assert page.dataframe[0].value["n"].tolist() == [200]
    page.text_area(key="study-sql").input("SELECT nonsense FROM nowhere").run()
    assert "cannot be answered" in page.error[0].value and not page.exception


def test_a_study_is_started_finished_and_found_again(folder):
    page = settled(opened("studies/studies", studies="new"), lambda page: page.text_area)
    text = page.text_area[0].value.replace("count: 100", "count: 6").replace("shard: 25", "shard: 3")
    page.text_area[0].input("measures: [").run()
    assert "no YAML" in page.error[0].value
    page.text_area[0].input(text.replace("- sinks", "- nonsense")).run()
    assert "nonsense" in page.error[0].value
    page.text_area[0].input(text)
    settled(page, lambda page: any(b.label == "Start" for b in page.button))
    assert any("6 records at most" in each.value for each in page.caption)
    next(b for b in page.button if b.label == "Start").click()
    settled(page, lambda page: page.success)
    assert "Finished: 2 shards" in page.success[0].value
    assert studying.known()["vit-world"].records == 6


@pytest.mark.filterwarnings("ignore::studies.errors.DamagedStudy")
def test_a_lost_file_is_told_beside_its_figures_and_computed_again(folder):
    store = Store(str(folder / "lost"))
    told = {"models": ["bundled:vit"], "data": {"kind": "world", "count": 6}, "measures": ["strength"], "shard": 2}
    conduct(study_of({**told, "name": "lost", "store": store.url}))
    before = [read_table(file) for file in store.files("heads")]
    store.file_of("heads", "00-000001").remove()
    page = settled(opened("studies/studies", study="lost"), lambda page: page.get("plotly_chart"))
    sentence = "rows are lacking in the table heads: of shard 00-000001 the file is missing"
    assert sentence in page.warning[0].value
    captions = [each.value for each in page.caption if sentence in each.value]
    assert len(captions) == 1  # beside the records; the picture is made of statistics, which are whole
    page.text_area(key="study-sql").input("SELECT count(*) AS n FROM heads").run()
    assert page.dataframe[0].value["n"].tolist() == [2 * len(before[0])]
    assert sum(sentence in each.value for each in page.caption) == 2
    page.button(key="study-mend").click()
    settled(page, lambda page: not page.warning)
    assert all(one.equals(read_table(file)) for one, file in zip(before, store.files("heads"), strict=True))


def test_the_sentence_of_a_study_that_cannot_be_run_is_shown(folder):
    page = settled(opened("studies/studies", studies="new"), lambda page: page.text_area)
    page.segmented_control(key="study-data").set_value("images")
    settled(page, lambda page: page.error)
    assert "photos is no folder" in page.error[0].value


@needs_chromium
def test_a_study_in_a_browser(folder):
    """Started, watched, cancelled, opened, and from a head to the viewer with a picture of its records."""
    with serving("app.py") as address, chromium() as browser, watched_page(browser, address) as page:
        page.goto(f"{address}/studies-studies?studies=new")
        box = page.get_by_role("textbox", name="Study")
        box.wait_for(timeout=120_000)
        text = box.input_value().replace("count: 100", "count: 400").replace("shard: 25", "shard: 10")
        box.fill(text)
        box.press("Control+Enter")
        page.get_by_role("button", name="Start").click(timeout=120_000)
        page.get_by_text("So far, over").wait_for(timeout=120_000)
        other = page.context.new_page()  # the same study among those that are open: it runs, and its numbers grow
        other.goto(f"{address}/studies-studies?study=vit-world")
        other.get_by_text("running,").wait_for(timeout=120_000)
        other.get_by_role("button", name="Cancel").wait_for(timeout=60_000)
        told = other.get_by_text("running,").inner_text()
        other.wait_for_function("before => !document.body.innerText.includes(before)", arg=told, timeout=60_000)
        other.close()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Go on").wait_for(timeout=60_000)
        page.wait_for_timeout(1500)
        done = len(Store(str(folder / "vit-world")).done())
        assert 1 <= done < 40
        page.goto(f"{address}/studies-studies?study=vit-world")
        page.get_by_text(f"stopped, {done} of 40 shards").wait_for(timeout=120_000)
        settle(page)
        page.get_by_test_id("stMain").get_by_role("button", name="Look").first.click()
        page.wait_for_selector("h1:has-text('Attention')", timeout=60_000)
        settle(page)
        page.get_by_text("of the study's data").wait_for(timeout=60_000)
