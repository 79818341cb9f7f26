// The viewer of one picture and one model. Hovering is answered here; Python hears of what was chosen, a little later.

const TELL_AFTER = 150; // ms
const NARROW = 640; // below it, what stands beside the picture goes under it (as in viewer.css)
const SIDE_LEAST = 290;
const SCALE_LEAST = 340;
const FUSES = ["mean", "max", "single"];
const MODE_NAMES = ["raw", "sinks removed", "relative"];

class Viewer {
  constructor(root) {
    this.pins = [];
    this.hover = null;
    this.opacity = 0.7;
    this.unit = "percent";
    this.panel = buildPanel(root, {
      fuse: (fuse) => this.set({ fuse }),
      mode: (mode) => this.set({ mode }),
      opacity: (opacity) => this.cover(opacity),
      smooth: () => this.set({ smooth: !this.choice.smooth }),
      zoom: (factor) => this.zoom(factor),
      figure: () => this.figure(),
      help: () => this.toggleHelp(),
      sort: (sort) => this.set({ sort }),
      unit: () => { this.unit = this.unit === "percent" ? "even" : "percent"; this.paint(); },
    });
    this.panel.opacity.value = 100 * this.opacity;
    this.stage = new Stage(this.panel.stage, this.opacity);
    Object.entries({ tabindex: 0, role: "application" }).forEach(([k, v]) => this.stage.heat.setAttribute(k, v));
    this.navigator = new Navigator(this.panel.thumbs);
    this.listen();
    this.resizing = new ResizeObserver(() => this.layOut());
    this.resizing.observe(this.panel.viewer);
  }

  // New data from the page: another view, or a choice made elsewhere.
  receive({ data, setStateValue }) {
    this.tell = (value) => setStateValue("selection", value);
    const fresh = !this.data || this.data.url !== data.url;
    const moved = this.choice && this.serial !== data.moved.serial ? chosenOf(data.moved) : {};
    this.serial = data.moved.serial;
    this.data = data;
    this.panel.viewer.style.setProperty("--height", `${data.height}px`);
    if (Object.keys(moved).length) this.told = null;
    this.receiveWords(data.words);
    if (fresh) this.open({ ...(this.choice || chosenOf(data.given)), ...moved });
    else {
      this.choice.query = this.words ? this.rowOfWord(data.words.chosen) : data.given.query ?? "class";
      this.arrange();
      this.markWords();
      if (Object.keys(moved).length) {
        this.set(moved, false);
        this.scrollToChosen();
      }
    }
  }

  // Another view: what was chosen stays chosen, as far as the view has it.
  open(choice) {
    const { layers } = this.data;
    this.cache = new LayerCache(this.data.url);
    this.layer = null;
    this.pins = this.pins.filter((pin) => pin.kind !== "row");
    this.hover = null;
    this.lit = this.held = -1;
    this.stage.zoom = 1;
    this.unseen = true;
    this.choice = { layer: layers.length - 1, head: 0, fuse: "mean", mode: "raw", smooth: false, sort: "", query: "class", ...choice };
    if (this.words) this.choice.query = this.rowOfWord(this.data.words.chosen);
    this.choice.layer = Math.min(this.choice.layer, layers.length - 1);
    this.choice.head = Math.min(this.choice.head, layers[this.choice.layer].heads - 1);
    fillSort(this.panel.sort, Object.keys(this.data.statistics), this.choice.sort);
    this.choice.sort = this.panel.sort.value;
    this.arrange();
    this.loadPicture(this.data.url);
    this.loadThumbs();
    this.show();
  }

  async loadPicture(url) {
    try {
      const photo = await (await ask(`${url}/image`)).blob();
      const image = new Image();
      const source = URL.createObjectURL(photo);
      image.src = source;
      await image.decode();
      URL.revokeObjectURL(source);
      if (this.data.url !== url) return;
      this.photo = photo;
      this.stage.setPicture(image, this.data.width, this.data.height_of_picture);
      this.layOut();
    } catch (error) {
      this.say(error.message);
    }
  }

  async loadThumbs() {
    const query = this.thumbsQuery();
    const { url } = this.data;
    if (this.thumbsShown === `${url} ${query}`) return;
    this.thumbsShown = `${url} ${query}`;
    try {
      const packed = await askPacked(`${url}/thumbs?query=${encodeURIComponent(query)}`);
      if (this.thumbsShown === `${url} ${query}`) this.navigator.setThumbs(packed);
    } catch (error) {
      this.say(error.message);
    }
  }

  thumbsQuery() {
    const pin = this.pins[this.pins.length - 1];
    if (!pin) return String(this.choice.query);
    if (pin.kind === "point") return `${pin.x.toFixed(1)},${pin.y.toFixed(1)}`;
    return pin.kind === "mean" ? "mean" : String(pin.row);
  }

  set(change, tell = true) {
    const before = { ...this.choice };
    Object.assign(this.choice, change);
    const { layers } = this.data;
    this.choice.layer = Math.min(layers.length - 1, Math.max(0, this.choice.layer));
    this.choice.head = Math.min(layers[this.choice.layer].heads - 1, Math.max(0, this.choice.head));
    if (tell) this.report();
    if (this.choice.sort !== before.sort) {
      this.panel.sort.value = this.choice.sort;
      this.arrange();
    }
    if (this.choice.layer !== before.layer || !this.layer) this.show();
    else this.update();
  }

  // Show the chosen layer: at once if it is here, else as soon as it comes; the picture shown before stays, dimmed.
  async show() {
    const number = this.choice.layer;
    const { cache } = this;
    if (!cache.has(number)) {
      this.panel.stage.classList.add("waiting");
      this.update();
      try {
        await cache.load(number);
      } catch (error) {
        if (cache === this.cache && number === this.choice.layer) this.say(error.message);
        return;
      }
    }
    if (cache !== this.cache || number !== this.choice.layer) return;
    this.panel.stage.classList.remove("waiting");
    this.layer = cache.get(number);
    this.chips = this.words ? [] : chipsOf(this.layer, this.data.chips);
    this.drawChips();
    this.update();
    if (this.pins.length) this.report();
    idle(() => [number + 1, number - 1].forEach((n) => this.data.layers[n] && cache === this.cache && cache.load(n).catch(() => {})));
  }

  report() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const { layer, head, fuse, mode, smooth, sort } = this.choice;
      if (this.pins.length && this.layer?.layer !== layer) return; // the rows of pins are known when the layer is here: `show` reports
      const pins = this.pins.map((pin) => this.rowOf(pin)).filter((row) => row !== undefined && row !== null);
      const value = { layer, head, pins, fuse, mode, smooth, sort, ...this.wordChosen() };
      if (this.told === JSON.stringify(value)) return;
      this.told = JSON.stringify(value);
      this.tell(value);
    }, TELL_AFTER);
  }

  how() {
    return { fuse: this.choice.fuse, head: this.choice.head, mode: this.choice.mode };
  }

  // The row that something names in the layer shown: null for the mean of all patches, undefined for none.
  rowOf(asked) {
    if (asked.kind === "mean") return null;
    if (asked.kind === "row") return asked.row < this.layer.Q ? asked.row : undefined;
    const found = hit(this.layer.queryBoxes, asked.x, asked.y);
    return found < 0 ? undefined : found;
  }

  baseQuery() {
    const { query } = this.choice;
    if (query === "class") {
      const row = this.layer.queryRoles.indexOf("class");
      return row < 0 ? { kind: "mean" } : { kind: "row", row, label: "class" };
    }
    return query === "mean" ? { kind: "mean" } : { kind: "row", row: Number(query) };
  }

  nameOf(asked) {
    const row = this.rowOf(asked);
    if (row === null) return this.meanName();
    if (row === undefined) return "nothing";
    if (asked.label) return asked.label;
    if (this.words) return this.nameOfRow(row);
    if (Number.isNaN(this.layer.queryBoxes[4 * row])) return this.chips.find((c) => c.row === row)?.label || `${this.layer.queryRoles[row]} (token ${row})`;
    const name = placeName(this.layer, "query", row);
    return this.layer.queryGrid ? `patch (${name})` : name;
  }

  meanName() {
    if (this.words) return "whole answer (mean)";
    if (!this.layer.asksFromPlaces) return "all rows (mean)";
    return this.layer.windows > 1 ? "all windows (mean)" : "all patches (mean)";
  }

  // Which of the chips without a place of their own looked at a key: they light up.
  light(key) {
    if (this.lit === key) return;
    this.lit = key;
    if (this.words) {
      this.lightWords();
      return;
    }
    const asked = (this.chipButtons || []).filter(({ chip }) => chip.row !== null && !chip.mean);
    const looks = asked.map(({ chip }) => (key < 0 ? 0 : Math.max(0, valuesOf(this.layer, chip.row, this.how())[key] || 0)));
    const most = Math.max(1e-9, ...looks);
    asked.forEach(({ button }, i) => {
      button.classList.toggle("lit", key >= 0);
      button.style.setProperty("--lit", looks[i] / most);
    });
  }

  // What is to be painted: one row, or the difference of two.
  picture() {
    const known = (asked) => asked && this.rowOf(asked) !== undefined;
    const pins = this.pins.filter(known);
    const word = this.words && this.hover?.kind === "row" && known(this.hover) ? this.hover : null;
    if (pins.length === 2 && !word) {
      const [first, second] = pins.map((pin) => valuesOf(this.layer, this.rowOf(pin), this.how()));
      return { values: difference(first, second), signed: true, subject: pins, text: `${this.nameOf(pins[1])} less ${this.nameOf(pins[0])}` };
    }
    const asked = word || pins[0] || (known(this.hover) ? this.hover : known(this.baseQuery()) ? this.baseQuery() : { kind: "mean" });
    const signed = this.choice.mode === "relative";
    return { values: valuesOf(this.layer, this.rowOf(asked), this.how()), signed, subject: [asked], text: this.nameOf(asked) };
  }

  paint() {
    if (!this.layer || !this.stage.picture) return;
    if (this.layer.quality === "none") {
      this.say(this.layer.reason || "These tokens have no place on the picture.");
      this.stage.paint({ values: null });
      this.panel.scale.show(null);
      this.panel.readout.textContent = "";
      return;
    }
    this.say("");
    const shown = this.picture();
    this.shown = shown;
    const placed = shown.values.filter((_, i) => !Number.isNaN(this.layer.keyBoxes[4 * i]));
    this.range = rangeOf(placed, shown.signed);
    this.stage.paint({ ...this.layers(), outlines: this.outlines(), border: this.border(shown) });
    this.panel.scale.show(this.range, this.scaleTexts(), this.unitText());
    this.readOut(shown);
    this.shares(shown.values);
  }

  layers() {
    const { keyBoxes, keyGrid } = this.layer;
    return { boxes: keyBoxes, grid: keyGrid, values: this.shown.values, range: this.range, opacity: this.opacity, smooth: this.choice.smooth };
  }

  outlines() {
    const boxes = [];
    const add = (asked, label) => {
      const row = asked && this.rowOf(asked);
      if (row === null || row === undefined || Number.isNaN(this.layer.queryBoxes[4 * row])) return;
      boxes.push({ box: this.layer.queryBoxes.subarray(4 * row, 4 * row + 4), label });
    };
    add(this.hover, "");
    if (!this.hover && !this.pins.length) add(this.baseQuery(), "");
    this.pins.forEach((pin, i) => add(pin, "AB"[i]));
    if (this.words && this.lookedAt() >= 0) boxes.push({ box: this.layer.keyBoxes.subarray(4 * this.lookedAt(), 4 * this.lookedAt() + 4) });
    return boxes;
  }

  // The border of the window in which the asked patch attends; none where all tokens meet.
  border({ subject }) {
    const row = this.layer.windows > 1 && subject.length === 1 ? this.rowOf(subject[0]) : null;
    if (row === null || row === undefined) return null;
    const window = this.layer.windowOf[row];
    const { borders, keyBoxes, K } = this.layer;
    if (!borders.has(window)) borders.set(window, borderOf(keyBoxes, window * K, (window + 1) * K));
    return borders.get(window);
  }

  scaleTexts() {
    const say = (v) => inUnit(v, this.unit, 1 / this.layer.K);
    return [say(this.range.low), this.range.signed ? "0" : say((this.range.low + this.range.high) / 2), say(this.range.high)];
  }

  unitText() {
    if (this.unit === "even") return `times even attention (1/${this.layer.K})`;
    return this.range.signed ? "difference in share of attention" : "share of attention";
  }

  readOut(shown) {
    if (this.words && this.lookedAt() >= 0) {
      this.panel.readout.textContent = this.lookersText();
      return;
    }
    const best = strongest(this.layer, shown.values);
    const under = this.pins.length && this.hover?.kind === "point" ? hit(this.layer.keyBoxes, this.hover.x, this.hover.y) : best;
    const at = under >= 0 && !Number.isNaN(shown.values[under]) ? under : best;
    const text = at < 0 ? shown.text : `${shown.text} \u2192 ${inUnit(shown.values[at], this.unit === "even" ? "even" : "", 1 / this.layer.K)} at ${placeName(this.layer, "key", at)}`;
    this.panel.readout.textContent = text;
    this.stage.heat.setAttribute("aria-label", `Picture with attention. ${text}`);
  }

  shares(values) {
    const signed = this.shown.signed;
    for (const { chip, share } of this.chipButtons || []) {
      if (chip.key === null || chip.key === undefined) continue;
      const value = values[chip.key];
      share.textContent = Number.isNaN(value) ? "\u2013" : (signed && value > 0 ? "+" : "") + percent(value);
    }
    const named = (role) => (this.words && role === "image" ? "image elsewhere" : role);
    const parts = restOf(this.layer, values, this.chips).map(([role, share]) => `${named(role)} ${percent(share)}`);
    if (this.choice.mode === "sinks removed") parts.push(this.sinkText());
    const text = parts.join(" \u00b7 ");
    if (this.panel.note.textContent !== text) this.panel.note.textContent = text;
  }

  sinkText() {
    const { sinks } = this.layer;
    if (!sinks.length) return "this layer has no sinks";
    const named = sinks.slice(0, 6).map((key) => {
      if (!Number.isNaN(this.layer.keyBoxes[4 * key])) return placeName(this.layer, "key", key);
      return this.chips.find((chip) => chip.key === key)?.label || this.layer.keyRoles[key];
    });
    return `removed: ${named.join("; ")}${sinks.length > 6 ? ` and ${sinks.length - 6} more` : ""}`;
  }

  drawChips() {
    const { chips } = this.panel;
    const drawn = JSON.stringify(this.chips) + this.layer.windows;
    if (this.drawnChips === drawn) return;
    this.drawnChips = drawn;
    chips.replaceChildren();
    const all = { label: this.meanName(), mean: true };
    this.chipButtons = [all, ...this.chips].map((chip) => {
      const asked = chip.mean ? { kind: "mean" } : { kind: "row", row: chip.row, label: chip.label };
      const button = element("button", { type: "button", class: "chip", disabled: chip.row === null && !chip.mean }, chips);
      element("span", {}, button, chip.label);
      const share = chip.mean || chip.key === null ? null : element("span", { class: "share" }, button);
      const look = (now) => { this.hover = now; this.paint(); };
      button.addEventListener("pointerenter", () => look(asked));
      button.addEventListener("pointerleave", () => look(null));
      button.addEventListener("focus", () => button.matches(":focus-visible") && look(asked));
      button.addEventListener("blur", () => look(null));
      button.addEventListener("click", () => this.pin(asked));
      return { chip, asked, button, share };
    });
  }

  update() {
    if (!this.choice) return;
    const { layers } = this.data;
    const { layer, head, fuse, mode } = this.choice;
    this.panel.fuse(fuse);
    this.panel.mode(mode);
    this.panel.smooth.setAttribute("aria-pressed", String(this.choice.smooth));
    this.markWords();
    this.lightWords();
    this.describe();
    this.navigator.choose(layer, head, fuse !== "single");
    const label = `Small maps of all heads. Chosen: layer ${layers[layer].number}, head ${head}. Arrow keys move.`;
    this.panel.thumbs.setAttribute("aria-label", label);
    for (const { asked, button } of this.chipButtons || []) {
      button.setAttribute("aria-pressed", String(this.pins.some((pin) => samePin(pin, asked))));
    }
    this.paint();
  }

  // Name and numbers of what is shown, or of the head whose small map is under the pointer.
  describe(hovered = null) {
    const { layers, statistics } = this.data;
    const { layer, head, fuse } = hovered ? { ...hovered, fuse: "single" } : this.choice;
    const record = layers[layer];
    const tower = record.tower === layers[0].tower ? "" : `${record.tower} `;
    const heads = fuse === "single" ? `head ${head}` : `${fuse === "max" ? "maximum" : "mean"} of ${record.heads} heads`;
    this.panel.named.textContent = `${tower}layer ${record.number} \u00b7 ${heads}`;
    const facts = Object.entries(statistics).map(([name, rows]) => {
      const known = (fuse === "single" ? [rows[layer][head]] : rows[layer]).filter((value) => value !== null);
      const said = name.startsWith("share") ? percent : rounded;
      return known.length ? `${name} ${said(known.reduce((a, b) => a + b, 0) / known.length)}` : null;
    });
    const average = fuse === "single" || record.heads === 1 ? "" : "on average ";
    this.panel.facts.textContent = facts.some(Boolean) ? average + facts.filter(Boolean).join(" \u00b7 ") : "";
  }

  arrange() {
    this.navigator.arrange(this.data.layers, this.data.statistics, this.choice.sort);
    this.layOut();
    if (this.choice) this.navigator.choose(this.choice.layer, this.choice.head, this.choice.fuse !== "single");
  }

  layOut() {
    if (!this.data || !this.navigator.cells.length) return;
    const whole = this.panel.viewer.clientWidth;
    if (!whole) return;
    const beside = whole > NARROW;
    const words = this.words ? this.panel.words.offsetHeight + 8 : 0;
    if (this.stage.picture) {
      const heads = LABEL + this.navigator.columns * (28 + GAP) + 26;
      const side = Math.max(SIDE_LEAST, 0.3 * whole, Math.min(heads, 0.5 * whole));
      this.stage.fit(beside ? whole - side : whole, this.data.height - this.panel.bar.offsetHeight - 80 - (beside ? 0 : words));
      this.panel.viewer.style.setProperty("--stage", `${Math.max(this.stage.size[0], SCALE_LEAST)}px`);
    }
    this.panel.viewer.style.setProperty("--words", `${words}px`);
    this.navigator.fit(this.panel.scroll.clientWidth - 2, this.data.height - 190 - words);
    if (this.unseen && this.stage.picture && this.navigator.chosen) {
      this.unseen = false;
      this.scrollToChosen();
    }
    if (this.choice) this.paint();
  }

  pin(asked) {
    const known = this.pins.findIndex((pin) => samePin(pin, asked, this));
    if (known >= 0) this.pins.splice(known, 1);
    else this.pins = [...this.pins.slice(0, 1), asked];
    this.report();
    this.update();
    this.loadThumbs();
  }

  clear() {
    if (this.held >= 0) {
      this.held = -1;
      this.lightWords();
    }
    if (!this.pins.length) return;
    this.pins = [];
    this.report();
    this.update();
    this.loadThumbs();
  }

  zoom(factor) {
    this.stage.zoomBy(factor, this.hover?.kind === "point" ? [this.hover.x, this.hover.y] : null);
    this.paint();
  }

  cover(opacity) {
    this.opacity = opacity;
    this.stage.calm(opacity);
    this.paint();
  }

  toggleHelp(yes = this.panel.keys.hidden) {
    this.panel.keys.hidden = !yes;
    this.panel.help.setAttribute("aria-expanded", String(yes));
  }

  say(text) {
    this.panel.sentence.hidden = !text;
    if (this.panel.sentence.textContent !== text) this.panel.sentence.textContent = text;
    this.panel.stage.classList.toggle("told", Boolean(text));
    if (text) this.panel.stage.classList.remove("waiting");
  }

  chooseHead(cell) {
    if (cell) this.set({ layer: cell.layer, head: cell.head, fuse: "single" });
  }

  figure() {
    if (!this.shown || !this.photo || this.layer.quality === "none") return null;
    const { layer, head, fuse, mode } = this.choice;
    const heads = fuse === "single" ? `head ${head}` : `${fuse} of ${this.layer.heads} heads`;
    return {
      title: this.data.title, subtitle: `layer ${this.data.layers[layer].number}, ${heads}, ${mode}: ${this.shown.text}`,
      photo: this.photo, picture: this.stage.picture, paint: { ...this.layers(), outlines: this.outlines() },
      texts: this.scaleTexts(), unit: this.unitText(), font: getComputedStyle(this.panel.viewer).fontFamily,
    };
  }

  dispose() {
    this.resizing.disconnect();
    clearTimeout(this.timer);
    this.unlisten();
    this.panel.viewer.remove();
  }
}

function samePin(a, b, viewer) {
  if (a.kind !== b.kind) return false;
  if (a.kind === "point") return viewer ? viewer.rowOf(a) === viewer.rowOf(b) : a.x === b.x && a.y === b.y;
  return a.kind === "mean" || a.row === b.row;
}

function chosenOf(given) {
  return Object.fromEntries(Object.entries(given).filter(([name, value]) => name !== "serial" && value !== null));
}

function idle(work) {
  if (window.requestIdleCallback) window.requestIdleCallback(work, { timeout: 2000 });
  else setTimeout(work, 300);
}
