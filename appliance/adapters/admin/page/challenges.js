// The life of each challenge: presented by whom, queried by whom, cleaned up or expired.

import { at, make, pill, reconcile, say, show, tell } from "./elements.js";
import { moment, now, several, span } from "./words.js";

const AT_ONCE = 5;
const SOURCES = 4;
const ENDS = { "cleaned up": "Cleaned up", expired: "Expired", gone: "Gone with its process" };

/** The section. */
export class Challenges {
  constructor() {
    this.found = [];
    this.most = AT_ONCE;
    at("challenges-more").addEventListener("click", () => {
      this.most += 20;
      this.render();
    });
  }

  /** Take in an answer of `/v1/challenges`, oldest first. */
  take(found) {
    this.found = found.toReversed();
    this.render();
  }

  /** Whether any is still being looked for. */
  isAnyOpen() {
    return this.found.some((one) => one.ended === null);
  }

  /** Show what is known. */
  render() {
    show(at("challenges-none"), this.found.length === 0);
    show(at("challenges-more"), this.found.length > this.most);
    reconcile(at("challenges-list"), this.found.slice(0, this.most), keyOf, create, update);
  }
}

function keyOf(one) {
  return `${one.challenge.name} ${one.challenge.value} ${one.challenge.presented}`;
}

function create() {
  const step = () => make("li", {}, make("strong"), make("span", { class: "muted" }));
  return make("li", { class: "challenge" }, make("p", {}, make("code"), " ", pill("idle", "")), make("ol", { class: "steps" }, step(), step(), step()));
}

function update(element, one) {
  const [head, steps] = element.children;
  say(head.children[0], one.challenge.name);
  tell(head.children[1], tone(one), one.state);
  const [presented, queried, ended] = steps.children;
  mark(presented, "done", "Presented", `by ${one.challenge.by}, ${moment(one.challenge.presented)}`);
  mark(queried, one.fetch_count ? "done" : one.ended === null ? "waits" : "never", one.fetch_count ? `Queried ${several(one.fetch_count, "time")}` : "Not queried", queries(one));
  const after = one.ended === null ? `answered for ${span(now() - one.challenge.presented)} so far` : `after ${span(one.ended - one.challenge.presented)}, ${moment(one.ended)}`;
  mark(ended, one.ended === null ? "waits" : one.state === "cleaned up" ? "done" : "never", one.ended === null ? "Not cleaned up yet" : ENDS[one.state], after);
}

function tone(one) {
  if (one.state === "expired" || one.state === "gone") return "warn";
  return one.ended === null ? "busy" : one.fetch_count ? "ok" : "idle";
}

function queries(one) {
  if (!one.fetches.length) return one.ended === null ? "nobody came for it yet" : "nobody came for it";
  const sources = [...new Set(one.fetches.map((item) => item.source))];
  const more = sources.length > SOURCES ? ` and ${sources.length - SOURCES} more` : "";
  return `by ${sources.slice(0, SOURCES).join(", ")}${more}, first ${moment(one.fetches[0].at)}`;
}

function mark(step, state, word, text) {
  if (step.className !== state) step.className = state;
  say(step.children[0], word);
  say(step.children[1], text);
}
