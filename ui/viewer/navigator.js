// All heads as small maps on one canvas: the way through layers and heads.

const GAP = 3;
const LABEL = 20;
const TOWER = 20; // above the first row of another tower, for its name

class Navigator {
  constructor(canvas) {
    this.canvas = canvas;
    this.cells = [];
    this.atlas = document.createElement("canvas");
  }

  // Heads in the order shown: layer by layer, or by a statistic.
  arrange(layers, statistics, sort) {
    const heads = layers.flatMap((layer, l) => Array.from({ length: layer.heads }, (_, head) => ({ layer: l, head })));
    heads.forEach((cell, index) => (cell.index = index));
    this.columns = Math.max(...layers.map((layer) => layer.heads));
    this.sorted = Boolean(sort);
    if (sort) {
      const values = statistics[sort.replace(/^-/, "")];
      const sign = sort.startsWith("-") ? 1 : -1;
      const worth = ({ layer, head }) => values[layer][head] ?? (sign < 0 ? -Infinity : Infinity);
      heads.sort((a, b) => sign * (worth(a) - worth(b)) || a.index - b.index);
      heads.forEach((cell, i) => ([cell.row, cell.column] = [Math.floor(i / this.columns), i % this.columns]));
    } else heads.forEach((cell) => ([cell.row, cell.column] = [cell.layer, cell.head]));
    this.cells = heads;
    this.rows = Math.max(...heads.map((cell) => cell.row)) + 1;
    this.layers = layers;
    // How far each row is moved down by the names of the towers above it.
    let down = 0;
    const named = !sort && layers.some((layer) => layer.tower !== layers[0].tower);
    this.shifts = Array.from({ length: this.rows }, (_, row) => {
      if (named && row > 0 && layers[row].tower !== layers[row - 1].tower) down += TOWER;
      return down;
    });
  }

  top(row) {
    return LABEL + row * (this.side + GAP) + this.shifts[row];
  }

  fit(width, height) {
    const wide = Math.floor((width - LABEL) / this.columns) - GAP;
    const high = Math.floor((height - LABEL - this.shifts[this.rows - 1]) / this.rows) - GAP;
    this.side = Math.max(28, Math.min(56, wide, high));
    const dense = window.devicePixelRatio || 1;
    const size = [LABEL + this.columns * (this.side + GAP), this.top(this.rows - 1) + this.side + GAP];
    this.canvas.style.width = `${size[0]}px`;
    this.canvas.style.height = `${size[1]}px`;
    [this.canvas.width, this.canvas.height] = size.map((v) => Math.round(v * dense));
    this.paint();
  }

  setThumbs({ header, arrays }) {
    const { side } = header;
    const count = arrays.maps.length / (side * side);
    const across = 16;
    [this.atlas.width, this.atlas.height] = [across * side, Math.ceil(count / across) * side];
    const image = new ImageData(this.atlas.width, this.atlas.height);
    const table = SCALES.sequential;
    for (let n = 0; n < count; n++) {
      const [left, top] = [(n % across) * side, Math.floor(n / across) * side];
      for (let i = 0; i < side * side; i++) {
        const at = 4 * ((top + Math.floor(i / side)) * image.width + left + (i % side));
        const c = 3 * arrays.maps[n * side * side + i];
        [image.data[at], image.data[at + 1], image.data[at + 2], image.data[at + 3]] = [table[c], table[c + 1], table[c + 2], 255];
      }
    }
    this.atlas.getContext("2d").putImageData(image, 0, 0);
    [this.across, this.thumb] = [across, side];
    this.paint();
  }

  place(cell) {
    return [LABEL + cell.column * (this.side + GAP), this.top(cell.row)];
  }

  paint() {
    if (!this.side) return;
    const context = this.canvas.getContext("2d");
    const dense = window.devicePixelRatio || 1;
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const style = getComputedStyle(this.canvas);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    for (const cell of this.cells) {
      const [x, y] = this.place(cell);
      if (this.thumb) {
        const [sx, sy] = [(cell.index % this.across) * this.thumb, Math.floor(cell.index / this.across) * this.thumb];
        context.drawImage(this.atlas, sx, sy, this.thumb, this.thumb, x, y, this.side, this.side);
      } else {
        context.fillStyle = "rgba(128,128,128,0.25)";
        context.fillRect(x, y, this.side, this.side);
      }
      context.strokeStyle = "rgba(128,128,128,0.5)";
      context.lineWidth = 1 / dense;
      context.strokeRect(x, y, this.side, this.side);
    }
    this.paintLabels(context, style);
    this.paintChosen(context, style);
  }

  paintLabels(context, style) {
    context.fillStyle = style.color;
    context.font = `11px ${style.fontFamily}`;
    context.textBaseline = "middle";
    const every = Math.ceil(18 / (this.side + GAP));
    context.textAlign = "right";
    for (let row = 0; row < this.rows; row += every) {
      const text = this.sorted ? row * this.columns + 1 : this.layers[row].number;
      context.fillText(text, LABEL - 5, this.top(row) + this.side / 2);
    }
    if (this.sorted) return;
    context.textAlign = "left";
    this.shifts.forEach((down, row) => {
      if (row > 0 && down > this.shifts[row - 1]) context.fillText(this.layers[row].tower, LABEL, this.top(row) - TOWER / 2);
    });
    context.textAlign = "center";
    for (let column = 0; column < this.columns; column += every) {
      context.fillText(column, LABEL + column * (this.side + GAP) + this.side / 2, LABEL / 2);
    }
  }

  paintChosen(context, style) {
    const outline = (cell, colour, width) => {
      if (!cell) return;
      const [x, y] = this.place(cell);
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.strokeRect(x - 0.5, y - 0.5, this.side + 1, this.side + 1);
    };
    const accent = style.getPropertyValue("--accent").trim() || style.color;
    if (this.together) this.cells.filter((cell) => cell.layer === this.chosen?.layer).forEach((cell) => outline(cell, accent, 2));
    else outline(this.chosen, accent, 3);
    outline(this.hovered, style.color, 2);
  }

  // `together`: all heads of the layer are what is shown, not the chosen one alone.
  choose(layer, head, together) {
    this.together = together;
    this.chosen = this.cells.find((cell) => cell.layer === layer && cell.head === head);
    this.paint();
  }

  at(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - bounds.left - LABEL) / (this.side + GAP));
    const y = event.clientY - bounds.top;
    const row = this.shifts.findIndex((_, n) => y >= this.top(n) && y < this.top(n) + this.side + GAP);
    return this.cells.find((cell) => cell.row === row && cell.column === column);
  }

  // The head next to the chosen one; up and down keep the column where that row is long enough.
  neighbour(dx, dy) {
    const now = this.chosen || this.cells[0];
    const row = Math.min(this.rows - 1, Math.max(0, now.row + dy));
    const there = this.cells.filter((cell) => cell.row === row);
    const last = Math.max(...there.map((cell) => cell.column));
    const column = Math.min(last, Math.max(0, now.column + dx));
    return there.find((cell) => cell.column === column);
  }
}
