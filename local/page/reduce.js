// One number of many, as Grafana's reducers make it (@grafana/data 13.2.3 fieldReducer.ts). No DOM.

const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);

/** What each calculation is called in a legend. */
export const CALC_NAMES = {
  lastNotNull: "Last *",
  last: "Last",
  firstNotNull: "First *",
  first: "First",
  min: "Min",
  max: "Max",
  mean: "Mean",
  median: "Median",
  sum: "Total",
  count: "Count",
  range: "Range",
  diff: "Difference",
};

const numeric = (field) => field.type === "number" || field.type === "time";
const numbers = (field) => (numeric(field) ? field.values.filter(known) : []);

function extreme(field, better) {
  let found = null;
  for (const value of numbers(field)) if (found === null || better(value, found)) found = value;
  return found;
}

/** The mean of what the sorting puts in the middle; NaN of nothing but nulls, as Grafana has it. */
function median(field) {
  const sorted = field.values.filter((value) => value !== null && value !== undefined).sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 0 ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle];
}

const sum = (field) => numbers(field).reduce((all, value) => all + value, 0);
const firstKnown = (field) => field.values.find(known) ?? null;
const lastKnown = (field) => field.values.findLast(known) ?? null;
const min = (field) => extreme(field, (a, b) => a < b);
const max = (field) => extreme(field, (a, b) => a > b);

const CALCS = {
  lastNotNull: lastKnown,
  last: (field) => field.values.at(-1),
  firstNotNull: firstKnown,
  first: (field) => field.values[0],
  min,
  max,
  mean: (field) => {
    const found = numbers(field);
    return found.length ? sum(field) / found.length : null;
  },
  median,
  sum,
  count: (field) => field.values.filter((value) => value !== null && value !== undefined).length,
  range: (field) => {
    const [low, high] = [min(field), max(field)];
    return low === null || high === null ? null : high - low;
  },
  diff: (field) => {
    const [first, last] = [firstKnown(field), lastKnown(field)];
    return typeof first === "number" && typeof last === "number" ? last - first : null;
  },
};

/** What `calc` makes of the values of a field `{type, values}`; nulls are left out.
 *
 * Of no values at all it is null, but for `sum` and `count`, which are 0. Throws `RangeError` for a
 * calculation that the boards may not use. */
export function reduce(field, calc) {
  if (!Object.hasOwn(CALCS, calc)) throw new RangeError(`no such calculation: ${calc}`);
  if (field.values.length === 0) return calc === "sum" || calc === "count" ? 0 : null;
  return CALCS[calc](field);
}
