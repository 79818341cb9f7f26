// The pictures that points come from: the one of the point under the mouse, large, with its patch and what it looks at.

class Pictures {
  constructor(parent, hooks) {
    this.box = piece("div", { class: "pictures" }, parent);
    this.stage = piece("div", { class: "stage" }, this.box);
    this.photo = piece("canvas", { class: "photo" }, this.stage);
    this.over = piece("canvas", { class: "over" }, this.stage);
    this.title = piece("div", { class: "title" }, this.box);
    this.strip = piece("div", { class: "strip" }, this.box);
    this.shown = 0;
    this.list = [];
    this.hooks = hooks;
    this.over.addEventListener("pointermove", (event) => hooks.hover(this.tokenAt(event)));
    this.over.addEventListener("pointerleave", () => hooks.hover(-1));
    this.over.addEventListener("click", (event) => hooks.choose(this.tokenAt(event)));
  }

  async receive(list, bytes) {
    this.list = list;
    this.box.hidden = !list.length;
    this.images = [];
    const coming = list.map((p) => createImageBitmap(new Blob([bytes.slice(p.at, p.at + p.bytes)], { type: "image/jpeg" })));
    const images = await Promise.all(coming);
    if (this.list !== list) return;
    this.images = images;
    this.shown = Math.min(this.shown, Math.max(0, list.length - 1));
    this.strip.replaceChildren();
    this.strip.hidden = list.length < 2;
    images.forEach((image, i) => {
      const button = piece("button", { type: "button", title: list[i].title, "aria-label": list[i].title }, this.strip);
      const small = piece("canvas", {}, button);
      sharp(small, 40, 40).drawImage(image, 0, 0, 40, 40);
      button.addEventListener("click", () => this.show(i, true));
    });
    this.paint();
  }

  fit(width, height) {
    this.room = [width, height];
    this.paint();
  }

  show(picture, told) {
    if (picture < 0 || picture >= this.list.length) return;
    if (picture !== this.shown) {
      this.shown = picture;
      this.paint();
    }
    if (told) this.hooks.shown();
  }

  paint() {
    const image = this.images && this.images[this.shown];
    if (!image || !this.room) return;
    const { width, height, title } = this.list[this.shown];
    const scale = Math.min(this.room[0] / width, this.room[1] / height);
    this.size = [Math.round(width * scale), Math.round(height * scale)];
    this.stage.style.width = `${this.size[0]}px`;
    this.stage.style.height = `${this.size[1]}px`;
    sharp(this.photo, ...this.size).drawImage(image, 0, 0, ...this.size);
    sharp(this.over, ...this.size).clearRect(0, 0, ...this.size);
    this.title.textContent = title;
    [...this.strip.children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === this.shown)));
  }

  // A patch and its surroundings, for the small picture beside the mouse.
  crop(canvas, picture, box) {
    const image = this.images && this.images[picture];
    if (!image || Number.isNaN(box[0])) return false;
    const context = sharp(canvas, 64, 64);
    const [w, h] = [(box[2] - box[0]) * image.width, (box[3] - box[1]) * image.height];
    const [x, y] = [box[0] * image.width - w, box[1] * image.height - h];
    context.clearRect(0, 0, 64, 64);
    context.drawImage(image, x, y, 3 * w, 3 * h, 0, 0, 64, 64);
    context.strokeStyle = "#fff";
    context.lineWidth = 1.5;
    context.strokeRect(64 / 3, 64 / 3, 64 / 3, 64 / 3);
    return true;
  }

  // Outlines: [{box, colour, strength, picture}]; the first one is drawn last and thickest.
  outline(outlines) {
    if (!this.size) return;
    const context = sharp(this.over, ...this.size);
    context.clearRect(0, 0, ...this.size);
    for (let i = outlines.length - 1; i >= 0; i--) {
      const { box, colour, strength, picture } = outlines[i];
      if (picture !== this.shown || Number.isNaN(box[0])) continue;
      const [w, h] = this.size;
      const at = [box[0] * w, box[1] * h, (box[2] - box[0]) * w, (box[3] - box[1]) * h];
      if (strength !== undefined) {
        context.globalAlpha = 0.15 + 0.6 * strength;
        context.fillStyle = colour;
        context.fillRect(...at);
        context.globalAlpha = 1;
      }
      for (const [style, width] of [["rgba(0,0,0,0.65)", i ? 2.5 : 4.5], ["#fff", i ? 1 : 2.2]]) {
        context.strokeStyle = style;
        context.lineWidth = width;
        context.strokeRect(...at);
      }
    }
  }

  tokenAt(event) {
    const bounds = this.over.getBoundingClientRect();
    const at = [(event.clientX - bounds.left) / bounds.width, (event.clientY - bounds.top) / bounds.height];
    return this.hooks.tokenAt(this.shown, ...at);
  }
}
