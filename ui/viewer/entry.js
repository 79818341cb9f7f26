// Called at mount, with new data, and when the theme changes: one state per place on the page, listeners once.

const PLACES = new WeakMap();

export default function (component) {
  const root = component.parentElement;
  const [data] = component.data;
  if (!PLACES.has(root)) PLACES.set(root, data.kind === "map" ? new MapDisplay(root) : new Viewer(root));
  PLACES.get(root).receive({ ...component, data });
  return () => {
    PLACES.get(root)?.dispose();
    PLACES.delete(root);
  };
}
