const LINES = new WeakMap();

export default function show(component) {
  const root = component.parentElement;
  if (!LINES.has(root)) {
    const box = element("div", { class: "line-of-words" });
    root.append(box);
    const held = { box };
    held.line = new WordsLine(box, { enter: () => {}, leave: () => {}, click: (number) => held.tell(number) });
    LINES.set(root, held);
  }
  const held = LINES.get(root);
  held.tell = (number) => component.setTriggerValue("word", number);
  const [{ chips, chosen }] = component.data;
  held.line.show(chips);
  held.line.mark(chosen);
  return () => {
    held.box.remove();
    LINES.delete(root);
  };
}
