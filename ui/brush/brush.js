// Cells of a grid over a picture, painted with mouse, finger or keys. Python is told when a stroke ends.

const brushes = new WeakMap();
const WAIT_MS = 250;
const TOOLS = [["paint", "Paint", "p"], ["erase", "Erase", "e"], ["rectangle", "Rectangle", "r"]];
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class Brush {
  constructor(root) {
    this.box = document.createElement("div");
    this.box.className = "brush";
    const tools = TOOLS.map(([id, name, letter]) => `<button type="button" data-tool="${id}" title="key ${letter.toUpperCase()}">${name}</button>`).join("");
    this.box.innerHTML =
      `<div class="tools" role="toolbar" aria-label="Brush">${tools}<button type="button" class="clear" title="key Delete">Clear</button>` +
      '<label>Size <input type="range" min="1" max="25" step="2" value="9" title="keys + and −"></label></div>' +
      '<canvas tabindex="0" role="application" aria-label="Picture to paint on: arrow keys move, space paints, Shift with an arrow key paints along"></canvas>' +
      '<p class="below"><span class="said" role="status"></span><span>keys: arrows, space, Shift + arrows, + and −</span></p>';
    root.appendChild(this.box);
    this.canvas = this.box.querySelector("canvas");
    this.slider = this.box.querySelector("input");
    this.said = this.box.querySelector(".said");
    this.clearing = this.box.querySelector(".clear");
    this.choose("paint");
    this.listen();
    new ResizeObserver(() => this.fit()).observe(this.box);
  }

  listen() {
    for (const button of this.box.querySelectorAll("[data-tool]")) button.addEventListener("click", () => this.choose(button.dataset.tool));
    this.clearing.addEventListener("click", () => this.clear());
    this.slider.addEventListener("input", () => this.draw());
    this.canvas.addEventListener("pointerdown", (event) => this.begin(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    this.canvas.addEventListener("pointerup", (event) => this.end(event));
    this.canvas.addEventListener("pointercancel", () => { this.from = this.last = null; this.draw(); });
    this.canvas.addEventListener("pointerleave", () => { if (!this.last) { this.at = null; this.draw(); } });
    this.canvas.addEventListener("keydown", (event) => this.press(event));
    this.canvas.addEventListener("blur", () => { this.keyed = false; this.draw(); });
  }

  update(data, setStateValue) {
    this.send = setStateValue;
    const first = !this.data;
    const clean = first || data.serial !== this.data.serial || String(data.grid) !== String(this.data.grid);
    const other = first || data.picture !== this.data.picture;
    this.data = data;
    if (clean) {
      clearTimeout(this.waiting);
      this.cells = new Uint8Array(data.grid[0] * data.grid[1]);
      this.from = this.last = null;
    }
    if (other) {
      this.image = new Image();
      this.image.onload = () => this.fit();
      this.image.src = data.picture;
    }
    this.fit();
  }

  choose(tool) {
    this.tool = tool;
    this.from = null;
    for (const button of this.box.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", button.dataset.tool === tool);
    if (this.data) this.draw();
  }

  clear() {
    this.cells.fill(0);
    this.from = null;
    this.tell();
  }

  cell(event) {
    const [across, down] = this.data.grid;
    const x = Math.floor((event.offsetX / this.shown[0]) * across);
    const y = Math.floor((event.offsetY / this.shown[1]) * down);
    return [Math.min(Math.max(x, 0), across - 1), Math.min(Math.max(y, 0), down - 1)];
  }

  begin(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.at = this.last = this.cell(event);
    this.keyed = false;
    if (this.tool === "rectangle") this.from = this.at;
    else this.stroke(this.at, this.at);
    this.draw();
  }

  move(event) {
    this.at = this.cell(event);
    if (this.last && this.tool !== "rectangle") { this.stroke(this.last, this.at); this.last = this.at; }
    this.draw();
  }

  end(event) {
    if (!this.last) return;
    if (this.tool === "rectangle" && this.from) this.fill(this.from, this.cell(event));
    this.from = this.last = null;
    this.tell();
  }

  stroke([x0, y0], [x1, y1]) {
    const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1);
    for (let i = 0; i <= steps; i++) this.dab(Math.round(x0 + ((x1 - x0) * i) / steps), Math.round(y0 + ((y1 - y0) * i) / steps));
  }

  dab(x, y) {
    const [across, down] = this.data.grid;
    const radius = Number(this.slider.value) / 2;
    const reach = Math.ceil(radius);
    for (let j = Math.max(y - reach, 0); j <= Math.min(y + reach, down - 1); j++)
      for (let i = Math.max(x - reach, 0); i <= Math.min(x + reach, across - 1); i++)
        if ((i - x) ** 2 + (j - y) ** 2 <= radius ** 2) this.cells[j * across + i] = this.tool === "erase" ? 0 : 1;
  }

  fill([x0, y0], [x1, y1]) {
    for (let j = Math.min(y0, y1); j <= Math.max(y0, y1); j++)
      for (let i = Math.min(x0, x1); i <= Math.max(x0, x1); i++) this.cells[j * this.data.grid[0] + i] = 1;
  }

  press(event) {
    const tool = TOOLS.find(([, , letter]) => letter === event.key.toLowerCase());
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (tool) return this.choose(tool[0]);
    const [across, down] = this.data.grid;
    const at = this.at || [across >> 1, down >> 1];
    if (event.key === "+" || event.key === "-") {
      this.slider.value = Number(this.slider.value) + (event.key === "+" ? 2 : -2);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.clear();
    } else if (event.key === "Escape") {
      this.from = null;
    } else if (event.key === " " || event.key === "Enter") {
      if (this.tool !== "rectangle") { this.stroke(at, at); this.tell(); }
      else if (this.from) { this.fill(this.from, at); this.from = null; this.tell(); }
      else this.from = at;
    } else if (MOVES[event.key]) {
      const far = this.tool === "rectangle" || event.shiftKey ? 1 : 3;
      const [dx, dy] = MOVES[event.key];
      const to = [Math.min(Math.max(at[0] + dx * far, 0), across - 1), Math.min(Math.max(at[1] + dy * far, 0), down - 1)];
      if (event.shiftKey && this.tool !== "rectangle") { this.stroke(at, to); this.tell(); }
      this.at = to;
    } else return;
    event.preventDefault();
    this.at = this.at || at;
    this.keyed = true;
    this.draw();
  }

  tell() {
    this.draw();
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.send("mask", `${this.data.serial}|${this.text()}`), WAIT_MS);
  }

  text() {
    const runs = [];
    let painted = 0, count = 0;
    for (const cell of this.cells) {
      if (cell !== painted) { runs.push(count); painted = cell; count = 0; }
      count++;
    }
    runs.push(count);
    return [this.data.grid.join("x"), ...runs.map((run) => run.toString(36))].join(".");
  }

  fit() {
    if (!this.data) return;
    const [w, h] = this.data.size;
    const scale = Math.min((this.box.clientWidth || 400) / w, this.data.height / h);
    const dense = window.devicePixelRatio || 1;
    this.shown = [Math.round(w * scale), Math.round(h * scale)];
    this.canvas.width = this.shown[0] * dense;
    this.canvas.height = this.shown[1] * dense;
    this.canvas.style.width = `${this.shown[0]}px`;
    this.canvas.style.height = `${this.shown[1]}px`;
    this.draw();
  }

  draw() {
    if (!this.shown || !this.image || !this.image.complete) return;
    const pen = this.canvas.getContext("2d");
    const [across, down] = this.data.grid;
    const sx = this.canvas.width / across, sy = this.canvas.height / down;
    pen.drawImage(this.image, 0, 0, this.canvas.width, this.canvas.height);
    let painted = 0;
    for (let i = 0; i < this.cells.length; i++) {
      if (!this.cells[i]) continue;
      painted++;
      const x = i % across, y = Math.floor(i / across);
      // Stripes tell painted cells from any colour that a picture may have.
      pen.fillStyle = (x + y) % 4 < 2 ? "rgba(255,255,255,0.8)" : "rgba(0,0,0,0.8)";
      pen.fillRect(Math.floor(x * sx), Math.floor(y * sy), Math.ceil(sx), Math.ceil(sy));
    }
    this.cursor(pen, sx, sy);
    this.said.textContent = painted ? `${((100 * painted) / this.cells.length).toFixed(painted * 20 < this.cells.length ? 1 : 0)} % painted` : "nothing painted";
    this.clearing.disabled = !painted;
  }

  cursor(pen, sx, sy) {
    if (!this.at || !(this.keyed || this.last || this.canvas.matches(":hover"))) return;
    const [x, y] = this.at;
    const dense = window.devicePixelRatio || 1;
    for (const [style, width] of [["#000", 3 * dense], ["#fff", 1.2 * dense]]) {
      pen.strokeStyle = style;
      pen.lineWidth = width;
      pen.beginPath();
      if (this.tool === "rectangle") {
        const [fx, fy] = this.from || this.at;
        pen.rect(Math.min(fx, x) * sx, Math.min(fy, y) * sy, (Math.abs(fx - x) + 1) * sx, (Math.abs(fy - y) + 1) * sy);
      } else pen.ellipse((x + 0.5) * sx, (y + 0.5) * sy, (Number(this.slider.value) / 2) * sx, (Number(this.slider.value) / 2) * sy, 0, 0, 7);
      pen.stroke();
    }
  }
}

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  if (!brushes.has(parentElement)) brushes.set(parentElement, new Brush(parentElement));
  brushes.get(parentElement).update(data, setStateValue);
}
