// A map per layer over the picture. The scrubber and the play button move it here; Python is told where it was stopped.

const films = new WeakMap();
const STEP_MS = 700;
const TALLEST = 430;

function short(value) {
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(size >= 0.1 || size === 0 ? 2 : 4);
}

class Film {
  constructor(root) {
    this.root = root;
    this.box = document.createElement("div");
    this.box.className = "film";
    this.box.innerHTML =
      '<div class="stage"><canvas></canvas></div>' +
      '<div class="controls"><button type="button" class="play">▶ Play</button>' +
      '<input type="range" min="0" step="1" aria-label="Layer"><span class="title"></span></div>' +
      '<div class="legend"><span class="low"></span><span class="bar"></span><span class="high"></span><span class="unit"></span>' +
      '<span class="said"></span></div>';
    root.appendChild(this.box);
    for (const name of ["play", "title", "low", "bar", "high", "unit", "said", "stage"]) this[name] = this.box.querySelector(`.${name}`);
    this.canvas = this.box.querySelector("canvas");
    this.slider = this.box.querySelector("input");
    this.listen();
    new ResizeObserver(() => this.fit()).observe(this.box);
  }

  listen() {
    this.play.addEventListener("click", () => (this.timer ? this.stop() : this.start()));
    this.slider.addEventListener("input", () => { this.pause(); this.show(Number(this.slider.value)); });
    this.slider.addEventListener("change", () => this.tell());
    this.canvas.addEventListener("mousemove", (event) => this.say(event));
    this.canvas.addEventListener("mouseleave", () => { this.said.textContent = ""; });
  }

  update(data, setStateValue) {
    this.send = setStateValue;
    const first = !this.data;
    const started = !first && data.start === this.data.start && data.frames.length === this.data.frames.length;
    const other = first || data.picture !== this.data.picture;
    this.data = data;
    this.slider.max = data.frames.length - 1;
    this.box.classList.toggle("single", data.frames.length < 2);
    this.unit.textContent = data.unit;
    this.ranges = this.scales();
    const at = started ? Math.min(this.at, data.frames.length - 1) : data.start;
    if (other) {
      this.image = new Image();
      this.image.onload = () => this.fit();
      this.image.src = data.picture;
    }
    this.show(at);
  }

  scales() {
    const each = this.data.frames.map((frame) => rangeOf(frame.values.filter((v) => v !== null), false));
    if (!this.data.shared) return each;
    const high = Math.max(...each.map((range) => range.high));
    return each.map((range) => ({ ...range, high }));
  }

  start() {
    this.play.textContent = "❚❚ Pause";
    this.timer = setInterval(() => this.show((this.at + 1) % this.data.frames.length), STEP_MS);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.play.textContent = "▶ Play";
  }

  stop() { this.pause(); this.tell(); }

  tell() { if (this.send) this.send("at", this.at); }

  show(at) {
    this.at = at;
    this.slider.value = at;
    this.title.textContent = this.data.frames[at].title;
    const range = this.ranges[at];
    this.low.textContent = short(range.low);
    this.high.textContent = short(range.high);
    this.bar.style.background = cssGradient(range);
    this.paint();
  }

  fit() {
    if (!this.data) return;
    const [w, h] = this.data.size;
    const scale = Math.min((this.box.clientWidth || 400) / w, TALLEST / h);
    this.shown = [Math.round(w * scale), Math.round(h * scale)];
    const dense = window.devicePixelRatio || 1;
    this.canvas.width = this.shown[0] * dense;
    this.canvas.height = this.shown[1] * dense;
    this.canvas.style.width = this.stage.style.width = `${this.shown[0]}px`;
    this.canvas.style.height = `${this.shown[1]}px`;
    this.paint();
  }

  paint() {
    if (!this.shown || !this.image || !this.image.complete) return;
    const pen = this.canvas.getContext("2d");
    const scale = this.canvas.width / this.data.size[0];
    const frame = this.data.frames[this.at];
    pen.filter = "grayscale(0.7)";
    pen.drawImage(this.image, 0, 0, this.canvas.width, this.canvas.height);
    pen.filter = "none";
    pen.globalAlpha = 0.62;
    frame.values.forEach((value, i) => {
      if (value === null) return;
      const [x0, y0, x1, y1] = frame.boxes[i].map((edge) => Math.round(edge * scale));
      pen.fillStyle = cssColour(this.ranges[this.at], value);
      pen.fillRect(x0, y0, x1 - x0, y1 - y0);
    });
    pen.globalAlpha = 1;
    for (const i of frame.marked) this.outline(pen, frame.boxes[i].map((edge) => Math.round(edge * scale)));
  }

  outline(pen, [x0, y0, x1, y1]) {
    const dense = window.devicePixelRatio || 1;
    for (const [style, width] of [["#000", 4 * dense], ["#fff", 2 * dense]]) {
      pen.strokeStyle = style;
      pen.lineWidth = width;
      pen.strokeRect(x0 + 2 * dense, y0 + 2 * dense, x1 - x0 - 4 * dense, y1 - y0 - 4 * dense);
    }
  }

  say(event) {
    const frame = this.data.frames[this.at];
    const x = (event.offsetX / this.shown[0]) * this.data.size[0];
    const y = (event.offsetY / this.shown[1]) * this.data.size[1];
    const i = frame.boxes.findIndex(([x0, y0, x1, y1]) => x >= x0 && x < x1 && y >= y0 && y < y1);
    const value = i < 0 ? null : frame.values[i];
    this.said.textContent = value === null ? "" : `patch ${i}: ${short(value)}${frame.marked.includes(i) ? " (marked)" : ""}`;
  }
}

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  if (!films.has(parentElement)) films.set(parentElement, new Film(parentElement));
  films.get(parentElement).update(data, setStateValue);
}
