"""How fast the viewer answers in a browser: `python -m benchmarks.viewer_page`. It prints a table as Markdown.

A pointer event is dispatched where Chromium itself delivers it, at the start of a frame; the time runs until the frame's
style, layout and paint are over. Software rendering, no GPU: a real screen is faster.
"""

from __future__ import annotations

import sys

import numpy as np

from tests.app.browser import chromium, serving, settle, watched_page

GRIDS = (14, 24, 37)
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


def main() -> None:
    """Measure and print."""
    rows = []
    with serving("tests/app/viewer_app.py") as server, chromium() as browser:
        for side in GRIDS:
            rows += _grid(browser, server, side)
    sys.stdout.write("| what | handler p50 | handler p95 | painted p50 | painted p95 |\n|---|---|---|---|---|\n")
    for what, times in rows:
        handled, painted = np.array(times).T
        figures = (np.percentile(values, q) for values in (handled, painted) for q in (50, 95))
        sys.stdout.write(f"| {what} | " + " | ".join(f"{figure:.1f} ms" for figure in figures) + " |\n")


def _grid(browser, server: str, side: int) -> list[tuple[str, list]]:  # noqa: ANN001
    with watched_page(browser, server) as page:
        page.goto(f"{server}/?view={side}")
        page.locator(".chip").first.wait_for(timeout=60_000)
        settle(page)
        page.wait_for_timeout(3000)
        heat, thumbs = page.locator("canvas.heat"), page.locator("canvas.thumbs")
        asked = {"moves": MOVES, "side": side, "keys": False}
        found = [(f"hover, {side} x {side}, mean of 12 heads", heat.evaluate(MEASURE, asked))]
        page.get_by_role("radio", name="One head").click()
        found.append((f"hover, {side} x {side}, one head", heat.evaluate(MEASURE, asked)))
        page.keyboard.press("6")
        found.append((f"hover, {side} x {side}, relative, one head", heat.evaluate(MEASURE, asked)))
        thumbs.focus()
        page.keyboard.press("ArrowUp")
        page.wait_for_timeout(2500)
        switched = thumbs.evaluate(MEASURE, asked | {"keys": True, "moves": 40})
        found.append((f"layer switch, {side} x {side}, layer already fetched", switched))
    return found


if __name__ == "__main__":
    main()
