// Figures to take away: vector cells over the picture, with title and scale drawn in. Made in the browser.

const FIGURE_WIDTH = 720;
const MARGIN = 16;

function escaped(text) {
  return String(text).replace(/[&<>"']/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[c]);
}

function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

function cellsSvg({ boxes, grid, values, range, opacity, smooth }, scale) {
  const number = (v) => Number(v.toFixed(2));
  if (smooth && grid) {
    const [x0, y0, x1, y1] = grid.box.map((v) => v * scale);
    const small = document.createElement("canvas");
    [small.width, small.height] = [grid.columns, grid.rows];
    small.getContext("2d").putImageData(gridImage(grid, values, range), 0, 0);
    const large = document.createElement("canvas"); // readers of SVG enlarge pictures each in their own way
    [large.width, large.height] = [2 * (x1 - x0), 2 * (y1 - y0)].map(Math.round);
    const context = large.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(small, 0, 0, large.width, large.height);
    const box = `x="${number(x0)}" y="${number(y0)}" width="${number(x1 - x0)}" height="${number(y1 - y0)}"`;
    return `<image ${box} preserveAspectRatio="none" opacity="${opacity}" href="${large.toDataURL()}"/>`;
  }
  const cells = [];
  values.forEach((value, i) => {
    if (Number.isNaN(value) || Number.isNaN(boxes[4 * i])) return;
    const [x0, y0, x1, y1] = boxes.subarray(4 * i, 4 * i + 4);
    const box = [x0, y0, x1 - x0, y1 - y0].map((v) => number(v * scale));
    cells.push(`<rect x="${box[0]}" y="${box[1]}" width="${box[2]}" height="${box[3]}" fill="${cssColour(range, value)}"/>`);
  });
  return `<g opacity="${opacity}" shape-rendering="crispEdges">${cells.join("")}</g>`;
}

function outlinesSvg(outlines, scale) {
  return outlines.map(({ box, label }) => {
    const [x, y, w, h] = [box[0], box[1], box[2] - box[0], box[3] - box[1]].map((v) => (v * scale).toFixed(2));
    const rect = (colour, width) => `<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="none" stroke="${colour}" stroke-width="${width}"/>`;
    const text = label ? `<text x="${Number(x) + 4}" y="${Number(y) + 14}" font-size="12" font-weight="600" fill="#fff" stroke="#000" stroke-width="2.5" paint-order="stroke">${escaped(label)}</text>` : "";
    return rect("#000", 3.5) + rect("#fff", 1.75) + text;
  }).join("");
}

// figure: {title, subtitle, photo (blob), picture [w, h], paint (as for Stage.paint), texts [low, middle, high], unit, font}
async function figureSvg(figure) {
  const { picture, paint, texts, unit } = figure;
  const scale = FIGURE_WIDTH / picture[0];
  const tall = picture[1] * scale;
  const [width, height] = [FIGURE_WIDTH + 2 * MARGIN, tall + 118 + MARGIN];
  const top = 62;
  const bar = top + tall + 14;
  const stops = Array.from({ length: 17 }, (_, i) => {
    const value = paint.range.low + ((paint.range.high - paint.range.low) * i) / 16;
    return `<stop offset="${i / 16}" stop-color="${cssColour(paint.range, value)}"/>`;
  });
  const anchors = [["start", MARGIN], ["middle", MARGIN + 120], ["end", MARGIN + 240]];
  const numbers = texts.map((text, i) => `<text x="${anchors[i][1]}" y="${bar + 26}" text-anchor="${anchors[i][0]}" font-size="12">${escaped(text)}</text>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height.toFixed(1)}" viewBox="0 0 ${width} ${height.toFixed(1)}" font-family="${escaped(figure.font)}, sans-serif" fill="#16242b">
<defs><linearGradient id="scale">${stops.join("")}</linearGradient><filter id="calm"><feColorMatrix type="saturate" values="${saturationUnder(paint.opacity)}"/></filter><clipPath id="picture"><rect width="${FIGURE_WIDTH}" height="${tall.toFixed(2)}"/></clipPath></defs>
<rect width="100%" height="100%" fill="#fff"/>
<text x="${MARGIN}" y="28" font-size="17" font-weight="600">${escaped(figure.title)}</text>
<text x="${MARGIN}" y="49" font-size="13" fill="#43525a">${escaped(figure.subtitle)}</text>
<g transform="translate(${MARGIN} ${top})" clip-path="url(#picture)">
<image filter="url(#calm)" width="${FIGURE_WIDTH}" height="${tall.toFixed(2)}" preserveAspectRatio="none" href="${await dataUrl(figure.photo)}"/>
${cellsSvg(paint, scale)}
${outlinesSvg(paint.outlines || [], scale)}
</g>
<rect x="${MARGIN}" y="${bar}" width="240" height="11" fill="url(#scale)"/>
${numbers.join("")}
<text x="${MARGIN + 256}" y="${bar + 10}" font-size="12" fill="#43525a">${escaped(unit)}</text>
</svg>`;
}

async function svgToPng(svg, scale) {
  const url = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.round(image.naturalWidth * scale), Math.round(image.naturalHeight * scale)];
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) => {
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture is too large for this browser."))), "image/png");
    });
  } finally {
    URL.revokeObjectURL(url);
  }
}

async function saveFigure(figure, kind, scale) {
  if (!figure) return;
  const svg = await figureSvg(figure);
  const blob = kind === "svg" ? new Blob([svg], { type: "image/svg+xml" }) : await svgToPng(svg, scale);
  const name = `${figure.title} ${figure.subtitle}`.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 80);
  const link = element("a", { href: URL.createObjectURL(blob), download: `${name || "headlight"}${scale > 1 ? `@${scale}x` : ""}.${kind}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
