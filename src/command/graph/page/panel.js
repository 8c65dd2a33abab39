// What is told of the chosen action or group. All text goes in as text, never as markup.
"use strict";

const LISTED = 60;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A name that may go on in the next line after each dot. */
function breakable(text) {
  return element("span", {}, ...text.split(/(?<=\.)/).flatMap((label) => [label, element("wbr")]));
}

class Panel {
  /** `choose` is called with the number of an action, `toggle` with the key of a group. */
  constructor(place, model, choose, toggle) {
    Object.assign(this, { place, model, choose, toggle });
  }

  /** What is there before anything is chosen. */
  overview() {
    const { nodes, job } = this.model.facts;
    const at = (...states) => nodes.filter((node) => states.includes(node.now?.state));
    const [running, broken] = [at("running"), at("FAIL", "ERROR", "INTERRUPT")];
    const runs = nodes.filter((node) => node.plan === "run");
    const slowest = nodes.filter((node) => node.known !== false && (node.seconds ?? 0) > 0).sort((a, b) => b.seconds - a.seconds).slice(0, 10);
    const failed = nodes.filter((node) => ["FAIL", "ERROR"].includes(node.last?.status));
    const told = element("div", {},
      element("h2", {}, "Choose an action"),
      element("p", {}, "Click it, or search for it. Arrow keys: left to what it waits for, right to what waits for it, up and down among its neighbours. "
        + "Enter opens a group, / searches, f fits, c closes groups, + and - zoom, Escape lets go."),
      element("p", {}, job ? `The last job here is ${job}.` : "No job has run here yet, so there are no last verdicts."),
      ...this.#list(`Running (${running.length})`, running),
      ...this.#list(`Failed (${broken.length})`, broken),
      ...this.#list(`Failed last time (${failed.length})`, failed),
      ...this.#list(`Would run (${runs.length})`, runs),
      ...this.#list("Slowest", slowest, (node) => `${secondsText(node.seconds)}  ${node.title}`),
    );
    // During a run this is called every second: what somebody reads or has the focus on must not go for nothing.
    if (told.innerHTML !== this.place.innerHTML) this.place.replaceChildren(...told.children);
  }

  group(part) {
    this.place.replaceChildren(
      element("h2", {}, breakable(part.name)),
      element("p", {}, `A group of ${part.members.length} actions: ${groupLook(part.members, "plan").line}`),
      element("button", { type: "button", onclick: () => this.toggle(part.key) }, "Open it (Enter)"),
      ...this.#list("Actions", part.members),
    );
  }

  action(id, group) {
    const node = this.model.nodes.get(id);
    const badge = (text) => element("span", { class: "badge" }, text);
    this.place.replaceChildren(
      element("h2", {}, breakable(node.title)),
      badge(node.rule), badge(`${STATES[node.plan].sign} ${node.plan}`), node.last ? badge(`last: ${node.last.status}`) : "",
      element("p", { class: "label" }, breakable(node.label)),
      node.now ? element("div", { id: "now", "aria-live": "off" }) : "",
      group ? element("button", { type: "button", onclick: () => this.toggle(group) }, "Close its group") : "",
      ...this.#why(node),
      ...this.#times(node),
      ...this.#list("Waits for", this.model.before.get(id).map((other) => this.model.nodes.get(other)), this.#roles(id)),
      ...this.#list("What waits for it", [...new Set(this.model.after.get(id))].map((other) => this.model.nodes.get(other))),
      this.#facts(node.plan === "maybe" ? "Key, as far as it is known" : "Key", this.#placed(node)),
      this.#facts("Parameters", node.params ?? []),
    );
    this.now(id);
  }

  /** How an action that is shown stands in the run that goes on; all else that is told of it stays as it is. */
  now(id) {
    const place = this.place.querySelector("#now");
    if (place === null || this.run === undefined) return;
    const lines = nowLines(this.model.nodes.get(id), this.run.now());
    place.replaceChildren(element("h3", {}, "This run"), ...lines.map((line) => element("p", {}, line)));
  }

  #why(node) {
    const told = [element("h3", {}, "Why")];
    if (node.plan === "maybe") {
      told.push(element("p", {}, `Runs only if one of these comes out differently: ${node.first.join(", ")}`));
    } else if (node.plan === "run") {
      if (node.changes.length === 0) told.push(element("p", {}, `Would run: ${node.reason}.`));
      else told.push(element("p", {}, "Would run: these differ from its last run."), this.#changes(node.changes));
    } else if (node.finished_unix_ms) {
      const when = new Date(node.finished_unix_ms).toLocaleString();
      told.push(element("p", {}, `Is served from the run of ${when} on ${node.host}.`));
    } else told.push(element("p", {}, "Is there."));
    return told;
  }

  #changes(changes) {
    const list = element("dl");
    for (const { field, old, new: now, place } of changes) {
      const value = (text) => text ?? "(none)";
      list.append(element("dt", {}, field), element("dd", {}, "was ", element("del", {}, value(old))),
        element("dd", {}, "is ", element("ins", {}, value(now))));
      if (place) list.append(element("dd", { class: "place" }, place));
    }
    return list;
  }

  #times(node) {
    const lines = [];
    if (node.plan !== "hit" && node.seconds !== null) {
      lines.push(`About ${secondsText(node.seconds)}${node.known ? "" : ", a guess: it has not passed yet"}.`);
    } else if (node.seconds) lines.push(`Took ${secondsText(node.seconds)}.`);
    if (node.memory_mib) lines.push(`Takes ${node.memory_mib} MiB and ${node.vcpus} virtual CPUs of the host.`);
    if (node.last) {
      const how = node.last.cached ? "served from the cache" : `ran for ${secondsText(node.last.seconds)} because ${node.last.reason}`;
      lines.push(`In the last job: ${node.last.status}, ${how}.`);
    }
    return lines.length === 0 ? [] : [element("h3", {}, "Time and last run"), ...lines.map((line) => element("p", {}, line))];
  }

  #roles(id) {
    const roles = new Map(this.model.facts.edges.filter(([, to]) => to === id).map(([from, , role]) => [from, role]));
    return (node) => (roles.get(node.id) ? `${node.title} (${roles.get(node.id)})` : node.title);
  }

  #list(heading, nodes, text = (node) => node.title) {
    if (nodes.length === 0) return [];
    const row = (node) => element("li", {}, element("button", { type: "button", onclick: () => this.choose(node.id) },
      `${STATES[node.plan].sign} `, breakable(text(node))));
    const list = element("ul", {}, ...nodes.slice(0, LISTED).map(row));
    if (nodes.length > LISTED) list.append(element("li", { class: "label" }, `and ${nodes.length - LISTED} more`));
    return [element("h3", {}, heading), list];
  }

  /** The fields of a key, with the statements that set the parameters among them. */
  #placed(node) {
    const { facts } = this.model.facts;
    const places = new Map((node.params ?? []).map(([at, place]) => [facts[at][0], place]));
    return node.key.map((at) => [at, places.get(facts[at][0].replace(/^(params|reads)\./, ""))]);
  }

  /** Names and values, with the statement that set each, behind a heading that opens. */
  #facts(heading, pairs) {
    if (pairs.length === 0) return "";
    const { facts, places } = this.model.facts;
    const list = element("dl");
    const fill = (text) => {
      list.replaceChildren();
      for (const [at, place] of pairs) {
        const [name, value] = facts[at];
        if (!`${name} ${value}`.toLowerCase().includes(text.toLowerCase())) continue;
        list.append(element("dt", {}, name), element("dd", {}, value ?? "(none)"));
        if (place !== undefined) list.append(element("dd", { class: "place" }, places[place]));
      }
    };
    const filter = element("input", { type: "search", placeholder: "Filter", "aria-label": `Filter: ${heading}`, oninput: () => fill(filter.value) });
    const details = element("details", {}, element("summary", {}, `${heading} (${pairs.length})`), filter, list);
    details.addEventListener("toggle", () => fill(filter.value), { once: true });
    return details;
  }
}
