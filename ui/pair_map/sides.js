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

// For each token of the first, which part of which tokens of the second lies under it: [[number, part], ...].
function overlaps(first, second) {
  const [w1, h1, w2, h2] = [first.told.width, first.told.height, second.told.width, second.told.height];
  const other = [];
  for (let j = 0; j < second.layer.keyBoxes.length / 4; j++) {
    const [x0, y0, x1, y1] = second.layer.keyBoxes.subarray(4 * j, 4 * j + 4);
    if (!Number.isNaN(x0)) other.push([j, x0 / w2, y0 / h2, x1 / w2, y1 / h2]);
  }
  return Array.from({ length: first.layer.keyBoxes.length / 4 }, (_, i) => {
    const [x0, y0, x1, y1] = first.layer.keyBoxes.subarray(4 * i, 4 * i + 4);
    if (Number.isNaN(x0)) return null;
    const found = [];
    for (const [j, a0, b0, a1, b1] of other) {
      const shared = Math.max(0, Math.min(x1 / w1, a1) - Math.max(x0 / w1, a0)) * Math.max(0, Math.min(y1 / h1, b1) - Math.max(y0 / h1, b0));
      const part = shared / ((a1 - a0) * (b1 - b0));
      if (part > 0.001) found.push([j, part > 0.999 ? 1 : part]);
    }
    return found.length ? found : null;
  });
}

// Second less first, on the tokens of the first; what the second has there is brought along whole.
function differenceOf(first, second, links) {
  return first.map((value, i) => {
    if (!links[i]) return NaN;
    let sum = 0;
    let known = false;
    for (const [j, part] of links[i]) {
      if (Number.isNaN(second[j])) continue;
      sum += part * second[j];
      known = true;
    }
    if (Number.isNaN(value)) return known ? sum : NaN;
    return sum - value;
  });
}
