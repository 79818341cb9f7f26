// Called at mount, with new data, and when the theme changes: one state per place on the page, listeners once.

const PLACES = new WeakMap();

export default function (component) {
  const root = component.parentElement;
  if (!PLACES.has(root)) PLACES.set(root, component.data.kind === "map" ? new MapDisplay(root) : new Viewer(root));
  PLACES.get(root).receive(component);
  return () => {
    PLACES.get(root)?.dispose();
    PLACES.delete(root);
  };
}
