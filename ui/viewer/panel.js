// The viewer's elements. Built once per place on the page; what they show is set by the viewer.

const KEYS = [
  ["1 2 3", "mean of heads, maximum of heads, one head"],
  ["4 5 6", "raw, sinks removed, relative to the mean row"],
  ["Shift + arrows", "previous or next layer and head"],
  ["Arrows", "on the small maps: move; on the picture: move from patch to patch"],
  ["Enter, click", "pin; a second pin shows the difference"],
  ["Shift + click", "on a word: its difference from the chosen one"],
  ["Escape", "clear the pins"],
  ["+ \u2212 0", "zoom in, out, whole picture; drag to move"],
  ["s", "smooth or true patches"],
  ["?", "this list"],
];

const FUSE = [
  { value: "mean", text: "Mean", hint: "Mean of all heads of the layer (1)" },
  { value: "max", text: "Max", hint: "The largest weight among the heads (2)" },
  { value: "single", text: "One head", hint: "Only the chosen head (3)" },
];
const MODES = [
  { value: "raw", text: "Raw", hint: "Weights as the model uses them (4)" },
  { value: "sinks removed", text: "No sinks", hint: "Without the tokens that every row looks at, rows scaled back to 1 (5)" },
  { value: "relative", text: "Relative", hint: "Less the mean row of the same head: over all patches, or the whole answer (6)" },
];

function buildPanel(root, act) {
  const viewer = element("div", { class: "viewer" });
  root.append(viewer);
  const bar = element("div", { class: "bar", role: "toolbar", "aria-label": "How attention is shown" }, viewer);
  const fuse = segments(bar, "Heads", FUSE, act.fuse);
  const mode = segments(bar, "Weights", MODES, act.mode);
  const cover = element("label", { class: "cover", title: "How much the map covers the picture" }, bar, "Cover");
  const opacity = element("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": "How much the map covers the picture" }, cover);
  opacity.addEventListener("input", () => act.opacity(opacity.value / 100));
  const smooth = element("button", { type: "button", class: "toggle", "aria-pressed": "false", title: "Blend between patches (s)" }, bar, "Smooth");
  smooth.addEventListener("click", act.smooth);
  const zoom = element("div", { class: "zoom", role: "group", "aria-label": "Zoom" }, bar);
  for (const [text, label, factor] of [["\u2212", "Zoom out", 1 / 1.4], ["+", "Zoom in", 1.4], ["1:1", "Whole picture", 0]]) {
    element("button", { type: "button", "aria-label": label, title: label }, zoom, text).addEventListener("click", () => act.zoom(factor));
  }
  exportMenu(bar, act.figure);
  const help = element("button", { type: "button", class: "help", "aria-expanded": "false", "aria-label": "Keys", title: "Keys (?)" }, bar, "?");
  help.addEventListener("click", act.help);

  const body = element("div", { class: "body" }, viewer);
  const main = element("div", { class: "main" }, body);
  const stage = element("div", { class: "stage" }, main);
  const under = element("div", { class: "under" }, main);
  const sentence = element("div", { class: "sentence", hidden: true, role: "status" }, stage);
  const readout = element("div", { class: "readout", "aria-live": "polite" }, under);

  const side = element("div", { class: "side" }, body);
  const words = element("div", { class: "answer", hidden: true }, side);
  const chips = element("div", { class: "chips", role: "group", "aria-label": "Tokens without a place on the picture" }, side);
  const note = element("div", { class: "note" }, side);
  const head = element("div", { class: "headline" }, side);
  const named = element("h3", {}, head);
  const sort = element("select", { "aria-label": "Order of the small maps" }, head);
  sort.addEventListener("change", () => act.sort(sort.value));
  const facts = element("div", { class: "facts" }, side);
  const scroll = element("div", { class: "scroll" }, side);
  const thumbs = element("canvas", { class: "thumbs", tabindex: 0, role: "application" }, scroll);
  const keys = element("dl", { class: "keys", hidden: true, "aria-label": "Keys" }, viewer);
  for (const [key, meaning] of KEYS) {
    element("dt", {}, keys, key);
    element("dd", {}, keys, meaning);
  }
  const scale = scaleBar(under, act.unit);
  return { viewer, bar, fuse, mode, opacity, smooth, help, body, main, stage, under, sentence, readout, side, words, chips, note, named, sort, facts, scroll, thumbs, keys, scale };
}

function fillSort(select, names, chosen) {
  const options = [["", "Layer by layer"], ...names.flatMap((n) => [[n, `${n}, high first`], [`-${n}`, `${n}, low first`]])];
  select.replaceChildren(...options.map(([value, text]) => element("option", { value }, null, text)));
  select.value = options.some(([value]) => value === chosen) ? chosen : "";
  select.hidden = options.length < 2;
}
