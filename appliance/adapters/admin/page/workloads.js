// The table of workloads, page by page as the API gives them, so that ten thousand are no more work than ten.

import { ask } from "./api.js";
import { at, make, pill, reconcile, say, show, tell } from "./elements.js";
import { showRate, sparkline } from "./traffic.js";
import { several } from "./words.js";

const TONES = { applied: "ok", pending: "busy", quarantined: "bad" };
const CERTIFICATE_TONES = { issued: "ok", pending: "busy", withheld: "warn", none: "idle" };

/** The section. `traffic` has the rates; `remove(workload)` is asked for by a row's button. */
export class Workloads {
  constructor(traffic, remove) {
    this.traffic = traffic;
    this.remove = remove;
    this.mayWrite = false;
    this.filter = new URLSearchParams({ limit: 25 });
    this.pages = [null];
    this.next = null;
    this.shown = [];
    this.changed = () => {};
    at("filter").addEventListener("submit", (event) => this.#filtered(event));
    for (const select of at("filter").querySelectorAll("select")) select.addEventListener("change", (event) => this.#filtered(event));
    at("page-first").addEventListener("click", () => this.pages.length > 1 && this.#turn([null]));
    at("page-before").addEventListener("click", () => this.pages.length > 1 && this.#turn(this.pages.slice(0, -1)));
    at("page-after").addEventListener("click", () => this.next !== null && this.#turn([...this.pages, this.next]));
  }

  /** Get the page that is looked at, and show it. */
  async load() {
    const pages = this.pages;
    const query = new URLSearchParams(this.filter);
    const page = pages[pages.length - 1];
    if (page !== null) query.set("page", page);
    const found = await ask(`/v1/workloads?${query}`);
    if (pages !== this.pages) return;
    this.shown = found.workloads;
    this.next = found.next;
    this.render();
  }

  /** Show rates anew. */
  showTraffic() {
    for (const row of at("workloads-rows").children) {
      showRate(row.querySelector(".spark"), row.querySelector(".rate"), this.traffic.of(row.dataset.key));
    }
  }

  /** Show what is known. */
  render() {
    show(at("workloads-actions"), this.mayWrite);
    reconcile(at("workloads-rows"), this.shown, (one) => `${one.id}`, (one) => this.#row(one), (row, one) => this.#update(row, one));
    this.showTraffic();
    const isFirst = this.pages.length === 1;
    show(at("workloads-none"), this.shown.length === 0);
    say(at("workloads-none"), this.#isFiltered() ? "No workload fits the filter." : "No workload yet: gateway route name ID NAME BACKEND");
    say(at("page-number"), `Page ${this.pages.length}, ${several(this.shown.length, "workload")}${this.next === null ? ", the last" : ""}`);
    disable(at("page-first"), isFirst);
    disable(at("page-before"), isFirst);
    disable(at("page-after"), this.next === null);
  }

  #isFiltered() {
    return [...this.filter.keys()].some((key) => key !== "limit");
  }

  #filtered(event) {
    event.preventDefault();
    const wanted = { state: at("filter-state").value, kind: at("filter-kind").value, domain: at("filter-domain").value.trim(), limit: at("filter-limit").value };
    this.filter = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value !== ""));
    this.#turn([null]);
  }

  #turn(pages) {
    this.pages = pages;
    this.next = null;
    this.changed();
  }

  #row(one) {
    const button = make("button", { type: "button", class: "danger small", onclick: () => this.remove(one.id) }, "Delete");
    button.setAttribute("aria-label", `Delete ${one.id}`);
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, make("span", { class: "host" }), make("span", { class: "muted id" })),
      make("td", {}, pill("idle", ""), make("span", { class: "reason" })),
      make("td", {}, pill("idle", ""), make("span", { class: "reason" })),
      make("td", { class: "traffic" }, sparkline(), make("span", { class: "rate" })),
      make("td", { class: "action" }, button),
    );
  }

  #update(row, one) {
    const [name, state, certificate, , action] = row.children;
    say(name.children[0], one.host ?? one.id);
    const passthrough = one.tls_passthrough ? " · TLS passthrough" : "";
    say(name.children[1], `${one.host === null ? "file cannot be read" : one.id}${passthrough}`);
    tell(state.children[0], TONES[one.state], one.state);
    say(state.children[1], one.reason);
    tell(certificate.children[0], CERTIFICATE_TONES[one.certificate.state], one.certificate.state);
    say(certificate.children[1], one.certificate.state === "issued" ? "" : one.certificate.reason);
    show(action, this.mayWrite);
  }
}

// A button that has the focus keeps it: it is only said to be of no use.
function disable(button, isDisabled) {
  button.setAttribute("aria-disabled", isDisabled);
}
