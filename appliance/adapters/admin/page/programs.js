// The programs under supervision: state, processor, memory, restarts.

import { at, make, pill, reconcile, say, tell } from "./elements.js";
import { bytes, now, span } from "./words.js";

const TONES = { RUNNING: "ok", STARTING: "busy", STOPPING: "busy", STOPPED: "warn", EXITED: "warn" };

// Over less time the moment of the answer is not known well enough.
const LEAST_SECONDS = 2;

/** The section. */
export class Programs {
  constructor() {
    this.before = new Map();
    this.found = [];
  }

  /** Take in an answer of `/v1/programs`. */
  take(found) {
    const moment = now();
    this.found = found.map((one) => ({ ...one, share: this.#share(one, moment) }));
    reconcile(at("programs-rows"), this.found, (one) => one.name, create, update);
  }

  /** The share of one processor since the look before; since its start at the first look, or of a new process. */
  #share(one, moment) {
    if (one.cpu_seconds === null) return null;
    const known = this.before.get(one.name);
    const isSame = known !== undefined && known.pid === one.pid;
    if (isSame && moment - known.at < LEAST_SECONDS) return known.share;
    const [cpu, since] = isSame ? [known.cpu, known.at] : [0, one.started];
    const share = Math.max(0, one.cpu_seconds - cpu) / Math.max(LEAST_SECONDS, moment - since);
    this.before.set(one.name, { pid: one.pid, cpu: one.cpu_seconds, at: moment, share });
    return share;
  }
}

function create() {
  const number = () => make("td", { class: "number" });
  return make("tr", {}, make("th", { scope: "row" }, make("span", { class: "host" }), make("span", { class: "muted id" })), make("td", {}, pill("idle", "")), number(), number(), number(), number());
}

function update(row, one) {
  const [name, state, cpu, memory, restarts, age] = row.children;
  say(name.children[0], one.name);
  say(name.children[1], one.pid === null ? "no process" : `pid ${one.pid}`);
  tell(state.children[0], TONES[one.state] ?? "bad", one.state.toLowerCase());
  say(cpu, one.share === null ? "–" : `${(100 * one.share).toFixed(1)} %`);
  say(memory, one.resident_bytes === null ? "–" : bytes(one.resident_bytes));
  say(restarts, String(one.restarts));
  say(age, one.started === null ? "–" : span(now() - one.started));
}
