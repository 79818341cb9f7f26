// Mouse, touch and keyboard on the map.

Object.assign(PointMap.prototype, {
  listen() {
    const on = (name, act, options) => this.over.addEventListener(name, act.bind(this), options);
    on("pointermove", this.onMove);
    on("pointerdown", this.onDown);
    on("pointerup", this.onUp);
    on("pointercancel", this.letGo);
    on("pointerleave", () => this.loop || this.hover(-1));
    on("wheel", this.onWheel, { passive: false });
    on("keydown", this.onKey);
    on("blur", () => this.hover(-1));
  },

  pointer(event) {
    const bounds = this.over.getBoundingClientRect();
    return [event.clientX - bounds.left, event.clientY - bounds.top];
  },

  onDown(event) {
    if (event.button > 1) return;
    this.over.focus({ preventScroll: true });
    this.from = this.pointer(event);
    this.moving = event.shiftKey || event.button === 1;
    this.over.setPointerCapture(event.pointerId);
  },

  onMove(event) {
    const [x, y] = this.pointer(event);
    if (this.from && this.moving && this.header.marks !== "scatters") {
      this.space.moveBy(x - this.from[0], y - this.from[1]);
      this.from = [x, y];
      this.draw();
    } else if (this.from && this.header.lasso && (this.loop || Math.hypot(x - this.from[0], y - this.from[1]) > LOOP)) {
      this.loop = this.loop || [this.from];
      this.loop.push([x, y]);
      this.drawOver();
    } else {
      this.hover(this.nearest(x, y));
    }
  },

  onUp(event) {
    const [x, y] = this.pointer(event);
    const { loop, from, moving } = this;
    this.letGo();
    if (loop) this.pick(this.within(loop));
    else if (from && !moving) this.onClick(this.nearest(x, y));
  },

  letGo() {
    this.loop = this.from = null;
    this.drawOver();
  },

  onClick(item) {
    if (item >= 0) this.choose(item);
    else if (this.picked.size) this.pick([]);
  },

  within(loop) {
    const found = [];
    for (let item = 0; item < this.count; item++) {
      const hidden = this.only !== null && this.arrays.group[item] !== this.only;
      if (!hidden && inside(loop, ...this.at(item))) found.push(item);
    }
    return found;
  },

  onWheel(event) {
    if (!(event.ctrlKey || event.metaKey) || this.header.marks === "scatters") return;
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY / 300), this.pointer(event));
  },

  onKey(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const acts = {
      "+": () => this.zoomBy(1.5),
      "-": () => this.zoomBy(1 / 1.5),
      0: () => this.showAll(),
      Enter: () => this.hovered >= 0 && this.choose(this.hovered),
      " ": () => this.toggle(this.hovered),
      Escape: () => this.picked.size && this.pick([]),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in ways || event.key in acts)) return;
    event.preventDefault();
    if (event.key in ways) this.step(...ways[event.key]);
    else acts[event.key]();
  },

  toggle(item) {
    if (item < 0 || !this.header.lasso) return;
    const items = new Set(this.picked);
    if (!items.delete(item)) items.add(item);
    this.pick([...items]);
  },

  // The next point in a direction: the nearest one, where what lies aside counts as twice as far.
  step(dx, dy) {
    const from = this.hovered >= 0 ? this.hovered : this.chosen;
    if (from < 0) return this.hover(0);
    const [x, y] = this.at(from);
    let [best, distance] = [from, Infinity];
    for (let item = 0; item < this.count; item++) {
      const [ax, ay] = [this.places[2 * item] - x, this.places[2 * item + 1] - y];
      const ahead = ax * dx + ay * dy;
      const away = ahead + 2 * Math.abs(ax * dy - ay * dx);
      if (item !== from && ahead > 0.5 && away < distance) [best, distance] = [item, away];
    }
    this.hover(best);
  },
});
