"""How fast the viewer answers in a browser, as a case of `benchmarks.app`.

A pointer event is dispatched where Chromium itself delivers it, at the start of a frame; the time runs until the frame's
style, layout and paint are over. Software rendering, no GPU: a real screen is faster.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.cases import Row
from tests.app.browser import chromium, serving, settle, watched_page

GRIDS = (14, 24, 37)
HOVER, SWITCH, GRID = (16.0, 33.0), (50.0, float("inf")), (100.0, float("inf"))
MOVES = 200

MEASURE = """async (canvas, { moves, side, keys }) => {
  const settled = () => new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => resolve(performance.now());
    channel.port2.postMessage(0);
  });
  const frame = (act) => new Promise((resolve) => requestAnimationFrame(async () => {
    const start = performance.now();
    act();
    const handled = performance.now();
    resolve([handled - start, (await settled()) - start]);
  }));
  const box = canvas.getBoundingClientRect();
  const times = [];
  for (let i = 0; i < moves; i++) {
    if (keys) {
      const key = i % 2 ? "ArrowUp" : "ArrowDown";
      times.push(await frame(() => canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, composed: true }))));
    } else {
      const cell = (i * 7919) % (side * side);
      const at = { clientX: box.x + ((cell % side) + 0.5) * box.width / side, clientY: box.y + (Math.floor(cell / side) + 0.5) * box.height / side };
      times.push(await frame(() => canvas.dispatchEvent(new PointerEvent("pointermove", { ...at, bubbles: true }))));
    }
  }
  return times;
}"""  # noqa: E501

SORT = """async (select) => {
  const settled = () => new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => resolve(performance.now());
    channel.port2.postMessage(0);
  });
  const times = [];
  for (let i = 0; i < 20; i++) times.push(await new Promise((resolve) => requestAnimationFrame(async () => {
    const start = performance.now();
    select.selectedIndex = 1 + (i % (select.options.length - 1));
    select.dispatchEvent(new Event("change", { bubbles: true }));
    resolve([performance.now() - start, (await settled()) - start]);
  })));
  return times;
}"""


def viewing() -> Iterator[Row]:
    """Hovering and changing layers, from the event to the painted frame, and the grid of all heads."""
    with serving("tests/app/viewer_app.py") as server, chromium() as browser:
        for side in GRIDS:
            for what, times, reach in _grid(browser, server, side):
                yield _row(what, np.array(times)[:, 1], reach)


def _row(what: str, painted: np.ndarray, reach: tuple[float, float]) -> Row:
    middle, high = np.percentile(painted, 50), np.percentile(painted, 95)
    met = bool(middle <= reach[0] and high <= reach[1])
    limits = f"<= {reach[0]:.0f} ms" + (f" / {reach[1]:.0f} ms" if np.isfinite(reach[1]) else "")
    return Row(f"{what}, p50 / p95", f"{middle:.0f} / {high:.0f} ms", limits, met)


def _grid(browser, server: str, side: int) -> list[tuple[str, list, tuple[float, float]]]:  # noqa: ANN001
    with watched_page(browser, server) as page:
        page.goto(f"{server}/?view={side}")
        page.locator(".chip").first.wait_for(timeout=60_000)
        settle(page)
        page.wait_for_timeout(3000)
        heat, thumbs = page.locator("canvas.heat"), page.locator("canvas.thumbs")
        asked = {"moves": MOVES, "side": side, "keys": False}
        found = [(f"hover, {side} x {side}, mean of 12 heads", heat.evaluate(MEASURE, asked), HOVER)]
        page.get_by_role("radio", name="One head").click()
        found.append((f"hover, {side} x {side}, one head", heat.evaluate(MEASURE, asked), HOVER))
        page.keyboard.press("6")
        found.append((f"hover, {side} x {side}, relative, one head", heat.evaluate(MEASURE, asked), HOVER))
        thumbs.focus()
        page.keyboard.press("ArrowUp")
        page.wait_for_timeout(2500)
        switched = thumbs.evaluate(MEASURE, asked | {"keys": True, "moves": 40})
        found.append((f"layer switch, {side} x {side}, layer already fetched", switched, SWITCH))
        found.append((f"all heads drawn anew, {side} x {side}", page.locator("select").first.evaluate(SORT), GRID))
    return found

