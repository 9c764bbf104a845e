// Where a value stands on an axis, and which marks the axis has. No DOM.

const ROUND = [1, 2, 2.5, 5, 10];

/** A step of round numbers so that `length` has about `most` of them, never more. */
export function roundStep(length, most) {
  if (!(length > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(length / most));
  const step = ROUND.find((one) => length / (power * one) <= most) ?? 10;
  return step * power;
}

/** An axis for values from `min` to `max`: `{low, high, step, ticks}`, its ends on ticks; `whole`: of whole numbers. */
export function linear(min, max, most = 5, whole = false) {
  const [least, top] = min === max ? [Math.min(min, 0), max === 0 ? 1 : Math.max(max, 0)] : [min, max];
  const exact = roundStep(top - least, most);
  const step = whole ? Math.max(1, Math.ceil(exact)) : exact;
  const low = Math.floor(least / step + 1e-9) * step;
  const high = Math.ceil(top / step - 1e-9) * step;
  const ticks = [];
  // Steps are counted, not added up: 0.1 three times is not 0.3.
  for (let n = Math.round(low / step); n <= Math.round(high / step); n += 1)
    ticks.push(Number((n * step).toPrecision(12)));
  return { low, high, step, ticks };
}

/** Marks of a logarithmic axis: powers of ten, with 1, 2, 5 between them where few powers fit. */
export function logTicks(low, high, most = 6) {
  const found = [];
  const between = Math.log10(high / low) > most / 2 ? [1] : [1, 2, 5];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1)
    for (const part of between) {
      const at = Number((part * 10 ** power).toPrecision(6));
      if (at >= low * 0.999 && at <= high * 1.001) found.push(at);
    }
  return found;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 4, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 4, 7, 14].map((n) => n * DAY),
];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const offsetOf = (ms, zone) => (zone === "utc" ? 0 : new Date(ms).getTimezoneOffset() * MINUTE);
const two = (number) => String(number).padStart(2, "0");

/** Marks of a time axis as `[{at, label, day}]`; `day` where a new day begins, which is said in words. */
export function timeTicks(from, to, width, zone = "utc") {
  const most = Math.max(2, Math.floor(width / 74));
  const step = STEPS.find((one) => (to - from) / one <= most);
  if (!step) return monthTicks(from, to, most);
  const shift = offsetOf(from, zone);
  const found = [];
  for (let at = Math.ceil((from - shift) / step) * step + shift; at <= to; at += step) {
    const wall = new Date(at - offsetOf(at, zone));
    const day = step >= DAY || (wall.getUTCHours() === 0 && wall.getUTCMinutes() === 0 && wall.getUTCSeconds() === 0);
    const clock = `${two(wall.getUTCHours())}:${two(wall.getUTCMinutes())}${step < MINUTE ? `:${two(wall.getUTCSeconds())}` : ""}`;
    found.push({ at, label: day ? `${wall.getUTCDate()} ${MONTHS[wall.getUTCMonth()]}` : clock, day });
  }
  return found;
}

function monthTicks(from, to, most) {
  const first = new Date(from);
  const months = (new Date(to).getUTCFullYear() - first.getUTCFullYear()) * 12 + 12;
  const step = [1, 2, 3, 6, 12].find((one) => months / one <= most) ?? Math.ceil(months / most / 12) * 12;
  const found = [];
  const begin = first.getUTCFullYear() * 12;
  for (let n = begin; n < begin + 12 * 1000; n += step) {
    const at = Date.UTC(Math.floor(n / 12), n % 12, 1);
    if (at > to) break;
    if (at >= from) found.push({ at, label: n % 12 === 0 ? `${n / 12}` : MONTHS[n % 12], day: n % 12 === 0 });
  }
  return found;
}
