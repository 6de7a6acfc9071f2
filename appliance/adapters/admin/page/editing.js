// What changes something. None of it is in the page unless the caller may write; the API judges all the same.

import { ask } from "./api.js";
import { at, make, say } from "./elements.js";

const WAIT_SECONDS = 15;

/** Asks before it does; `done()` is called after a change. */
export class Editing {
  constructor(done) {
    this.done = done;
    at("question-no").addEventListener("click", () => at("question").close("no"));
    at("question-yes").addEventListener("click", () => at("question").close("yes"));
  }

  /** Put the tools into the page, or take them out. */
  allow(mayWrite) {
    const place = at("editing");
    if (!mayWrite) return place.replaceChildren();
    if (!place.children.length) place.append(this.#tools(), make("p", { id: "outcome", role: "status" }));
    return undefined;
  }

  /** Delete a workload, if it is meant. */
  async remove(id) {
    if (!(await confirmed(`Delete ${id}?`, "Its route goes at once. Its certificate is kept for a while.", "Delete"))) return;
    await this.#carryOut(`${id} is deleted`, () => ask(`/v1/workloads/${encodeURIComponent(id)}`, { method: "DELETE" }));
  }

  async #prune() {
    const text = "Routes whose workload files vanished many at once are kept in case the files come back. They will go now.";
    if (!(await confirmed("Prune?", text, "Prune"))) return;
    await this.#carryOut("routes without a file go", () => ask("/v1/workloads:prune", { method: "POST" }));
  }

  async #add(event) {
    event.preventDefault();
    const form = event.target;
    const id = form.elements.id.value.trim();
    // Only ever creates: an existing workload of this id is not overwritten by a typing error.
    const headers = { "If-None-Match": "*" };
    const path = `/v1/workloads/${encodeURIComponent(id)}?wait=applied&timeout=${WAIT_SECONDS}`;
    const options = { method: "PUT", headers, body: documentOf(form), patience: (WAIT_SECONDS + 15) * 1000 };
    const found = await this.#carryOut("", () => ask(path, options));
    if (found === undefined) return;
    say(at("outcome"), `${found.id} is ${found.state}${found.reason && `: ${found.reason}`}`);
    form.reset();
    fit(form);
  }

  async #carryOut(words, work) {
    const outcome = at("outcome");
    say(outcome, "…");
    try {
      const found = await work();
      outcome.className = "";
      say(outcome, words);
      this.done();
      return found;
    } catch (error) {
      outcome.className = "failed";
      say(outcome, `Not done: ${error.message}`);
      return undefined;
    }
  }

  #tools() {
    const form = make(
      "form",
      { class: "fields", onsubmit: (event) => this.#add(event) },
      field("type", "Type", make("select", {}, make("option", { value: "gateway-name-proxy" }, "name proxy: <name>.<gateway domain>"), make("option", { value: "gateway-fqdn-proxy" }, "FQDN proxy: a host of its own"))),
      field("id", "Workload id", text({ required: true, pattern: "[A-Za-z0-9][A-Za-z0-9_\\-]{0,199}", placeholder: "37-2039-blog" })),
      field("host", "Name", text({ required: true, placeholder: "blog" })),
      field("backends", "Backends, one a line", make("textarea", { rows: 2, required: true, placeholder: "http://10.1.2.3:9000" })),
      make("p", { class: "check" }, make("input", { type: "checkbox", id: "new-passthrough", name: "passthrough" }), make("label", { for: "new-passthrough" }, "TLS passthrough")),
      make("button", { type: "submit" }, "Add"),
    );
    form.elements.type.addEventListener("change", () => fit(form));
    return make(
      "div",
      { class: "row tools" },
      make("details", {}, make("summary", {}, "Add a workload"), form),
      make("button", { type: "button", id: "prune", class: "quiet", onclick: () => this.#prune() }, "Prune"),
    );
  }
}

function field(name, label, input) {
  input.id = `new-${name}`;
  input.name = name;
  return make("p", {}, make("label", { for: input.id }, label), input);
}

function text(attributes) {
  return make("input", { type: "text", autocomplete: "off", spellcheck: "false", ...attributes });
}

function fit(form) {
  const isName = form.elements.type.value === "gateway-name-proxy";
  say(form.querySelector("label[for=new-host]"), isName ? "Name" : "Host");
  form.elements.host.placeholder = isName ? "blog" : "shop.customer.com";
}

function documentOf(form) {
  const { type, host, backends, passthrough } = form.elements;
  return {
    type: type.value,
    [type.value === "gateway-name-proxy" ? "name" : "fqdn"]: host.value.trim(),
    backends: backends.value.split(/\s+/).filter(Boolean),
    tls_passthrough: passthrough.checked,
  };
}

function confirmed(title, words, yes) {
  const dialog = at("question");
  say(at("question-title"), title);
  say(at("question-text"), words);
  say(at("question-yes"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  at("question-no").focus();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
