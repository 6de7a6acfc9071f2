// Calls the admin API. Over TCP every call bears the token, which lives as long as the tab; over the unix socket the
// host already knows who is calling.

const KEPT_AS = "gateway-token";
const PATIENCE_MS = 30000;

/** What went wrong, in the API's own words (RFC 9457). `status` is 0 when there was no answer. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const token = {
  get: () => sessionStorage.getItem(KEPT_AS),
  keep: (text) => sessionStorage.setItem(KEPT_AS, text),
  forget: () => sessionStorage.removeItem(KEPT_AS),
};

/** The answer's JSON. Throws Problem. */
export async function ask(path, { method = "GET", body, headers = {}, patience = PATIENCE_MS } = {}) {
  const sent = { ...credentials(), ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const answer = await reach(path, {
    method,
    headers: sent,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(patience),
  });
  if (!answer.ok) throw await problem(answer);
  try {
    return await answer.json();
  } catch (error) {
    throw new Problem(0, `the answer broke off (${error.message})`);
  }
}

/**
 * Follow what happens, until `signal`: `heard(kind, event)` for each event, `opened()` when the stream stands. Returns
 * the id of the last event when the stream ends; throws Problem when it cannot be had.
 */
export async function follow(last, heard, opened, signal) {
  const headers = credentials();
  if (last !== null) headers["Last-Event-ID"] = last;
  const answer = await reach("/v1/events", { headers, signal });
  if (!answer.ok) throw await problem(answer);
  opened();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let seen = last;
  let rest = "";
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const blocks = (rest + part.value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) seen = passed(block, heard) ?? seen;
    }
  } catch {
    // The connection ended; whoever follows comes back with the id.
  }
  return seen;
}

function passed(block, heard) {
  const fields = new Map(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
  if (fields.has("event")) heard(fields.get("event"), JSON.parse(fields.get("data")));
  return fields.get("id");
}

function credentials() {
  const text = token.get();
  return text === null ? {} : { Authorization: `Bearer ${text}` };
}

async function reach(path, options) {
  try {
    return await fetch(path, { cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer", ...options });
  } catch (error) {
    throw new Problem(0, error.name === "TimeoutError" ? "the gateway takes too long" : "the gateway does not answer");
  }
}

async function problem(answer) {
  const document = await answer.json().catch(() => ({}));
  return new Problem(answer.status, document.detail ?? `HTTP ${answer.status}`);
}
