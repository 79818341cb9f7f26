// Small pieces: elements, a canvas that is sharp on dense screens, the theme's colours.

function piece(tag, attributes, parent, text) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

// Fit a canvas to a size in CSS pixels and return its context, in which one unit is one CSS pixel.
function sharp(canvas, width, height) {
  const dense = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * dense)), Math.max(1, Math.round(height * dense))];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(dense, 0, 0, dense, 0, 0);
  return context;
}

function themeOf(root) {
  const style = getComputedStyle(root);
  const read = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  return {
    text: read("--st-text-color", "#16242b"),
    accent: read("--st-primary-color", "#0b6e75"),
    paper: read("--st-background-color", "#ffffff"),
    faint: read("--st-border-color", "#8aa0a8"),
  };
}

function percentOf(share) {
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}\u00a0%`;
}
