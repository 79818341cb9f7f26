// The picture and what lies over it: two canvases, of which only the upper one is painted while the mouse moves.

const SNAP = 4; // pixels that the pointer may move in a click

class Stage {
  constructor(box, cover) {
    this.box = box;
    this.cover = cover;
    this.photo = element("canvas", { class: "photo" }, box);
    this.heat = element("canvas", { class: "heat" }, box);
    this.small = document.createElement("canvas");
    this.zoom = 1;
    this.middle = [0.5, 0.5];
    this.size = [1, 1];
  }

  setPicture(image, width, height) {
    this.image = image;
    this.picture = [width, height];
    this.paintPhoto();
  }

  // The picture loses colour under a map, so that the colours seen are the map's.
  calm(cover) {
    this.cover = cover;
    this.paintPhoto();
  }

  fit(width, height) {
    const [w, h] = this.picture || [1, 1];
    const scale = Math.min(width / w, height / h);
    this.size = [Math.max(1, Math.round(w * scale)), Math.max(1, Math.round(h * scale))];
    this.box.style.width = `${this.size[0]}px`;
    this.box.style.height = `${this.size[1]}px`;
    const dense = window.devicePixelRatio || 1;
    const pixels = this.size.map((side) => Math.round(side * dense));
    for (const canvas of [this.photo, this.heat]) {
      // Setting a size clears the canvas: a map that is shown stays until the next one is painted.
      if (canvas.width !== pixels[0] || canvas.height !== pixels[1]) [canvas.width, canvas.height] = pixels;
    }
    this.paintPhoto();
  }

  // Device pixels per pixel of the picture, and the picture's offset.
  transform() {
    const scale = (this.heat.width / this.picture[0]) * this.zoom;
    const shift = [0, 1].map((axis) => {
      const visible = axis ? this.heat.height : this.heat.width;
      const whole = this.picture[axis] * scale;
      return Math.min(0, Math.max(visible - whole, visible / 2 - this.middle[axis] * whole));
    });
    return { scale, shift };
  }

  zoomBy(factor, at) {
    const { scale, shift } = this.transform();
    const before = this.zoom;
    this.zoom = factor === 0 ? 1 : Math.min(12, Math.max(1, this.zoom * factor));
    if (at && this.zoom !== before) {
      const whole = this.picture.map((side) => side * scale * (this.zoom / before));
      const visible = [this.heat.width, this.heat.height];
      this.middle = [0, 1].map((a) => (visible[a] / 2 - (at[a] * scale + shift[a]) + at[a] * scale * (this.zoom / before)) / whole[a]);
    }
    this.paintPhoto();
  }

  panBy(dx, dy) {
    const dense = window.devicePixelRatio || 1;
    const { scale, shift } = this.transform();
    this.middle = [dx, dy].map((d, a) => {
      const visible = a ? this.heat.height : this.heat.width;
      return (visible / 2 - shift[a] - d * dense) / (this.picture[a] * scale);
    });
    this.paintPhoto();
  }

  // Pixels of the picture under a pointer event.
  point(event) {
    const bounds = this.heat.getBoundingClientRect();
    const { scale, shift } = this.transform();
    const x = ((event.clientX - bounds.left) / bounds.width) * this.heat.width;
    const y = ((event.clientY - bounds.top) / bounds.height) * this.heat.height;
    return [(x - shift[0]) / scale, (y - shift[1]) / scale];
  }

  paintPhoto() {
    if (!this.image) return;
    const { scale, shift } = this.transform();
    const context = this.photo.getContext("2d");
    context.clearRect(0, 0, this.photo.width, this.photo.height);
    context.imageSmoothingEnabled = scale < 4;
    context.imageSmoothingQuality = "high";
    context.filter = `saturate(${saturationUnder(this.cover)})`;
    context.drawImage(this.image, shift[0], shift[1], this.picture[0] * scale, this.picture[1] * scale);
  }

  // Everything over the picture: the map (values over boxes), then outlines.
  paint({ boxes, grid, values, range, opacity, smooth, outlines = [], border = null }) {
    const context = this.heat.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.heat.width, this.heat.height);
    if (!this.picture) return;
    const { scale, shift } = this.transform();
    if (values) {
      context.globalAlpha = opacity;
      if (grid) this.paintGrid(context, grid, values, range, smooth, scale, shift);
      else paintBoxes(context, boxes, values, range, scale, shift);
      context.globalAlpha = 1;
    }
    const dense = window.devicePixelRatio || 1;
    const line = (draw, colour, width, dash = []) => {
      context.setLineDash(dash.map((d) => d * dense));
      context.strokeStyle = colour;
      context.lineWidth = width * dense;
      context.beginPath();
      draw();
      context.stroke();
    };
    const at = (x, y) => [x * scale + shift[0], y * scale + shift[1]];
    if (border) {
      const draw = () => border.forEach(([x0, y0, x1, y1]) => { context.moveTo(...at(x0, y0)); context.lineTo(...at(x1, y1)); });
      line(draw, "rgba(0,0,0,0.75)", 3);
      line(draw, "#fff", 1.25, [5, 4]);
    }
    for (const { box, label } of outlines) {
      const [x0, y0] = at(box[0], box[1]);
      const [x1, y1] = at(box[2], box[3]);
      const draw = () => context.rect(x0, y0, x1 - x0, y1 - y0);
      line(draw, "rgba(0,0,0,0.85)", 4);
      line(draw, "#fff", 2);
      if (label) paintLabel(context, label, x0, y0, dense);
    }
  }

  paintGrid(context, grid, values, range, smooth, scale, shift) {
    const { columns, rows, cells, box } = grid;
    if (this.small.width !== columns || this.small.height !== rows) [this.small.width, this.small.height] = [columns, rows];
    const small = this.small.getContext("2d");
    small.putImageData(gridImage(grid, values, range), 0, 0);
    context.imageSmoothingEnabled = smooth;
    context.imageSmoothingQuality = "high";
    const [x, y] = [box[0] * scale + shift[0], box[1] * scale + shift[1]];
    context.drawImage(this.small, x, y, (box[2] - box[0]) * scale, (box[3] - box[1]) * scale);
  }
}

function saturationUnder(cover) {
  return Number(Math.max(0, 1 - 1.3 * cover).toFixed(2));
}

function gridImage({ columns, rows, cells }, values, range) {
  const image = new ImageData(columns, rows);
  const { data } = image;
  for (let i = 0; i < cells.length; i++) {
    const value = cells[i] < 0 ? NaN : values[cells[i]];
    if (Number.isNaN(value)) continue;
    const c = colourIndex(range, value);
    data[4 * i] = range.table[c];
    data[4 * i + 1] = range.table[c + 1];
    data[4 * i + 2] = range.table[c + 2];
    data[4 * i + 3] = 255;
  }
  return image;
}

function paintBoxes(context, boxes, values, range, scale, shift) {
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i]) || Number.isNaN(boxes[4 * i])) continue;
    context.fillStyle = cssColour(range, values[i]);
    const [x, y] = [boxes[4 * i] * scale + shift[0], boxes[4 * i + 1] * scale + shift[1]];
    context.fillRect(x, y, (boxes[4 * i + 2] - boxes[4 * i]) * scale, (boxes[4 * i + 3] - boxes[4 * i + 1]) * scale);
  }
}

function paintLabel(context, label, x, y, dense) {
  const size = 16 * dense;
  const [left, top] = [Math.max(0, x), y - size < 0 ? y : y - size];
  context.fillStyle = "rgba(0,0,0,0.85)";
  context.fillRect(left, top, size, size);
  context.fillStyle = "#fff";
  context.font = `600 ${11 * dense}px sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(label, left + size / 2, top + size / 2 + dense / 2);
}

// Drag pans a zoomed picture; a press without movement is a click.
function followPointer(stage, { move, leave, click, panned }) {
  let press = null;
  const { heat } = stage;
  heat.addEventListener("pointermove", (event) => {
    if (press && stage.zoom > 1 && event.buttons) {
      const [dx, dy] = [event.clientX - press.x, event.clientY - press.y];
      if (press.dragging || Math.hypot(dx, dy) > SNAP) {
        stage.panBy(dx, dy);
        [press.x, press.y, press.dragging] = [event.clientX, event.clientY, true];
        panned();
        return;
      }
    }
    move(stage.point(event));
  });
  heat.addEventListener("pointerleave", () => leave());
  heat.addEventListener("pointerdown", (event) => {
    press = { x: event.clientX, y: event.clientY, dragging: false };
    if (stage.zoom > 1) heat.setPointerCapture(event.pointerId);
  });
  heat.addEventListener("pointerup", (event) => {
    if (press && !press.dragging && Math.hypot(event.clientX - press.x, event.clientY - press.y) <= SNAP) click(stage.point(event));
    press = null;
  });
}
