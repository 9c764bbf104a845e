// How numbers and times read: tabular, English, units always said, unknown as a dash.

const COUNT = new Intl.NumberFormat("en-US");
const CLOCK = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export const UNKNOWN = "–";

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** `48,213` */
export function count(value) {
  return known(value) ? COUNT.format(value) : UNKNOWN;
}

const SHORT = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 2 });

/** `940`, `16K`, `1.8M` */
export function shortCount(value) {
  return !known(value) ? UNKNOWN : value < 1000 ? COUNT.format(value) : SHORT.format(value);
}

const CLOSE = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });

/** `9,999`, `54.1K`, `540K`, `5.4M`: for a narrow column, where a number that is cut off reads as another. */
export function fittedCount(value) {
  return !known(value) || value < 10000 ? count(value) : CLOSE.format(value);
}

/** `1 call`, `2 calls` */
export function counted(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** Seconds as `12 µs`, `0.4 ms`, `892 ms`, `1.84 s`, `2 m 05 s`. */
export function duration(seconds) {
  if (!known(seconds)) return UNKNOWN;
  if (seconds <= 0) return "0 ms";
  if (seconds < 0.0001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 0.00995) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} m`;
}

/** `3.2 %`; small shares keep one more digit. */
export function percent(part, whole) {
  if (!known(part) || !known(whole) || whole === 0) return UNKNOWN;
  const value = (part / whole) * 100;
  if (value === 0) return "0 %";
  return `${value < 1 ? value.toFixed(2) : value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}

/** Wall-clock time of an ISO instant, with the day before it when that is not today. */
export function clock(iso) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return UNKNOWN;
  return at.toDateString() === new Date().toDateString() ? CLOCK.format(at) : `${DAY.format(at)} ${CLOCK.format(at)}`;
}

/** The first and the last digits of a long id. */
export function shortId(id) {
  const text = String(id);
  return text.length > 18 ? `${text.slice(0, 8)}…${text.slice(-4)}` : text;
}

/** `837 kB`, `12.4 MB` */
export function bytes(value) {
  if (!known(value)) return UNKNOWN;
  const power = Math.min(4, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  const size = value / 1000 ** power;
  return `${size < 10 && power ? size.toFixed(1) : Math.round(size)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

const GRADES = {
  billed: "Billed: the provider or a gateway stated this cost.",
  derived: "Derived: served tokens times the price book.",
  lower_bound: "Lower bound: at least this much was spent; part of the usage never came back.",
  estimated: "Estimated: the price book does not know this exact context.",
  unpriced: "Unpriced: the cost is unknown, and unknown is never zero.",
};

/** What a cost grade means, in a sentence. */
export function gradeMeaning(grade) {
  return GRADES[grade] ?? "No cost: this operation is not billed, or nothing was stated.";
}

/** The mark before an amount of this grade. */
export function gradeMark(grade) {
  return grade === "lower_bound" ? "≥ " : grade === "estimated" ? "~ " : "";
}

const REASONS = {
  unknown_model: "the price book does not know the model",
  no_usage: "the answer stated no usage",
  unknown_unit: "a unit in the usage has no price",
};

/** Why a call has no price, in words. */
export function unpricedReason(reason) {
  return REASONS[reason] ?? (reason ? String(reason).slice(0, 200).replaceAll("_", " ") : "reason not stated");
}
