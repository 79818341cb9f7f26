// Called at mount, with new data, and when the theme changes.

const PAIRS = new WeakMap();

export default function (component) {
  const root = component.parentElement;
  const [data] = component.data;
  if (!PAIRS.has(root)) PAIRS.set(root, new Pair(root));
  PAIRS.get(root).receive({ ...component, data });
  return () => {
    PAIRS.get(root)?.dispose();
    PAIRS.delete(root);
  };
}
