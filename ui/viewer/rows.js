// From bytes to the row that is painted: heads fused, sinks removed, or relative to the mean row.

const DECODE = Float32Array.from({ length: 256 }, (_, v) => (v / 255) ** 2);

// Roles whose rows are offered as chips when they have no place on the picture.
const CHIP_ROLES = new Set(["class", "distillation", "register", "bos", "query", "separator", "system"]);

function prepared({ header, arrays, bytes }) {
  const layer = { ...header, ...arrays, bytes };
  layer.queryRoles = spelledOut(header.queryRoles);
  layer.keyRoles = spelledOut(header.keyRoles);
  layer.Q = layer.queryRoles.length;
  layer.N = layer.keyRoles.length;
  layer.K = layer.N / layer.windows;
  layer.queryGrid = gridOf(layer.queryBoxes);
  layer.keyGrid = gridOf(layer.keyBoxes);
  layer.isSink = new Uint8Array(layer.N);
  for (const key of layer.sinks) layer.isSink[key] = 1;
  layer.borders = new Map();
  layer.asksFromPlaces = layer.queryBoxes.some((edge) => !Number.isNaN(edge));
  return layer;
}

// One head's row over the keys of its window, written to `out`; row null is the mean row of window `window`.
function headRow(layer, head, row, window, mode, out) {
  const { K, N, Q } = layer;
  const mean = layer.mean.subarray(head * N + window * K, head * N + (window + 1) * K);
  if (row === null) out.set(mean);
  else {
    const at = (head * Q + row) * K;
    const largest = layer.largest[head * Q + row];
    for (let k = 0; k < K; k++) out[k] = DECODE[layer.codes[at + k]] * largest;
  }
  if (mode === "relative") for (let k = 0; k < K; k++) out[k] -= mean[k];
  if (mode === "sinks removed") {
    let left = 0;
    for (let k = 0; k < K; k++) {
      if (layer.isSink[window * K + k]) out[k] = 0;
      left += out[k];
    }
    if (left > 0) for (let k = 0; k < K; k++) out[k] /= left;
  }
}

function fuseWindow(layer, row, window, how, values) {
  const { K } = layer;
  const heads = how.fuse === "single" ? [Math.min(how.head, layer.heads - 1)] : Array.from({ length: layer.heads }, (_, h) => h);
  const fused = values.subarray(window * K, (window + 1) * K);
  fused.fill(how.fuse === "max" ? -Infinity : 0);
  const part = new Float32Array(K);
  for (const head of heads) {
    headRow(layer, head, row, window, how.mode, part);
    if (how.fuse === "max") for (let k = 0; k < K; k++) fused[k] = Math.max(fused[k], part[k]);
    else for (let k = 0; k < K; k++) fused[k] += part[k] / heads.length;
  }
  if (how.mode === "sinks removed") for (let k = 0; k < K; k++) if (layer.isSink[window * K + k]) fused[k] = NaN;
}

// Values over all keys of the layer; NaN where the row meets no key. Row null: what all patches give, in every window.
function valuesOf(layer, row, how) {
  const values = new Float32Array(layer.N).fill(NaN);
  if (row === null) for (let w = 0; w < layer.windows; w++) fuseWindow(layer, null, w, how, values);
  else fuseWindow(layer, row, layer.windowOf[row], how, values);
  return values;
}

// Second less first; a key outside of a row's window gets nothing from it.
function difference(first, second) {
  return first.map((v, i) => (Number.isNaN(v) && Number.isNaN(second[i]) ? NaN : (second[i] || 0) - (v || 0)));
}

// The tokens without a place that can be asked in this layer, each with its row and its column.
function chipsOf(layer, extra) {
  const count = {};
  const keys = layer.keyRoles.map((role, key) => ({ role, key })).filter((k) => Number.isNaN(layer.keyBoxes[4 * k.key]));
  const total = (role) => layer.queryRoles.filter((r, i) => r === role && Number.isNaN(layer.queryBoxes[4 * i])).length;
  const chips = [];
  layer.queryRoles.forEach((role, row) => {
    if (!Number.isNaN(layer.queryBoxes[4 * row]) || !CHIP_ROLES.has(role)) return;
    const nth = (count[role] = (count[role] ?? -1) + 1);
    const key = layer.windows === 1 ? keys.filter((k) => k.role === role)[nth]?.key : undefined;
    chips.push({ label: total(role) > 1 ? `${role} ${nth}` : role, row, key: key ?? null });
  });
  if (!chips.length && layer.windows === 1) {
    const alone = keys.filter((k) => CHIP_ROLES.has(k.role)).slice(0, 8);
    chips.push(...alone.map(({ role, key }) => ({ label: role, row: null, key })));
  }
  const here = (c) => (!c.tower || c.tower === layer.tower) && (c.row === null || c.row < layer.Q) && (c.key === null || c.key < layer.N);
  return [...chips.slice(0, 12), ...extra.filter(here)];
}

// What goes to tokens without place and without chip, by role.
function restOf(layer, values, chips) {
  const named = new Set(chips.map((chip) => chip.key));
  const rest = new Map();
  layer.keyRoles.forEach((role, key) => {
    if (Number.isNaN(layer.keyBoxes[4 * key]) && !named.has(key) && values[key]) rest.set(role, (rest.get(role) || 0) + values[key]);
  });
  return [...rest].filter(([, share]) => Math.abs(share) >= 0.0005);
}

function strongest(layer, values) {
  let best = -1;
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(layer.keyBoxes[4 * i]) || Number.isNaN(values[i])) continue;
    if (best < 0 || Math.abs(values[i]) > Math.abs(values[best])) best = i;
  }
  return best;
}
