// Rates and sparklines from totals that only rise. Remembers the last few dozen rates of each workload.

import { draw, say } from "./elements.js";
import { amount, bytes } from "./words.js";

const KEPT = 40;
const WIDTH = 120;
const HEIGHT = 28;

/** The rates of all workloads, by id, and of them together. */
export class Traffic {
  constructor() {
    this.totals = new Map();
    this.rates = new Map();
    this.all = { bytes: [], requests: 0, errors: 0, isTold: false };
  }

  /** Take in an answer of `/v1/metrics`, `at` in seconds. */
  take(accounts, at) {
    const sum = { bytes: 0, requests: 0, errors: 0 };
    const totals = new Map();
    for (const [id, account] of Object.entries(accounts)) {
      const total = totalOf(account, at);
      if (total === null) continue;
      totals.set(id, total);
      const rate = grown(this.totals.get(id), total);
      if (rate === null) continue;
      this.#keep(id, rate);
      sum.bytes += rate.bytes;
      sum.requests += rate.requests ?? 0;
      sum.errors += rate.errors ?? 0;
    }
    const isFirst = this.totals.size === 0 && totals.size > 0;
    for (const id of this.rates.keys()) if (!totals.has(id)) this.rates.delete(id);
    this.totals = totals;
    if (!isFirst) this.#sum(sum);
  }

  /** The last rate of a workload, `{history, bytes, requests}`; null while there is none. */
  of(id) {
    return this.rates.get(id) ?? null;
  }

  #keep(id, rate) {
    const kept = this.rates.get(id) ?? { history: [] };
    pushed(kept.history, rate.bytes);
    this.rates.set(id, Object.assign(kept, { bytes: rate.bytes, requests: rate.requests }));
  }

  #sum(sum) {
    pushed(this.all.bytes, sum.bytes);
    Object.assign(this.all, { requests: sum.requests, errors: sum.errors, isTold: true });
  }
}

function totalOf(account, at) {
  if (account.request_bytes === null || account.deleted !== null) return null;
  const byClass = account.requests;
  return {
    at,
    bytes: account.request_bytes + account.response_bytes,
    requests: byClass && Object.values(byClass).reduce((sum, count) => sum + count, 0),
    errors: byClass && (byClass["5xx"] ?? 0),
  };
}

function grown(before, now) {
  if (before === undefined || now.at <= before.at) return null;
  const seconds = now.at - before.at;
  const rate = (key) => (now[key] === null || before[key] === null ? null : Math.max(0, now[key] - before[key]) / seconds);
  return { bytes: rate("bytes"), requests: rate("requests"), errors: rate("errors") };
}

function pushed(history, value) {
  history.push(value);
  if (history.length > KEPT) history.shift();
}

/** A rate in words. */
export function rateWords(rate) {
  if (rate === null) return "–";
  const requests = rate.requests === null ? "" : `${amount(rate.requests)} req/s · `;
  return `${requests}${bytes(rate.bytes)}/s`;
}

/** A new, empty sparkline. Its meaning stands beside it in words, so it is hidden from screen readers. */
export function sparkline() {
  return draw(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true" },
    draw("path", { class: "area" }),
    draw("path", { class: "line" }),
  );
}

/** Draw a history (oldest first) into a sparkline; one that is flat at 0 is a line at the bottom. */
export function plot(picture, history) {
  const [area, line] = picture.children;
  const most = Math.max(...history, 1);
  const step = WIDTH / (KEPT - 1);
  const left = WIDTH - (history.length - 1) * step;
  const points = history.map((value, place) => `${(left + place * step).toFixed(1)} ${(HEIGHT - 2 - (value / most) * (HEIGHT - 5)).toFixed(1)}`);
  const path = points.length > 1 ? `M${points.join("L")}` : "";
  line.setAttribute("d", path);
  area.setAttribute("d", path && `${path}L${WIDTH} ${HEIGHT}L${left.toFixed(1)} ${HEIGHT}Z`);
}

/** Bring a cell made of a sparkline and words up to date. */
export function showRate(picture, words, rate) {
  plot(picture, rate?.history ?? []);
  say(words, rateWords(rate));
}
