// Big numbers: the first value of a panel large, what belongs to it small beside and under it.

import { data, el } from "./dom.js";
import { cellLinks } from "./cell_links.js";
import { named } from "./palette.js";
import { reduce } from "./reduce.js";

/** What a stat shows: `[{field, label, shown, value}]`, one for each number (or what `fields` names). */
export function statValues(panel, frames) {
  const { calcs = ["lastNotNull"], fields: wanted = "" } = panel.options?.reduceOptions ?? {};
  const found = frames.flatMap((frame) => frame.fields.map((field) => ({ field, frame })));
  const matching = wanted
    ? found.filter(({ field }) => new RegExp(wanted.replace(/^\/|\/$/g, "")).test(field.label))
    : found.filter(({ field }) => field.type === "number");
  return matching.flatMap(({ field, frame }) =>
    calcs.map((calc) => {
      const value = reduce(field, calc);
      return { field, frame, label: field.label, value, shown: field.display(value) };
    }),
  );
}

function number(panel, one, board, size) {
  const { shown, field } = one;
  const coloured = panel.options?.colorMode !== "none" && shown.color && shown.color !== "text";
  const nothing = one.value === null || one.value === undefined;
  const text = el(
    "span",
    { class: `figure ${size} ${nothing ? "unknown" : ""} num`, vars: coloured ? { "--c": named(shown.color) } : null },
    shown.prefix && el("span", { class: "affix" }, shown.prefix),
    data(shown.text, 60),
    shown.suffix && el("span", { class: "affix" }, shown.suffix),
  );
  return cellLinks(field, { value: one.value, row: 0, frame: one.frame, board }, text);
}

const words = (label) => label.replaceAll("_", " ");
const same = (a, b) => words(a).toLowerCase() === b.toLowerCase();

/** Draws into `place`; nothing has to be ended. */
export function drawStat(place, { frames, panel, board, width }) {
  const values = statValues(panel, frames);
  const [first, ...rest] = values;
  const name = (one) => el("span", { class: "figname" }, data(words(one.label), 60));
  const row = width > values.length * 140 && (values.length > 2 || (values.length > 1 && panel.gridPos.h < 4));
  if (row)
    place.append(
      el(
        "dl",
        { class: "stats abreast" },
        values.map((one) =>
          el("div", null, el("dt", null, name(one)), el("dd", null, number(panel, one, board, "big"))),
        ),
      ),
    );
  else
    place.append(
      el(
        "dl",
        { class: "stats" },
        el(
          "div",
          { class: "first" },
          el("dt", { class: same(first.label, panel.title) ? "offscreen" : "" }, name(first)),
          el("dd", null, number(panel, first, board, "big")),
        ),
        rest.map((one) =>
          el("div", null, el("dt", null, name(one)), el("dd", null, number(panel, one, board, "small"))),
        ),
      ),
    );
  return null;
}
