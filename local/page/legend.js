// The legend of a chart: names, calculations over the range, and which series are shown.

import { data, el } from "./dom.js";
import { textOf } from "./display.js";
import { CALC_NAMES, reduce } from "./reduce.js";
import { measured } from "./time_chart.js";

const LINE = 22;

function rowsOf(panel, fields) {
  const { calcs = [], sortBy, sortDesc } = panel.options?.legend ?? {};
  const rows = fields.map((field) => ({
    field,
    said: calcs.map((calc) => {
      const value = reduce(field, calc);
      return { value, text: textOf(field.display(value)) };
    }),
  }));
  const by = calcs.findIndex((calc) => CALC_NAMES[calc] === sortBy);
  if (by >= 0)
    rows.sort((a, b) => ((a.said[by].value ?? -Infinity) - (b.said[by].value ?? -Infinity)) * (sortDesc ? -1 : 1));
  return { calcs, rows };
}

/** How much room the legend takes beside (`width`) or under (`height`) the chart; both 0 for none. */
export function legendSize(panel, fields, { width, height }) {
  const options = panel.options?.legend ?? {};
  const none = { width: 0, height: 0 };
  if (options.showLegend === false || options.displayMode === "hidden" || fields.length === 0) return none;
  const { rows } = rowsOf(panel, fields);
  const names = Math.max(...rows.map((row) => measured(row.field.label.slice(0, 60)))) * 1.1 + 22;
  const values = Math.max(...rows.map((row) => row.said.reduce((sum, one) => sum + measured(one.text) * 1.1 + 16, 0)));
  if (options.placement === "right" && width > 380)
    return { width: Math.round(Math.min(names + values + 16, width * 0.42)), height: 0 };
  if (options.displayMode === "table")
    return { width: 0, height: Math.round(Math.min(height * 0.4, (rows.length + 1) * LINE)) };
  const long = rows.reduce((sum, row) => sum + Math.min(220, measured(row.field.label.slice(0, 60)) * 1.1 + 34), 0);
  const lines = Math.max(1, Math.ceil(long / (width - 20)));
  return { width: 0, height: Math.round(Math.min(lines * LINE + 2, Math.max(LINE + 2, height * 0.34))) };
}

/** The legend itself. A click shows one series alone, with ctrl or shift it hides that one. */
export function legend(panel, fields, { hidden, redraw, size }) {
  const { calcs, rows } = rowsOf(panel, fields);
  const names = fields.map((field) => field.label);
  const pick = (name, several) => {
    const alone = names.every((one) => one === name || hidden.has(one)) && !hidden.has(name);
    if (several) hidden[hidden.has(name) ? "delete" : "add"](name);
    else if (alone) hidden.clear();
    else for (const one of names) hidden[one === name ? "delete" : "add"](one);
    redraw(name);
  };
  const table = panel.options?.legend?.displayMode === "table";
  return el(
    "div",
    {
      class: `keys ${table ? "table" : "list"} ${size.width ? "right" : "bottom"}`,
      role: "group",
      "aria-label": "Series",
      vars: { "--long": `${size.width || size.height}px`, "--cols": String(calcs.length) },
    },
    table &&
      calcs.length > 0 &&
      el(
        "p",
        { class: "keyhead muted" },
        el("span", null, ""),
        calcs.map((calc) => el("span", { class: "num" }, CALC_NAMES[calc] ?? calc)),
      ),
    rows.map(({ field, said }) =>
      el(
        "button",
        {
          type: "button",
          class: "key",
          "aria-pressed": String(!hidden.has(field.label)),
          "data-name": field.label.slice(0, 200),
          title: `${field.label.slice(0, 300)}: click to show it alone, with ctrl to hide it`,
          onclick: (event) => pick(field.label, event.ctrlKey || event.metaKey || event.shiftKey),
        },
        el(
          "span",
          { class: "keyname" },
          el("i", { class: "dot", vars: { "--c": field.colour } }),
          data(field.label, 80),
        ),
        said.map((one) => el("span", { class: "num" }, one.text)),
      ),
    ),
  );
}
