// The viewer of an answer: its words are the rows that are asked, and a patch is asked which words looked at it.

const LOOKERS = 4; // words that are named for a patch

Viewer.prototype.receiveWords = function receiveWords(given) {
  this.panel.words.hidden = !given;
  this.panel.chips.hidden = Boolean(given);
  this.words = null;
  if (!given) return;
  this.line ??= new WordsLine(this.panel.words, {
    enter: (number) => this.overWord(number),
    leave: () => this.leavePatch(),
    click: (number, event) => this.clickWord(number, event.shiftKey),
  });
  this.words = given;
  this.line.show(given.chips);
};

Viewer.prototype.askedWord = function askedWord(number) {
  return { kind: "row", row: this.words.rows[number], label: `\u201c${this.words.chips[number].text}\u201d` };
};

Viewer.prototype.rowOfWord = function rowOfWord(number) {
  return this.words.rows[number] ?? 0;
};

Viewer.prototype.nameOfRow = function nameOfRow(row) {
  const number = this.words.rows.indexOf(row);
  return number < 0 ? `token ${row}` : `\u201c${this.words.chips[number].text}\u201d`;
};

Viewer.prototype.overWord = function overWord(number) {
  this.hover = this.askedWord(number);
  this.paint();
};

// A click pins a word alone, or lets it go; with shift two words are compared.
Viewer.prototype.clickWord = function clickWord(number, compare) {
  const asked = this.askedWord(number);
  if (compare) {
    if (!this.pins.length) this.pins = [{ kind: "row", row: Number(this.choice.query), label: this.nameOfRow(Number(this.choice.query)) }];
    this.pin(asked);
    return;
  }
  const again = this.pins.length === 1 && samePin(this.pins[0], asked);
  this.pins = again ? [] : [asked];
  this.words.chosen = number;
  this.choice.query = asked.row;
  this.report();
  this.update();
  this.loadThumbs();
};

Viewer.prototype.wordChosen = function wordChosen() {
  return this.words ? { word: this.words.chosen } : {};
};

Viewer.prototype.markWords = function markWords() {
  if (!this.words) return;
  const numbers = this.pins.filter((pin) => pin.kind === "row").map((pin) => this.words.rows.indexOf(pin.row));
  this.line.mark(this.words.chosen, numbers);
};

// The patch whose lookers are shown: the one under the pointer, else the one that was clicked.
Viewer.prototype.lookedAt = function lookedAt() {
  return this.lit >= 0 ? this.lit : this.held ?? -1;
};

Viewer.prototype.hold = function hold(key) {
  this.held = key === this.held ? -1 : key;
  this.lightWords();
};

// What each word gives to every key, as heads and weights are shown now: made once, so that patches answer at once.
Viewer.prototype.wordTable = function wordTable() {
  const { fuse, head, mode } = this.how();
  const name = [this.data.url, this.layer.layer, fuse, fuse === "single" ? head : "", mode].join();
  if (this.table?.name !== name) this.table = { name, values: this.words.rows.map((row) => valuesOf(this.layer, row, this.how())) };
  return this.table.values;
};

Viewer.prototype.looksAt = function looksAt(key) {
  return this.wordTable().map((values) => values[key] || 0);
};

Viewer.prototype.lightWords = function lightWords() {
  if (!this.words || !this.layer) return;
  const key = this.lookedAt();
  if (key < 0) this.line.light(null);
  else {
    const looks = this.looksAt(key).map((look) => Math.max(0, look));
    const most = Math.max(1e-9, ...looks);
    this.line.light(looks.map((look) => look / most));
  }
  this.paint();
};

Viewer.prototype.lookersText = function lookersText() {
  const key = this.lookedAt();
  const given = this.looksAt(key).map((share, number) => [share, this.words.chips[number].text]);
  given.sort((a, b) => b[0] - a[0]);
  const told = given.slice(0, LOOKERS).map(([share, text]) => `${text} ${inUnit(share, this.unit === "even" ? "even" : "percent", 1 / this.layer.K)}`);
  return `${placeName(this.layer, "key", key)} \u2190 ${told.join(" \u00b7 ")}`;
};

Viewer.prototype.walkPatches = function walkPatches([dx, dy]) {
  const boxes = this.layer.keyBoxes;
  const first = Math.max(0, strongest(this.layer, this.shown.values));
  if (this.lit < 0) {
    this.light(first);
    return;
  }
  const [x, y] = centre(boxes, this.lit);
  const [w, h] = [boxes[4 * this.lit + 2] - boxes[4 * this.lit], boxes[4 * this.lit + 3] - boxes[4 * this.lit + 1]];
  const next = hit(boxes, x + dx * w, y + dy * h);
  if (next >= 0) this.light(next);
};
