// Links of a cell or a number, as the board has them, to places of this page.

import { clip, el } from "./dom.js";
import { textOf } from "./display.js";
import { filled, local } from "./links.js";

function rowOf(frame, row) {
  const found = {};
  for (const field of frame.fields) {
    const raw = field.values[row];
    const shown = textOf(field.display(raw));
    found[field.name] = { raw, text: shown };
    found[field.label] ??= found[field.name];
  }
  return found;
}

/** `content`, inside the field's first link where it has one; later links stand behind it as words. */
export function cellLinks(field, { value, row, frame, board }, content) {
  const links = field.config.links ?? [];
  if (links.length === 0 || value === null || value === undefined || value === "") return content;
  const scope = {
    ...board.scope(),
    value: { raw: value, text: textOf(field.display(value)) },
    row: rowOf(frame, row),
    series: field.label,
    labels: field.labels,
  };
  const made = links
    .map((link) => ({ title: link.title, target: local(filled(link.url, scope)) }))
    .filter((one) => one.target);
  if (made.length === 0) return content;
  const anchor = ({ title, target }, inside) =>
    el(
      "a",
      {
        href: target.href,
        title: clip(`${title}: ${textOf(field.display(value))}`, 400),
        class: "celllink",
        ...(target.outside ? { target: "_blank", rel: "noopener noreferrer" } : {}),
      },
      inside,
    );
  const [first, ...others] = made;
  return el(
    "span",
    null,
    anchor(first, content),
    others.map((one) => [" ", anchor(one, one.title)]),
  );
}
