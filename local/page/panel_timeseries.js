// Lines and stacked bars over time, with a legend that adds up and hides.

import { svg } from "./dom.js";
import { textOf, tickTexts } from "./display.js";
import { legend, legendSize } from "./legend.js";
import { named } from "./palette.js";
import { linear } from "./scale.js";
import { timeChart } from "./time_chart.js";
import { moment } from "./units.js";

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** The series of all frames: a field each, with the times of its frame. */
export function seriesOf(frames) {
  return frames.flatMap((frame) => {
    const time = frame.fields.find((field) => field.type === "time");
    if (!time) return [];
    return frame.fields.filter((field) => field.type === "number").map((field) => ({ field, times: time.values }));
  });
}

/** Draws into `place` and returns what ends it: `of` is `{frames, board, panel, width, height, intervalMs, hidden, redraw}`. */
export function drawTimeseries(place, of) {
  const { frames, board, panel, hidden } = of;
  const all = seriesOf(frames);
  const shown = all.filter((one) => !hidden.has(one.field.label));
  const size = legendSize(
    panel,
    all.map((one) => one.field),
    of,
  );
  const width = of.width - size.width;
  const height = of.height - size.height;
  const stacked = stack(shown);
  const y = axis(shown, stacked);
  const times = [...new Set(shown.flatMap((one) => one.times))].sort((a, b) => a - b);
  const chart = timeChart(board, {
    width,
    height,
    y,
    times,
    name: panel.title,
    paint: (plot) => [
      ...shown.map((one) => drawn(one, { plot, y, stacked, of })).reverse(),
      ...thresholds(shown[0]?.field, plot, y),
    ],
    read: (time) => read(time, shown, times, board, panel, of),
  });
  place.classList.toggle("beside", size.width > 0);
  place.append(chart.node);
  if (size.width || size.height)
    place.append(
      legend(
        panel,
        all.map((one) => one.field),
        { ...of, size },
      ),
    );
  return chart.end;
}

const stacking = (field) => (field.config.custom?.stacking?.mode ?? "none") !== "none";
const isBars = (field) => field.config.custom?.drawStyle === "bars";

/** For each stacked series where its part begins, by its place in the frame; null where nothing is stacked. */
function stack(shown) {
  const bases = new Map();
  const reached = new Map();
  for (const { field, times } of shown) {
    if (!stacking(field)) continue;
    const base = field.values.map((value, n) => {
      const before = reached.get(times[n]) ?? 0;
      reached.set(times[n], before + (known(value) ? value : 0));
      return before;
    });
    bases.set(field, base);
  }
  return bases;
}

function axis(shown, stacked) {
  let [min, max] = [Infinity, -Infinity];
  for (const { field } of shown) {
    const base = stacked.get(field);
    field.values.forEach((value, n) => {
      if (!known(value)) return;
      const top = base ? base[n] + value : value;
      if (top > max) max = top;
      if ((base ? Math.min(base[n], top) : value) < min) min = base ? Math.min(base[n], top) : value;
    });
  }
  const config = shown[0]?.field.config ?? {};
  const whole =
    shown.length > 0 &&
    shown.every((one) => one.field.values.every((value) => !known(value) || Number.isInteger(value)));
  if (min === Infinity) [min, max] = [config.min ?? 0, config.max ?? 1];
  if (shown.some((one) => isBars(one.field) || one.field.config.custom?.fillOpacity > 0)) min = Math.min(0, min);
  if (known(config.min)) min = Math.min(config.min, max);
  if (known(config.max)) max = Math.max(config.max, min);
  // A line on the upper edge looks cut off: a little air above it.
  const { low, high, ticks } = linear(min, known(config.max) ? max : max + (max - min) * 0.04, 5, whole);
  const bottom = known(config.min) ? Math.max(low, config.min) : low;
  const top = known(config.max) ? config.max : high;
  const marks = ticks.filter((at) => at >= bottom && at <= top);
  const texts = shown[0] ? tickTexts(shown[0].field.display, config.unit, marks) : marks.map(String);
  return {
    low: bottom,
    place: (value) => (value - bottom) / (top - bottom || 1),
    ticks: marks.map((at, n) => ({ at, label: texts[n] })),
  };
}

function drawn(one, { plot, y, stacked, of }) {
  const { field, times } = one;
  const base = stacked.get(field);
  const vars = { "--c": field.colour };
  const { fillOpacity = 0, lineWidth = 1 } = field.config.custom ?? {};
  const at = (value) => plot.y(y.place(value));
  if (isBars(field)) return svg("path", { class: "bars", vars, d: bars(one, base, plot, at, of.intervalMs) });
  const points = field.values.map((value, n) =>
    known(value) ? [plot.x(times[n]), at((base?.[n] ?? 0) + value), at(base?.[n] ?? Math.max(0, y.low))] : null,
  );
  const runs = runsOf(points, field.config.custom?.spanNulls === true);
  const alone = runs.filter((run) => run.length === 1 || field.config.custom?.showPoints === "always").flat();
  return svg(
    "g",
    { vars: { ...vars, "--w": String(lineWidth), "--o": String(fillOpacity / 100) } },
    fillOpacity > 0 && svg("path", { class: "area", d: runs.map(area).join("") }),
    svg("path", { class: "line", d: runs.map(line).join("") }),
    alone.length > 0 &&
      svg("path", { class: "points", d: alone.map(([x, top]) => `M${x.toFixed(1)} ${top.toFixed(1)}h0`).join("") }),
  );
}

function bars({ field, times }, base, plot, at, intervalMs) {
  const full = (intervalMs / (plot.time(plot.right) - plot.time(plot.left))) * plot.width;
  const gap = full > 4 ? Math.max(1, full * 0.14) : full > 2 ? 0.6 : 0;
  const wide = Math.min(full, 80) - gap;
  let path = "";
  field.values.forEach((value, n) => {
    if (!known(value) || value === 0) return;
    const [bottom, top] = [at(base?.[n] ?? 0), at((base?.[n] ?? 0) + value)];
    const height = Math.max(0.5, Math.abs(bottom - top));
    path += `M${(plot.x(times[n]) + gap / 2).toFixed(2)} ${Math.min(bottom, top).toFixed(2)}h${wide.toFixed(2)}v${height.toFixed(2)}h${(-wide).toFixed(2)}z`;
  });
  return path;
}

/** Points in unbroken runs; a null ends one, unless it is spanned. */
function runsOf(points, spanned) {
  const runs = [];
  let open = false;
  for (const point of points) {
    if (point && open) runs.at(-1).push(point);
    else if (point) runs.push([point]);
    open = point ? true : open && spanned;
  }
  return runs;
}

const line = (run) => run.map(([x, top], n) => `${n ? "L" : "M"}${x.toFixed(1)} ${top.toFixed(1)}`).join("");
const area = (run) =>
  `${line(run)}${run
    .toReversed()
    .map(([x, , bottom]) => `L${x.toFixed(1)} ${bottom.toFixed(1)}`)
    .join("")}Z`;

/** Limits that somebody set, as lines with their value. */
function thresholds(field, plot, y) {
  const style = field?.config.custom?.thresholdsStyle?.mode ?? "off";
  if (style === "off") return [];
  return (field.config.thresholds?.steps ?? []).slice(1).flatMap(({ value, color }) => {
    const share = y.place(value);
    if (share < 0 || share > 1) return [];
    const at = Math.round(plot.y(share)) + 0.5;
    return [
      svg(
        "g",
        { class: "limit", vars: { "--c": named(color) } },
        svg("path", { d: `M${plot.left} ${at}H${plot.right}` }),
        svg("text", { x: plot.right - 4, y: share > 0.9 ? at + 13 : at - 5 }, textOf(field.display(value))),
      ),
    ];
  });
}

function read(time, shown, times, board, panel, of) {
  if (times.length === 0) return null;
  const begins = shown.some((one) => isBars(one.field));
  let best = times[0];
  for (const each of times) if (begins ? each <= time : Math.abs(each - time) < Math.abs(best - time)) best = each;
  if (begins && (time < times[0] || time - best > of.intervalMs)) return null;
  const rows = shown
    .map(({ field, times: own }) => ({ field, value: field.values[own.indexOf(best)] }))
    .filter(({ value }) => known(value))
    .map(({ field, value }) => ({
      colour: field.colour,
      name: field.label,
      value: textOf(field.display(value)),
      size: value,
    }));
  if (rows.length === 0) return null;
  if (panel.options?.tooltip?.sort === "desc") rows.sort((a, b) => b.size - a.size);
  if (panel.options?.tooltip?.sort === "asc") rows.sort((a, b) => a.size - b.size);
  return { time: best, title: moment(best, { zone: board.zone }), rows };
}
