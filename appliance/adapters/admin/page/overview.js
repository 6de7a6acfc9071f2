// What is to be seen first: health, problems and notices, and four figures.

import { at, make, say, show, tell } from "./elements.js";
import { plot, sparkline } from "./traffic.js";
import { left } from "./certificates.js";
import { amount, bytes, several, shortened } from "./words.js";

const TILES = ["Workloads", "Traffic", "Certificates", "Programs"];

/** The section. */
export class Overview {
  constructor() {
    this.tiles = new Map(TILES.map((name) => [name, tile(name)]));
    at("tiles").append(...[...this.tiles.values()].map((one) => one.element));
  }

  /** Take in an answer of `/v1/status`. */
  takeStatus(status) {
    tell(at("health"), ...health(status));
    say(at("domain"), (status.public?.domains ?? []).join(", "));
    say(at("version"), status.version);
    this.#remarks(status);
    const { applied = 0, pending = 0, quarantined = 0 } = status.workloads;
    const rest = [pending && `${amount(pending)} pending`, quarantined && `${amount(quarantined)} in quarantine`].filter(Boolean);
    this.#set("Workloads", amount(applied), rest.join(", ") || "applied, all of them", quarantined ? "bad" : pending ? "warn" : "ok");
  }

  /** Take in the rates. */
  takeTraffic({ bytes: history, requests, errors, isTold }) {
    const note = isTold ? `${amount(requests)} req/s${errors > 0 ? `, ${amount(errors)} answered 5xx` : ""}` : "measuring";
    this.#set("Traffic", isTold ? `${bytes(history[history.length - 1])}/s` : "–", note, errors > 0 ? "warn" : "idle");
    plot(this.tiles.get("Traffic").picture, history);
  }

  /** Take in the certificate that ends first, and how many there are. */
  takeCertificates(first, found) {
    const bad = found.filter((one) => one.verdict.tone === "bad" || one.verdict.tone === "warn").length;
    const note = first === undefined ? `${several(found.length, "certificate")} wanted` : `until ${shortened(first.name, 30)} ends`;
    this.#set("Certificates", first === undefined ? "–" : left(first.days_left), bad ? `${note}; ${amount(bad)} in trouble` : note, bad ? "warn" : "ok");
  }

  /** Take in the programs. */
  takePrograms(found) {
    const running = found.filter((one) => one.state === "RUNNING").length;
    const restarts = found.reduce((sum, one) => sum + one.restarts, 0);
    this.#set("Programs", `${running} of ${found.length}`, `running; ${several(restarts, "restart")}`, running === found.length ? "ok" : "bad");
  }

  #remarks(status) {
    const remarks = [...status.problems.map((text) => ["bad", "problem", text]), ...status.notices.map((text) => ["warn", "notice", text])];
    const list = at("remarks");
    show(list, remarks.length > 0);
    if (list.dataset.told === JSON.stringify(remarks)) return;
    list.dataset.told = JSON.stringify(remarks);
    list.replaceChildren(...remarks.map(([tone, word, text]) => make("li", { class: tone }, tell(make("span"), tone, word), " ", text)));
  }

  #set(name, figure, note, tone) {
    const one = this.tiles.get(name);
    say(one.figure, figure);
    say(one.note, note);
    one.element.className = `tile ${tone}`;
  }
}

function health({ problems, notices }) {
  if (problems.length) return ["bad", several(problems.length, "problem")];
  return notices.length ? ["warn", `healthy, ${several(notices.length, "notice")}`] : ["ok", "healthy"];
}

function tile(name) {
  const figure = make("span", { class: "figure" }, "–");
  const note = make("span", { class: "muted" });
  const picture = name === "Traffic" ? sparkline() : null;
  return { figure, note, picture, element: make("div", { class: "tile" }, make("dt", {}, name), make("dd", {}, figure, note, picture)) };
}
