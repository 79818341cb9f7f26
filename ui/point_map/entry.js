// Called at mount, with new data, and when the theme changes: one map per place on the page.

const MAPS = new WeakMap();

export default function (component) {
  const root = component.parentElement;
  if (!MAPS.has(root)) MAPS.set(root, new PointMap(root));
  MAPS.get(root).receive(component);
  return () => {
    MAPS.get(root)?.dispose();
    MAPS.delete(root);
  };
}
