"""Lessons in Chromium: three learners, each wrong first and then right."""

from __future__ import annotations

import pytest

from tests.app.browser import chromium, needs_chromium, serving, settle, watched_page
from tests.app.lesson_answers import GRID, answers
from ui.lessons.all_tours import TOURS


@pytest.fixture(scope="module")
def app():
    with serving("app.py") as server, chromium() as browser:
        yield server, browser


def press_check(page, expected):
    page.locator(".st-key-tour-check button").click()
    page.wait_for_selector(f".st-key-tour [data-testid=stAlert]:has-text('{expected}')", timeout=60_000)


def patch(page, row):
    """The middle of a patch of the viewer."""
    box = page.locator(".viewer .stage .heat").first.bounding_box()
    y, x = divmod(row - 1, GRID)
    return box["x"] + (x + 0.5) * box["width"] / GRID, box["y"] + (y + 0.5) * box["height"] / GRID


@pytest.mark.browser
@needs_chromium
def test_a_learner_finds_a_patch_on_an_object(app):
    server, browser = app
    with watched_page(browser, server) as page:
        page.goto(f"{server}/lessons-tours")
        page.locator(".st-key-start-heads button").click(timeout=60_000)
        page.wait_for_selector(".st-key-tour-check button", timeout=120_000)
        page.wait_for_selector(".viewer .thumbs", timeout=60_000)
        settle(page)
        page.mouse.click(*patch(page, 1))
        page.wait_for_function("() => location.search.includes('query=1')")
        settle(page)
        press_check(page, TOURS["heads"].steps[0].hint[:30])
        assert page.locator(".st-key-tour-next button").inner_text() == "Skip"
        page.mouse.click(*patch(page, 1))  # lets go
        page.mouse.click(*patch(page, int(answers()["heads", 1][1]["query"])))
        page.wait_for_function("() => /query=(?!1(&|$))/.test(location.search)")
        settle(page)
        press_check(page, "Objects cover 100")
        page.locator(".st-key-tour-next button", has_text="Next").click()
        page.wait_for_function("() => location.search.includes('step=2')")


@pytest.mark.browser
@needs_chromium
def test_a_learner_finds_the_made_up_word(app):
    server, browser = app
    with watched_page(browser, server) as page:
        page.goto(f"{server}/words-ask?model=bundled:lvlm&image=scene:5&tour=words&step=2")
        page.locator("button.word:has-text('box')").first.click(timeout=120_000)
        page.wait_for_function("() => location.search.includes('word=')")
        page.wait_for_selector(".st-key-tour-check button", timeout=60_000)
        settle(page)
        press_check(page, "it is in the picture")
        page.locator("button.word:has-text('boat')").first.click()
        page.wait_for_timeout(500)
        settle(page)
        press_check(page, "it is not in the picture")
        assert page.locator(".st-key-tour-next button").inner_text() == "Next"


@pytest.mark.browser
@needs_chromium
def test_a_learner_stops_the_film_at_a_sink(app):
    server, browser = app
    with watched_page(browser, server) as page:
        page.goto(f"{server}/tokens-sinks?model=bundled:vit-sinks&tour=sinks&step=1")
        slider = page.locator(".film input[type=range]").first
        slider.wait_for(timeout=120_000)
        page.wait_for_selector(".st-key-tour-check button", timeout=60_000)
        settle(page)
        press_check(page, "where it began")
        for key, layer, expected in (("Home", "0", "0 sinks"), ("End", "5", "1 sink")):
            slider.press(key)
            page.wait_for_function(f"() => location.search.includes('at={layer}')")
            settle(page)
            press_check(page, expected)
