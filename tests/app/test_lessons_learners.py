"""Lessons in Chromium: three learners, each wrong first and then right."""

from __future__ import annotations

import pytest

from tests.app.browser import chromium, needs_chromium, press, serving, settle, watched_page
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
        press(page, lambda: page.mouse.click(*patch(page, 1)), "() => location.search.includes('query=1')")
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


def cell(page, matrix, layer, head, layers=6, heads=4):
    """The middle of a head in a matrix."""
    box = page.locator(f".st-key-matrix-{matrix} .nsewdrag").bounding_box()
    return box["x"] + (head + 0.5) * box["width"] / heads, box["y"] + (layer + 0.5) * box["height"] / layers


@pytest.mark.browser
@needs_chromium
def test_a_learner_silences_the_costliest_head(app):
    server, browser = app
    with watched_page(browser, server) as page:
        page.goto(f"{server}/heads-importance?tour=matter&step=1")
        page.wait_for_selector(".st-key-matrix-loss-change .nsewdrag", timeout=120_000)
        page.wait_for_selector(".st-key-tour-check button", timeout=60_000)
        page.get_by_text("Spearman").first.wait_for(timeout=60_000)
        settle(page)
        for place, expected in zip(answers()["matter", 1], ("Rows are layers", "nats: place 1 of"), strict=True):
            page.mouse.click(*cell(page, "loss-change", int(place["layer"]), int(place["head"])))
            chosen = "&".join(f"{name}={place[name]}" for name in ("layer", "head") if place[name] != "0" or name == "layer")
            page.wait_for_function("each => each.split('&').every(part => location.search.includes(part))", arg=chosen)
            settle(page)
            press_check(page, expected)
        assert page.locator(".st-key-tour-next button").inner_text() == "Next"


@pytest.mark.browser
@needs_chromium
def test_a_learner_leaves_a_map_that_beats_chance(app):
    server, browser = app
    with watched_page(browser, server) as page:
        page.goto(f"{server}/look-attention?tour=believe&step=1")
        page.wait_for_selector(".st-key-tour-check button", timeout=120_000)
        page.get_by_label("Remove Raw attention").wait_for(timeout=60_000)
        settle(page)
        press_check(page, "Leave exactly one method")
        for title in ("Raw attention", "Gradient x attention, all layers", "Integrated gradients"):
            page.get_by_label(f"Remove {title}").click()
            page.get_by_label(f"Remove {title}").wait_for(state="detached")
            settle(page)
        page.wait_for_url("**maps=patch_ablation**")
        press_check(page, "of the random orders")
        page.locator(".st-key-tour-next button", has_text="Next").click()
        page.get_by_text("A nice picture that fails").wait_for()
