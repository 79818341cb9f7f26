// Buttons for heads, branches and layers. Several clicks in a row are sent together, so that the model runs once for them.

const boards = new WeakMap();
const WAIT_MS = 350;

class Board {
  constructor(root) {
    this.box = document.createElement("div");
    this.box.className = "switches";
    root.appendChild(this.box);
    this.off = new Set();
    this.box.addEventListener("pointerdown", (event) => this.press(event));
    this.box.addEventListener("pointerover", (event) => this.drag(event));
    this.box.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); this.press(event); this.painting = null; } });
    window.addEventListener("pointerup", () => { this.painting = null; });
  }

  update(data, setTriggerValue) {
    this.send = setTriggerValue;
    if (this.waiting) return;
    this.data = data;
    this.off = new Set(data.off);
    this.draw();
  }

  press(event) {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.row !== undefined) return this.whole(Number(button.dataset.row));
    this.painting = this.off.has(button.dataset.id) ? "on" : "off";
    this.set(button.dataset.id, this.painting);
  }

  drag(event) {
    const button = event.target.closest("button[data-id]");
    if (button && this.painting) this.set(button.dataset.id, this.painting);
  }

  whole(row) {
    const ids = this.data.rows[row].map((_, head) => `h${row}.${head}`);
    const state = ids.every((id) => this.off.has(id)) ? "on" : "off";
    ids.forEach((id) => this.set(id, state));
  }

  set(id, state) {
    if (state === "off") this.off.add(id); else this.off.delete(id);
    this.paint();
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => { this.waiting = null; this.send("off", [...this.off].sort()); }, WAIT_MS);
  }

  draw() {
    const { rows, parts, label } = this.data;
    const most = Math.max(...rows.map((row) => row.length));
    const values = rows.flat().filter((v) => v !== null);
    this.range = label && values.length ? rangeOf(values, Math.min(...values) < 0) : null;
    const head = Array.from({ length: most }, (_, h) => `<th>${h}</th>`).join("");
    const branches = parts ? '<th class="gap"></th><th>attention</th><th>MLP</th><th>layer</th>' : "";
    this.box.innerHTML = `<table><thead><tr><th></th>${head}${branches}</tr></thead><tbody></tbody></table>`;
    const body = this.box.querySelector("tbody");
    rows.forEach((row, layer) => body.appendChild(this.row(row, layer, most)));
    if (this.range) this.legend(label);
    this.paint();
  }

  row(row, layer, most) {
    const line = document.createElement("tr");
    const name = line.appendChild(document.createElement("th"));
    name.className = "name";
    const button = name.appendChild(document.createElement("button"));
    button.type = "button";
    button.dataset.row = layer;
    button.title = "all heads of this row";
    button.textContent = this.data.layers[layer];
    for (let h = 0; h < most; h++) {
      const cell = line.appendChild(document.createElement("td"));
      if (h < row.length) cell.appendChild(this.button(`h${layer}.${h}`, `head ${h} of ${this.data.layers[layer]}`, row[h]));
    }
    if (this.data.parts) {
      line.appendChild(document.createElement("td"));
      for (const [kind, what] of [["a", "attention"], ["m", "MLP"], ["l", "layer"]]) {
        const made = this.button(`${kind}${layer}`, `${what} of ${this.data.layers[layer]}`, null);
        made.classList.add("wide");
        made.firstChild.textContent = "on";
        line.appendChild(document.createElement("td")).appendChild(made);
      }
    }
    return line;
  }

  button(id, said, value) {
    const made = document.createElement("button");
    made.type = "button";
    made.dataset.id = id;
    made.setAttribute("aria-label", said);
    made.title = value === null || !this.range ? said : `${said}: ${value.toPrecision(2)}`;
    if (value !== null && this.range) made.style.background = cssColour(this.range, value);
    made.appendChild(document.createElement("span"));
    return made;
  }

  legend(label) {
    const line = this.box.appendChild(document.createElement("div"));
    line.className = "legend";
    const texts = [this.range.low.toPrecision(2), null, this.range.high.toPrecision(2), label];
    for (const text of texts) {
      const part = line.appendChild(document.createElement("span"));
      if (text === null) { part.className = "bar"; part.style.background = cssGradient(this.range); } else part.textContent = text;
    }
  }

  paint() {
    for (const button of this.box.querySelectorAll("button[data-id]")) {
      const id = button.dataset.id;
      const row = id.slice(1).split(".")[0];
      const off = this.off.has(id);
      const gone = this.off.has(`l${row}`) || (id[0] === "h" && this.off.has(`a${row}`));
      button.classList.toggle("off", off);
      button.classList.toggle("with", gone && !off);
      button.setAttribute("aria-pressed", off ? "true" : "false");
    }
  }
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  if (!boards.has(parentElement)) boards.set(parentElement, new Board(parentElement));
  boards.get(parentElement).update(data, setTriggerValue);
}
