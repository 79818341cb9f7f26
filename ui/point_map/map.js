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
      const text = count === null ? name : `${name} ${count}`;
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

  // Whether an item is drawn faintly: not what is searched for, or not of the one group that is shown.
  faint(item) {
    const { marked, group } = this.arrays;
    return (marked && !marked[item]) || (this.only !== null && group[item] !== this.only) || (this.picked.size > 0 && !this.picked.has(item));
  }

  draw() {
    const began = performance.now();
    const { width, height } = this.space;
    const theme = (this.theme = themeOf(this.root));
    const context = sharp(this.under, width, height);
    context.clearRect(0, 0, width, height);
    this.places = this.space.places();
    if (this.header.marks === "dots") this.drawDots(context);
    else if (this.header.marks === "patterns") this.drawPatterns(context, theme);
    else this.drawScatters(context, theme);
    this.root.dataset.painted = (performance.now() - began).toFixed(1);
    this.drawOver();
  }

  drawDots(context) {
    const radius = Math.max(1.4, Math.min(4.5, 60 / Math.sqrt(this.count))) * Math.min(2, Math.sqrt(this.space.zoom));
    this.radius = radius;
    const sprites = this.colours.map((colour) => dotSprite(colour, radius));
    for (const faint of [true, false]) {
      context.globalAlpha = faint ? 0.13 : 0.85;
      for (let item = 0; item < this.count; item++) {
        if (this.faint(item) !== faint) continue;
        const { sprite, side } = sprites[this.arrays.group[item]];
        context.drawImage(sprite, this.places[2 * item] - side / 2, this.places[2 * item + 1] - side / 2, side, side);
      }
    }
    context.globalAlpha = 1;
  }

  drawPatterns(context, theme) {
    const { width, height } = this.space;
    const own = this.places;
    this.places = this.space.zoom === 1 ? apart(own, this.side + 3, width, height) : own;
    for (let item = 0; item < this.count; item++) {
      const [x, y] = [this.places[2 * item], this.places[2 * item + 1]];
      if (Math.hypot(x - own[2 * item], y - own[2 * item + 1]) > this.side / 2) {
        drawLine(context, [x, y], [own[2 * item], own[2 * item + 1]], theme.faint, 0.7);
        context.fillStyle = theme.faint;
        context.fillRect(own[2 * item] - 1.5, own[2 * item + 1] - 1.5, 3, 3);
      }
    }
    for (const faint of [true, false]) {
      context.globalAlpha = faint ? 0.16 : 1;
      for (let item = 0; item < this.count; item++) {
        if (this.faint(item) !== faint) continue;
        const [x, y] = [this.places[2 * item], this.places[2 * item + 1]];
        drawPattern(context, this.sheet, item, x, y, this.side, this.colours[this.arrays.group[item]], 2.5);
      }
    }
    context.globalAlpha = 1;
  }

  drawScatters(context, theme) {
    this.side = this.space.cellSide();
    const { scatter, scatterGroup } = this.arrays;
    for (let item = 0; item < this.count; item++) {
      drawScatter(context, scatter, scatterGroup, this.colours, item, this.places[2 * item], this.places[2 * item + 1], this.side, theme.faint);
    }
    context.fillStyle = theme.text;
    context.font = `11px ${getComputedStyle(this.root).fontFamily}`;
    context.textAlign = "center";
    for (let column = 0; column <= this.space.high[0]; column++) context.fillText(column, LABELS + (column + 0.5) * this.side, 16);
    for (let row = 0; row <= this.space.high[1]; row++) context.fillText(this.header.rows[row], LABELS / 2, LABELS + (row + 0.5) * this.side + 4);
  }

  at(item) {
    return [this.places[2 * item], this.places[2 * item + 1]];
  }

  box(item) {
    return this.arrays.box ? this.arrays.box.subarray(4 * item, 4 * item + 4) : [NaN, NaN, NaN, NaN];
  }

  links(item) {
    const { links, strength } = this.arrays;
    if (!links) return [];
    const each = this.header.arrays.links.shape[1];
    const found = [];
    for (let i = item * each; i < (item + 1) * each; i++) if (links[i] >= 0) found.push({ to: links[i], strength: strength[i] });
    return found;
  }

  drawOver() {
    if (!this.places) return;
    const { width, height } = this.space;
    const context = sharp(this.over, width, height);
    context.clearRect(0, 0, width, height);
    const shown = this.hovered >= 0 ? this.hovered : this.chosen;
    const links = shown >= 0 ? this.links(shown) : [];
    const most = Math.max(1e-9, ...links.map((link) => link.strength));
    for (const { to, strength } of links) {
      context.globalAlpha = 0.35 + (0.65 * strength) / most;
      drawLine(context, this.at(shown), this.at(to), this.colours[this.arrays.group[to]], 0.8 + (2.4 * strength) / most);
    }
    context.globalAlpha = 1;
    for (const { to } of links) this.ring(context, to, this.theme.text, 1);
    if (this.chosen >= 0) this.ring(context, this.chosen, this.theme.accent, 3);
    if (this.hovered >= 0) this.ring(context, this.hovered, this.theme.text, 2);
    if (this.loop) this.drawLoop(context);
    this.root.dataset.hovered = this.hovered;
    this.root.dataset.picked = this.picked.size;
    this.outline(shown, links, most);
  }

  outline(shown, links, most) {
    if (!this.header.pictures.length) return;
    if (shown < 0) return this.pictures.outline([]);
    const { picture, group } = this.arrays;
    const own = { box: this.box(shown), colour: this.colours[group[shown]], picture: picture[shown] };
    const others = links.map(({ to, strength }) => ({ box: this.box(to), colour: this.colours[group[to]], picture: picture[to], strength: strength / most }));
    this.pictures.outline([own, ...others]);
  }

  ring(context, item, colour, width) {
    const [x, y] = this.at(item);
    context.strokeStyle = colour;
    context.lineWidth = width;
    if (this.header.marks === "dots") {
      context.beginPath();
      context.arc(x, y, this.radius + 2.5, 0, 7);
      context.stroke();
    } else {
      const side = this.side + (this.header.marks === "scatters" ? -2 : 5);
      context.strokeRect(x - side / 2, y - side / 2, side, side);
    }
  }

  drawLoop(context) {
    context.strokeStyle = this.theme.accent;
    context.lineWidth = 1.5;
    context.setLineDash([5, 4]);
    context.beginPath();
    this.loop.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.stroke();
    context.globalAlpha = 0.08;
    context.fillStyle = this.theme.accent;
    context.fill();
    context.globalAlpha = 1;
    context.setLineDash([]);
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
