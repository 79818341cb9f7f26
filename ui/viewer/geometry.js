// Where tokens lie on the picture: grids, hits, outlines.

function spelledOut(runs) {
  return runs.flatMap(([role, count]) => Array(count).fill(role));
}

// The boxes as one regular grid, or null where they are none. `cells[row * columns + column]` is a token or -1.
function gridOf(boxes) {
  const n = boxes.length / 4;
  const xs = new Map();
  const ys = new Map();
  const key = (v) => Math.round(v * 4);
  for (let i = 0; i < n; i++) {
    if (Number.isNaN(boxes[4 * i])) continue;
    xs.set(key(boxes[4 * i]), boxes[4 * i + 2]);
    ys.set(key(boxes[4 * i + 1]), boxes[4 * i + 3]);
  }
  const columns = xs.size;
  const rows = ys.size;
  if (!columns || columns * rows > 4 * n) return null;
  const left = [...xs.keys()].sort((a, b) => a - b);
  const top = [...ys.keys()].sort((a, b) => a - b);
  const box = [left[0] / 4, top[0] / 4, Math.max(...xs.values()), Math.max(...ys.values())];
  const step = [(box[2] - box[0]) / columns, (box[3] - box[1]) / rows];
  const even = (edges, start, width) => edges.every((e, i) => Math.abs(e / 4 - start - i * width) < 0.15 * width);
  if (!even(left, box[0], step[0]) || !even(top, box[1], step[1])) return null;
  const column = new Map(left.map((v, i) => [v, i]));
  const row = new Map(top.map((v, i) => [v, i]));
  const cells = new Int32Array(columns * rows).fill(-1);
  const placeOf = new Int32Array(n).fill(-1);
  for (let i = 0; i < n; i++) {
    if (Number.isNaN(boxes[4 * i])) continue;
    const at = row.get(key(boxes[4 * i + 1])) * columns + column.get(key(boxes[4 * i]));
    if (cells[at] >= 0) return null;
    if (Math.abs(boxes[4 * i + 2] - boxes[4 * i] - step[0]) > 0.3 * step[0]) return null;
    if (Math.abs(boxes[4 * i + 3] - boxes[4 * i + 1] - step[1]) > 0.3 * step[1]) return null;
    cells[at] = i;
    placeOf[i] = at;
  }
  return { columns, rows, box, cells, placeOf };
}

// The smallest box under a point, or -1.
function hit(boxes, x, y) {
  let found = -1;
  let area = Infinity;
  for (let i = 0; i < boxes.length; i += 4) {
    if (x >= boxes[i] && x < boxes[i + 2] && y >= boxes[i + 1] && y < boxes[i + 3]) {
      const size = (boxes[i + 2] - boxes[i]) * (boxes[i + 3] - boxes[i + 1]);
      if (size < area) [found, area] = [i / 4, size];
    }
  }
  return found;
}

function centre(boxes, i) {
  return [(boxes[4 * i] + boxes[4 * i + 2]) / 2, (boxes[4 * i + 1] + boxes[4 * i + 3]) / 2];
}

// The border of a set of boxes: every edge that no two of them share.
function borderOf(boxes, from, to) {
  const edges = new Map();
  const toggle = (...edge) => {
    const name = edge.map((v) => Math.round(v * 2)).join();
    if (edges.has(name)) edges.delete(name);
    else edges.set(name, edge);
  };
  for (let i = from; i < to; i++) {
    const [x0, y0, x1, y1] = boxes.subarray(4 * i, 4 * i + 4);
    if (Number.isNaN(x0)) continue;
    toggle(x0, y0, x1, y0);
    toggle(x0, y1, x1, y1);
    toggle(x0, y0, x0, y1);
    toggle(x1, y0, x1, y1);
  }
  return [...edges.values()];
}

// The same words as `ui.results.token_names`.
function placeName(layer, which, i) {
  const grid = which === "query" ? layer.queryGrid : layer.keyGrid;
  if (!grid) return `patch ${i}`;
  const at = grid.placeOf[i];
  return `row ${Math.floor(at / grid.columns)}, column ${at % grid.columns}`;
}
