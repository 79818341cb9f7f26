// Pointer and keys of the viewer.

const LISTENING = new Set();
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

Viewer.prototype.listen = function listen() {
  followPointer(this.stage, {
    move: ([x, y]) => {
      if (!this.layer) return;
      if (!this.layer.asksFromPlaces) this.light(hit(this.layer.keyBoxes, x, y));
      if (hit(this.layer.queryBoxes, x, y) < 0) {
        this.leavePatch();
        return;
      }
      const before = this.hover;
      this.hover = { kind: "point", x, y };
      if (!before || before.kind !== "point" || this.rowOf(before) !== this.rowOf(this.hover) || this.pins.length) this.paint();
    },
    leave: () => {
      this.light(-1);
      this.leavePatch();
    },
    click: ([x, y]) => this.pinAt(x, y),
    panned: () => this.paint(),
  });
  const { thumbs } = this.panel;
  thumbs.addEventListener("pointermove", (event) => this.overThumb(this.navigator.at(event)));
  thumbs.addEventListener("pointerleave", () => this.overThumb(undefined));
  thumbs.addEventListener("click", (event) => this.chooseHead(this.navigator.at(event)));
  thumbs.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step || event.shiftKey || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.chooseHead(this.navigator.neighbour(...step));
    this.scrollToChosen();
  });
  this.stage.heat.addEventListener("keydown", (event) => this.keyOnPicture(event));
  this.stage.heat.addEventListener("blur", () => {
    if (this.layer) this.light(-1);
    this.leavePatch();
  });
  this.panel.viewer.addEventListener("keydown", (event) => this.key(event));
  LISTENING.add(this);
  this.fromPage = (event) => {
    // Nothing on the page has the focus: the keys are meant for its first viewer.
    const [first] = LISTENING;
    if (event.target === document.body && first === this) this.key(event);
  };
  document.addEventListener("keydown", this.fromPage);
};

Viewer.prototype.unlisten = function unlisten() {
  document.removeEventListener("keydown", this.fromPage);
  LISTENING.delete(this);
};

Viewer.prototype.leavePatch = function leavePatch() {
  if (!this.hover) return;
  this.hover = null;
  this.paint();
};

Viewer.prototype.pinAt = function pinAt(x, y) {
  if (!this.layer) return;
  if (this.words) {
    this.hold(hit(this.layer.keyBoxes, x, y));
    return;
  }
  const row = hit(this.layer.queryBoxes, x, y);
  if (row < 0) return;
  const [cx, cy] = centre(this.layer.queryBoxes, row);
  this.pin({ kind: "point", x: cx, y: cy });
};

Viewer.prototype.overThumb = function overThumb(cell) {
  if (this.navigator.hovered === cell) return;
  this.navigator.hovered = cell;
  this.navigator.paint();
  this.describe(cell);
};

Viewer.prototype.scrollToChosen = function scrollToChosen() {
  const { scroll } = this.panel;
  const [, y] = this.navigator.place(this.navigator.chosen);
  if (y < scroll.scrollTop) scroll.scrollTop = y - LABEL;
  if (y + this.navigator.side > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = y + this.navigator.side + GAP - scroll.clientHeight;
};

// From patch to patch with the arrows: the same as the mouse does.
Viewer.prototype.keyOnPicture = function keyOnPicture(event) {
  if (!this.layer || event.shiftKey || event.ctrlKey || event.altKey || event.metaKey) return;
  const step = STEPS[event.key];
  if (step && this.words) {
    event.preventDefault();
    this.walkPatches(step);
  } else if ((event.key === "Enter" || event.key === " ") && this.words) {
    event.preventDefault();
    this.hold(this.lit);
  } else if (step) {
    event.preventDefault();
    const boxes = this.layer.queryBoxes;
    const now = this.hover?.kind === "point" ? hit(boxes, this.hover.x, this.hover.y) : -1;
    const [x, y] = now < 0 ? this.stage.picture.map((side) => side / 2) : centre(boxes, now);
    const [w, h] = now < 0 ? [0, 0] : [boxes[4 * now + 2] - boxes[4 * now], boxes[4 * now + 3] - boxes[4 * now + 1]];
    const next = hit(boxes, x + step[0] * w, y + step[1] * h);
    if (next < 0) return;
    const [cx, cy] = centre(boxes, next);
    this.hover = { kind: "point", x: cx, y: cy };
    this.paint();
  } else if ((event.key === "Enter" || event.key === " ") && this.hover?.kind === "point") {
    event.preventDefault();
    this.pinAt(this.hover.x, this.hover.y);
  }
};

Viewer.prototype.key = function key(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || !this.choice) return;
  const typing = event.composedPath()[0].matches?.("select, input[type=text]");
  if (typing) return;
  const step = event.shiftKey && STEPS[event.key];
  const number = "123456".indexOf(event.key);
  if (step) this.set({ layer: this.choice.layer + step[1], head: this.choice.head + step[0] });
  else if (event.key.length === 1 && number >= 0) this.set(number < 3 ? { fuse: FUSES[number] } : { mode: MODE_NAMES[number - 3] });
  else if (event.key === "+" || event.key === "=") this.zoom(1.4);
  else if (event.key === "-") this.zoom(1 / 1.4);
  else if (event.key === "0") this.zoom(0);
  else if (event.key === "s") this.toggleSmooth();
  else if (event.key === "?") this.toggleHelp();
  else if (event.key === "Escape") {
    if (!this.panel.keys.hidden) this.toggleHelp(false);
    else this.clear();
  } else return;
  event.preventDefault();
  event.stopPropagation();
};
