// Ranges of time as Grafana's addresses say them: `now-24h`, `now/d`, or ms since 1970. No DOM.

const MINUTE = 60_000;
const LENGTHS = { s: 1000, m: MINUTE, h: 60 * MINUTE, d: 1440 * MINUTE, w: 7 * 1440 * MINUTE };
const NAMES = { s: "second", m: "minute", h: "hour", d: "day", w: "week", M: "month", y: "year" };

/** Ranges on offer, `[from, to, name]`. */
export const QUICK = [
  ["now-15m", "now", "Last 15 minutes"],
  ["now-1h", "now", "Last hour"],
  ["now-3h", "now", "Last 3 hours"],
  ["now-6h", "now", "Last 6 hours"],
  ["now-12h", "now", "Last 12 hours"],
  ["now-24h", "now", "Last 24 hours"],
  ["now-2d", "now", "Last 2 days"],
  ["now-7d", "now", "Last 7 days"],
  ["now-30d", "now", "Last 30 days"],
  ["now/d", "now", "Today so far"],
  ["now-1d/d", "now-1d/d", "Yesterday"],
  ["now/w", "now", "This week so far"],
  ["now/M", "now", "This month so far"],
  ["now-1M/M", "now-1M/M", "Last month"],
];

// In UTC as on the boards; for a board in the browser's time, wall-clock time is taken for UTC meanwhile.
function shifted(at, count, unit) {
  if (LENGTHS[unit]) return at + count * LENGTHS[unit];
  const day = new Date(at);
  const months = day.getUTCFullYear() * 12 + day.getUTCMonth() + count * (unit === "y" ? 12 : 1);
  const last = new Date(Date.UTC(Math.floor(months / 12), (months % 12) + 1, 0)).getUTCDate();
  const into = at - Date.UTC(day.getUTCFullYear(), day.getUTCMonth(), day.getUTCDate());
  return Date.UTC(Math.floor(months / 12), months % 12, Math.min(day.getUTCDate(), last)) + into;
}

function floored(at, unit) {
  const day = new Date(at);
  const [year, month] = [day.getUTCFullYear(), day.getUTCMonth()];
  if (unit === "y") return Date.UTC(year, 0, 1);
  if (unit === "M") return Date.UTC(year, month, 1);
  // Weeks begin on Monday; 1 January 1970 was a Thursday.
  if (unit === "w") return Math.floor((at + 3 * LENGTHS.d) / LENGTHS.w) * LENGTHS.w - 3 * LENGTHS.d;
  return Math.floor(at / LENGTHS[unit]) * LENGTHS[unit];
}

/** ms since 1970 of `text`; `end` rounds `/d` up to the last ms of the day. Null when it says nothing. */
export function instant(text, now, { end = false, zone = "utc" } = {}) {
  const said = String(text ?? "").trim();
  if (/^\d{9,15}$/.test(said)) return Number(said);
  const found = /^now((?:[+-]\d{1,6}[smhdwMy])*)(?:\/([smhdwMy]))?$/.exec(said);
  if (!found) {
    const at = /^\d{4}-\d\d-\d\d/.test(said)
      ? Date.parse(/Z$|[+-]\d\d:?\d\d$/.test(said) || zone !== "utc" ? said : `${said.replace(" ", "T")}Z`)
      : NaN;
    return Number.isNaN(at) ? null : at;
  }
  const offset = zone === "utc" ? 0 : new Date(now).getTimezoneOffset() * MINUTE;
  let at = now - offset;
  for (const [, sign, count, unit] of found[1].matchAll(/([+-])(\d+)([smhdwMy])/g))
    at = shifted(at, Number(`${sign}${count}`), unit);
  if (found[2]) at = end ? shifted(floored(at, found[2]), 1, found[2]) - 1 : floored(at, found[2]);
  return at + offset;
}

/** `{from, to}` in ms of a range in words, or null when it is none or ends before it begins. */
export function resolved({ from, to }, now, zone = "utc") {
  const [begin, end] = [instant(from, now, { zone }), instant(to, now, { zone, end: true })];
  return begin === null || end === null || begin >= end ? null : { from: begin, to: end };
}

const stamp = (ms, zone) => {
  const at = new Date(zone === "utc" ? ms : ms - new Date(ms).getTimezoneOffset() * MINUTE).toISOString();
  return `${at.slice(0, 10)} ${at.slice(11, at.slice(17, 19) === "00" ? 16 : 19)}`;
};

/** A range in words. */
export function described({ from, to }, zone = "utc") {
  const quick = QUICK.find(([begin, end]) => begin === from && end === to);
  if (quick) return quick[2];
  const last = /^now-(\d+)([smhdwMy])$/.exec(from);
  if (last && to === "now") return `Last ${last[1]} ${NAMES[last[2]]}${last[1] === "1" ? "" : "s"}`;
  const [begin, end] = [from, to].map((one) => (/^\d+$/.test(one) ? stamp(Number(one), zone) : one));
  return begin.slice(0, 10) === end.slice(0, 10) && end.length > 10
    ? `${begin} to ${end.slice(11)}`
    : `${begin} to ${end}`;
}

/** What an input field shows of one end of a range. */
export const written = (text, zone = "utc") => (/^\d+$/.test(text) ? stamp(Number(text), zone) : text);

/** The range twice as long around the same middle, or moved by half of itself (`by` -1 or 1); absolute. */
export function zoomedOut({ from, to }) {
  const half = (to - from) / 2;
  return { from: String(Math.round(from - half)), to: String(Math.round(to + half)) };
}
export function moved({ from, to }, by) {
  const half = ((to - from) / 2) * by;
  return { from: String(Math.round(from + half)), to: String(Math.round(to + half)) };
}
