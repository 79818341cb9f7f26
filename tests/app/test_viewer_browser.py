"""The viewer in a real browser: what is painted is what numpy says, by mouse and by key, and nothing complains."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from tests.app.browser import chromium, needs_chromium, serving, settle, watched_page
from tests.app.made_views import VIEWS, four_maps

pytestmark = [pytest.mark.browser, needs_chromium]

CELLS = """(canvas, [rows, columns]) => {
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return Array.from({ length: rows * columns }, (_, i) => {
    const x = Math.floor(((i % columns) + 0.5) * width / columns);
    const y = Math.floor((Math.floor(i / columns) + 0.5) * height / rows);
    return Array.from(data.slice(4 * (y * width + x), 4 * (y * width + x) + 4));
  });
}"""


@pytest.fixture(scope="module")
def server():
    with serving("tests/app/viewer_app.py") as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(browser, server):
    """Open a view with a covering map, so that pixels are the map's colours; faults fail the test on leaving."""
    contexts = []

    def open_view(name: str, extra: str = "", cover: int = 100, **options):
        context = watched_page(browser, server, **options)
        page = context.__enter__()
        contexts.append(context)
        page.goto(f"{server}/?view={name}{extra}")
        page.wait_for_selector("canvas.heat", timeout=60_000)
        settle(page)
        if name not in ("maps", "nowhere"):
            page.wait_for_function(READY, timeout=30_000)
            page.locator(".cover input").fill(str(cover))
        return page

    yield open_view
    for context in contexts:
        context.__exit__(None, None, None)


READY = """() => {
  const find = (root) => root.querySelector(".readout") ||
    [...root.querySelectorAll("*")].map((e) => e.shadowRoot && find(e.shadowRoot)).find(Boolean);
  return find(document)?.textContent.length > 3;
}"""


def painted(page, rows: int, columns: int) -> np.ndarray:
    """[cells, 4]: the colour in the middle of each cell."""
    return np.array(page.locator("canvas.heat").evaluate(CELLS, [rows, columns]))


def brightness(pixels: np.ndarray) -> np.ndarray:
    return pixels[:, :3] @ np.array([0.2126, 0.7152, 0.0722])


def hover(page, rows: int, columns: int, cell: int) -> None:
    page.mouse.move(*middle(page, rows, columns, cell))


def middle(page, rows: int, columns: int, cell: int) -> tuple[float, float]:
    box = page.locator("canvas.heat").bounding_box()
    return (
        box["x"] + (cell % columns + 0.5) * box["width"] / columns,
        box["y"] + (cell // columns + 0.5) * box["height"] / rows,
    )


def click(page, rows: int, columns: int, cell: int) -> None:
    page.mouse.click(*middle(page, rows, columns, cell))


def expected(name: str, layer: int, row: int, head: int | None = None, prefix: int = 1) -> np.ndarray:
    weights = VIEWS[name]().weights(layer)
    chosen = weights[:, row].mean(0) if head is None else weights[head, row]
    return chosen[prefix:]


def same_picture(pixels: np.ndarray, values: np.ndarray) -> None:
    """The brightest cells are the largest values, and brightness grows with the value."""
    light = brightness(pixels)
    assert int(light.argmax()) == int(values.argmax())
    order = np.argsort(-values)
    clear = [a for a, b in zip(order[:6], order[1:7], strict=True) if values[a] - values[b] > 0.02 * values.max()]
    for a in clear:
        below = values < values[a] - 0.02 * values.max()
        assert light[a] >= light[below].max() - 1
    assert np.corrcoef(light, values)[0, 1] > 0.9


@pytest.mark.parametrize(("name", "side", "layer"), [("14", 14, 11), ("24", 24, 3), ("37", 37, 2)])
def test_hovering_paints_the_row_of_the_patch(opened, name, side, layer):
    page = opened(name)
    before = painted(page, side, side)
    same_picture(before, expected(name, layer, 0))
    cell = side * 3 + 5
    hover(page, side, side, cell)
    after = painted(page, side, side)
    assert (before != after).any()
    values = expected(name, layer, 1 + cell)
    same_picture(after, values)
    best = int(values.argmax())
    readout = page.locator(".readout").inner_text()
    assert readout.startswith("patch (row 3, column 5) \u2192 ")
    assert readout.endswith(f" at row {best // side}, column {best % side}")
    assert float(re.search(r"\u2192 ([\d.]+)", readout)[1]) == pytest.approx(values.max(), rel=0.02)
    page.mouse.move(5, 5)
    assert np.array_equal(painted(page, side, side), before), "leaving shows the class token again"


def test_one_head_is_that_head(opened):
    page = opened("14")
    page.locator("canvas.thumbs").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    hover(page, 14, 14, 100)
    same_picture(painted(page, 14, 14), expected("14", 11, 101, head=2))
    page.get_by_text("state 11 2 () single raw").wait_for()


def test_keys_change_the_layer_at_once_and_tell_the_page_once(opened):
    page = opened("14")
    page.locator("canvas.thumbs").focus()
    for _ in range(3):
        page.keyboard.press("ArrowUp")
    page.get_by_text("state 8 0 () single raw").wait_for()
    same_picture(painted(page, 14, 14), expected("14", 8, 0, head=0))
    page.keyboard.press("1")
    page.get_by_text("state 8 0 () mean raw").wait_for()
    same_picture(painted(page, 14, 14), expected("14", 8, 0))
    page.keyboard.press("Shift+ArrowDown")
    page.get_by_text("state 9 0 () mean raw").wait_for()
    assert page.locator(".headline h3").inner_text() == "layer 9 \u00b7 mean of 12 heads"
    page.keyboard.press("3")
    assert page.locator(".headline h3").inner_text() == "layer 9 \u00b7 head 0"


def test_keys_reach_the_viewer_while_nothing_has_the_focus(opened):
    page = opened("14")
    page.evaluate("() => document.activeElement.blur()")
    page.keyboard.press("?")
    page.locator(".keys").wait_for()
    page.keyboard.press("Escape")
    page.locator(".keys").wait_for(state="hidden")
    page.keyboard.press("2")
    page.get_by_text("state 11 0 () max raw").wait_for()
    page.keyboard.press("Shift+ArrowUp")
    page.get_by_text("state 10 0 () max raw").wait_for()


def test_arrows_move_within_a_group_of_buttons(opened):
    page = opened("14")
    page.get_by_role("radio", name="Mean").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("state 11 0 () max raw").wait_for()
    assert page.get_by_role("radio", name="Max").evaluate("button => button.matches(':focus')")
    page.get_by_role("button", name="Save").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    assert page.get_by_role("menuitem", name="SVG").evaluate("item => item.matches(':focus')")
    page.keyboard.press("Escape")
    assert not page.get_by_role("menuitem", name="SVG").is_visible()


def test_a_small_map_under_the_mouse_says_which_head_it_is(opened):
    page = opened("14")
    page.locator("canvas.thumbs").hover(position={"x": 30, "y": 30})
    number = VIEWS["14"]().statistics["distance"][0][0]
    assert page.locator(".headline h3").inner_text() == "layer 0 \u00b7 head 0"
    assert page.locator(".facts").inner_text().startswith(f"distance {float(f'{number:.2g}')}")
    page.mouse.move(5, 5)
    assert page.locator(".headline h3").inner_text() == "layer 11 \u00b7 mean of 12 heads"


def test_max_over_heads(opened):
    page = opened("14")
    page.get_by_role("radio", name="Max").click()
    values = VIEWS["14"]().weights(11)[:, 0].max(0)[1:]
    same_picture(painted(page, 14, 14), values)


def test_a_pin_stays_and_a_second_one_shows_the_difference(opened):
    page = opened("14")
    click(page, 14, 14, 20)
    page.get_by_text("state 11 0 (21,) mean raw").wait_for()
    first = painted(page, 14, 14)
    hover(page, 14, 14, 90)
    kept = np.delete(np.arange(196), [20, 90])
    assert np.array_equal(painted(page, 14, 14)[kept], first[kept]), "a pinned row stays while the mouse moves"
    same_picture(first, expected("14", 11, 21))
    click(page, 14, 14, 120)
    page.get_by_text("state 11 0 (21, 121) mean raw").wait_for()
    page.mouse.move(5, 5)
    pixels = painted(page, 14, 14).astype(int)
    change = expected("14", 11, 121) - expected("14", 11, 21)
    warmth = pixels[:, 0] - pixels[:, 2]
    big = np.abs(change) > 0.1 * np.abs(change).max()
    assert big.sum() > 10 and (np.sign(warmth[big]) == np.sign(change[big])).all(), "orange is more, blue is less"
    still = int(np.abs(change).argmin())
    assert pixels[still, :3].min() > 225, "no change is white"
    low, middle_, high = page.locator(".scale .numbers span").all_inner_texts()
    assert middle_ == "0" and low.replace("\u2212", "") == high
    page.locator("canvas.heat").focus()
    page.keyboard.press("Escape")
    page.get_by_text("state 11 0 () mean raw").wait_for()


def test_a_click_on_a_pin_takes_it_away(opened):
    page = opened("14")
    click(page, 14, 14, 20)
    page.get_by_text("state 11 0 (21,) mean raw").wait_for()
    click(page, 14, 14, 20)
    page.get_by_text("state 11 0 () mean raw").wait_for()


def test_relative_is_the_row_less_the_mean_row(opened):
    page = opened("14")
    page.keyboard.press("Tab")
    page.locator("canvas.heat").focus()
    page.keyboard.press("6")
    click(page, 14, 14, 33)
    weights = VIEWS["14"]().weights(11)
    change = (weights[:, 34] - weights[:, 1:].mean(1)).mean(0)[1:]
    pixels = painted(page, 14, 14).astype(int)
    big = np.abs(change) > 0.15 * np.abs(change).max()
    big[33] = False
    assert (np.sign((pixels[:, 0] - pixels[:, 2])[big]) == np.sign(change[big])).all()
    page.get_by_text("state 11 0 (34,) mean relative").wait_for()


def test_without_sinks_the_planted_sink_is_empty_and_named(opened):
    page = opened("sinks")
    page.locator("canvas.thumbs").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("1")
    hover(page, 6, 6, 30)
    assert int(brightness(painted(page, 6, 6)).argmax()) == 5
    page.get_by_role("radio", name="No sinks").click()
    hover(page, 6, 6, 30)
    pixels = painted(page, 6, 6)
    assert pixels[5, 3] == 0, "the sink is left empty"
    rest = VIEWS["sinks"]().weights(0)[:, 31].copy()
    rest[:, 6] = 0
    values = (rest / rest.sum(1, keepdims=True)).mean(0)[1:]
    shown = np.delete(np.arange(36), [5])
    light = brightness(pixels)
    assert shown[light[shown].argmax()] == values.argmax()
    assert "removed: row 0, column 5" in page.locator(".note").inner_text()
    readout = page.locator(".readout").inner_text()
    assert float(re.search(r"\u2192 ([\d.]+)", readout)[1]) == pytest.approx(values.max(), rel=0.03)


def test_chips_show_their_share_and_what_they_look_at(opened):
    page = opened("registers")
    hover(page, 8, 8, 10)
    weights = VIEWS["registers"]().weights(1).mean(0)
    shares = page.locator(".chip .share").all_inner_texts()
    assert [float(text.replace("\xa0%", "")) for text in shares] == pytest.approx([100 * w for w in weights[13, :3]], abs=0.06)
    page.get_by_role("button", name="register 1").hover()
    same_picture(painted(page, 8, 8), weights[2, 3:])
    page.get_by_role("button", name="register 1").click()
    page.get_by_text("state 1 0 (2,) mean raw").wait_for()
    assert page.get_by_role("button", name="register 1").get_attribute("aria-pressed") == "true"


def test_a_window_is_painted_alone_and_all_of_them_together(opened):
    page = opened("windows")
    page.locator("canvas.thumbs").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("1")
    view = VIEWS["windows"]()
    page.mouse.move(5, 5)
    assert (painted(page, 8, 8)[:, 3] == 255).all(), "the mean of all windows covers the picture"
    hover(page, 8, 8, 3 * 8 + 3)
    boxes, weights = view.layers[0].queries.boxes, view.weights(0).mean(0)
    row = next(n for n, (x0, y0, x1, y1) in enumerate(boxes) if x0 < 350 < x1 and y0 < 262 < y1)
    window = row // 16
    cells = [int(y0 // 75 * 8 + x0 // 100) for x0, y0, _, _ in boxes[16 * window : 16 * window + 16]]
    pixels = painted(page, 8, 8)
    assert set(np.flatnonzero(pixels[:, 3] == 255)) == set(cells)
    assert cells[int(weights[row].argmax())] == int(np.where(pixels[:, 3] == 255, brightness(pixels), -1).argmax())


def test_attention_without_a_place_is_a_sentence(opened):
    page = opened("nowhere")
    page.get_by_text("Channels attend to channels: no place.").wait_for()
    assert (painted(page, 4, 4)[:, 3] == 0).all()


def test_words_ask_and_light_up_where_they_looked(opened):
    page = opened("words")
    weights = VIEWS["words"]().weights(0).mean(0)
    page.get_by_role("button", name="red").hover()
    same_picture(painted(page, 4, 5), weights[1, 1:21])
    hover(page, 4, 5, 7)
    lit = page.locator(".chip.lit").evaluate_all("chips => chips.map((c) => Number(c.style.getPropertyValue('--lit')))")
    assert lit == pytest.approx(weights[:, 8] / weights[:, 8].max(), abs=0.02)


def test_a_word_asks_in_its_own_tower_only(opened):
    page = opened("towers")
    assert page.locator(".headline h3").inner_text() == "decoder layer 1 \u00b7 mean of 3 heads"
    page.get_by_role("button", name="ball").hover()
    same_picture(painted(page, 6, 6), expected("towers", 3, 5))
    thumbs = page.locator("canvas.thumbs")
    box = thumbs.bounding_box()
    side = (box["height"] - 20 - 20) / 4
    for row, (tower, layer) in enumerate([("", 0), ("", 1), ("decoder ", 0), ("decoder ", 1)]):
        thumbs.click(position={"x": 20 + 1.5 * side, "y": 20 + (row + 0.5) * side + (20 if row > 1 else 0)})
        assert page.locator(".headline h3").inner_text() == f"{tower}layer {layer} \u00b7 head 1"
        page.get_by_role("button", name="ball").wait_for(state="visible" if row > 1 else "detached")


def test_thumbnails_are_sorted_by_a_statistic_and_clicked(opened):
    page = opened("14")
    page.locator(".headline select").select_option("distance")
    page.get_by_text(re.compile(r"state .* distance$")).wait_for()
    thumbs = page.locator("canvas.thumbs")
    thumbs.click(position={"x": 30, "y": 30})
    page.get_by_text("state 11 11 () single raw distance").wait_for()
    thumbs.focus()
    page.keyboard.press("ArrowRight")
    numbers = np.array(VIEWS["14"]().statistics["distance"])
    layer, head = np.unravel_index(np.argsort(-numbers, axis=None)[1], numbers.shape)
    page.get_by_text(f"state {layer} {head} () single raw distance").wait_for()


def test_the_page_may_choose_the_layer_and_people_may_leave_it(opened):
    page = opened("14", "&asked=1")
    page.get_by_text("state 0 0 () mean raw").wait_for()
    page.locator("canvas.thumbs").focus()
    page.keyboard.press("ArrowDown")
    page.get_by_text("state 1 0 () single raw").wait_for()
    page.get_by_role("button", name="Run again").click()
    settle(page)
    assert page.get_by_text("state 1 0 () single raw").is_visible()
    page.get_by_label("Layer", exact=True).fill("5")
    page.get_by_label("Layer", exact=True).press("Enter")
    page.locator(".headline h3", has_text="layer 5").wait_for()
    page.get_by_text("state 5 0 () single raw").wait_for()


def test_a_page_that_repeats_the_layer_does_not_pull_back_who_moves_on(opened):
    """Each answer of the page is a step behind; viewer and page must still end at the same layer."""
    page = opened("14", "&follow=1")
    page.locator("canvas.thumbs").focus()
    seen = []
    for _ in range(7):
        page.keyboard.press("ArrowUp")
        page.wait_for_timeout(170)
        seen.append(int(re.search(r"layer (\d+)", page.locator(".headline h3").inner_text())[1]))
    assert seen == [10, 9, 8, 7, 6, 5, 4]
    page.get_by_text("state 4 0 () single raw").wait_for()
    page.get_by_role("button", name="Run again").click()
    page.wait_for_timeout(500)
    settle(page)
    assert page.get_by_text("state 4 0 () single raw").is_visible()
    assert page.locator(".headline h3").inner_text() == "layer 4 \u00b7 head 0"


def test_what_the_server_no_longer_keeps_is_said_over_the_picture(browser, server):
    context = browser.new_context()
    page = context.new_page()
    gone = {"status": 404, "body": "This picture is no longer kept here.", "content_type": "text/plain"}
    page.route("**/layer/10", lambda route: route.fulfill(**gone))
    page.goto(f"{server}/?view=14")
    page.wait_for_function(READY, timeout=60_000)
    page.locator("canvas.thumbs").focus()
    page.keyboard.press("ArrowUp")
    page.get_by_text("This picture is no longer kept here.").wait_for()
    page.keyboard.press("ArrowDown")
    page.locator(".sentence").wait_for(state="hidden")
    context.close()


def test_a_scheme_that_changes_repaints_the_labels(opened):
    page = opened("14", color_scheme="light")
    labels = "c => { const d = c.getContext('2d').getImageData(0, 0, 18, c.height).data; let most = [0, 0, 0, 0]; "
    labels += "for (let i = 0; i < d.length; i += 4) if (d[i + 3] > most[3]) most = [...d.slice(i, i + 4)]; return most; }"
    dark_text = page.locator("canvas.thumbs").evaluate(labels)
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(1000)
    light_text = page.locator("canvas.thumbs").evaluate(labels)
    assert sum(dark_text[:3]) < 350 < 450 < sum(light_text[:3])


def test_the_keyboard_alone_moves_from_patch_to_patch_and_pins(opened):
    page = opened("14")
    heat = page.locator("canvas.heat")
    heat.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    label = heat.get_attribute("aria-label")
    assert "patch (row 8, column 7)" in label
    page.keyboard.press("Enter")
    page.get_by_text(f"state 11 0 ({1 + 8 * 14 + 7},) mean raw").wait_for()
    page.keyboard.press("?")
    assert page.locator(".keys").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator(".keys").is_visible()


def test_zoom_keeps_the_patch_under_the_mouse(opened):
    page = opened("14")
    hover(page, 14, 14, 14 * 2 + 3)
    page.locator("canvas.heat").focus()
    before = page.locator(".readout").inner_text()
    page.keyboard.press("+")
    x, y = middle(page, 14, 14, 14 * 2 + 3)
    page.mouse.move(x + 1, y + 1)
    assert page.locator(".readout").inner_text() == before
    page.keyboard.press("0")
    hover(page, 14, 14, 195)
    assert "row 13, column 13" in page.locator(".readout").inner_text()


def test_an_svg_carries_every_cell_title_and_scale(opened):
    page = opened("14")
    click(page, 14, 14, 20)
    page.get_by_role("button", name="Save").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="SVG").click()
    root = ElementTree.parse(download.value.path()).getroot()
    space = "{http://www.w3.org/2000/svg}"
    cells = root.findall(f".//{space}g[@opacity]/{space}rect")
    assert len(cells) == 196
    light = brightness(np.array([re.findall(r"\d+", cell.get("fill")) for cell in cells], float))
    assert int(light.argmax()) == int(expected("14", 11, 21).argmax())
    texts = [text.text for text in root.iter(f"{space}text")]
    assert texts[0] == "random 14 x 14" and "layer 11, mean of 12 heads" in texts[1] and "share of attention" in texts
    assert root.find(f".//{space}image").get("href").startswith("data:image/png;base64,")


@pytest.mark.parametrize(("name", "scale"), [("PNG", 1), ("PNG, 4\u00d7", 4)])
def test_a_png_has_the_asked_size(opened, name, scale):
    page = opened("registers")
    page.get_by_role("button", name="Save").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name=name, exact=True).click()
    image = Image.open(io.BytesIO(download.value.path().read_bytes()))
    assert image.width == pytest.approx(752 * scale, abs=scale)
    assert len(image.convert("RGB").getcolors(2**24)) > 50


def test_maps_show_their_values_four_beside_each_other(opened):
    page = opened("maps")
    page.locator(".map .readout", has_text="strongest").nth(3).wait_for()
    for number, (_, shown) in enumerate(four_maps()):
        display = page.locator(".map").nth(number)
        side = int(len(shown.values) ** 0.5)
        box = display.locator("canvas.heat").bounding_box()
        cell = side + 2
        page.mouse.move(box["x"] + 2.5 * box["width"] / side, box["y"] + 1.5 * box["height"] / side)
        said = display.locator(".readout").inner_text()
        assert said.endswith("at row 1, column 2")
        assert float(said.split(" ")[0].replace("\u2212", "-")) == pytest.approx(shown.values[cell], rel=0.06, abs=0.001)
    page.locator(".map").nth(1).get_by_role("button", name="Save").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="SVG").locator("visible=true").click()
    assert "Map 1" in download.value.path().read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read_in_both_schemes(opened, scheme):
    page = opened("start", color_scheme=scheme)
    for selector in (".readout", ".facts", ".scale .high", ".headline h3", ".segments button >> nth=1"):
        colours = page.locator(selector).first.evaluate("""e => {
          const paint = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
          const rgb = (colour) => {
            paint.fillStyle = colour;
            paint.fillRect(0, 0, 1, 1);
            return [...paint.getImageData(0, 0, 1, 1).data];
          };
          const under = document.querySelector('[data-testid=stApp]');
          return [rgb(getComputedStyle(e).color), rgb(getComputedStyle(under).backgroundColor)];
        }""")
        assert contrast(*colours) >= 4.5, selector


def contrast(first, second) -> float:
    def luminance(colour):
        parts = [c / 255 for c in colour[:3]]
        parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_canvas_is_as_fine_as_the_screen(opened):
    page = opened("start", device_scale_factor=2)
    canvas = page.locator("canvas.heat")
    assert canvas.evaluate("c => c.width") == pytest.approx(2 * canvas.bounding_box()["width"], abs=1)


def test_both_scales_order_by_lightness_and_stay_apart_for_colour_blind_eyes(opened):
    """Sequential: lightness rises at every step. Diverging: both ends differ for a viewer without green cones."""
    page = opened("start")
    strip = page.locator(".scale .strip").evaluate("e => getComputedStyle(e).backgroundImage")
    colours = np.array([list(map(int, c)) for c in re.findall(r"rgb\((\d+), (\d+), (\d+)\)", strip)])
    assert len(colours) == 25 and (np.diff(brightness(colours)) > 0).all()
    page.keyboard.press("Tab")
    page.locator("canvas.heat").focus()
    page.keyboard.press("6")
    strip = page.locator(".scale .strip").evaluate("e => getComputedStyle(e).backgroundImage")
    ends = np.array([list(map(int, c)) for c in re.findall(r"rgb\((\d+), (\d+), (\d+)\)", strip)])[[4, 12, -5]] / 255
    deuteranope = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    blue, white, orange = np.clip(ends**2.2 @ deuteranope.T, 0, 1)
    assert np.abs(blue - orange).max() > 0.3 and (white > blue).all() and white.sum() > orange.sum()
