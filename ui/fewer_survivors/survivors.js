// What is left of the visual tokens. Every budget was worked out beforehand, so the sliders only choose what is painted.

const boards = new WeakMap();

function unpacked(text) {
  const raw = atob(text);
  return Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
}

class Board {
  constructor(root) {
    this.box = document.createElement("div");
    this.box.className = "survivors";
    this.box.innerHTML =
      '<div class="panels"></div><div class="line"><label>Budget</label><input class="amount" type="range" min="0" step="1" ' +
      'aria-label="Budget"><span class="kept" role="status"></span></div><div class="line"><label>At layer</label>' +
      '<input class="layer" type="range" min="0" step="1" aria-label="Layer"><span class="said"></span></div>';
    root.appendChild(this.box);
    for (const name of ["panels", "amount", "layer", "kept", "said"]) this[name] = this.box.querySelector(`.${name}`);
    this.amount.addEventListener("input", () => this.show(Number(this.amount.value)));
    this.amount.addEventListener("change", () => this.send("amount", this.data.amounts[this.at]));
    this.layer.addEventListener("input", () => { this.depth = Number(this.layer.value); this.touched = true; this.show(this.at); });
    new ResizeObserver(() => this.fit()).observe(this.box);
  }

  update(data, setStateValue) {
    this.send = setStateValue;
    const before = this.data;
    this.data = data;
    this.own = unpacked(data.own);
    this.lasts = unpacked(data.lasts);
    this.reads = data.reads ? unpacked(data.reads) : null;
    this.amount.max = data.amounts.length - 1;
    this.layer.max = data.depth - 1;
    if (!before || before.depth !== data.depth || !this.touched) this.depth = data.depth - 1;
    const moved = !before || before.name !== data.name || before.start !== data.start || before.amounts.length !== data.amounts.length;
    const other = !before || before.pictures.join() !== data.pictures.join() || before.panels.length !== data.panels.length;
    if (other) this.build();
    this.show(moved ? data.start : this.at);
    this.fit();
  }

  build() {
    this.images = this.data.pictures.map((source) => {
      const image = new Image();
      image.onload = () => this.fit();
      image.src = source;
      return image;
    });
    this.panels.replaceChildren();
    this.canvases = this.data.panels.map((panel, number) => {
      const figure = this.panels.appendChild(document.createElement("figure"));
      const canvas = figure.appendChild(document.createElement("canvas"));
      canvas.setAttribute("role", "img");
      canvas.addEventListener("mousemove", (event) => this.say(event, number));
      canvas.addEventListener("mouseleave", () => this.tell());
      if (panel.title) figure.appendChild(document.createElement("figcaption")).textContent = panel.title;
      return canvas;
    });
    if (!this.data.panels.length) this.panels.textContent = "These visual tokens are learned queries: none has a place on the picture.";
  }

  show(at) {
    this.at = at;
    this.amount.value = at;
    this.layer.value = this.depth;
    const { counts, said } = this.data;
    const left = counts[at][this.depth];
    this.kept.textContent = said[at];
    this.left = `layer ${this.depth} (0 to ${this.data.depth - 1}) reads ${left}`;
    this.box.dataset.left = left;
    this.tell();
    this.paint();
  }

  tell(text) { this.said.textContent = text || this.left; }

  fit() {
    if (!this.data || !this.canvases) return;
    const room = this.box.clientWidth / Math.max(1, this.canvases.length) - 8;
    this.scales = this.data.panels.map(({ picture }, number) => {
      const [w, h] = this.data.sizes[picture];
      const scale = Math.min(room / w, this.data.height / h);
      const canvas = this.canvases[number];
      const dense = window.devicePixelRatio || 1;
      canvas.width = Math.round(w * scale * dense);
      canvas.height = Math.round(h * scale * dense);
      canvas.style.width = `${Math.round(w * scale)}px`;
      canvas.style.height = `${Math.round(h * scale)}px`;
      return scale;
    });
    this.paint();
  }

  paint() {
    if (!this.scales) return;
    const ground = getComputedStyle(this.box).getPropertyValue("--st-background-color").trim() || "#fff";
    const all = this.own.length / this.data.amounts.length;
    const start = this.at * all;
    this.data.panels.forEach(({ picture, tokens }, number) => {
      const canvas = this.canvases[number];
      const image = this.images[picture];
      if (!image.complete || !canvas.width) return;
      const pen = canvas.getContext("2d");
      const scale = canvas.width / this.data.sizes[picture][0];
      pen.globalAlpha = 1;
      pen.drawImage(image, 0, 0, canvas.width, canvas.height);
      pen.fillStyle = ground;
      for (const token of tokens) {
        const box = this.data.boxes[token];
        if (!box || this.isRead(start, token, all)) continue;
        const merged = !this.reads && this.lasts[start + token] > this.depth;
        const [x0, y0, x1, y1] = box.map((edge) => Math.round(edge * scale));
        pen.globalAlpha = merged ? 0.45 : 0.88;
        pen.fillRect(x0, y0, x1 - x0, y1 - y0);
      }
      canvas.setAttribute("aria-label", `${this.kept.textContent} visual tokens; ${this.left}`);
    });
  }

  isRead(start, token, all) {
    if (!this.reads) return this.own[start + token] > this.depth;
    const bit = (this.at * this.data.depth + this.depth) * all + token;
    return (this.reads[bit >> 3] >> (7 - (bit & 7))) & 1;
  }

  say(event, number) {
    const { panels, boxes, depth } = this.data;
    const x = event.offsetX / this.scales[number];
    const y = event.offsetY / this.scales[number];
    const token = panels[number].tokens.find((n) => boxes[n] && x >= boxes[n][0] && x < boxes[n][2] && y >= boxes[n][1] && y < boxes[n][3]);
    if (token === undefined) return this.tell();
    const place = (this.at * this.own.length) / this.data.amounts.length + token;
    const own = this.own[place];
    const merged = this.lasts[place] - own;
    this.tell(`token ${token}: ${own} of ${depth} layers read it${merged ? `, ${merged} more as part of another` : ""}`);
  }
}

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  if (!boards.has(parentElement)) boards.set(parentElement, new Board(parentElement));
  boards.get(parentElement).update(data, setStateValue);
}
