// Certificates by days left: those to worry about are on top.

import { at, draw, make, pill, reconcile, say, show, tell } from "./elements.js";
import { several } from "./words.js";

const AT_ONCE = 10;
const SOON_DAYS = 14;
const FULL_DAYS = 90;
const WIDTH = 90;

/** The section. */
export class Certificates {
  constructor() {
    this.found = [];
    this.most = AT_ONCE;
    at("certificates-more").addEventListener("click", () => {
      this.most += 10 * AT_ONCE;
      this.render();
    });
  }

  /** Take in an answer of `/v1/certificates`. */
  take(found) {
    this.found = found.map((one) => ({ ...one, verdict: verdict(one) })).sort(byUrgency);
    this.render();
  }

  /** The certificate that ends first; undefined when there is none. */
  first() {
    return this.found.filter((one) => one.days_left !== null).sort((a, b) => a.days_left - b.days_left)[0];
  }

  /** Show what is known. */
  render() {
    reconcile(at("certificates-rows"), this.found.slice(0, this.most), (one) => one.name, row, update);
    const isMore = this.found.length > this.most;
    show(at("certificates-more"), isMore);
    const all = several(this.found.length, "certificate");
    say(at("certificates-note"), isMore ? `${this.most} of ${all}` : all);
  }
}

const PLACES = { bad: 0, warn: 1, busy: 2, ok: 3 };

function byUrgency(one, other) {
  return PLACES[one.verdict.tone] - PLACES[other.verdict.tone] || (one.days_left ?? 0) - (other.days_left ?? 0) || (one.name < other.name ? -1 : 1);
}

/** How a certificate stands: a tone, a word, and why. */
function verdict(one) {
  const failed = one.last_error ? `${one.last_error.words} ${one.last_error.todo}`.trim() : "";
  const served = one.served?.problem ?? "";
  if (one.days_left === null) {
    const why = failed || one.reason || "";
    return why ? { tone: "bad", word: "none", why } : { tone: "busy", word: "ordered", why: "served as soon as it is issued" };
  }
  if (one.days_left <= 0) return { tone: "bad", word: "ended", why: failed || served };
  if (served || failed) return { tone: "warn", word: failed ? "not renewed" : "not served", why: failed || served };
  if (one.days_left < SOON_DAYS && one.reason) return { tone: "warn", word: "ends soon", why: one.reason };
  return { tone: "ok", word: one.served ? "served" : "kept", why: "" };
}

function row() {
  const bar = draw("svg", { class: "bar", viewBox: `0 0 ${WIDTH} 8`, width: WIDTH, height: 8, "aria-hidden": "true" }, draw("rect", { class: "track", width: WIDTH, height: 8, rx: 4 }), draw("rect", { class: "fill", height: 8, rx: 4 }));
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, make("span", { class: "host" }), make("span", { class: "muted id" })),
    make("td", { class: "days" }, make("span"), bar),
    make("td", {}, pill("idle", ""), make("span", { class: "reason" })),
  );
}

function update(element, one) {
  const [name, days, state] = element.children;
  say(name.children[0], one.name);
  const users = one.workloads.length === 1 ? one.workloads[0] : several(one.workloads.length, "workload");
  say(name.children[1], [one.issuer, users].filter(Boolean).join(" · "));
  say(days.children[0], one.days_left === null ? "–" : left(one.days_left));
  days.children[1].setAttribute("class", `bar ${one.verdict.tone}`);
  const share = Math.min(1, Math.max(0, (one.days_left ?? 0) / FULL_DAYS));
  days.children[1].children[1].setAttribute("width", (share * WIDTH).toFixed(1));
  tell(state.children[0], one.verdict.tone, one.verdict.word);
  say(state.children[1], one.verdict.why);
}

/** Days left in words; below two days in hours. */
export function left(days) {
  if (days <= 0) return "ended";
  return days < 2 ? `${Math.round(days * 24)} h` : several(Math.floor(days), "day");
}
