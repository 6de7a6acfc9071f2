// Puts the page together: who is calling, what is asked how often, and which event makes which part ask again.

import { ask, Problem, token } from "./api.js";
import { Certificates } from "./certificates.js";
import { Challenges } from "./challenges.js";
import { Delegation } from "./delegation.js";
import { Editing } from "./editing.js";
import { at, say, show } from "./elements.js";
import { Events } from "./events.js";
import { Overview } from "./overview.js";
import { Poll } from "./polling.js";
import { Programs } from "./programs.js";
import { Traffic } from "./traffic.js";
import { now } from "./words.js";
import { Workloads } from "./workloads.js";

const overview = new Overview();
const traffic = new Traffic();
const certificates = new Certificates();
const delegation = new Delegation();
const challenges = new Challenges();
const programs = new Programs();
const editing = new Editing(() => refresh());
const workloads = new Workloads(traffic, (id) => editing.remove(id));

// What the page that was here before has to say.
const SAID_AS = "gateway-said";

let addresses = [];
let polls = null;
let isLeaving = false;
const trouble = new Set();

// Which parts an event is about.
const ABOUT = {
  workload: ["status", "workloads"],
  certificate: ["certificates", "workloads"],
  challenge: ["challenges"],
  program: ["status", "programs"],
  settings: ["status", "workloads", "certificates", "delegation"],
};
const events = new Events({
  news: (kind) => (ABOUT[kind] ?? []).forEach((name) => polls?.[name].soon()),
  missed: refresh,
  refused: leave,
});

const WORK = {
  status: [5, loadStatus],
  workloads: [10, () => workloads.load()],
  traffic: [5, loadTraffic],
  certificates: [30, loadCertificates],
  challenges: [10, loadChallenges],
  programs: [5, loadPrograms],
  delegation: [30, loadDelegation],
};
workloads.changed = () => polls?.workloads.soon(0);

async function loadStatus() {
  const status = await ask("/v1/status");
  const found = [status.public?.ipv4, status.public?.ipv6].filter(Boolean);
  if (found.join() !== addresses.join()) polls?.delegation.soon(0);
  addresses = found;
  overview.takeStatus(status);
}

async function loadTraffic() {
  traffic.take(await ask("/v1/metrics"), now());
  overview.takeTraffic(traffic.all);
  workloads.showTraffic();
  if (!traffic.all.isTold) polls?.traffic.soon(2000);
}

async function loadCertificates() {
  certificates.take(await ask("/v1/certificates"));
  overview.takeCertificates(certificates.first(), certificates.found);
}

async function loadChallenges() {
  challenges.take(await ask("/v1/challenges"));
  if (challenges.isAnyOpen()) polls?.challenges.soon(2000);
}

async function loadPrograms() {
  programs.take(await ask("/v1/programs"));
  overview.takePrograms(programs.found);
}

async function loadDelegation() {
  const [examination, zones] = await Promise.all([ask("/v1/doctor"), ask("/v1/zones")]);
  delegation.take(examination.checks, zones, addresses);
}

function refresh() {
  for (const poll of Object.values(polls ?? {})) poll.soon();
}

/** Find out who is calling; show the board, or ask for a token. */
async function enter() {
  // The page says so when nobody knows the caller: to ask all the same would only be refused.
  if (document.documentElement.dataset.caller === "unknown" && token.get() === null) {
    showDoor(sessionStorage.getItem(SAID_AS) ?? "");
    sessionStorage.removeItem(SAID_AS);
    return;
  }
  try {
    const caller = await ask("/v1/whoami");
    say(at("caller"), `${caller.actor}, may ${caller.role === "write" ? "write" : "only read"}`);
    workloads.mayWrite = caller.role === "write";
  } catch (error) {
    leave(error);
    return;
  }
  say(at("trouble"), "");
  show(at("trouble"), false);
  show(at("door"), false);
  show(at("board"), true);
  show(document.querySelector(".sections"), true);
  show(at("health"), true);
  show(at("live"), true);
  show(at("forget"), token.get() !== null);
  editing.allow(workloads.mayWrite);
  polls = Object.fromEntries(Object.entries(WORK).map(([name, [seconds, work]]) => [name, polling(name, seconds, work)]));
  for (const poll of Object.values(polls)) poll.run();
  events.start();
}

function polling(name, seconds, work) {
  const done = async () => {
    await work();
    if (trouble.delete(name)) tellTrouble("");
  };
  return new Poll(seconds, done, (error) => failed(name, error));
}

function failed(name, error) {
  if (error instanceof Problem && error.status === 401) {
    leave(error);
    return;
  }
  trouble.add(name);
  tellTrouble(error.message);
}

function tellTrouble(words) {
  if (trouble.size && words) say(at("trouble"), `Not up to date (${[...trouble].join(", ")}): ${words}. It is tried again.`);
  show(at("trouble"), trouble.size > 0);
}

/** Forget the token and show the door. A page that has shown a gateway begins anew: nothing of it stays. */
function leave(error) {
  if (isLeaving) return;
  const words = error.status !== 401 ? error.message : token.get() === null ? "" : "This token is not, or no longer, valid.";
  token.forget();
  if (polls !== null) {
    isLeaving = true;
    for (const poll of Object.values(polls)) poll.stop();
    events.stop();
    sessionStorage.setItem(SAID_AS, words);
    location.reload();
    return;
  }
  showDoor(words);
}

function showDoor(words) {
  show(at("door"), true);
  say(at("trouble"), words);
  show(at("trouble"), words !== "");
  at("token").focus();
}

at("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token.keep(at("token").value.trim());
  at("token").value = "";
  enter();
});
at("forget").addEventListener("click", () => {
  token.forget();
  leave(new Problem(401, ""));
});
enter();
