// A run that goes on: takes what is told of each action, and keeps the page up to date.
"use strict";

/** How an action stands while nothing has been told of it. */
const WAITS = { state: "queued" };

class Run {
  /** `changed` is called with the numbers of actions that stand otherwise than before, and with those that are at work. */
  constructor(model, places, changed) {
    Object.assign(this, { model, places, changed });
    this.zero = performance.now();
    this.over = null;
    this.lost = false;
    this.tests = model.facts.nodes.filter((node) => node.wanted);
    for (const node of model.facts.nodes) node.now = WAITS;
    this.places.progress.max = Math.max(1, this.tests.length);
  }

  follow() {
    const source = new EventSource("events");
    const clock = setInterval(() => this.#tick(), 1000);
    const end = () => {
      source.close();
      clearInterval(clock);
    };
    source.onmessage = (message) => {
      this.take(JSON.parse(message.data));
      if (this.over !== null) end();
    };
    source.onerror = () => {
      this.lost = true;
      end();
      this.#say();
    };
    this.#say();
  }

  take({ at, actions, stopping, over }) {
    this.zero = performance.now() - at * 1000;
    this.stopping = stopping;
    this.over = over;
    for (const action of actions) this.model.nodes.get(action.id).now = action;
    this.#say();
    this.changed(actions.map((action) => action.id));
  }

  /** Seconds since the run began. */
  now() {
    return (performance.now() - this.zero) / 1000;
  }

  #running() {
    return this.model.facts.nodes.filter((node) => node.now.state === "running");
  }

  #tick() {
    this.#say();
    this.changed(this.#running().map((node) => node.id));
  }

  #say() {
    const done = this.tests.filter((node) => !["queued", "running"].includes(node.now.state));
    const failed = done.filter((node) => ["FAIL", "ERROR", "INTERRUPT"].includes(node.now.state)).length;
    this.places.progress.value = done.length;
    const seconds = Math.floor(this.now());
    const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    const bad = failed > 0 ? `, ${failed} failed` : "";
    const count = `${done.length} of ${this.tests.length} tests done${bad}`;
    let text = `${count}, ${this.#running().length} running, ${clock}`;
    if (this.stopping) text = `being stopped (${this.stopping}): ${text}`;
    if (this.lost) text = `vtbuild has gone away; this is how things stood: ${count}`;
    if (this.over !== null) text = `the run is over after ${clock}: ${this.over}`;
    this.places.text.textContent = text;
  }
}

/** What is told of an action in the panel while the run goes on, line by line. */
function nowLines({ now }, seconds) {
  const lines = [];
  if (now.state === "running") {
    const expected = now.expected ? ` of about ${secondsText(now.expected)}` : "";
    const again = now.attempt > 1 ? `, try ${now.attempt}` : "";
    lines.push(`Runs for ${secondsText(seconds - now.since)}${expected}${again}.`);
    if (now.step) lines.push(now.step);
  } else if (now.state === "queued") lines.push("Has not started.");
  else if (now.state === "cached") lines.push("Served from the cache.");
  else lines.push(`${now.state}${now.attempts > 0 ? ` after ${secondsText(now.seconds)}` : ""}.`);
  if (now.reason) lines.push(now.reason);
  if (now.logs) lines.push(`Logs: ${now.logs}`);
  return lines;
}
