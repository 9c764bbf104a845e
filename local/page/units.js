// Values as Grafana prints them: the same units, digits and signs as @grafana/data's `getValueFormat`.
//
// Kept to its arithmetic, rounding habits included, because a laptop and a company must read the same
// number (https://github.com/grafana/grafana/tree/v13.2.3/packages/grafana-data/src/valueFormats,
// Apache-2.0). tests/test_grafana_parity.py prints both for the same frames. No DOM: Node imports it, too.

const infinite = (value) => value === Infinity || value === -Infinity;

/** Decimals that show two or three significant digits. */
function usualDecimals(value) {
  const size = Math.abs(value);
  const tens = Math.floor(Math.log(size) / Math.LN10);
  let digits = -tens + 1;
  if (size / 10 ** -digits > 2.25) digits += 1;
  return value % 1 === 0 ? 0 : Math.max(0, digits);
}

/** `value` with so many decimals, or as many as it needs when `decimals` is null. */
export function fixed(value, decimals = null) {
  if (value === null || value === undefined) return "";
  if (infinite(value)) return value.toLocaleString("en-US");
  const digits = decimals ?? usualDecimals(value);
  if (value === 0) return value.toFixed(digits);
  const factor = digits ? 10 ** Math.max(0, digits) : 1;
  const text = String(Math.round(value * factor) / factor);
  if (text.includes("e")) return text;
  const point = text.indexOf(".");
  const has = point === -1 ? 0 : text.length - point - 1;
  if (!(has < digits)) return text;
  return (has ? text : `${text}.`) + String(factor).slice(1, digits - has + 1);
}

const plain = (suffix) => (value, decimals) => ({ text: fixed(value, decimals), suffix });
const before = (prefix) => (value, decimals) => ({ text: fixed(value, decimals), prefix });
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function scaled(factor, names, offset = 0) {
  return (value, decimals) => {
    if (infinite(value) || Number.isNaN(value)) return { text: value.toLocaleString("en-US") };
    const steps = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)) / Math.log10(factor));
    const power = clamp(steps, -offset, names.length - offset - 1);
    return {
      text: fixed(value / factor ** power, decimals),
      suffix: names[clamp(offset + steps, 0, names.length - 1)],
    };
  };
}

const SI = ["f", "p", "n", "µ", "m", "", "k", "M", "G", "T", "P", "E", "Z", "Y"];
const BINARY = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const THOUSANDS = ["", "K", "M", "B", "T"];
const SHORT = ["", " K", " Mil", " Bil", " Tri", " Quadr", " Quint", " Sext", " Sept"];

const si = (unit, offset = 0) =>
  scaled(
    1000,
    SI.map((name) => ` ${name}${unit}`),
    SI.indexOf("") + offset,
  );
const binary = (unit) =>
  scaled(
    1024,
    BINARY.map((name) => ` ${name}${unit}`),
  );

function perSecond(unit) {
  const scale = scaled(1000, THOUSANDS);
  return (value, decimals) => {
    const found = scale(value, decimals);
    return { ...found, suffix: `${found.suffix} ${unit}` };
  };
}

function currency(sign) {
  const scale = scaled(1000, THOUSANDS);
  return (value, decimals) => ({
    ...scale(Math.abs(value), decimals),
    prefix: value < 0 ? `-${sign}` : sign,
  });
}

const PLURAL = new Set([" min", " hour", " day", " week", " year"]);

function span(value, decimals, name) {
  return { text: fixed(value, decimals), suffix: Math.abs(value) > 1 && PLURAL.has(name) ? `${name}s` : name };
}

/** Durations: rows of `[below, divisor, name]`, the last for everything longer. */
function duration(rows) {
  return (value, decimals) => {
    const size = Math.abs(value);
    const [, divisor, name] = rows.find(([below]) => size < below) ?? rows.at(-1);
    // Small steps are multiplied, as Grafana does: 1e-7 / 1e-9 is not 100.
    return span(divisor < 1 ? value * Math.round(1 / divisor) : value / divisor, decimals, name);
  };
}

const seconds = duration([
  [1e-6, 1e-9, " ns"],
  [1e-3, 1e-6, " µs"],
  [1, 1e-3, " ms"],
  [60, 1, " s"],
  [3600, 60, " min"],
  [86400, 3600, " hour"],
  [604800, 86400, " day"],
  [31536000, 604800, " week"],
  [Infinity, 31556900, " year"],
]);
const milliseconds = duration([
  [1e3, 1, " ms"],
  [6e4, 1e3, " s"],
  [36e5, 6e4, " min"],
  [864e5, 36e5, " hour"],
  [31536e6, 864e5, " day"],
  [Infinity, 31536e6, " year"],
]);
const nanoseconds = duration([
  [1e3, 1, " ns"],
  [1e6, 1e3, " µs"],
  [1e9, 1e6, " ms"],
  [6e10, 1e9, " s"],
  [36e11, 6e10, " min"],
  [864e11, 36e11, " hour"],
  [Infinity, 864e11, " day"],
]);

const two = (number) => String(number).padStart(2, "0");

/** A moment, in ms since 1970, as `2026-11-21 09:00:00` in `zone` ("utc", or the browser's own). */
export function moment(ms, { zone = "utc", millis = false } = {}) {
  const at = new Date(ms);
  if (Number.isNaN(at.getTime())) return "Invalid date";
  const utc = zone === "utc";
  const get = (part) => (utc ? at[`getUTC${part}`]() : at[`get${part}`]());
  const day = `${String(get("FullYear")).padStart(4, "0")}-${two(get("Month") + 1)}-${two(get("Date"))}`;
  const clock = `${two(get("Hours"))}:${two(get("Minutes"))}:${two(get("Seconds"))}`;
  return `${day} ${clock}${millis ? `.${String(get("Milliseconds")).padStart(3, "0")}` : ""}`;
}

const AGES = [
  [45, () => "a few seconds"],
  [90, () => "a minute"],
  [2670, (s) => `${Math.round(s / 60)} minutes`],
  [5400, () => "an hour"],
  [77_400, (s) => `${Math.round(s / 3600)} hours`],
  [129_600, () => "a day"],
  [2_203_200, (s) => `${Math.round(s / 86_400)} days`],
  [3_944_619, () => "a month"],
  [27_612_333, (s) => `${Math.round(s / 2_629_746)} months`],
  [47_335_428, () => "a year"],
  [Infinity, (s) => `${Math.round(s / 31_556_952)} years`],
];

function fromNow(ms) {
  const ago = Math.round((Date.now() - ms) / 1000);
  const said = AGES.find(([below]) => Math.abs(ago) < below)[1](Math.abs(ago));
  return { text: ago < 0 ? `in ${said}` : `${said} ago` };
}

const grouped = new Map();

function locale(value, decimals) {
  const most = decimals ?? 3;
  if (!grouped.has(most)) grouped.set(most, new Intl.NumberFormat("en-US", { maximumFractionDigits: most }));
  return { text: grouped.get(most).format(value) };
}

const UNITS = {
  none: plain(""),
  short: scaled(1000, SHORT),
  sishort: si(""),
  percent: plain("%"),
  percentunit: (value, decimals) => ({ text: fixed(100 * value, decimals), suffix: "%" }),
  locale,
  currencyUSD: currency("$"),
  ns: nanoseconds,
  ms: milliseconds,
  s: (value, decimals) => (value === 0 ? { text: "0", suffix: " s" } : seconds(value, decimals)),
  bytes: binary("B"),
  decbytes: si("B"),
  Bps: si("B/s"),
  binBps: binary("B/s"),
  cps: perSecond("c/s"),
  ops: perSecond("ops/s"),
  reqps: perSecond("req/s"),
  rps: perSecond("rd/s"),
  eps: perSecond("evt/s"),
  bool: (value) => ({ text: value ? "True" : "False" }),
  bool_yes_no: (value) => ({ text: value ? "Yes" : "No" }),
  string: (value) => ({ text: `${value}` }),
  dateTimeFromNow: fromNow,
  dateTimeAsIso: (value, decimals, options) => ({ text: moment(value, { ...options, millis: false }) }),
  dateTimeAsSystem: (value, decimals, options) => ({ text: moment(value, options) }),
};

const CUSTOM = {
  prefix: before,
  suffix: (unit) => plain(unit ? ` ${unit}` : ""),
  count: perSecond,
  currency,
  si: (unit) => {
    const place = SI.findIndex((name) => name !== "" && name.normalize("NFKD") === unit.charAt(0).normalize("NFKD"));
    return place < 0 ? si(unit) : si(unit.slice(1), place - SI.indexOf(""));
  },
};

const made = new Map();

function formatter(unit) {
  if (Object.hasOwn(UNITS, unit)) return UNITS[unit];
  if (!made.has(unit)) {
    const [kind, rest] = [unit.slice(0, unit.indexOf(":")), unit.slice(unit.indexOf(":") + 1)];
    made.set(unit, unit.indexOf(":") > 0 && Object.hasOwn(CUSTOM, kind) ? CUSTOM[kind](rest) : plain(` ${unit}`));
  }
  return made.get(unit);
}

/** Whether values of this unit are moments. */
export const isMoment = (unit) => Boolean(unit?.startsWith("dateTime"));

/** `{prefix, text, suffix}` of a number in Grafana's `unit`; null decimals: as many as it needs.
 *
 * `options` are `{zone, millis}` for moments. A unit that nobody knows stands behind the number. */
export function format(value, unit = "", decimals = null, options = {}) {
  if (value === null || value === undefined) return { prefix: "", text: "", suffix: "" };
  const { text, prefix = "", suffix = "" } = formatter(unit || "none")(value, decimals, options);
  return { prefix, text, suffix };
}

/** The same in one piece. */
export function formatted(value, unit, decimals, options) {
  const { prefix, text, suffix } = format(value, unit, decimals, options);
  return prefix + text + suffix;
}
