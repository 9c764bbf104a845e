// Tables: sorted by a click on a head, numbers to the right, links, words and bars in the colours of limits.

import { clip, data, el, put } from "./dom.js";
import { cellLinks } from "./cell_links.js";
import { textOf } from "./display.js";
import { shortId } from "./format.js";
import { icon } from "./icons.js";
import { magnitude, named, soft } from "./palette.js";

const FIRST_ROWS = 100;
const WIDEST = 120;

const isNumber = (field) => field.type === "number";
const isNothing = (value) => value === null || value === undefined;
const words = (label) => label.replaceAll("_", " ");

function align(field) {
  const { align: said = "auto" } = field.config.custom ?? {};
  if (said !== "auto") return said;
  return isNumber(field) ? "right" : "left";
}

const isBar = (field) => ["gauge", "data-bars"].includes(field.config.custom?.cellOptions?.type);

function compared(field, a, b) {
  const [one, other] = [field.values[a], field.values[b]];
  return typeof one === "string" ? one.localeCompare(other, "en", { numeric: true }) : one - other;
}

/** Numbers of the rows in the order of `sort` `{name, desc}`; what is unknown stands last either way. */
export function ordered(fields, sort) {
  const rows = Array.from({ length: fields[0]?.values.length ?? 0 }, (_, n) => n);
  const field = sort && fields.find((one) => one.label === sort.name || one.name === sort.name);
  if (!field) return rows;
  const known = (n) => !isNothing(field.values[n]);
  return rows.sort((a, b) =>
    known(a) && known(b) ? compared(field, a, b) * (sort.desc ? -1 : 1) : known(b) - known(a),
  );
}

function bar(field, shown) {
  const { mode = "" } = field.config.color ?? {};
  const share = Math.max(0, Math.min(1, shown.percent));
  const colour = mode.startsWith("continuous") ? magnitude(0.45 + share * 0.55) : named(shown.color ?? "blue");
  return el(
    "span",
    { class: "cellbar", "aria-hidden": "true", vars: { "--share": `${(share * 100).toFixed(1)}%`, "--c": colour } },
    el("i"),
  );
}

const HEX = /^[0-9a-f]{24,64}$/;

function cell(field, row, frame, board) {
  const value = field.values[row];
  const shown = field.display(value);
  const text = textOf(shown);
  const id = HEX.test(text);
  const kind = field.config.custom?.cellOptions?.type;
  const coloured = shown.color && shown.color !== "text" && !isNothing(value);
  const vars = {};
  if (kind === "color-text" && coloured) vars["--c"] = named(shown.color);
  if (kind === "color-background" && coloured)
    Object.assign(vars, { "--c": named(shown.color), "--b": soft(shown.color) ?? "transparent" });
  const word = el(
    "span",
    {
      class: `celltext ${isNothing(value) || value === "" ? "unknown" : ""} ${id ? "id" : ""}`,
      title: text.length > 24 ? clip(text, 600) : null,
    },
    data(id ? shortId(text) : text, WIDEST),
  );
  const linked = cellLinks(field, { value, row, frame, board }, word);
  return el(
    "td",
    { class: `${align(field)} ${isNumber(field) || field.type === "time" ? "num" : ""} ${kind ?? ""}`, vars },
    isBar(field) && !isNothing(value) ? el("span", { class: "withbar" }, bar(field, shown), linked) : linked,
  );
}

function head(field, sort, order) {
  const here = sort?.name === field.label || sort?.name === field.name;
  const width = field.config.custom?.width;
  return el(
    "th",
    {
      scope: "col",
      class: align(field),
      "aria-sort": here ? (sort.desc ? "descending" : "ascending") : null,
      vars: width ? { "--wide": `${width}px` } : null,
      ...(width ? { "data-wide": "" } : {}),
    },
    el(
      "button",
      { type: "button", onclick: () => order({ name: field.label, desc: here ? !sort.desc : isNumber(field) }) },
      el("span", null, data(words(field.label), 60)),
      here && icon(sort.desc ? "down" : "up"),
    ),
  );
}

/** Draws into `place`; `of.state.sort` outlives a drawing. */
export function drawTable(place, { frames, panel, board, state }) {
  const frame = frames[panel.options?.frameIndex ?? 0] ?? frames[0];
  const fields = frame.fields.filter((field) => !field.config.custom?.hidden && !field.config.custom?.hideFrom?.viz);
  const box = el("div", { class: "tablebox", tabindex: "0", role: "group", "aria-label": `Rows of ${panel.title}` });
  const [first] = panel.options?.sortBy ?? [];
  state.sort ??= first ? { name: first.displayName, desc: Boolean(first.desc) } : null;
  state.most ??= FIRST_ROWS;
  const draw = (focus = null) => {
    const rows = ordered(fields, state.sort);
    const order = (sort) => ((state.sort = sort), draw(sort.name));
    put(
      box,
      el(
        "table",
        { class: "cells" },
        el("caption", { class: "offscreen" }, panel.title),
        el(
          "thead",
          null,
          el(
            "tr",
            null,
            fields.map((field) => head(field, state.sort, order)),
          ),
        ),
        el(
          "tbody",
          null,
          rows.slice(0, state.most).map((row) =>
            el(
              "tr",
              null,
              fields.map((field) => cell(field, row, frame, board)),
            ),
          ),
        ),
      ),
      rows.length > state.most &&
        el(
          "button",
          { type: "button", class: "button small more", onclick: () => ((state.most += 1000), draw()) },
          `${rows.length - state.most} more rows`,
        ),
    );
    if (focus !== null) box.querySelectorAll("th button")[fields.findIndex((field) => field.label === focus)]?.focus();
  };
  draw();
  place.append(box);
  return null;
}
