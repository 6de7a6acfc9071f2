// What happens, as it happens. The list takes news in gulps, so that a burst costs one drawing and one announcement.

import { follow, Problem } from "./api.js";
import { at, make, pill, say, tell } from "./elements.js";
import { moment } from "./words.js";

const KEPT = 100;
const GULP_MS = 400;
const BEFORE_ALL = "0"; // brings the events that the gateway still has
const AGAIN_MS = [500, 1000, 2000, 5000];
const TONES = { applied: "ok", issued: "ok", RUNNING: "ok", "taken over": "ok", quarantined: "bad", refused: "bad", FATAL: "bad", BACKOFF: "bad", withheld: "warn", expired: "warn" };

/** The section. `news(kind)` is called for each event, `missed()` when some were lost, `refused(problem)` on 401. */
export class Events {
  constructor({ news, missed, refused }) {
    this.told = { news, missed, refused };
    this.waiting = [];
    this.timer = null;
    this.isPaused = false;
    this.control = null;
    at("events-pause").addEventListener("click", () => this.#pause());
  }

  /** Follow until `stop`. */
  async start() {
    this.control = new AbortController();
    const signal = this.control.signal;
    let seen = BEFORE_ALL;
    let failures = 0;
    const opened = () => {
      failures = 0;
      tell(at("live"), "ok", "live");
    };
    while (!signal.aborted) {
      try {
        seen = await follow(seen, (kind, event) => this.#heard(kind, event), opened, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Problem && error.status === 401) return this.told.refused(error);
      }
      tell(at("live"), "warn", "not live");
      await rest(AGAIN_MS[Math.min(failures, AGAIN_MS.length - 1)], signal);
      failures += 1;
    }
  }

  /** Follow no more. */
  stop() {
    this.control?.abort();
  }

  #heard(kind, event) {
    if (kind === "missed") return this.told.missed();
    this.told.news(kind, event);
    this.waiting.push(event);
    if (this.waiting.length > KEPT) this.waiting.shift();
    this.timer ??= setTimeout(() => this.#draw(), GULP_MS);
    return undefined;
  }

  #draw() {
    this.timer = null;
    if (this.isPaused) return say(at("events-note"), `paused, ${this.waiting.length} waiting`);
    const list = at("events-list");
    // What was there before the page is not read aloud; what comes is.
    list.setAttribute("aria-live", list.children.length ? "polite" : "off");
    list.prepend(...this.waiting.map(line).reverse());
    this.waiting = [];
    while (list.children.length > KEPT) list.lastElementChild.remove();
    return say(at("events-note"), "");
  }

  #pause() {
    this.isPaused = !this.isPaused;
    at("events-pause").setAttribute("aria-pressed", this.isPaused);
    this.#draw();
  }
}

function line(event) {
  const subject = event.workload ?? event.name ?? event.program ?? "settings";
  const detail = event.reason || (event.by ? `by ${event.by}` : event.pid ? `pid ${event.pid}` : "");
  return make(
    "li",
    {},
    make("time", { class: "muted", datetime: new Date(event.at * 1000).toISOString() }, moment(event.at)),
    make("span", { class: "kind" }, event.kind),
    make("span", { class: "subject" }, String(subject)),
    pill(TONES[event.state] ?? "idle", String(event.state)),
    make("span", { class: "reason" }, detail),
  );
}

function rest(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => resolve(clearTimeout(timer)), { once: true });
  });
}
