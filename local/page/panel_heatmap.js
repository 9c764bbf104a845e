// Heatmap: raw values counted into cells of time and size, darker where there are more.

import { el, svg } from "./dom.js";
import { textOf, tickTexts } from "./display.js";
import { magnitude } from "./palette.js";
import { seriesOf } from "./panel_timeseries.js";
import { linear, logTicks } from "./scale.js";
import { timeChart } from "./time_chart.js";
import { moment } from "./units.js";

const COLUMN = 13;
const ROW = 15;
const FEWEST_ROWS = 4;
const STEPS_MS = [1, 5, 10, 15, 30, 60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800].map(
  (s) => s * 1000,
);

/** Counts of `values` at `times` as a map from `column|row`: columns of `every` ms, rows by `rowOf`. */
export function counted(times, values, every, rowOf) {
  const cells = new Map();
  values.forEach((value, n) => {
    const row = value === null ? null : rowOf(value);
    if (row === null) return;
    const key = `${Math.floor(times[n] / every)}|${row}`;
    cells.set(key, (cells.get(key) ?? 0) + 1);
  });
  return cells;
}

/** Rows of equal factors: `{rowOf(value), edge(row), place(value), low, high}`. */
function logarithmic(values, base, rows) {
  const found = values.filter((value) => value > 0);
  const [least, most] = [Math.min(...found), Math.max(...found)];
  const powers = Math.log(most / least || 1) / Math.log(base);
  const split = Math.max(1, Math.min(4, Math.floor(rows / Math.max(1, powers))));
  const size = Math.log(base) / split;
  let first = Math.floor(Math.log(least) / size);
  let last = Math.floor(Math.log(most) / size + 1e-9);
  // One value is a cell, not the whole panel.
  while (last - first < FEWEST_ROWS) [first, last] = [first - 1, last + 1];
  const edge = (row) => Math.exp((first + row) * size);
  const count = last - first + 1;
  return {
    rowOf: (value) => (value > 0 ? Math.min(count - 1, Math.floor(Math.log(value) / size + 1e-9) - first) : null),
    edge,
    place: (value) => (Math.log(value) / size - first) / count,
    ticks: (n) => logTicks(edge(0), edge(count), n),
  };
}

function even(values, rows) {
  const { low, high, step } = linear(Math.min(...values), Math.max(...values), rows);
  const count = Math.max(1, Math.round((high - low) / step));
  return {
    rowOf: (value) => Math.max(0, Math.min(count - 1, Math.floor((value - low) / step))),
    edge: (row) => low + row * step,
    place: (value) => (value - low) / (high - low),
    ticks: (n) => linear(low, high, n).ticks,
  };
}

/** Draws into `place` and returns what ends it. */
export function drawHeatmap(place, { frames, board, panel, width, height }) {
  const [{ field, times }] = seriesOf(frames);
  const { yBuckets = {} } = panel.options?.calculation ?? {};
  const values = field.values.filter((value) => typeof value === "number");
  const log = yBuckets.scale?.type === "log" && values.some((value) => value > 0);
  const legendHigh = panel.options?.legend?.show === false ? 0 : 24;
  const rows = Math.max(4, Math.floor((height - legendHigh - 30) / ROW));
  const y = log ? logarithmic(values, yBuckets.scale.log ?? 2, rows) : even(values, rows);
  const { from, to } = board.range;
  const wanted = (to - from) / Math.max(4, (width - 60) / COLUMN);
  const every = STEPS_MS.find((one) => one >= wanted) ?? STEPS_MS.at(-1);
  const cells = counted(times, field.values, every, y.rowOf);
  const most = Math.max(...cells.values());
  const shade = (count) => magnitude(0.12 + 0.88 * (count / most) ** (panel.options?.color?.exponent ?? 0.5));
  const ticks = y.ticks(Math.max(3, Math.floor(height / 34)));
  const texts = tickTexts(field.display, field.config.unit, ticks);
  const chart = timeChart(board, {
    width,
    height: height - legendHigh,
    name: panel.title,
    times: [...new Set(times.map((time) => Math.floor(time / every) * every + every / 2))].sort((a, b) => a - b),
    y: { place: y.place, ticks: ticks.map((at, n) => ({ at, label: texts[n] })) },
    paint: (plot) => [...cells].map(([key, count]) => square(key, count, { plot, y, every, shade })),
    read: (time, share) => read(time, share, { cells, y, every, field, board, shade }),
  });
  place.append(chart.node);
  if (legendHigh) place.append(scaleKey(most, shade));
  return chart.end;
}

function square(key, count, { plot, y, every, shade }) {
  const [column, row] = key.split("|").map(Number);
  const [x, end] = [plot.x(column * every), plot.x((column + 1) * every)];
  const [bottom, top] = [plot.y(y.place(y.edge(row))), plot.y(y.place(y.edge(row + 1)))];
  return svg("rect", {
    class: "heat",
    x: x + 0.5,
    y: top + 0.5,
    width: Math.max(0.5, end - x - 1),
    height: Math.max(0.5, bottom - top - 1),
    vars: { "--c": shade(count) },
  });
}

function read(time, share, { cells, y, every, field, board, shade }) {
  const column = Math.floor(time / every);
  const found = [...cells]
    .map(([key, count]) => [...key.split("|").map(Number), count])
    .filter(([one]) => one === column)
    .sort((a, b) => b[1] - a[1]);
  if (found.length === 0) return null;
  const rows = found.map(([, row, count]) => {
    const [low, high] = [y.edge(row), y.edge(row + 1)];
    const here = share !== null && share >= y.place(low) && share < y.place(high);
    return {
      name: `${textOf(field.display(low))} to ${textOf(field.display(high))}`,
      value: String(count),
      colour: shade(count),
      here,
    };
  });
  const begin = moment(column * every, { zone: board.zone });
  const end = moment((column + 1) * every, { zone: board.zone });
  return { time: column * every + every / 2, title: `${begin} to ${end.slice(11)}`, rows };
}

function scaleKey(most, shade) {
  const parts = [0, 0.25, 0.5, 0.75, 1].map((part) => Math.max(1, Math.round(most * part)));
  return el(
    "p",
    { class: "heatkey num", "aria-label": `From 1 to ${most} in a cell` },
    "1",
    el(
      "span",
      null,
      [...new Set(parts)].map((count) => el("i", { vars: { "--c": shade(count) } })),
    ),
    String(most),
    el("span", { class: "muted" }, " in a cell"),
  );
}
