// How the map is painted: points below, and above them what is under the mouse, chosen, linked or being encircled.

Object.assign(PointMap.prototype, {
  // Whether an item is drawn faintly: not what is searched for, or not of the one group that is shown.
  faint(item) {
    const { marked, group } = this.arrays;
    return (marked && !marked[item]) || (this.only !== null && group[item] !== this.only) || (this.picked.size > 0 && !this.picked.has(item));
  },

  someFaint() {
    return Boolean(this.arrays.marked) || this.only !== null || this.picked.size > 0;
  },

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
  },

  drawDots(context) {
    const radius = Math.max(1.4, Math.min(4.5, 60 / Math.sqrt(this.count))) * Math.min(2, Math.sqrt(this.space.zoom));
    this.radius = radius;
    const some = this.someFaint();
    const sprites = this.colours.map((colour) => dotSprite(colour, radius + (some ? 0.8 : 0)));
    const pale = Math.max(0.03, Math.min(0.15, 150 / this.count));
    for (const faint of [true, false]) {
      context.globalAlpha = faint ? pale : 0.85;
      for (let item = 0; item < this.count; item++) {
        if (this.faint(item) !== faint) continue;
        const { sprite, side } = sprites[this.arrays.group[item]];
        context.drawImage(sprite, this.places[2 * item] - side / 2, this.places[2 * item + 1] - side / 2, side, side);
      }
    }
    context.globalAlpha = 1;
  },

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
  },

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
  },

  at(item) {
    return [this.places[2 * item], this.places[2 * item + 1]];
  },

  box(item) {
    return this.arrays.box ? this.arrays.box.subarray(4 * item, 4 * item + 4) : [NaN, NaN, NaN, NaN];
  },

  links(item) {
    const { links, strength } = this.arrays;
    if (!links) return [];
    const each = this.header.arrays.links.shape[1];
    const found = [];
    for (let i = item * each; i < (item + 1) * each; i++) if (links[i] >= 0) found.push({ to: links[i], strength: strength[i] });
    return found;
  },

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
  },

  outline(shown, links, most) {
    if (!this.header.pictures.length) return;
    if (shown < 0) return this.pictures.outline([]);
    const { picture, group } = this.arrays;
    const own = { box: this.box(shown), colour: this.colours[group[shown]], picture: picture[shown] };
    const others = links.map(({ to, strength }) => ({ box: this.box(to), colour: this.colours[group[to]], picture: picture[to], strength: strength / most }));
    this.pictures.outline([own, ...others]);
  },

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
  },

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
  },
});
