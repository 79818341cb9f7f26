// One of two columns: its tokens, and the values that a place asks for. Places are parts of the picture, 0 to 1.

class Side {
  constructor(parent, name) {
    this.box = element("div", { class: name }, parent);
    this.title = element("h3", {}, this.box);
    const stage = element("div", { class: "stage" }, this.box);
    this.stage = new Stage(stage, 0.7);
    this.stage.heat.setAttribute("role", "img");
    this.stage.heat.tabIndex = 0;
    this.scale = scaleBar(this.box, null);
  }

  async load(told, fresh) {
    this.told = told;
    this.title.textContent = this.title.title = told.title;
    const part = told.map ? "map" : `layer/${told.layer}`;
    const [packed, image] = await Promise.all([askPacked(`${told.url}/${part}`), fresh ? pictureAt(`${told.url}/image`) : this.image]);
    if (this.told !== told) return false;
    if (told.map) {
      const { boxes, values } = packed.arrays;
      this.layer = { keyBoxes: boxes, keyGrid: gridOf(boxes), queryBoxes: boxes, queryGrid: gridOf(boxes) };
      this.values = values;
      this.unit = packed.header.unit;
      this.signed = packed.header.signed;
    } else {
      this.layer = prepared(packed);
      this.unit = "share of attention";
      this.signed = false;
    }
    this.image = image;
    this.stage.setPicture(image, told.width, told.height);
    return true;
  }

  // The row (or token of a map) at a place; -1 where there is none.
  at([x, y]) {
    return hit(this.layer.queryBoxes, x * this.told.width, y * this.told.height);
  }

  place(row) {
    const [x, y] = centre(this.layer.queryBoxes, row);
    return Number.isNaN(x) || x === undefined ? null : [x / this.told.width, y / this.told.height];
  }

  asked(row) {
    if (this.told.map) return this.values;
    const { head } = this.told;
    return valuesOf(this.layer, row, { fuse: head === null ? "mean" : "single", head: head ?? 0, mode: "raw" });
  }

  placed(values) {
    return values.filter((v, i) => !Number.isNaN(v) && !Number.isNaN(this.layer.keyBoxes[4 * i]));
  }
}

async function pictureAt(url) {
  const photo = await ask(url).then((answer) => answer.blob());
  const image = new Image();
  const source = URL.createObjectURL(photo);
  image.src = source;
  await image.decode();
  URL.revokeObjectURL(source);
  return image;
}

// For each token of the first, which part of which tokens of the second lies under it: [[number, part], ...]; null where none
// does. The same shares as `analysis.compare.map_difference` takes.
function overlaps(first, second) {
  const [w1, h1, w2, h2] = [first.told.width, first.told.height, second.told.width, second.told.height];
  const [onto, other] = [first.layer.keyBoxes, second.layer.keyBoxes];
  if (sameBoxes(onto, other) && w1 === w2 && h1 === h2) {
    return Array.from({ length: onto.length / 4 }, (_, i) => (Number.isNaN(onto[4 * i]) ? null : [[i, 1]]));
  }
  const boxes = [];
  for (let j = 0; j < other.length / 4; j++) {
    const [x0, y0, x1, y1] = other.subarray(4 * j, 4 * j + 4);
    if (!Number.isNaN(x0)) boxes.push([j, x0 / w2, y0 / h2, x1 / w2, y1 / h2]);
  }
  const given = new Float64Array(other.length / 4);
  const found = Array.from({ length: onto.length / 4 }, (_, i) => {
    const [x0, y0, x1, y1] = onto.subarray(4 * i, 4 * i + 4);
    const parts = [];
    if (Number.isNaN(x0)) return parts;
    for (const [j, a0, b0, a1, b1] of boxes) {
      const shared = Math.max(0, Math.min(x1 / w1, a1) - Math.max(x0 / w1, a0)) * Math.max(0, Math.min(y1 / h1, b1) - Math.max(y0 / h1, b0));
      const part = shared / ((a1 - a0) * (b1 - b0));
      if (part <= 1e-5) continue;
      parts.push([j, part]);
      given[j] += part;
    }
    return parts;
  });
  return found.map((parts) => (parts.length ? parts.map(([j, part]) => [j, part / Math.max(given[j], 1)]) : null));
}

function sameBoxes(one, other) {
  return one.length === other.length && one.every((v, i) => Math.abs(v - other[i]) < 1e-3 || (Number.isNaN(v) && Number.isNaN(other[i])));
}

// Second less first, on the tokens of the first; what the second has there is brought along whole. A token outside of a row's
// window gets nothing from it.
function differenceOf(first, second, links) {
  return first.map((value, i) => {
    if (!links[i] || (Number.isNaN(value) && links[i].every(([j]) => Number.isNaN(second[j])))) return NaN;
    return links[i].reduce((sum, [j, part]) => sum + part * (second[j] || 0), 0) - (value || 0);
  });
}
