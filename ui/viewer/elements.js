// Small pieces of the page: elements, numbers, the scale bar.

function element(tag, attributes = {}, parent = null, text = null) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  if (text !== null) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function rounded(value, digits = 2) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 100 ? value.toFixed(0) : size < 0.0005 ? value.toExponential(0) : String(Number(value.toPrecision(digits)));
  return text.replace("-", "\u2212");
}

function percent(share) {
  const value = 100 * share;
  const size = Math.abs(value);
  const text = size >= 9.95 ? value.toFixed(0) : size >= 0.095 ? value.toFixed(1) : size === 0 ? "0" : `${Number(value.toPrecision(1))}`;
  return `${text.replace("-", "\u2212")}\u00a0%`;
}

// A number of a picture in its unit: a share of attention as percent or as multiple of even attention.
function inUnit(value, unit, evenShare) {
  if (unit === "even") return `${rounded(value / evenShare)} \u00d7`;
  if (unit === "percent") return percent(value);
  return rounded(value) + (unit ? ` ${unit}` : "");
}

function scaleBar(parent, onUnit) {
  const bar = element("div", { class: "scale" }, parent);
  const numbers = element("div", { class: "numbers" }, bar);
  const ends = ["low", "middle", "high"].map((name) => element("span", { class: name }, numbers));
  const strip = element("div", { class: "strip" });
  bar.prepend(strip);
  const title = onUnit ? element("button", { class: "unit", type: "button" }, bar) : element("span", { class: "unit" }, bar);
  if (onUnit) title.addEventListener("click", onUnit);
  return {
    bar,
    show(range, texts, unit) {
      bar.style.visibility = range ? "visible" : "hidden";
      if (!range) return;
      const look = range.signed ? "diverging" : "sequential";
      if (strip.dataset.look !== look) {
        strip.style.background = cssGradient(range);
        strip.dataset.look = look;
      }
      ends.forEach((end, i) => (end.textContent = texts[i]));
      if (title.textContent !== unit) title.textContent = unit;
    },
  };
}

// Arrow keys go from one of these buttons to the next.
function walk(box, among, arrived = () => {}) {
  box.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const buttons = among();
    const now = buttons.indexOf(event.composedPath()[0]);
    if (!step || now < 0 || event.shiftKey) return;
    event.preventDefault();
    const next = buttons[(now + step + buttons.length) % buttons.length];
    next.focus();
    arrived(next);
  });
}

function segments(parent, label, options, choose) {
  const group = element("div", { class: "segments", role: "radiogroup", "aria-label": label }, parent);
  const buttons = options.map(({ value, text, hint }) => {
    const button = element("button", { type: "button", role: "radio", title: hint }, group, text);
    button.addEventListener("click", () => choose(value));
    return { value, button };
  });
  walk(group, () => buttons.map(({ button }) => button), (button) => button.click());
  return (chosen) => {
    for (const { value, button } of buttons) {
      button.setAttribute("aria-checked", String(value === chosen));
      button.tabIndex = value === chosen ? 0 : -1;
    }
  };
}

// A menu under a button; closed by Escape, by a choice, and by a click elsewhere.
function menu(parent, label, items, options = {}) {
  const box = element("div", { class: "menu" }, parent);
  const button = element("button", { type: "button", "aria-haspopup": "true", "aria-expanded": "false", title: options.hint }, box, label);
  const list = element("div", { class: "items", role: "menu", hidden: true }, box);
  const open = (yes) => {
    list.hidden = !yes;
    button.setAttribute("aria-expanded", String(yes));
  };
  button.addEventListener("click", () => open(list.hidden));
  for (const { text, act } of items) {
    const item = element("button", { type: "button", role: "menuitem" }, list, text);
    item.addEventListener("click", () => {
      open(false);
      button.focus();
      act();
    });
  }
  walk(box, () => [button, ...list.children].filter((item) => !list.hidden || item === button));
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || list.hidden) return;
    open(false);
    button.focus();
    event.stopPropagation();
  });
  box.addEventListener("focusout", (event) => {
    if (!box.contains(event.relatedTarget)) open(false);
  });
  return box;
}

function exportMenu(parent, figure) {
  const save = (kind, scale) => saveFigure(figure(), kind, scale);
  return menu(parent, "Save", [
    { text: "SVG", act: () => save("svg", 1) },
    { text: "PNG", act: () => save("png", 1) },
    { text: "PNG, 2\u00d7", act: () => save("png", 2) },
    { text: "PNG, 4\u00d7", act: () => save("png", 4) },
  ], { hint: "Save this picture with its title and scale" });
}
