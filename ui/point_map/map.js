// A map of points that can be asked: hover shows, a click chooses, a drawn loop gathers; the keyboard does the same.

const NEAR = 14; // pixels within which the mouse means a point
const LOOP = 5; // pixels that the mouse may move in a click

class PointMap {
  constructor(root) {
    this.root = piece("div", { class: "point-map" }, root);
    this.bar = piece("div", { class: "bar" }, this.root);
    this.legend = piece("div", { class: "legend" }, this.bar);
    this.tools = piece("div", { class: "tools" }, this.bar);
    this.body = piece("div", { class: "body" }, this.root);
    this.stage = piece("div", { class: "map" }, this.body);
    this.under = piece("canvas", { class: "under" }, this.stage);
    this.over = piece("canvas", { class: "over", tabindex: "0", role: "application" }, this.stage);
    this.tip = piece("div", { class: "tip", hidden: "" }, this.stage);
    this.tipCrop = piece("canvas", {}, this.tip);
    this.tipText = piece("div", {}, this.tip);
    this.told = piece("div", { class: "told", "aria-live": "polite" }, this.root);
    this.pictures = new Pictures(this.body, {
      hover: (item) => this.hover(item, false),
      choose: (item) => item >= 0 && this.choose(item),
      shown: () => this.drawOver(),
      tokenAt: (picture, x, y) => this.tokenAt(picture, x, y),
    });
    this.space = new Space();
    this.hovered = this.chosen = -1;
    this.picked = new Set();
    this.only = null;
    this.addTools();
    this.listen();
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(this.root);
  }

  addTools() {
    const acts = { "+": ["Closer", () => this.zoomBy(1.5)], "\u2212": ["Farther", () => this.zoomBy(1 / 1.5)], "\u21ba": ["Show all", () => this.showAll()] };
    for (const [text, [hint, act]] of Object.entries(acts)) {
      piece("button", { type: "button", title: hint, "aria-label": hint }, this.tools, text).addEventListener("click", act);
    }
  }

  receive(component) {
    this.component = component;
    const data = component.data;
    const { header, arrays } = unpack(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength));
    const same = this.header && this.header.id === header.id;
    this.header = header;
    this.arrays = arrays;
    this.count = arrays.points.length / 2;
    this.colours = header.legend.map((entry) => entry.colour);
    this.chosen = header.chosen;
    this.root.dataset.id = header.id;
    this.root.dataset.count = this.count;
    this.over.setAttribute("aria-label", header.label);
    this.tools.hidden = header.marks === "scatters";
    if (!same) {
      this.space.reset();
      this.picked = new Set(header.picked || []);
      this.only = null;
      this.hovered = -1;
      this.tip.hidden = true;
    }
    if (arrays.patterns) this.sheet = patternSheet(arrays.patterns, header.arrays.patterns.shape);
    if (header.pictures_id !== this.picturesId) {
      this.picturesId = header.pictures_id;
      this.pictures.receive(header.pictures, arrays.jpegs).then(() => this.follow());
    }
    this.paintLegend();
    this.fit();
    this.follow();
  }

  dispose() {
    this.watch.disconnect();
    this.root.remove();
  }

  follow() {
    if (this.chosen >= 0 && this.arrays.picture) this.pictures.show(this.arrays.picture[this.chosen]);
    this.drawOver();
  }

  fit() {
    if (!this.header || !this.root.clientWidth) return;
    const whole = this.root.clientWidth;
    const height = this.header.height;
    const beside = this.header.pictures.length && whole > 560;
    const side = this.header.pictures.length ? (beside ? Math.min(0.4 * whole, height - 74) : Math.min(whole, 260)) : 0;
    this.body.classList.toggle("stacked", !beside);
    this.space.setPoints(this.arrays.points, this.header.marks === "scatters");
    const width = beside ? whole - side - 16 : whole;
    const dots = this.header.marks === "dots";
    this.side = dots ? 0 : Math.max(14, Math.min(46, Math.sqrt((0.4 * width * height) / this.count)));
    this.space.setSize(width, height, this.side / 2);
    this.stage.style.width = `${width}px`;
    this.stage.style.height = `${height}px`;
    this.pictures.fit(side, side);
    this.draw();
  }

  paintLegend() {
    this.legend.replaceChildren();
    this.header.legend.forEach(({ name, colour, count }, group) => {
      if (name === "") return;
      const text = count === null ? name : `${name} \u00b7 ${count}`;
      const button = piece("button", { type: "button", "aria-pressed": String(this.only === group) }, this.legend);
      piece("i", { style: `background:${colour}` }, button);
      piece("span", {}, button, text);
      button.addEventListener("click", () => {
        this.only = this.only === group ? null : group;
        this.paintLegend();
        this.draw();
      });
    });
  }

  // Tell what an item is; `here` says that the mouse is on the map rather than on the picture.
  hover(item, here = true) {
    if (item === this.hovered) return;
    this.hovered = item;
    if (item >= 0 && here && this.arrays.picture) this.pictures.show(this.arrays.picture[item]);
    this.drawOver();
    this.tip.hidden = item < 0;
    if (item >= 0) this.showTip(item);
  }

  showTip(item) {
    const lines = this.linesOf(item);
    this.tipText.replaceChildren(...lines.map((line, i) => piece(i ? "div" : "b", {}, null, line)));
    this.tipCrop.hidden = !this.arrays.picture || !this.pictures.crop(this.tipCrop, this.arrays.picture[item], this.box(item));
    const [x, y] = this.at(item);
    const away = this.side / 2 + 12;
    const right = x < this.space.width / 2;
    this.tip.style.left = right ? `${x + away}px` : "";
    this.tip.style.right = right ? "" : `${this.space.width - x + away}px`;
    this.tip.style.top = `${Math.max(2, Math.min(this.space.height - 84, y - 30))}px`;
    this.told.textContent = lines.join(", ");
  }

  linesOf(item) {
    const { header, arrays } = this;
    if (header.names) return [header.names[item], ...(header.notes ? header.notes[item].split("\n") : [])];
    const word = header.words[arrays.word[item]];
    const row = arrays.place[2 * item];
    const where = row < 0 ? "" : `row ${row}, column ${arrays.place[2 * item + 1]}`;
    const first = [header.kinds[arrays.kind[item]], where || word].filter(Boolean).join(" \u00b7 ");
    const second = [header.pictures.length > 1 ? header.pictures[arrays.picture[item]].title : "", where ? word : ""].filter(Boolean).join(" \u00b7 ");
    const links = this.links(item);
    const verb = arrays.kind[item] === 0 ? "looks most at" : "is looked at most by";
    const third = links.length ? `${verb} ${this.short(links[0].to)} (${percentOf(links[0].strength)})` : "";
    return [first, second, third].filter(Boolean);
  }

  short(item) {
    const row = this.arrays.place[2 * item];
    return row < 0 ? this.header.words[this.arrays.word[item]] : `row ${row}, column ${this.arrays.place[2 * item + 1]}`;
  }

  // The point of a patch that the mouse is over in a picture.
  tokenAt(picture, x, y) {
    const { picture: of, box, kind } = this.arrays;
    for (let item = 0; item < this.count; item++) {
      if (of[item] !== picture || (kind && kind[item] !== 0)) continue;
      const at = 4 * item;
      if (x >= box[at] && x < box[at + 2] && y >= box[at + 1] && y < box[at + 3]) return item;
    }
    return -1;
  }

  nearest(x, y) {
    let [best, distance] = [-1, Infinity];
    const reach = this.header.marks === "dots" ? NEAR : this.side / 2 + 2;
    for (let item = 0; item < this.count; item++) {
      const [dx, dy] = [this.places[2 * item] - x, this.places[2 * item + 1] - y];
      const away = this.header.marks === "dots" ? Math.hypot(dx, dy) : Math.max(Math.abs(dx), Math.abs(dy));
      if (away < reach && away < distance && !(this.faint(item) && this.picked.size === 0)) [best, distance] = [item, away];
    }
    return best;
  }

  choose(item) {
    this.chosen = item;
    this.drawOver();
    this.component.setTriggerValue("chosen", { id: this.header.id, item });
  }

  pick(items) {
    this.picked = new Set(items);
    this.draw();
    this.component.setStateValue("picked", { id: this.header.id, items });
  }

  zoomBy(factor, at) {
    this.space.zoomBy(factor, at);
    this.draw();
  }

  showAll() {
    this.space.reset();
    if (this.picked.size) this.pick([]);
    else this.draw();
  }
}
