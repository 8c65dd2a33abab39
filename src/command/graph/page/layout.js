// Where things stand: earlier actions to the left of later ones.
"use strict";

/** Up to so many elements, none of its columns longer than a screen, the layered layout of the library is the prettiest. */
const LAYERED = 150;
const COLUMN = 14;
const CELL = { width: 345, height: 74 };
const SHAPE = 1.7;

/** For each element the length of the longest way to it. Groups may wait for each other: what closes a ring is left out. */
function depths(ids, edges) {
  const waits = new Map(ids.map((id) => [id, 0]));
  const after = new Map(ids.map((id) => [id, []]));
  for (const { source, target } of edges) {
    after.get(source).push(target);
    waits.set(target, waits.get(target) + 1);
  }
  const depth = new Map(ids.map((id) => [id, 0]));
  const left = new Set(ids);
  let ready = ids.filter((id) => waits.get(id) === 0);
  while (left.size > 0) {
    if (ready.length === 0) ready = [left.values().next().value];
    const id = ready.pop();
    if (!left.delete(id)) continue;
    for (const next of after.get(id)) {
      if (!left.has(next)) continue;
      depth.set(next, Math.max(depth.get(next), depth.get(id) + 1));
      waits.set(next, waits.get(next) - 1);
      if (waits.get(next) === 0) ready.push(next);
    }
  }
  return depth;
}

/** The layout for these elements, in the form that the library takes. */
function layoutOf(elements) {
  const nodes = elements.filter((element) => element.group === "nodes").map((element) => element.data);
  const edges = elements.filter((element) => element.group === "edges").map((element) => element.data);
  const depth = depths(nodes.map((node) => node.id), edges);
  const bands = [];
  for (const node of nodes) (bands[depth.get(node.id)] ??= []).push(node.id);
  const longest = Math.max(0, ...bands.map((band) => band.length));
  if (nodes.length <= LAYERED && longest <= COLUMN) {
    return { name: "dagre", rankDir: "LR", nodeSep: 22, rankSep: 90, fit: true, padding: 40, animate: false };
  }
  const places = banded(bands, edges);
  return { name: "preset", positions: (node) => places.get(node.id()), fit: true, padding: 40, animate: false };
}

/** Each depth is a band of columns; within it, what stands on the same things stands together. */
function banded(bands, edges) {
  const count = bands.reduce((sum, band) => sum + band.length, 0);
  const square = Math.ceil(Math.sqrt((count * CELL.width) / (SHAPE * CELL.height)));
  const rows = Math.max(COLUMN, square);
  const before = new Map();
  for (const { source, target } of edges) {
    if (!before.has(target)) before.set(target, []);
    before.get(target).push(source);
  }
  const places = new Map();
  let left = 0;
  for (const band of bands) {
    const middle = (id) => {
      const ys = (before.get(id) ?? []).map((other) => places.get(other)?.y ?? 0);
      return ys.length === 0 ? 0 : ys.reduce((sum, y) => sum + y, 0) / ys.length;
    };
    const keyed = band.map((id, at) => ({ id, at, middle: middle(id) }));
    keyed.sort((a, b) => a.middle - b.middle || a.at - b.at);
    const columns = Math.ceil(band.length / rows);
    const high = Math.ceil(band.length / columns);
    keyed.forEach(({ id }, at) => {
      const x = left + Math.floor(at / high) * CELL.width;
      const y = ((at % high) - (high - 1) / 2) * CELL.height;
      places.set(id, { x, y });
    });
    left += columns * CELL.width + 110;
  }
  return places;
}
