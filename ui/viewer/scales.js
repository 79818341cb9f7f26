// Colours. Both scales are drawn through a few anchors in OKLCH, so that equal steps look equal; lightness alone
// already orders the sequential one, so it survives colour blindness and grey printing.

const SEQUENTIAL = [[0.2, 0.07, 292], [0.36, 0.12, 275], [0.52, 0.11, 235], [0.66, 0.11, 185], [0.8, 0.15, 145], [0.94, 0.16, 108]];
const DIVERGING = [
  [0.38, 0.12, 258], [0.55, 0.13, 252], [0.76, 0.08, 245], [0.97, 0.0, 245],
  [0.97, 0.0, 60], [0.81, 0.1, 65], [0.66, 0.15, 52], [0.48, 0.13, 42],
];
const DIVERGING_AT = [0, 0.17, 0.34, 0.5, 0.5, 0.66, 0.83, 1];

function oklabToRgb(L, a, b) {
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return linear.map((c) => {
    const clipped = Math.min(1, Math.max(0, c));
    return Math.round(255 * (clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055));
  });
}

function colourTable(anchors, positions) {
  const at = positions || anchors.map((_, i) => i / (anchors.length - 1));
  const labs = anchors.map(([L, C, h]) => [L, C * Math.cos((h * Math.PI) / 180), C * Math.sin((h * Math.PI) / 180)]);
  const table = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const t = i / 255;
    let k = 0;
    while (k < at.length - 2 && t > at[k + 1]) k++;
    const span = at[k + 1] - at[k];
    const f = span > 0 ? (t - at[k]) / span : 0;
    const lab = labs[k].map((v, c) => v + f * (labs[k + 1][c] - v));
    table.set(oklabToRgb(...lab), 3 * i);
  }
  return table;
}

const SCALES = { sequential: colourTable(SEQUENTIAL), diverging: colourTable(DIVERGING, DIVERGING_AT) };

// The number range of a picture: from zero up, or the same way to both sides of zero.
function rangeOf(values, signed) {
  let low = 0;
  let high = 0;
  for (const v of values) {
    if (v > high) high = v;
    if (v < low) low = v;
  }
  if (signed) {
    const reach = Math.max(high, -low) || 1e-9;
    return { low: -reach, high: reach, table: SCALES.diverging, signed: true };
  }
  return { low, high: high > low ? high : low + 1e-9, table: SCALES.sequential, signed: false };
}

function colourIndex(range, value) {
  const t = (value - range.low) / (range.high - range.low);
  return 3 * Math.round(255 * Math.min(1, Math.max(0, t)));
}

function cssColour(range, value) {
  const i = colourIndex(range, value);
  return `rgb(${range.table[i]},${range.table[i + 1]},${range.table[i + 2]})`;
}

function cssGradient(range, steps = 24) {
  const stops = Array.from({ length: steps + 1 }, (_, i) => cssColour(range, range.low + ((range.high - range.low) * i) / steps));
  return `linear-gradient(to right, ${stops.join(", ")})`;
}
