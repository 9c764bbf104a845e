// What a value looks like: its words, and the colour that its settings give it. No DOM.
//
// The order of mapping, unit, thresholds and the text for nothing is @grafana/data's (13.2.3,
// displayProcessor.ts); colours are names of the board, which palette.js turns into CSS.

import { format, isMoment } from "./units.js";

const isNothing = (value) => value === null || value === undefined;

/** The step of `thresholds` that holds for `value`, or null where none are set. */
export function activeStep(thresholds, value, percent = 0) {
  const steps = thresholds?.steps ?? [];
  const size = thresholds?.mode === "percentage" ? percent * 100 : value;
  let active = steps[0] ?? null;
  for (const step of steps.slice(1)) {
    if (!(size >= step.value)) break;
    active = step;
  }
  return active;
}

const SPECIAL = {
  null: isNothing,
  nan: (value) => Number.isNaN(value),
  "null+nan": (value) => isNothing(value) || Number.isNaN(value),
  true: (value) => value === true || value === "true",
  false: (value) => value === false || value === "false",
  empty: (value) => value === "",
};

function mapped(mappings, value) {
  for (const { type, options } of mappings ?? []) {
    if (type === "value" && !isNothing(value) && Object.hasOwn(options, String(value))) return options[String(value)];
    if (type === "range" && !isNothing(value)) {
      const size = parseFloat(value);
      if (size >= (options.from ?? -Infinity) && size <= (options.to ?? Infinity)) return options.result;
    }
    if (type === "special" && SPECIAL[options.match]?.(value)) return options.result;
  }
  return null;
}

function numberOf(value) {
  if (typeof value === "number") return value;
  if (isNothing(value) || value === "" || Array.isArray(value)) return NaN;
  return Number(value);
}

/** The unit that values of this field have, whether its settings say so or its type does. */
function unitOf(field, config) {
  if (field.type === "time" && !isMoment(config.unit)) return "dateTimeAsSystem";
  if (field.type === "boolean" && !config.unit?.startsWith("bool")) return "bool";
  return config.unit || (field.type === "string" ? "string" : "none");
}

/** A function `value → {prefix, text, suffix, numeric, percent, color}` for a field and its settings.
 *
 * `range` is `{min, max}` of the whole panel; `color` is a board's colour name, or null where the
 * settings colour by series and not by value. `decimals` as the second argument is for axes. */
export function displayOf(field, config, { range = null, zone = "utc" } = {}) {
  const unit = unitOf(field, config);
  const [first, last] = [field.values[0], field.values.at(-1)];
  const millis = field.type === "time" && field.values.length > 1 && Math.abs(last - first) < 60_000;
  const low = config.min ?? range?.min ?? 0;
  const high = config.max ?? range?.max ?? 100;
  const byValue = ["thresholds", undefined].includes(config.color?.mode);
  return (value, decimals = null) => {
    const found = mapped(config.mappings, value);
    const numeric = unit === "string" ? NaN : numberOf(value);
    const shown = { prefix: "", text: null, suffix: "", numeric, percent: 0, color: found?.color ?? null };
    if (found && !isNothing(found.text)) shown.text = found.text;
    if (!Number.isNaN(numeric)) {
      if (shown.text === null && typeof value !== "boolean")
        Object.assign(shown, format(numeric, unit, decimals ?? config.decimals, { zone, millis }));
      shown.percent = (numeric - low) / (high - low) || 0;
    }
    if (shown.text === null) shown.text = isNothing(value) || value === "" ? (config.noValue ?? "") : plain(value);
    if (byValue)
      shown.color ??= activeStep(config.thresholds, Number.isNaN(numeric) ? -Infinity : numeric, shown.percent)?.color;
    shown.color ??= null;
    return shown;
  };
}

function plain(value) {
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Prefix, text and suffix in one piece. */
export const textOf = (shown) => shown.prefix + shown.text + shown.suffix;

/** Texts of an axis' marks: all of one size have the same decimals, no more than tell them apart. */
export function tickTexts(display, unit, ticks) {
  const most = {};
  for (const at of ticks) {
    const { text, suffix } = display(at);
    const digits = text.split(".")[1]?.replace(/0+$/, "").length ?? 0;
    if (at !== 0) most[suffix] = Math.max(most[suffix] ?? 0, digits);
  }
  return ticks.map((at) => {
    // What is too small for decimals is written with a power of ten.
    if (display(at).text.includes("e")) return textOf(display(at));
    const digits = most[display(at).suffix] ?? 0;
    return textOf(display(at, at === 0 ? 0 : digits === 1 && unit?.startsWith("currency") ? 2 : digits));
  });
}
