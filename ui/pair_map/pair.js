// Two columns and their difference between them. One place is under the mouse, in all three.

const WALK = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class Pair {
  constructor(root) {
    this.panel = element("div", { class: "viewer pair" });
    root.append(this.panel);
    this.starts = element("div", { class: "starts" }, this.panel);
    const columns = element("div", { class: "columns" }, this.panel);
    this.first = new Side(columns, "first");
    this.middle = new Side(columns, "between");
    this.second = new Side(columns, "second");
    this.middle.title.textContent = "difference: right \u2212 left";
    this.readout = element("div", { class: "readout", role: "status" }, this.panel);
    this.sentence = element("div", { class: "sentence", hidden: true, role: "alert" }, this.panel);
    for (const side of [this.first, this.middle, this.second]) this.listen(side);
    this.resizing = new ResizeObserver(() => this.layOut());
    this.resizing.observe(this.panel);
  }

  listen(side) {
    const part = ([x, y]) => [x / side.told.width, y / side.told.height];
    followPointer(side.stage, {
      move: (point) => this.ready && this.over(part(point)),
      leave: () => this.over(null),
      click: (point) => this.ready && this.pin(part(point)),
      panned: () => {},
    });
    side.stage.heat.addEventListener("blur", () => this.over(null));
    side.stage.heat.addEventListener("keydown", (event) => this.key(event));
  }

  receive({ data, setStateValue }) {
    this.send = setStateValue;
    const before = this.data;
    this.data = data;
    if (!before || before.query !== data.query) this.told = data.query;
    // The place is kept while the first maps are on their way.
    if (!this.ready) this.panel.style.minHeight = `${Math.min(data.height, this.panel.clientWidth / 3) + 160}px`;
    this.load(before).catch((error) => {
      this.sentence.hidden = false;
      this.sentence.textContent = error.message;
    });
  }

  async load(before) {
    const { data } = this;
    const same = (one, other) => one && ["url", "layer", "map"].every((name) => one[name] === other[name]);
    const waits = [this.first, this.second].map((side, n) => {
      const old = before?.sides[n];
      if (this.ready && same(old, data.sides[n])) {
        side.told = data.sides[n];
        side.title.textContent = side.title.title = side.told.title;
        return true;
      }
      return side.load(data.sides[n], old?.url !== data.sides[n].url || !side.image);
    });
    const loaded = await Promise.all(waits);
    const between = data.difference ? await askPacked(`${data.difference}/map`) : null;
    if (this.data !== data || loaded.includes(false)) return;
    this.links = overlaps(this.first, this.second);
    this.between = between && between.arrays.values;
    this.middle.told = { ...this.first.told };
    this.middle.layer = this.first.layer;
    this.middle.stage.setPicture(data.bare ? null : this.first.image, this.first.told.width, this.first.told.height);
    this.sentence.hidden = true;
    this.drawStarts();
    this.resolve();
    this.ready = true;
    this.panel.style.minHeight = "";
    this.layOut();
  }

  // What is shown before anything is hovered: a start, or a place.
  resolve() {
    const { starts, sides } = this.data;
    if (sides[0].map) {
      this.start = null;
      this.held = null;
      return;
    }
    const row = this.told === "mean" ? null : /^\d+$/.test(this.told) ? Number(this.told) : undefined;
    const named = this.told === "class" ? starts.findIndex((s) => s.label === "class") : starts.findIndex((s) => s.rows[0] === row);
    this.held = row !== undefined && row !== null && row < this.first.layer.Q ? this.first.place(row) : null;
    this.start = this.held ? null : starts[Math.max(named, 0)];
    this.mark();
  }

  drawStarts() {
    this.starts.replaceChildren();
    if (!this.data.starts.length) return;
    element("span", { class: "lead" }, this.starts, "Looks:");
    this.buttons = this.data.starts.map((start) => {
      const button = element("button", { type: "button", class: "toggle" }, this.starts, start.label);
      button.addEventListener("click", () => this.tell(start.rows[0] === null ? "mean" : String(start.rows[0])));
      return { start, button };
    });
    element("span", { class: "lead" }, this.starts, "or move over a patch; a click keeps it.");
  }

  mark() {
    for (const { start, button } of this.buttons || []) button.setAttribute("aria-pressed", String(start === this.start));
  }

  tell(query) {
    this.told = query;
    this.resolve();
    this.paint();
    this.send("query", query);
  }

  pin(place) {
    if (this.data.sides[0].map) return;
    const row = this.first.at(place);
    if (row >= 0) this.tell(String(row));
  }

  over(place) {
    if (!this.ready || (!place && !this.hover)) return;
    const token = (p) => (p ? `${this.first.at(p)} ${this.second.at(p)}` : "");
    const moved = token(place) !== token(this.hover);
    this.hover = place;
    if (moved) this.paint();
  }

  key(event) {
    if (!this.ready) return;
    const step = WALK[event.key];
    if (event.key === "Enter" && this.hover) this.pin(this.hover);
    if (!step) return;
    event.preventDefault();
    const grid = this.first.layer.queryGrid;
    const from = this.hover || this.held || [0.5, 0.5];
    const size = [grid?.columns || 16, grid?.rows || 16];
    this.over(from.map((v, axis) => Math.min(1 - 0.5 / size[axis], Math.max(0.5 / size[axis], v + step[axis] / size[axis]))));
  }

  layOut() {
    if (!this.ready || !this.panel.clientWidth) return;
    for (const side of [this.first, this.middle, this.second]) side.stage.fit(side.box.clientWidth, this.data.height);
    this.paint();
  }

  // The rows that are asked on both sides, or null where one has none there.
  rows() {
    const place = this.hover || this.held;
    if (!place) return this.start.rows;
    const rows = [this.first.at(place), this.second.at(place)];
    return rows.some((row) => row < 0) ? null : rows;
  }

  paint() {
    if (!this.ready) return;
    const maps = this.data.sides[0].map;
    const rows = maps ? [null, null] : this.rows();
    if (!rows) {
      this.readout.textContent = "One side has no patch at this place.";
      return;
    }
    const values = [this.first.asked(rows[0]), this.second.asked(rows[1])];
    const change = maps ? this.between : differenceOf(values[0], values[1], this.links);
    const both = [this.first.placed(values[0]), this.second.placed(values[1])];
    const signed = this.first.signed || this.second.signed;
    const shared = rangeOf([...both[0], ...both[1]], signed);
    const ranges = this.data.ownScales ? both.map((v, n) => rangeOf(v, [this.first, this.second][n].signed)) : [shared, shared];
    this.draw(this.first, values[0], ranges[0], this.first.unit);
    this.draw(this.second, values[1], ranges[1], this.second.unit);
    this.middle.box.style.visibility = change ? "visible" : "hidden";
    if (change) this.draw(this.middle, change, rangeOf(this.first.placed(change), true), maps ? "of the whole map" : "share of attention");
    this.say(values, change, rows);
  }

  draw(side, values, range, unit) {
    const { keyBoxes, keyGrid, queryBoxes } = side.layer;
    const place = this.hover || this.held;
    const at = place ? hit(queryBoxes, place[0] * side.told.width, place[1] * side.told.height) : -1;
    const outlines = at < 0 ? [] : [{ box: queryBoxes.subarray(4 * at, 4 * at + 4) }];
    side.stage.paint({ boxes: keyBoxes, grid: keyGrid, values, range, opacity: 0.78, smooth: false, outlines });
    const { low, high, signed } = range;
    side.scale.show(range, [rounded(low), signed ? "0" : rounded((low + high) / 2), rounded(high)], unit);
  }

  say(values, change, rows) {
    const place = this.hover || this.held;
    let text = "";
    if (this.data.sides[0].map) {
      const at = place ? [this.first.at(place), this.second.at(place)] : [-1, -1];
      if (at.every((n) => n >= 0)) {
        const more = change ? `, difference ${rounded(change[at[0]])} of the whole` : "";
        text = `Patch (${placeName(this.first.layer, "key", at[0])}): left ${rounded(values[0][at[0]])}, right ${rounded(values[1][at[1]])}${more}`;
      } else text = "Move over a picture: the same place is outlined in all three.";
    } else {
      const onPicture = [this.first.placed(values[0]), this.second.placed(values[1])].map((part) => part.reduce((a, b) => a + b, 0));
      const moved = change.reduce((sum, v) => sum + (Number.isNaN(v) ? 0 : Math.abs(v)), 0) / 2;
      const who = place ? `Patch (${placeName(this.first.layer, "query", rows[0])})` : this.start.label.replace(/^./, (c) => c.toUpperCase());
      text = `${who}: on the picture ${percent(onPicture[0])} left, ${percent(onPicture[1])} right; half the sum of all differences is ${percent(moved)}`;
    }
    this.readout.textContent = text;
    [this.first, this.middle, this.second].forEach((side) => {
      side.stage.heat.setAttribute("aria-label", `${side.title.textContent}. ${text}`);
      side.box.dataset.outlined = place ? String(side.at(place)) : "";
    });
  }

  dispose() {
    this.resizing.disconnect();
    this.panel.remove();
  }
}
