// How an item is drawn: as a dot, as the small picture of a pattern, or as a small scatter of points.

const NOTHING = 255; // the code of a pattern's cell that no pair of patches has

// All patterns beside each other on one canvas, each as wide as it has cells.
function patternSheet(codes, shape) {
  const [count, rows, columns] = shape;
  const across = Math.ceil(Math.sqrt(count));
  const sheet = document.createElement("canvas");
  sheet.width = across * columns;
  sheet.height = Math.ceil(count / across) * rows;
  const context = sheet.getContext("2d");
  const pixels = context.createImageData(sheet.width, sheet.height);
  const table = SCALES.sequential;
  for (let item = 0; item < count; item++) {
    const [left, top] = [(item % across) * columns, Math.floor(item / across) * rows];
    for (let cell = 0; cell < rows * columns; cell++) {
      const code = codes[item * rows * columns + cell];
      const at = 4 * ((top + Math.floor(cell / columns)) * sheet.width + left + (cell % columns));
      const colour = 3 * Math.round((code / (NOTHING - 1)) * 255);
      for (let c = 0; c < 3; c++) pixels.data[at + c] = code === NOTHING ? 128 : table[colour + c];
      pixels.data[at + 3] = code === NOTHING ? 40 : 255;
    }
  }
  context.putImageData(pixels, 0, 0);
  return { sheet, part: (item) => [(item % across) * columns, Math.floor(item / across) * rows, columns, rows] };
}

function drawPattern(context, drawn, item, x, y, side, colour, width) {
  const half = side / 2;
  context.imageSmoothingEnabled = false;
  context.drawImage(drawn.sheet, ...drawn.part(item), x - half, y - half, side, side);
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.strokeRect(x - half + width / 2 - 0.5, y - half + width / 2 - 0.5, side - width + 1, side - width + 1);
}

// One small scatter: points are bytes from 0 to 255 in both directions, drawn group by group.
function drawScatter(context, points, groups, colours, item, x, y, side, line) {
  const count = groups.length;
  const [left, top] = [x - side / 2 + 3, y - side / 2 + 3];
  const scale = (side - 6) / 255;
  const dot = side < 60 ? 1 : 1.5;
  colours.forEach((colour, group) => {
    context.fillStyle = colour;
    for (let i = 0; i < count; i++) {
      if (groups[i] !== group) continue;
      const at = 2 * (item * count + i);
      context.fillRect(left + points[at] * scale, top + (255 - points[at + 1]) * scale, dot, dot);
    }
  });
  context.lineWidth = 1;
  context.strokeStyle = line;
  context.strokeRect(x - side / 2 + 1.5, y - side / 2 + 1.5, side - 3, side - 3);
}

function dotSprite(colour, radius) {
  const dense = window.devicePixelRatio || 1;
  const sprite = document.createElement("canvas");
  sprite.width = sprite.height = Math.ceil(2 * (radius + 1) * dense);
  const context = sprite.getContext("2d");
  context.scale(dense, dense);
  context.fillStyle = colour;
  context.beginPath();
  context.arc(radius + 1, radius + 1, radius, 0, 7);
  context.fill();
  return { sprite, side: sprite.width / dense };
}

function drawLine(context, from, to, colour, width) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
}
