// Puts model, looks, layout and panel together, and listens to keys and clicks.
"use strict";

/** From so many elements on, edges are straight lines without arrows, and hidden while the picture moves. */
const LARGE = 800;
const FOUND = 50;
/** How much is left free around all of it, in pixels, and how large boxes are at the most by themselves. */
const MARGIN = 40;
const CLOSEST = 1.2;

const byId = (id) => document.getElementById(id);
const model = new Model(JSON.parse(byId("facts").textContent));
const panel = new Panel(byId("panel"), model, (id) => choose(id), (key) => toggle(key));
let mode = "plan";
let cy = null;
/** The element that is chosen, by its name in the graph library; null where none is. */
let chosen = null;
let parts = new Map();

function elements() {
  const shown = model.shown();
  const home = new Map();
  parts = new Map();
  const made = shown.map((part, at) => {
    const id = part.node ? `n${part.node.id}` : `g${at}`;
    parts.set(id, part);
    part.members.forEach((node) => home.set(node.id, id));
    return { group: "nodes", data: { id, ...dataOf(part) } };
  });
  const edges = new Map();
  for (const [from, to, role] of model.facts.edges) {
    const [source, target] = [home.get(from), home.get(to)];
    const id = `${source} ${target}`;
    if (source !== target && !edges.has(id)) {
      edges.set(id, { group: "edges", data: { id, source, target, kind: role === undefined ? "after" : "input" } });
    } else if (role !== undefined && edges.has(id)) edges.get(id).data.kind = "input";
  }
  return [...made, ...edges.values()];
}

function dataOf(part) {
  if (!part.node) {
    const { line, colours, stops } = groupLook(part.members, mode);
    const label = `${shortened(part.name, GROUP_NAME)} (${part.members.length})\n${line}`;
    return { group: true, label, colours, stops, shape: "round-rectangle", colour: "#888", border: "double", width: 5 };
  }
  const state = STATES[stateOf(part.node, mode === "time" ? "plan" : mode)];
  return {
    label: labelOf(part.node, part.short ?? part.node.title, mode), shape: shapeOf(part.node.rule), colour: colourOf(part.node, mode), border: state.border,
    width: state.width, wanted: part.node.wanted,
  };
}

function draw() {
  const all = elements();
  const large = all.length > LARGE;
  cy?.destroy();
  cy = cytoscape({
    container: byId("canvas"), elements: all, style: styles(large), layout: layoutOf(all), minZoom: 0.02, maxZoom: 3,
    hideEdgesOnViewport: large, textureOnViewport: large, pixelRatio: large ? 1 : "auto", autoungrabify: large,
  });
  fit();
  cy.on("tap", "node", (event) => pick(event.target.id()));
  cy.on("dbltap", "node[?group]", (event) => toggle(parts.get(event.target.id()).key));
  cy.on("tap", (event) => event.target === cy && letGo());
  const groups = [...parts.values()].filter((part) => part.key !== undefined).length;
  const count = model.facts.nodes.length;
  byId("sum").textContent = groups > 0 ? `${count} actions, ${groups} groups closed` : `${count} action${count === 1 ? "" : "s"}`;
}

/** Shows all of it, but a few boxes no larger than they are read well. */
function fit() {
  cy.fit(undefined, MARGIN);
  if (cy.zoom() > CLOSEST) {
    cy.zoom(CLOSEST);
    cy.center();
  }
}

/** New looks for what stands for these actions; while nothing is chosen, the panel tells of the run. */
function update(ids) {
  const changed = new Set(ids);
  const shown = [...parts].filter(([, part]) => part.members.some((node) => changed.has(node.id)));
  cy.batch(() => shown.forEach(([name, part]) => cy.getElementById(name).data(dataOf(part))));
  const node = parts.get(chosen)?.node;
  if (node) panel.now(node.id);
  else if (chosen === null) panel.overview();
}

/** Follows the run that this page was made for. */
function followRun() {
  byId("mode").prepend(element("option", { value: "run" }, "this run"));
  byId("mode").value = "run";
  mode = "run";
  byId("follow").hidden = false;
  panel.run = new Run(model, { text: byId("run"), progress: byId("progress") }, update);
}

/** New colours and labels; everything stays where it is. */
function recolour() {
  cy.batch(() => cy.nodes().forEach((node) => {
    node.data(dataOf(parts.get(node.id())));
  }));
  cy.style(styles(cy.elements().length > LARGE));
  drawLegend();
}

function drawLegend() {
  const rows = { kind: element("div"), state: element("div") };
  legend(model.kinds, mode, (row, text, colour, border, thick) => {
    const item = element("span");
    if (colour) {
      const box = element("i", { class: `${border} ${thick ? "thick" : ""}` });
      box.style.background = colour;
      item.append(box);
    }
    item.append(text);
    rows[row].append(item);
  });
  byId("legend").replaceChildren(rows.kind, rows.state);
}

/** Chooses what is drawn under a name: shows it in the panel and lights up all that it stands on and all that stands on it. */
function pick(id) {
  chosen = id;
  const part = parts.get(id);
  const ids = part.members.map((node) => node.id);
  const drawn = (reached) => new Set([id, ...[...parts].filter(([, other]) => other.members.some((node) => reached.has(node.id))).map(([name]) => name)]);
  // Kept apart: an edge that leads past the chosen one, from what it stands on to what stands on it, is on no path through it.
  const sides = [drawn(model.reach(ids, "before")), drawn(model.reach(ids, "after"))];
  cy.batch(() => {
    cy.elements().removeClass("faded path chosen");
    cy.nodes().forEach((node) => node.addClass(sides.some((side) => side.has(node.id())) ? "path" : "faded"));
    const onPath = (edge) => sides.some((side) => side.has(edge.data("source")) && side.has(edge.data("target")));
    cy.edges().forEach((edge) => edge.addClass(onPath(edge) ? "path" : "faded"));
    cy.getElementById(id).addClass("chosen");
  });
  if (part.node) panel.action(part.node.id, part.group);
  else panel.group(part);
}

function letGo() {
  chosen = null;
  cy.elements().removeClass("faded path chosen");
  panel.overview();
}

/** Chooses an action, opening the groups that hide it, and brings it into view. */
function choose(id) {
  const name = `n${id}`;
  if (!parts.has(name)) {
    model.reveal(id);
    draw();
  }
  pick(name);
  cy.zoom(Math.max(cy.zoom(), 0.7));
  cy.center(cy.getElementById(name));
  byId("found").hidden = true;
  byId("canvas").focus({ preventScroll: true });
}

function toggle(key) {
  const member = [...parts.values()].find((part) => part.key === key)?.members[0];
  if (model.open.has(key)) model.open.delete(key);
  else model.open.add(key);
  draw();
  if (member && parts.has(`n${member.id}`)) pick(`n${member.id}`);
  else letGo();
}

function closeGroups() {
  model.open.clear();
  draw();
  letGo();
}

function search() {
  const found = model.find(byId("search").value);
  const rows = found.slice(0, FOUND).map((node) => element("li", {}, element("button", { type: "button", onclick: () => choose(node.id) },
    `${STATES[node.plan].sign} ${node.rule} `, breakable(node.title))));
  if (found.length > FOUND) rows.push(element("li", { class: "more" }, `and ${found.length - FOUND} more`));
  if (found.length === 0) rows.push(element("li", { class: "more" }, "nothing has all of these words"));
  byId("found").replaceChildren(...rows);
  byId("found").hidden = byId("search").value.trim() === "";
}

/** From the chosen element to a neighbour: along an edge, or up and down in the same column. */
function walk(key) {
  if (chosen === null) return pick(cy.nodes()[0].id());
  const here = cy.getElementById(chosen);
  const place = here.position();
  const along = { ArrowLeft: () => here.incomers("node"), ArrowRight: () => here.outgoers("node") }[key];
  const column = () => cy.nodes().filter((node) => {
    const { x, y } = node.position();
    return Math.abs(x - place.x) < 60 && (key === "ArrowUp" ? y < place.y : y > place.y);
  });
  const near = (along ?? column)().sort((a, b) => Math.abs(a.position().y - place.y) - Math.abs(b.position().y - place.y));
  if (near.length === 0) return undefined;
  pick(near[0].id());
  return cy.center(near[0]);
}

function key(event) {
  const typing = event.target instanceof HTMLInputElement;
  if (event.key === "Escape") {
    byId("found").hidden = true;
    byId("canvas").focus();
    return letGo();
  }
  if (typing && event.target.id === "search") {
    if (event.key === "Enter") byId("found").querySelector("button")?.click();
    else if (event.key === "ArrowDown") byId("found").querySelector("button")?.focus();
    else return undefined;
    return event.preventDefault();
  }
  if (typing || event.target instanceof HTMLSelectElement || event.ctrlKey || event.metaKey || event.altKey) return undefined;
  if (event.target.closest("#found") && event.key.startsWith("Arrow")) {
    const item = event.target.parentElement;
    const next = event.key === "ArrowDown" ? item.nextElementSibling : item.previousElementSibling;
    (next?.querySelector("button") ?? byId("search")).focus();
    return event.preventDefault();
  }
  const onCanvas = event.target === byId("canvas") || event.target === document.body;
  const part = parts.get(chosen);
  const zoom = (factor) => cy.zoom({ level: cy.zoom() * factor, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } });
  const does = {
    "/": () => byId("search").focus(), f: fit, c: closeGroups, "+": () => zoom(1.3), "-": () => zoom(1 / 1.3),
    ...(onCanvas && { Enter: () => part?.key !== undefined && toggle(part.key) }),
    ...(onCanvas && Object.fromEntries(["Left", "Right", "Up", "Down"].map((way) => [`Arrow${way}`, () => walk(`Arrow${way}`)]))),
  }[event.key];
  if (!does) return undefined;
  event.preventDefault();
  return does();
}

function begin() {
  byId("targets").textContent = model.facts.targets.join(" ");
  document.title = `vtbuild graph ${model.facts.targets.join(" ")}`;
  for (const [value, text] of [["", "nothing"], ["kind", "kind"], ...model.axes.map((axis) => [axis, axis])]) {
    byId("axis").append(element("option", { value }, text));
  }
  byId("axis").value = model.axis;
  byId("axis").addEventListener("change", () => {
    model.axis = byId("axis").value;
    closeGroups();
  });
  byId("mode").addEventListener("change", () => {
    mode = byId("mode").value;
    recolour();
  });
  byId("fit").addEventListener("click", fit);
  byId("close-groups").addEventListener("click", closeGroups);
  byId("search").addEventListener("input", search);
  byId("search").addEventListener("focus", search);
  document.addEventListener("keydown", key);
  darkQuery.addEventListener("change", recolour);
  new ResizeObserver(() => {
    cy.resize();
    if (chosen === null) fit();
    else cy.center(cy.getElementById(chosen));
  }).observe(byId("canvas"));
  if (model.facts.live) followRun();
  draw();
  drawLegend();
  panel.overview();
  panel.run?.follow();
}

begin();

/** For whoever drives the page from outside: what is drawn, and where an action stands on the screen. */
window.graphPage = {
  drawn: () => cy.nodes().length,
  chosen: () => (parts.get(chosen)?.node ?? parts.get(chosen))?.[parts.get(chosen)?.node ? "title" : "name"] ?? null,
  /** How an action stands in the run, and the second line of its label. */
  state(title) {
    const found = [...parts].find(([, part]) => part.node?.title === title);
    return found ? [found[1].node.now?.state ?? null, cy.getElementById(found[0]).data("label").split("\n")[1]] : null;
  },
  place(title) {
    const found = cy.nodes().filter((node) => (parts.get(node.id()).node?.title ?? parts.get(node.id()).name) === title);
    if (found.length === 0) return null;
    const box = byId("canvas").getBoundingClientRect();
    const { x, y } = found[0].renderedPosition();
    return { x: x + box.left, y: y + box.top };
  },
};
