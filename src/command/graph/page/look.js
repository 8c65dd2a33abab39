// How things look: kinds by shape, states by colour, border and sign. No state is told by colour alone.
"use strict";

const SHAPES = {
  image: "barrel", file: "cut-rectangle", python: "hexagon", deps: "diamond", state: "octagon", visit: "pentagon", test: "round-rectangle",
};
const SHAPE_WORDS = {
  "round-rectangle": "rounded box", barrel: "barrel", "cut-rectangle": "cut corners", hexagon: "hexagon", diamond: "diamond",
  octagon: "octagon", pentagon: "pentagon", ellipse: "ellipse",
};
const STATES = {
  hit: { sign: "✓", word: "hit: served from the cache", light: "#d5efdb", dark: "#1f4a2c", border: "solid", width: 1.5 },
  run: { sign: "▶", word: "run", light: "#ffdfb5", dark: "#69400f", border: "solid", width: 3 },
  maybe: { sign: "?", word: "maybe: only if what it stands on changes", light: "#e1e3fb", dark: "#343a70", border: "dashed", width: 1.5 },
  PASS: { sign: "✓", word: "passed", light: "#d5efdb", dark: "#1f4a2c", border: "solid", width: 1.5 },
  FAIL: { sign: "✗", word: "failed", light: "#ffd3d0", dark: "#7a2326", border: "solid", width: 3 },
  ERROR: { sign: "!", word: "error", light: "#ffc9e3", dark: "#752355", border: "solid", width: 3 },
  SKIP: { sign: "–", word: "skipped", light: "#e9ebee", dark: "#363d47", border: "dashed", width: 1.5 },
  queued: { sign: "…", word: "has not started", light: "#e1e3fb", dark: "#343a70", border: "dashed", width: 1.5 },
  running: { sign: "▶", word: "runs", light: "#ffdfb5", dark: "#69400f", border: "solid", width: 4 },
  cached: { sign: "✓", word: "from the cache", light: "#d3eef2", dark: "#17454d", border: "solid", width: 1.5 },
  other: { sign: "•", word: "other", light: "#fff0b8", dark: "#5c4c0c", border: "dashed", width: 1.5 },
  none: { sign: "", word: "not in it", light: "#f1f2f3", dark: "#2a2f37", border: "dotted", width: 1.5 },
};
const HEAT = { light: ["#f3f4e8", "#fde3a0", "#fbb469", "#f28b5f", "#ea7064"], dark: ["#2b2f2a", "#5a4a14", "#7d4a12", "#94351c", "#b0272f"] };
const HEAT_STEPS = [0, 2, 10, 30, 120];
const HEAT_WORDS = ["less than 2 s", "from 2 s", "from 10 s", "from 30 s", "from 2 min"];

/** So many characters of a name fit into a box; into that of a group, in bold and with a number behind them. */
const NAME = 33;
const GROUP_NAME = 34;

const darkQuery = window.matchMedia("(prefers-color-scheme: dark)");
const theme = () => (darkQuery.matches ? "dark" : "light");
const shapeOf = (kind) => SHAPES[kind] ?? "ellipse";

function secondsText(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 100) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The state of one action in the chosen colouring: a name in `STATES`. */
function stateOf(node, mode) {
  if (mode === "plan") return node.plan;
  if (mode === "run") return node.now.state in STATES ? node.now.state : "other";
  if (!node.last) return "none";
  if (node.last.cached) return "cached";
  return node.last.status in STATES ? node.last.status : "other";
}

function heatOf(node) {
  const seconds = node.seconds ?? node.last?.seconds ?? 0;
  return HEAT_STEPS.findLastIndex((from) => seconds >= from);
}

function colourOf(node, mode) {
  return mode === "time" ? HEAT[theme()][heatOf(node)] : STATES[stateOf(node, mode)][theme()];
}

/** The end of a name, as many labels of it as fit. */
function shortened(title, most = NAME) {
  if (title.length <= most) return title;
  const end = title.slice(-most);
  return `…${end.slice(end.indexOf(".") + 1)}`;
}

/** How an action of a run stands, for its label. */
function runWords({ now, seconds }) {
  if (now.state === "running") {
    const expected = now.expected ?? seconds;
    return `running${expected ? `, about ${secondsText(expected)}` : ""}`;
  }
  return now.state === "queued" || now.state === "cached" || now.attempts === 0 ? now.state : `${now.state} ${secondsText(now.seconds)}`;
}

function labelOf(node, title, mode) {
  if (mode === "run") return `${shortened(title)}\n${STATES[stateOf(node, mode)].sign} ${runWords(node)}`;
  if (mode === "last" && !node.last) return `${shortened(title)}\nnot in it`;
  // A last verdict has the time of its own run, not of the next one.
  const past = mode !== "plan" && mode !== "time" && node.last?.seconds !== undefined;
  const time = secondsText(past ? node.last.seconds : (node.seconds ?? node.last?.seconds));
  const about = !past && node.plan !== "hit" && node.known === false ? "about " : "";
  if (mode === "time") return `${shortened(title)}\n${about}${time || "no time known"}`;
  const state = stateOf(node, mode);
  const words = mode === "plan" ? node.plan : node.last.cached ? "from the cache" : node.last.status;
  const detail = node.rule === "file" ? "" : ` ${about}${time}`;
  return `${shortened(title)}\n${STATES[state].sign} ${words}${detail}`;
}

/** How many members of a group are in which state, as a line and as the stripes of its background. */
function groupLook(members, mode) {
  const counts = new Map();
  for (const node of members) {
    const key = mode === "time" ? heatOf(node) : stateOf(node, mode);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const keys = [...counts.keys()].sort();
  const colours = [];
  const stops = [];
  let done = 0;
  for (const key of keys) {
    const colour = mode === "time" ? HEAT[theme()][key] : STATES[key][theme()];
    colours.push(colour, colour);
    stops.push(`${done}%`);
    done += (100 * counts.get(key)) / members.length;
    stops.push(`${done}%`);
  }
  const total = members.reduce((sum, node) => sum + (node.seconds ?? 0), 0);
  const words = keys.map((key) => `${STATES[key]?.sign ?? ""} ${counts.get(key)} ${key}`.trim()).join("   ");
  return { line: mode === "time" ? secondsText(total) : words, colours: colours.join(" "), stops: stops.join(" ") };
}

/** The style sheet of the graph library. */
function styles(large) {
  const dark = theme() === "dark";
  const ink = dark ? "#e8eaed" : "#1d2126";
  const line = dark ? "#7d8895" : "#7b8591";
  const accent = dark ? "#7db4ff" : "#0b5fcc";
  return [
    {
      selector: "node",
      style: {
        shape: "data(shape)", width: 240, height: 44, "background-color": "data(colour)", "border-color": line,
        "border-width": "data(width)", "border-style": "data(border)", label: "data(label)", color: ink, "font-size": 12,
        "font-family": "system-ui, DejaVu Sans, sans-serif", "text-valign": "center", "text-halign": "center", "text-wrap": "wrap",
        "text-max-width": 236, "line-height": 1.3, "min-zoomed-font-size": 6,
      },
    },
    {
      selector: "node[?group]",
      style: {
        shape: "round-rectangle", width: 310, height: 56, "border-style": "double", "border-width": 5, "font-weight": "bold",
        "background-fill": "linear-gradient", "background-gradient-direction": "to-right", "text-max-width": 306,
        "background-gradient-stop-colors": "data(colours)", "background-gradient-stop-positions": "data(stops)",
      },
    },
    {
      selector: "edge",
      style: large
        ? { width: 1, "line-color": line, "curve-style": "haystack", opacity: 0.35 }
        : {
          width: 1.5, "line-color": line, "target-arrow-color": line, "target-arrow-shape": "triangle", "curve-style": "bezier",
          "arrow-scale": 0.9,
        },
    },
    { selector: "edge[kind = 'after']", style: { "line-style": "dashed" } },
    { selector: ".faded", style: { opacity: 0.28 } },
    { selector: "node.path", style: { "border-color": accent } },
    { selector: "edge.path", style: { "line-color": accent, "target-arrow-color": accent, width: 2.5, opacity: 1 } },
    {
      selector: "node.chosen",
      style: { "border-color": accent, "border-width": 5, "overlay-color": accent, "overlay-opacity": 0.12, "overlay-padding": 6 },
    },
  ];
}

/** The legend for a colouring. */
function legend(kinds, mode, add) {
  for (const kind of kinds) add("kind", `${kind}: ${SHAPE_WORDS[shapeOf(kind)]}`);
  if (mode === "time") {
    HEAT_WORDS.forEach((words, at) => add("state", words, HEAT[theme()][at], "solid"));
    return;
  }
  const states = {
    plan: ["hit", "run", "maybe"], run: ["queued", "running", "cached", "PASS", "FAIL", "ERROR", "SKIP", "other"],
  }[mode] ?? ["cached", "PASS", "FAIL", "ERROR", "SKIP", "other", "none"];
  for (const name of states) {
    const state = STATES[name];
    add("state", `${state.sign} ${state.word}`, state[theme()], state.border, state.width > 2);
  }
}
