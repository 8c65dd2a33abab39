// What there is: actions, who waits for whom, and the groups that are drawn in their place. Knows nothing of the page.
"use strict";

/** Up to so many actions are drawn one by one; more are drawn in groups that open on a click. */
const ONE_BY_ONE = 400;
const SHARED = "(shared)";

class Model {
  constructor(facts) {
    this.facts = facts;
    this.nodes = new Map(facts.nodes.map((node) => [node.id, node]));
    this.before = new Map(facts.nodes.map((node) => [node.id, []]));
    this.after = new Map(facts.nodes.map((node) => [node.id, []]));
    for (const [from, to] of facts.edges) {
      this.before.get(to).push(from);
      this.after.get(from).push(to);
    }
    this.kinds = [...new Set(facts.nodes.map((node) => node.rule))].sort();
    this.#passGroupsDown();
    this.axes = this.#axes();
    this.axis = facts.nodes.length > ONE_BY_ONE ? (this.axes[0] ?? "kind") : "";
    this.open = new Set();
  }

  /** What makes no test of its own (an image, a file) belongs where all that stand on it belong. */
  #passGroupsDown() {
    for (const node of [...this.facts.nodes].reverse()) {
      if (node.groups) continue;
      node.groups = {};
      for (const id of new Set(this.after.get(node.id))) {
        const theirs = this.nodes.get(id).groups ?? {};
        for (const [axis, value] of Object.entries(theirs)) {
          const mine = node.groups[axis];
          node.groups[axis] = mine === undefined || mine === value ? value : SHARED;
        }
      }
    }
  }

  /** The ways to group that tell actions apart, provider, guest and test first. */
  #axes() {
    const values = new Map();
    for (const node of this.facts.nodes) {
      for (const [axis, value] of Object.entries(node.groups)) {
        if (value === SHARED) continue;
        if (!values.has(axis)) values.set(axis, new Set());
        values.get(axis).add(value);
      }
    }
    const first = ["provider", "guest", "test"];
    const rank = (axis) => (first.includes(axis) ? first.indexOf(axis) : first.length);
    const there = [...values.keys()].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
    const apart = there.filter((axis) => values.get(axis).size > 1);
    return [...apart, ...there.filter((axis) => !apart.includes(axis))];
  }

  /** All that an action waits for ("before") or that waits for it ("after"), at any distance, itself left out. */
  reach(ids, direction) {
    const seen = new Set();
    const queue = [...ids];
    while (queue.length > 0) {
      for (const next of this[direction].get(queue.pop())) {
        if (!seen.has(next)) {
          seen.add(next);
          queue.push(next);
        }
      }
    }
    return seen;
  }

  #group(node) {
    if (this.axis === "kind") return node.rule;
    return node.groups[this.axis] ?? `(${node.rule})`;
  }

  /** What is drawn: actions, and groups of them that are closed. */
  shown() {
    const all = this.facts.nodes;
    if (this.axis === "") return all.map((node) => single(node));
    const group = (node) => this.#group(node);
    // As many groups as that are no better to look at than the actions themselves.
    const many = new Set(all.map(group)).size > ONE_BY_ONE;
    return this.#parts(all, this.axis, many ? finer(all) : group);
  }

  #parts(nodes, path, group) {
    const shown = [];
    for (const [name, members] of grouped(nodes, group)) {
      const key = `${path}/${name}`;
      if (members.length === 1) shown.push(single(members[0]));
      else if (!this.open.has(key)) shown.push({ key, name, members });
      else if (members.length <= ONE_BY_ONE) shown.push(...opened(members, key));
      else shown.push(...this.#parts(members, key, finer(members)));
    }
    return shown;
  }

  /** Opens all groups that an action is hidden in. */
  reveal(id) {
    for (;;) {
      const hides = this.shown().find((part) => part.key !== undefined && part.members.some((node) => node.id === id));
      if (!hides) return;
      this.open.add(hides.key);
    }
  }

  /** Whose name, kind, plan or verdict has all words of a search. */
  find(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length === 0) return [];
    const has = (node) => {
      const hay = [node.rule, node.title, node.label, node.plan, node.last?.status ?? "", node.now?.state ?? ""].join(" ").toLowerCase();
      return words.every((word) => hay.includes(word));
    };
    return this.facts.nodes.filter(has).sort((a, b) => a.title.length - b.title.length);
  }
}

function single(node, group) {
  return { node, members: [node], group };
}

/** The members of an open group, each called by what tells it from the others: labels that all share are left out. */
function opened(members, group) {
  const labels = members.map((node) => node.title.split("."));
  const shortest = Math.min(...labels.map((list) => list.length));
  const same = (of) => labels.every((list) => of(list) === of(labels[0]));
  let first = 0;
  while (first < shortest - 1 && same((list) => list[first])) first += 1;
  let last = 0;
  while (first + last < shortest - 1 && same((list) => list.at(-1 - last))) last += 1;
  return members.map((node, at) => ({ ...single(node, group), short: labels[at].slice(first, labels[at].length - last).join(".") }));
}

function grouped(nodes, group) {
  const groups = new Map();
  for (const node of nodes) {
    const name = group(node);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(node);
  }
  return groups;
}

/** How a group that is too large is divided: at the first label of the names that differs, else into even pieces. */
function finer(nodes) {
  const labels = new Map(nodes.map((node) => [node.id, node.title.split(".")]));
  const longest = Math.max(...[...labels.values()].map((list) => list.length));
  for (let at = 0; at < longest; at += 1) {
    const name = (node) => labels.get(node.id).slice(0, at + 1).join(".");
    const count = new Set(nodes.map(name)).size;
    if (count > 1 && count <= ONE_BY_ONE) return name;
  }
  const place = new Map(nodes.map((node, index) => [node.id, index]));
  const size = ONE_BY_ONE / 2;
  return (node) => {
    const first = Math.floor(place.get(node.id) / size) * size;
    return `${first + 1} to ${Math.min(first + size, nodes.length)}`;
  };
}
