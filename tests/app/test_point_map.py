"""The map of points in a browser: hover without the server, click, loop, keyboard, and that many points are quick."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.app.browser import chromium, needs_chromium, serving, settle, watched_page
from tests.app.point_map_page import SIDE

pytestmark = [pytest.mark.browser, needs_chromium]
MIDDLE = SIDE * SIDE // 2
_MOVES = """(canvas) => {
  const box = canvas.getBoundingClientRect();
  const times = [];
  for (let i = 0; i < 60; i++) {
    const at = { clientX: box.left + 20 + 5 * i, clientY: box.top + 20 + 4 * i, bubbles: true, pointerId: 1 };
    const began = performance.now();
    canvas.dispatchEvent(new PointerEvent("pointermove", at));
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b)[30];
}"""


@pytest.fixture(scope="module")
def app():
    with serving("tests/app/point_map_page.py", theme_font="sans-serif") as address, chromium() as browser:
        yield address, browser


@pytest.fixture
def opened(app):
    address, browser = app
    with watched_page(browser, address) as page:
        yield open_at(page, address)


def open_at(page, address):
    page.goto(address)
    page.wait_for_selector(".point-map[data-painted]", timeout=60_000)
    settle(page)
    return page


def told(page):
    text = page.get_by_text(re.compile(r"^runs \d+")).inner_text()
    return {name: int(number) for name, number in re.findall(r"(\w+) (-?\d+)", text)}


def map_data(page, name):
    return page.locator(".point-map").get_attribute(f"data-{name}")


def canvas(page):
    return page.locator(".map canvas.over")


def middle(page):
    box = canvas(page).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_hover_tells_the_point_and_outlines_its_patch_without_the_server(opened):
    opened.mouse.move(*middle(opened))
    assert map_data(opened, "hovered") == str(MIDDLE)
    tip = opened.locator(".tip").inner_text()
    assert "query · row 50, column 50" in tip and "second · boat" in tip
    assert "looks most at row 50, column 51 (25\u00a0%)" in tip
    lit = opened.evaluate(
        "() => { const c = document.querySelector('[data-testid=stBidiComponentIsolated]').shadowRoot"
        ".querySelector('.stage canvas.over'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; }"
    )
    assert lit > 0
    assert told(opened)["runs"] == 1


def test_the_picture_leads_back_to_the_point(opened):
    stage = opened.locator(".stage canvas.over")
    box = stage.bounding_box()
    opened.mouse.move(box["x"] + box["width"] * 20.5 / SIDE, box["y"] + box["height"] * 10.5 / SIDE)
    assert map_data(opened, "hovered") == str(10 * SIDE + 20)


def test_a_click_chooses_and_the_keyboard_goes_on_from_there(opened):
    opened.mouse.click(*middle(opened))
    opened.get_by_text(f"chosen {MIDDLE};").wait_for(timeout=20_000)
    canvas(opened).focus()
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowUp")
    opened.keyboard.press("Enter")
    # The map's second axis points up: one row further on the lattice.
    opened.get_by_text(f"chosen {MIDDLE + 1 + SIDE};").wait_for(timeout=20_000)


def test_a_loop_gathers_exactly_the_points_inside(opened):
    x, y = middle(opened)
    box = canvas(opened).bounding_box()
    left, top = box["x"] + 9, box["y"] + 9
    corners = [(left, top), (x - 1, top), (x - 1, y - 1), (left, y - 1)]
    opened.mouse.move(*corners[0])
    opened.mouse.down()
    for corner in corners[1:]:
        opened.mouse.move(*corner, steps=4)
    opened.mouse.up()
    number = np.arange(SIDE * SIDE)
    expected = number[(number % SIDE < SIDE // 2) & (number // SIDE > SIDE // 2)]
    opened.get_by_text(f"picked {len(expected)}; sum {expected.sum()}").wait_for(timeout=20_000)
    canvas(opened).focus()
    opened.keyboard.press("Escape")
    opened.get_by_text("picked 0;").wait_for(timeout=20_000)


def test_ten_thousand_points_follow_the_mouse(opened):
    median = canvas(opened).evaluate(_MOVES)
    assert median < 16, f"{median:.1f} ms per move"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_144_heads_are_painted_at_once(app, scheme):
    address, browser = app
    with watched_page(browser, address, color_scheme=scheme) as page:
        open_at(page, f"{address}/?show=patterns")
        assert map_data(page, "count") == "144"
        assert float(map_data(page, "painted")) < 250
        page.get_by_role("button", name="local · 72").click()
        box = canvas(page).bounding_box()
        canvas(page).focus()
        page.keyboard.press("ArrowRight")
        assert page.locator(".tip b").inner_text().startswith("Head ")
        assert box["width"] > 500
