// One map over its picture: the same colours, the value under the pointer, the same figures to take away.

class MapDisplay {
  constructor(root) {
    this.opacity = 0.7;
    this.panel = element("div", { class: "viewer map" });
    root.append(this.panel);
    this.bar = element("div", { class: "bar" }, this.panel);
    this.title = element("h3", {}, this.bar);
    element("span", { class: "space" }, this.bar);
    exportMenu(this.bar, () => this.figure());
    const box = element("div", { class: "stage" }, this.panel);
    this.sentence = element("div", { class: "sentence", hidden: true, role: "status" }, box);
    this.stage = new Stage(box, this.opacity);
    this.stage.heat.setAttribute("role", "img");
    const under = element("div", { class: "under" }, this.panel);
    this.scale = scaleBar(under, null);
    this.readout = element("div", { class: "readout" }, under);
    followPointer(this.stage, { move: (point) => this.over(point), leave: () => this.over(null), click: () => {}, panned: () => {} });
    this.resizing = new ResizeObserver(() => this.layOut());
    this.resizing.observe(this.panel);
  }

  receive({ data }) {
    const fresh = this.data?.url !== data.url;
    this.data = data;
    this.panel.style.setProperty("--height", `${data.height}px`);
    this.title.textContent = data.title;
    this.panel.classList.toggle("untitled", !data.title);
    if (fresh) this.load(data.url);
    else this.layOut();
  }

  async load(url) {
    try {
      const [packed, photo] = await Promise.all([askPacked(`${url}/map`), ask(`${url}/image`).then((answer) => answer.blob())]);
      const image = new Image();
      const source = URL.createObjectURL(photo);
      image.src = source;
      await image.decode();
      URL.revokeObjectURL(source);
      if (this.data.url !== url) return;
      this.photo = photo;
      const { boxes, values } = packed.arrays;
      this.map = { keyBoxes: boxes, values, keyGrid: gridOf(boxes), unit: packed.header.unit };
      const placed = values.filter((v, i) => !Number.isNaN(boxes[4 * i]));
      this.range = rangeOf(placed, packed.header.signed);
      this.sentence.hidden = placed.length > 0;
      if (!placed.length) this.sentence.textContent = "None of these tokens has a place on the picture.";
      this.stage.setPicture(image, this.data.width, this.data.height_of_picture);
      this.layOut();
    } catch (error) {
      this.sentence.hidden = false;
      this.sentence.textContent = error.message;
    }
  }

  layOut() {
    if (!this.map || !this.panel.clientWidth) return;
    this.stage.fit(this.panel.clientWidth, this.data.height - (this.data.title ? 110 : 72));
    this.bar.style.width = `${this.stage.size[0]}px`;
    this.paint();
  }

  layers() {
    const { keyBoxes, keyGrid, values } = this.map;
    return { boxes: keyBoxes, grid: keyGrid, values, range: this.range, opacity: this.opacity, smooth: false };
  }

  paint() {
    const outlines = this.under >= 0 ? [{ box: this.map.keyBoxes.subarray(4 * this.under, 4 * this.under + 4) }] : [];
    this.stage.paint({ ...this.layers(), outlines });
    this.scale.show(this.range, this.texts(), this.map.unit);
    const best = this.under >= 0 ? this.under : strongest(this.map, this.map.values);
    const place = best < 0 ? "" : `${rounded(this.map.values[best])} at ${placeName(this.map, "key", best)}`;
    this.readout.textContent = best < 0 || this.under >= 0 ? place : `strongest ${place}`;
    this.stage.heat.setAttribute("aria-label", [this.data.title || "Map over the picture", this.readout.textContent].join(". "));
  }

  over(point) {
    if (!this.map) return;
    const now = point ? hit(this.map.keyBoxes, ...point) : -1;
    if (now === this.under) return;
    this.under = now;
    this.paint();
  }

  texts() {
    const { low, high, signed } = this.range;
    return [rounded(low), signed ? "0" : rounded((low + high) / 2), rounded(high)];
  }

  figure() {
    if (!this.map) return null;
    return {
      title: this.data.title, subtitle: this.map.unit, photo: this.photo, picture: this.stage.picture,
      paint: this.layers(), texts: this.texts(), unit: this.map.unit, font: getComputedStyle(this.panel).fontFamily,
    };
  }

  dispose() {
    this.resizing.disconnect();
    this.panel.remove();
  }
}
