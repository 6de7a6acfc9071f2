// The delegation of each challenge zone as a picture: parent -> NS record -> this gateway -> whoever asks. A link is as
// good as the worst check about it; the broken one is red, dashed, and has a cross. Below it stands the same in words.

import { at, draw, make, pill, reconcile, say, show, tell } from "./elements.js";
import { shortened } from "./words.js";

const LINKS = [
  { label: "delegates", checks: ["parent", "ns", "spelling", "dnssec"] },
  { label: "leads to", checks: ["target", "glue", "address", "servers"] },
  { label: "answers", checks: ["udp", "tcp", "authority", "recursion"] },
];
const ORDER = ["ok", "unknown", "warn", "fail"];
const TONES = { ok: "ok", warn: "warn", fail: "bad", unknown: "idle" };
const WORDS = { ok: "in order", warn: "doubtful", fail: "broken", unknown: "not known" };
const SIGNS = { ok: "✓", warn: "!", fail: "✕", unknown: "?" };
const BOX = { width: 150, height: 62 };
const NARROW = matchMedia("(max-width: 640px)");

/** The section. */
export class Delegation {
  constructor() {
    this.zones = [];
    NARROW.addEventListener("change", () => this.render());
  }

  /** Take in the checks of `/v1/doctor`, the zones of `/v1/zones`, and the gateway's addresses. */
  take(checks, zones, addresses) {
    const nameservers = new Map(zones.map((one) => [one.zone, one.nameserver]));
    this.zones = gathered(checks).map(([zone, found]) => ({
      zone,
      links: LINKS.map((link) => linkOf(link, found)),
      found: [...found.values()],
      boxes: boxes(parentOf(found), nameservers.get(zone), addresses),
    }));
    this.render();
  }

  /** Show what is known. */
  render() {
    show(at("delegation-none"), this.zones.length === 0);
    reconcile(at("delegation-zones"), this.zones, (one) => one.zone, create, update);
  }
}

// The doctor tells it in a sentence only: "ZONE lies in PARENT, served by SERVERS".
function parentOf(found) {
  return found.get("parent")?.evidence.match(/ lies in ([^\s,]+), /)?.[1] ?? "";
}

function boxes(parent, nameserver, addresses) {
  return [
    { title: "Parent zone", detail: parent },
    { title: "NS record", detail: nameserver ?? "" },
    { title: "This gateway", detail: addresses[0] ?? "", rest: addresses.slice(1).join(" ") },
    { title: "Whoever asks", detail: "resolvers, the CA" },
  ];
}

/** The checks of the delegation by zone, each by its kind. */
function gathered(checks) {
  const zones = new Map();
  const own = checks.filter((one) => one.id.startsWith("delegation."));
  for (const one of own) {
    const [kind, subject] = split(one.id);
    const zone = kind === "spelling" ? `_acme-challenge.${subject}` : subject;
    if (!zones.has(zone)) zones.set(zone, new Map());
    const kinds = zones.get(zone);
    if (!kinds.has(kind) || ORDER.indexOf(one.status) > ORDER.indexOf(kinds.get(kind).status)) kinds.set(kind, one);
  }
  // The name of RFC 8555 before the one of old instructions, which is longer by a letter.
  return [...zones].sort(([one], [other]) => one.length - other.length || (one < other ? -1 : 1));
}

function split(id) {
  const place = id.indexOf(":");
  return [id.slice("delegation.".length, place), id.slice(place + 1)];
}

function linkOf(link, found) {
  const about = link.checks.filter((kind) => found.has(kind)).map((kind) => found.get(kind));
  const status = about.reduce((worst, one) => (ORDER.indexOf(one.status) > ORDER.indexOf(worst) ? one.status : worst), about.length ? "ok" : "unknown");
  return { label: link.label, status };
}

function create() {
  return make("article", { class: "zone" }, make("h3", {}, make("code"), " ", pill("idle", "")), make("div", { class: "picture" }), make("ul", { class: "checks" }));
}

function update(element, one) {
  const [title, picture, list] = element.children;
  const worst = one.links.reduce((found, link) => (ORDER.indexOf(link.status) > ORDER.indexOf(found) ? link.status : found), "ok");
  say(title.children[0], one.zone);
  tell(title.children[1], TONES[worst], WORDS[worst]);
  const drawn = JSON.stringify([one, NARROW.matches]);
  if (picture.dataset.drawn !== drawn) {
    picture.replaceChildren(pictureOf(one, NARROW.matches));
    picture.dataset.drawn = drawn;
  }
  const bad = one.found.filter((check) => check.status !== "ok");
  const told = bad.length ? bad : one.found.slice(0, 1);
  reconcile(list, told, (check) => check.id, checkLine, tellCheck);
}

function checkLine() {
  return make("li", {}, pill("idle", ""), " ", make("span"), make("code", { class: "todo" }));
}

function tellCheck(line, check) {
  tell(line.children[0], TONES[check.status], check.status);
  say(line.children[1], check.evidence);
  say(line.children[2], check.status === "ok" ? "" : check.todo);
  show(line.children[2], check.status !== "ok" && check.todo !== "");
}

function pictureOf(one, isNarrow) {
  const gap = isNarrow ? 46 : 80;
  const step = isNarrow ? { x: 0, y: BOX.height + gap } : { x: BOX.width + gap, y: 0 };
  const last = one.boxes.length - 1;
  const size = { width: BOX.width + step.x * last + 4, height: BOX.height + step.y * last + 4 };
  const picture = draw("svg", { class: "chain", viewBox: `-2 -2 ${size.width} ${size.height}`, width: size.width, height: size.height, role: "img", "aria-label": inWords(one) });
  one.links.forEach((link, place) => picture.append(arrow(link, step, place, isNarrow)));
  one.boxes.forEach((box, place) => picture.append(boxAt(box, step.x * place, step.y * place)));
  return picture;
}

function inWords(one) {
  const links = one.links.map((link, place) => `${one.boxes[place].title} ${link.label} ${one.boxes[place + 1].title}: ${WORDS[link.status]}`);
  return `Delegation of ${one.zone}. ${links.join("; ")}.`;
}

function boxAt(box, x, y) {
  const middle = x + BOX.width / 2;
  return draw(
    "g",
    { class: "box" },
    draw("title", {}, [box.title, box.detail, box.rest].filter(Boolean).join(" ")),
    draw("rect", { x, y, width: BOX.width, height: BOX.height, rx: 9 }),
    draw("text", { x: middle, y: y + 26, class: "name" }, box.title),
    draw("text", { x: middle, y: y + 46, class: "detail" }, shortened(box.detail, 21)),
  );
}

function arrow(link, step, place, isNarrow) {
  const from = isNarrow ? { x: BOX.width / 2, y: step.y * place + BOX.height + 4 } : { x: step.x * place + BOX.width + 4, y: BOX.height / 2 };
  const to = isNarrow ? { x: from.x, y: step.y * (place + 1) - 5 } : { x: step.x * (place + 1) - 5, y: from.y };
  const head = isNarrow ? `M${to.x - 5} ${to.y - 7}L${to.x} ${to.y}L${to.x + 5} ${to.y - 7}` : `M${to.x - 7} ${to.y - 5}L${to.x} ${to.y}L${to.x - 7} ${to.y + 5}`;
  const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  const label = isNarrow ? { x: middle.x + 16, y: middle.y + 4, class: "label beside" } : { x: middle.x, y: middle.y - 16, class: "label" };
  return draw(
    "g",
    { class: `link ${TONES[link.status]}` },
    draw("path", { d: `M${from.x} ${from.y}L${to.x} ${to.y}` }),
    draw("path", { d: head, class: "head" }),
    draw("circle", { cx: middle.x, cy: middle.y, r: 10 }),
    draw("text", { x: middle.x, y: middle.y + 4.5, class: "sign" }, SIGNS[link.status]),
    draw("text", label, link.label),
  );
}
