"""Keep: what was shown is saved, opened again without the model, collected in a report; in a real browser too."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from streamlit.util import calc_hash

from tests.app import made_sessions
from tests.app.browser import ROOT, chromium, go_to, needs_chromium, press, serving, settle, watched_page
from tests.app.pages import opened as page_at
from tests.app.pages import settled
from ui import pictures
from ui.session_file import read_session, session_bytes
from ui.session_file_made import Chosen, session_of
from world.datasets import TEST_UNBIASED


def words(page) -> str:
    return " ".join(each.value for each in [*page.caption, *page.markdown, *page.info, *page.error])


def progress(page) -> str:
    return " ".join(each.proto.text for each in page.get("progress"))


@pytest.fixture(autouse=True)
def one_shipped(monkeypatch):
    """The recorded start alone: how many case studies there are is not of interest here."""
    from ui import opened

    ids = opened.shipped_ids()
    assert len(ids) > 1
    monkeypatch.setattr(opened, "shipped_ids", lambda: ids[:1])


def test_a_first_visit_shows_the_shipped_session():
    page = page_at("keep/sessions").run()
    assert not page.exception and "recorded" in words(page) and "Nothing to save yet" in words(page)
    assert page.segmented_control(key="part").options == ["Views · 1", "How it was made"]


def test_a_session_is_dropped_in_and_all_its_parts_are_shown():
    page = page_at("keep/sessions").run()
    page.file_uploader(key="session-files").upload("mine.zip", session_bytes(made_sessions.whole()), "application/zip")
    page.run()
    assert not page.exception and page.selectbox(key="session").options == ["Made", "bundled:vit · Scene 3 · shipped"]
    assert page.segmented_control(key="part").value == "answers"
    assert "probability 0.50" in words(page) and "log-probability -0.69" in words(page) and "image 25 %" in progress(page)
    page.segmented_control(key="part").set_value("maps").run()
    assert not page.exception and words(page).count("badge[deletion 0\\.31") == 4
    page.segmented_control(key="part").set_value("results").run()
    assert not page.exception and len(page.get("plotly_chart")) == 1
    page.segmented_control(key="part").set_value("made").run()
    assert not page.exception and "Kept on 2026\\-01\\-02" in words(page) and made_sessions.BIB in [c.value for c in page.code]
    page.button(key="close-session").click().run()
    assert not page.exception and page.selectbox(key="session").options == ["bundled:vit · Scene 3 · shipped"]


def test_what_is_open_on_strength_is_saved_and_opens_with_the_same_numbers():
    page = settled(page_at("heads/strength"), lambda page: len(page.get("plotly_chart")) > 5 and not page.get("progress"))
    shown = list(page.session_state["seen results"].values())
    file = session_bytes(session_of("Mine", Chosen(shown), lambda id: pictures.picture(id).image))
    again = read_session(io.BytesIO(file)).results
    assert len(again) + len(read_session(io.BytesIO(file)).maps) == len(shown)
    (bars,) = [each.result for each in shown if each.about.title.startswith("Rings by hops")]
    (saved,) = [each for each in again if each.about.title.startswith("Rings by hops")]
    assert list(saved.columns) == ["hops", "this_patch", "mean_patch"] and saved.columns["hops"].dtype.kind == "i"
    for name, values in bars.items():
        assert saved.columns[name].tolist() == pytest.approx(list(values))


def test_a_session_opens_as_it_was_left():
    session = replace(made_sessions.whole(), link="look-attention?layer=0&head=2&weighing=relative", answers=())
    page = page_at("keep/sessions").run()
    page.file_uploader(key="session-files").upload("mine.zip", session_bytes(session), "application/zip")
    page.run()
    page.segmented_control(key="part").set_value("views").run()
    assert not page.exception and f"{session.views[0].layers[0].name}, head 2" in words(page).replace("\\", "")
    page.selectbox(key="session").set_value("start").run()
    page.segmented_control(key="part").set_value("views").run()
    assert "mean of 4 heads" in words(page)  # what was chosen in one session is not chosen in another


@pytest.mark.parametrize(("data", "sentence"), [(b"hello", "not a session file"), (b"", "not a session file")])
def test_a_file_that_is_none_says_so_and_leaves_what_is_open(data, sentence):
    page = page_at("keep/sessions").run()
    page.file_uploader(key="session-files").upload("x.zip", data, "application/zip")
    page.run()
    assert not page.exception and sentence in page.error[0].value and page.error[0].value.startswith("x.zip: ")
    assert page.selectbox(key="session").options == ["bundled:vit · Scene 3 · shipped"]


def test_at_most_four_files_stay_open():
    page = page_at("keep/sessions").run()
    for number in range(6):
        session = made_sessions.Session(f"session {number}", results=(made_sessions.result(),))
        page.file_uploader(key="session-files").upload(f"{number}.zip", session_bytes(session), "application/zip")
        page.run()
    assert not page.exception
    assert page.selectbox(key="session").options[:-1] == [f"session {n}" for n in (5, 4, 3, 2)]


def hostile() -> made_sessions.Session:
    """Every text of the file would fetch a picture, were it read as mark-up."""
    evil = "![x](http://evil.example/x.png) <img src=http://evil.example/y.png> [a](http://evil.example)"
    whole = made_sessions.whole()
    (answer,) = whole.answers
    answer = replace(answer, about=replace(answer.about, title=evil, model=evil, picture=evil), question=evil, groups=(evil,) * 4)
    maps = tuple(replace(each, sentence=evil, result=made_sessions.result(evil)) for each in whole.maps)
    made = {"day": evil, "versions": {evil: evil}, "models": {evil: {evil: evil}}}
    views = tuple(replace(view, title=evil, labels=(evil,), probabilities=(1.0,)) for view in whole.views)
    results = (made_sessions.result(evil), made_sessions.result(evil + "2"))
    return made_sessions.Session(evil, views, (answer,), maps, results, "", made, {"made2020": evil})


def test_no_widget_is_given_mark_up_of_a_file():
    page = page_at("keep/sessions").run()
    page.file_uploader(key="session-files").upload("a.zip", session_bytes(hostile()), "application/zip")
    page.run()
    for part in ("answers", "views", "maps", "results", "made"):
        page.segmented_control(key="part").set_value(part).run()
        assert not page.exception
        options = [option for each in page.segmented_control for option in each.options]
        shown = words(page) + " ".join(options)
        assert "evil" in shown and not re.search(r"(?<!\\)(\[x\]|<img|\[a\])", shown), shown


def test_marks_in_a_file_are_text_on_the_page():
    from ui.opened_texts import plain

    assert plain("**a** [b](http://x) :red[c] $d$") == r"\*\*a\*\* \[b\]\(http\://x\) \:red\[c\] \$d\$"


ALONE = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "timm", "transformers", "torchvision"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
import warnings
from pathlib import Path
from tests.app.pages import opened
page = opened("keep/sessions").run()
page.file_uploader(key="session-files").upload("a.zip", Path(sys.argv[1]).read_bytes(), "application/zip")
page.run()
for part in ("answers", "views", "maps", "results", "made"):
    page.segmented_control(key="part").set_value(part).run()
    assert not page.exception, page.exception
    assert not page.error, [e.value for e in page.error]
    add = [b for b in page.button if b.label == "Add to report"]
    if add:
        add[0].click().run()
        assert not page.exception and not page.error, [e.value for e in page.error]
pictures = page.session_state["report pictures"]
assert len(pictures) == 4 and all(each.svg.startswith(b"<?xml") for each in pictures), pictures
assert not {"torch", "timm", "transformers"} & set(sys.modules)
"""


def test_the_page_explores_a_session_where_no_torch_is(tmp_path):
    file = tmp_path / "a.zip"
    file.write_bytes(session_bytes(made_sessions.whole()))
    command = [sys.executable, "-c", ALONE, file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_was_shown_is_saved_with_its_verdicts_and_opened_again():
    page = settled(page_at("look/attention", maps="rollout"), lambda page: "badge[deletion" in words(page))
    page._page_hash = calc_hash("keep-sessions")
    page.run()
    assert not page.exception
    page.button(key=next(b.key for b in page.button if b.label == "Save what is open")).click()
    page = settled(page, lambda page: any("Download (" in b.label for b in page.get("download_button")))
    (made,) = [job.future.result() for key, job in _jobs().items() if key[0] == "session file"]
    found = read_session(io.BytesIO(made))
    (view,), (kept,) = found.views, found.maps
    assert view.title == "bundled:vit · Scene 3" and len(view.layers) == 6
    assert kept.result.about.title == "Attention rollout" and kept.sentence.startswith("deletion ")
    assert kept.numbers["deletion"] == pytest.approx(float(kept.sentence.split()[1].strip(",")), abs=0.006)
    assert kept.result.about.cites == ("abnar2020",) and "abnar2020" in found.references
    assert "analysis.explain" in kept.result.about.snippet and "maps=rollout" in found.link
    assert found.made["models"]["bundled:vit"]["weights"].split("sha256:")[1].isalnum()


def test_an_answer_is_saved_word_by_word_and_opened_again():
    import numpy as np

    page = settled(page_at("words/ask", model="bundled:lvlm"), lambda page: "seen answers" in page.session_state)
    (answered,) = [each() for each in page.session_state["seen answers"]]
    page._page_hash = calc_hash("keep-sessions")
    page.run()
    page.button(key=next(b.key for b in page.button if b.label == "Save what is open")).click()
    page = settled(page, lambda page: any("Download (" in b.label for b in page.get("download_button")))
    kept = [job.future.result() for key, job in _jobs().items() if key[0] == "session file"]
    found = [session for data in kept if (session := read_session(io.BytesIO(data))).answers][-1]
    (answer,) = found.answers
    assert answer.text == answered.answer.text and "".join(word.text for word in answer.words) in answer.text
    view = found.views[answer.view]
    for word in (word for word in answer.words if word.row is not None):
        assert sum(word.shares) == pytest.approx(1, abs=1e-5) and word.alternatives[0][1] >= word.probability - 1e-6
        for place in range(len(view.layers)):
            live = answered.answer.rows[word.row][place]
            assert np.abs(view.weights(place)[:, word.row, : live.shape[1]] - live).max() <= 0.004 * live.max() + 1e-6
    page.file_uploader(key="session-files").upload("a.zip", kept[-1], "application/zip")
    page.run()
    assert not page.exception and "log-probability" in words(page)


def test_the_signals_of_an_answer_are_kept_and_shown_without_the_model(tmp_path):
    page = page_at("words/truth", model="bundled:lvlm", image="scene:212")
    page = settled(page, lambda page: any("likely made up" in each.value for each in page.markdown))
    (shown,) = [held for held in page.session_state["seen results"].values() if held.about.title.startswith("Signals of")]
    page._page_hash = calc_hash("keep-sessions")
    page.run()
    page.button(key=next(b.key for b in page.button if b.label == "Save what is open")).click()
    page = settled(page, lambda page: any("Download (" in b.label for b in page.get("download_button")))
    kept = [job.future.result() for key, job in _jobs().items() if key[0] == "session file"][-1]
    (answer,) = read_session(io.BytesIO(kept)).answers
    place, word = next((n, w) for n, w in enumerate(answer.words) if w.text == shown.result.word and n in answer.doubts.words)
    from ui.results.truth import titles

    for name, value, (less, _) in zip(shown.result.names, shown.result.values, shown.result.among_true, strict=True):
        assert word.signals[titles()[name]] == pytest.approx(float(value))
        assert answer.doubts.words[place].among[titles()[name]] == pytest.approx(less)
    verdicts = {answer.words[n].text: each.verdict for n, each in answer.doubts.words.items() if each.verdict}
    there = TEST_UNBIASED[212].categories
    assert verdicts == {name: "true" if name in there else "false" for name in ("cross", "heart")}
    assert answer.doubts.by == "Combined score"
    assert "generate" in answer.about.snippet and "image=scene%3A212" in answer.about.link
    file = tmp_path / "a.zip"
    file.write_bytes(kept)
    done = subprocess.run([sys.executable, "-c", TOLD, file], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


TOLD = ALONE.split("for part in")[0] + """
told = " ".join(each.value for each in [*page.markdown, *page.caption])
assert "Should" in told and "Combined score" in told and "Held against 722 words" in told, told
table = page.dataframe[0].value
assert len(table) >= 10 and table["Doubted more than, of true words"].str.contains("%").all(), table
assert not {"torch", "timm", "transformers"} & set(sys.modules)
"""


def test_doubts_that_a_file_garbles_are_refused():
    from ui.session_file_doubts import doubts_from

    good = {"by": "Combined score", "held": "", "words": [[0, 0.5, "true", {"a": 0.1}]]}
    assert doubts_from(good, 1).words[0].doubt == 0.5 and doubts_from(None, 1) is None
    for wrong in ([1, 0.5, "", {}], [0, 1.5, "", {}], [0, 0.5, "maybe", {}], [0, 0.5, "", {"a": float("nan")}]):
        with pytest.raises(ValueError, match="damaged"):
            doubts_from({**good, "words": [wrong]}, 1)


def _jobs():
    from ui import session

    return session.jobs()._jobs


def test_a_report_is_filled_ordered_and_emptied_from_the_page():
    page = page_at("keep/report").run()
    assert not page.exception and "The report is empty" in words(page)
    assert all(button.disabled for button in page.get("download_button"))
    for _ in range(2):
        page.button(key="add-0").click().run()
    assert not page.exception and [each.id for each in page.session_state["report pictures"]] == [1, 2]
    assert not any(button.disabled for button in page.get("download_button"))
    page.text_input(key="caption-1").set_value("First caption").run()
    page.text_area(key="notes-1").set_value("A note").run()
    page.button(key="down-1").click().run()
    held = page.session_state["report pictures"]
    assert [(each.id, each.caption, each.notes) for each in held] == [(2, "", ""), (1, "First caption", "A note")]
    page.button(key="remove-2").click().run()
    assert [each.id for each in page.session_state["report pictures"]] == [1] and page.button(key="up-1").disabled


def test_a_full_report_says_so(monkeypatch):
    monkeypatch.setattr("ui.report_parts.MOST", 1)
    page = page_at("keep/report").run()
    page.button(key="add-0").click().run()
    page.button(key="add-0").click().run()
    assert not page.exception and "The report is full" in page.error[0].value


@needs_chromium
def test_in_a_browser_a_session_is_dropped_in_and_a_report_is_taken_away(tmp_path):
    from tests.app.test_report import Reader, assert_asks_nobody, pages_of

    file, bad = tmp_path / "mine.zip", tmp_path / "bad.zip"
    file.write_bytes(session_bytes(made_sessions.whole()))
    bad.write_bytes(b"PK nonsense")
    evil = tmp_path / "evil.zip"
    evil.write_bytes(session_bytes(hostile()))
    with serving("app.py") as address, chromium() as browser, watched_page(browser, address, accept_downloads=True) as page:
        page.goto(f"{address}/keep-sessions")
        page.wait_for_selector("text=recorded ·", timeout=60_000)
        settle(page)
        page.set_input_files("[data-testid=stFileUploader] input", [file, bad])
        page.wait_for_selector("text=bad.zip:", timeout=30_000)
        page.wait_for_selector("text=log-probability")
        settle(page)
        page.locator("button.word", has_text="a").first.click()
        page.wait_for_selector("text=probability 0.90")
        page.get_by_text("Maps · 4").click()
        page.wait_for_function("() => document.querySelectorAll('[data-testid=stBidiComponentIsolated]').length >= 4")
        settle(page)
        add = page.get_by_role("button", name="Add to report").locator("visible=true")

        def added():
            if not add.count():
                page.locator("[class*=map-0-take-away] button").first.click()
                settle(page)
                page.wait_for_timeout(1000)  # the menu slides open
            add.first.click()

        press(page, added, "() => document.body.innerText.includes('In the report now: 1 picture')")
        page.keyboard.press("Escape")
        go_to(page, "Keep", "Report")
        page.wait_for_selector("[aria-label=Caption]")
        settle(page)
        saved = {}
        for name in ("HTML", "PDF"):
            with page.expect_download(timeout=60_000) as download:
                page.get_by_role("button", name=name).click()
            saved[name] = tmp_path / name
            download.value.save_as(saved[name])
        page.goto(f"{address}/keep-sessions")
        page.wait_for_selector("text=recorded ·", timeout=60_000)
        settle(page)
        page.set_input_files("[data-testid=stFileUploader] input >> nth=-1", [evil])
        page.wait_for_selector("text=Answers · 1")
        for part in ("Views · 2", "Maps · 4", "Results · 2", "How it was made"):
            page.get_by_text(part).first.click()
            settle(page)
    text = saved["HTML"].read_text(encoding="utf-8")
    read = Reader(text)
    assert_asks_nobody(read, text)
    assert [tag for tag, _ in read.tags].count("svg") == 1 and "deletion 0.31, random 0.52" in read.text
    assert pages_of(saved["PDF"].read_bytes()) >= 1
