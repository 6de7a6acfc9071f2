// Numbers and times as people read them.

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Bytes in powers of 1000. */
export function bytes(count) {
  let value = count;
  let unit = 0;
  while (value >= 999.95 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return unit === 0 ? `${Math.round(value)} B` : `${value.toFixed(1)} ${UNITS[unit]}`;
}

/** A number with as many digits as are of use. */
export function amount(value) {
  return Number.isInteger(value) || value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(1);
}

/** Seconds as the largest whole unit: 40 s, 12 min, 5 h, 3 d. */
export function span(seconds) {
  const all = Math.max(0, seconds);
  if (all < 100) return `${Math.round(all)} s`;
  if (all < 6000) return `${Math.round(all / 60)} min`;
  if (all < 172800) return `${Math.round(all / 3600)} h`;
  return `${Math.round(all / 86400)} d`;
}

/** A Unix time as the clock shows it here; with the date when that is not today's. */
export function moment(seconds) {
  const then = new Date(seconds * 1000);
  const clock = then.toLocaleTimeString("en-GB");
  return then.toDateString() === new Date().toDateString() ? clock : `${then.toISOString().slice(0, 10)} ${clock}`;
}

/** The Unix time now. */
export const now = () => Date.now() / 1000;

/** `text` shortened in its middle, where names differ least. */
export function shortened(text, most) {
  if (text.length <= most) return text;
  const half = Math.floor((most - 1) / 2);
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}

/** One or many of something. */
export const several = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
