// An answer as words: hovered, clicked, underlined by doubt, with a ribbon of what each listened to.

const GROUP_NAMES = ["system", "image", "question", "answer"];
const MARK_SIGNS = { true: "\u2713", false: "\u2717", changed: "\u2260" };

class WordsLine {
  // `act`: enter(number), leave(), click(number, event).
  constructor(parent, act) {
    this.act = act;
    this.line = element("div", { class: "words", role: "group", "aria-label": "The answer, word by word" }, parent);
    this.legend = element("div", { class: "words-legend", hidden: true }, parent);
    GROUP_NAMES.forEach((name, i) => {
      const item = element("span", {}, this.legend);
      element("i", { class: `group-${i}` }, item);
      item.append(name);
    });
    walk(this.line, () => this.buttons || [], (button) => this.act.enter(this.buttons.indexOf(button)));
  }

  show(chips) {
    const drawn = JSON.stringify(chips);
    if (this.drawn === drawn) return;
    this.drawn = drawn;
    this.line.replaceChildren();
    this.buttons = chips.map((chip, number) => this.word(chip, number));
    this.legend.hidden = !chips.some((chip) => chip.shares.length);
  }

  word(chip, number) {
    if (chip.gap && number) this.line.append(" ");
    const button = element("button", { type: "button", class: "word", "data-mark": chip.mark || null, title: chip.tooltip || null }, this.line);
    const text = element("span", { class: "text" }, button, chip.text);
    if (chip.doubt > 0) text.style.setProperty("--doubt", chip.doubt);
    text.classList.toggle("doubted", chip.doubt > 0);
    if (chip.mark) element("sup", { "aria-label": chip.mark }, button, MARK_SIGNS[chip.mark]);
    if (chip.shares.length) {
      const ribbon = element("span", { class: "ribbon", "aria-hidden": "true" }, button);
      chip.shares.forEach((share, i) => {
        const part = element("i", { class: `group-${i}` }, ribbon);
        part.style.flexGrow = share;
      });
      const told = chip.shares.map((share, i) => `${GROUP_NAMES[i]} ${percent(share)}`).join(" \u00b7 ");
      button.title = [chip.tooltip, told].filter(Boolean).join("\n");
    }
    button.addEventListener("pointerenter", () => this.act.enter(number));
    button.addEventListener("pointerleave", () => this.act.leave());
    button.addEventListener("focus", () => button.matches(":focus-visible") && this.act.enter(number));
    button.addEventListener("blur", () => this.act.leave());
    button.addEventListener("click", (event) => this.act.click(number, event));
    return button;
  }

  // `chosen`: the word the page is about; `pinned`: words that stay painted, the second to be compared with the first.
  mark(chosen, pinned = []) {
    (this.buttons || []).forEach((button, number) => {
      button.classList.toggle("chosen", number === chosen);
      button.setAttribute("aria-pressed", String(pinned.length ? pinned.includes(number) : number === chosen));
      if (pinned.length > 1 && pinned.includes(number)) button.dataset.pin = "AB"[pinned.indexOf(number)];
      else delete button.dataset.pin;
    });
  }

  // How strongly each word looked at something: 0 to 1 each; null for nothing.
  light(looks) {
    (this.buttons || []).forEach((button, number) => {
      button.classList.toggle("lit", Boolean(looks));
      button.style.setProperty("--lit", looks ? looks[number] : 0);
    });
  }
}
