// State timeline: one row for each series, a piece for as long as its state lasts, in words where they fit.

import { clip, svg } from "./dom.js";
import { textOf } from "./display.js";
import { named, soft } from "./palette.js";
import { seriesOf } from "./panel_timeseries.js";
import { measured, timeChart } from "./time_chart.js";
import { moment } from "./units.js";

/** Pieces `{from, to, value}` of one series: neighbours of the same value are one, no value is a gap. */
export function pieces({ field, times }, intervalMs, merge = true) {
  const found = [];
  field.values.forEach((value, n) => {
    if (value === null || value === undefined) return;
    const to = Math.min(times[n] + intervalMs, times[n + 1] ?? Infinity);
    const last = found.at(-1);
    if (merge && last?.value === value && last.to >= times[n]) last.to = to;
    else found.push({ from: times[n], to, value });
  });
  return found;
}

/** Draws into `place` and returns what ends it. */
export function drawTimeline(place, of) {
  const { frames, board, panel, width, height, intervalMs } = of;
  const rows = seriesOf(frames);
  const tall = Math.max(15, Math.min(38, (height - 30) / rows.length));
  const full = Math.max(80, rows.length * tall + 28);
  const step = 1 / rows.length;
  const part = panel.options?.rowHeight ?? 0.8;
  const laid = rows.map((row, n) => ({
    ...row,
    top: 1 - n * step,
    found: pieces(row, intervalMs, panel.options?.mergeValues ?? true),
  }));
  const chart = timeChart(board, {
    width,
    height: full,
    y: { labels: laid.map((row) => ({ label: row.field.label, from: row.top - step, to: row.top })) },
    name: panel.title,
    times: [...new Set(rows.flatMap((row) => row.times))].sort((a, b) => a - b),
    paint: (plot) => laid.map((row) => piece(row, plot, step, part)),
    read: (time, share) => read(time, share, laid, step, board),
  });
  place.classList.add("rolls");
  place.append(chart.node);
  return chart.end;
}

function piece(row, plot, step, part) {
  const high = step * plot.height * part;
  const top = plot.y(row.top) + (step * plot.height * (1 - part)) / 2;
  return row.found.map((one) => {
    const shown = row.field.display(one.value);
    const [x, end] = [Math.max(plot.left, plot.x(one.from)), Math.min(plot.right, plot.x(one.to))];
    if (end <= x) return null;
    const text = textOf(shown);
    const fits = measured(text) + 12 < end - x;
    return svg(
      "g",
      { class: "piece", vars: { "--c": named(shown.color ?? "text"), "--b": soft(shown.color) ?? "var(--grid)" } },
      svg("rect", {
        x: x + 0.5,
        y: top,
        width: Math.max(1, end - x - 1),
        height: high,
        rx: Math.min(3, (end - x) / 4),
      }),
      fits && svg("text", { x: x + 7, y: top + high / 2 + 4 }, clip(text, 40)),
    );
  });
}

function read(time, share, laid, step, board) {
  const here = share === null ? -1 : Math.floor((1 - share) / step);
  const rows = laid.flatMap((row, n) => {
    const found = row.found.find((one) => time >= one.from && time < one.to);
    if (!found) return [];
    const shown = row.field.display(found.value);
    return [{ name: row.field.label, value: textOf(shown), colour: named(shown.color ?? "text"), here: n === here }];
  });
  return rows.length ? { title: moment(time, { zone: board.zone }), rows } : null;
}
