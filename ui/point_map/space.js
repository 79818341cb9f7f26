// Where points lie on the canvas: fitted with equal scales in both directions, zoomed and moved; or in equal cells.

const MARGIN = 16;
const LABELS = 26; // room for the numbers of rows and columns beside equal cells

class Space {
  constructor() {
    this.reset();
  }

  reset() {
    this.zoom = 1;
    this.shift = [0, 0];
  }

  setPoints(points, cells) {
    this.points = points;
    this.cells = cells;
    this.low = [Infinity, Infinity];
    this.high = [-Infinity, -Infinity];
    for (let i = 0; i < points.length; i++) {
      const axis = i & 1;
      this.low[axis] = Math.min(this.low[axis], points[i]);
      this.high[axis] = Math.max(this.high[axis], points[i]);
    }
  }

  setSize(width, height, border) {
    this.width = width;
    this.height = height;
    this.border = border;
  }

  // Pixels of a cell's side, where points are the cells of a table.
  cellSide() {
    const [columns, rows] = [this.high[0] + 1, this.high[1] + 1];
    return Math.max(8, Math.min((this.width - LABELS - 6) / columns, (this.height - LABELS - 6) / rows, 96));
  }

  place(item) {
    const [x, y] = [this.points[2 * item], this.points[2 * item + 1]];
    if (this.cells) {
      const side = this.cellSide();
      return [LABELS + (x + 0.5) * side, LABELS + (y + 0.5) * side];
    }
    const room = [this.width - 2 * (MARGIN + this.border), this.height - 2 * (MARGIN + this.border)];
    const spans = [0, 1].map((a) => this.high[a] - this.low[a] || 1);
    const scale = Math.min(room[0] / spans[0], room[1] / spans[1]) * this.zoom;
    const middle = [0, 1].map((a) => (this.high[a] + this.low[a]) / 2);
    return [
      this.width / 2 + (x - middle[0]) * scale + this.shift[0],
      this.height / 2 - (y - middle[1]) * scale + this.shift[1],
    ];
  }

  places() {
    const found = new Float32Array(this.points.length);
    for (let item = 0; 2 * item < found.length; item++) found.set(this.place(item), 2 * item);
    return found;
  }

  zoomBy(factor, at) {
    const next = Math.min(40, Math.max(1, this.zoom * factor));
    const real = next / this.zoom;
    const middle = [this.width / 2, this.height / 2];
    const held = at || middle;
    this.shift = this.shift.map((s, a) => (next === 1 ? 0 : held[a] - middle[a] - (held[a] - middle[a] - s) * real));
    this.zoom = next;
  }

  moveBy(dx, dy) {
    this.shift = [this.shift[0] + dx, this.shift[1] + dy];
  }
}

// Squares of one size moved apart until they hardly overlap, each as near to its own place as the others allow.
function apart(places, side, width, height) {
  const moved = Float32Array.from(places);
  const count = places.length / 2;
  const half = side / 2;
  for (let round = 0; round < 90; round++) {
    for (let i = 0; i < moved.length; i++) moved[i] += 0.03 * (places[i] - moved[i]);
    for (let i = 0; i < count; i++) {
      for (let j = i + 1; j < count; j++) {
        const dx = moved[2 * j] - moved[2 * i];
        const dy = moved[2 * j + 1] - moved[2 * i + 1];
        const [overX, overY] = [side - Math.abs(dx), side - Math.abs(dy)];
        if (overX <= 0 || overY <= 0) continue;
        const axis = overX < overY ? 0 : 1;
        const push = ((axis ? overY : overX) / 2) * ((axis ? dy : dx) < 0 ? -1 : 1);
        moved[2 * i + axis] -= push;
        moved[2 * j + axis] += push;
      }
    }
    for (let i = 0; i < count; i++) {
      moved[2 * i] = Math.min(width - half - 2, Math.max(half + 2, moved[2 * i]));
      moved[2 * i + 1] = Math.min(height - half - 2, Math.max(half + 2, moved[2 * i + 1]));
    }
  }
  return moved;
}

function inside(polygon, x, y) {
  let within = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [[xi, yi], [xj, yj]] = [polygon[i], polygon[j]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) within = !within;
  }
  return within;
}
