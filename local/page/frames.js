// Frames `{refId, name, fields: [{name, type, labels?, config?, values}]}` made ready for drawing. No DOM.

import { displayOf } from "./display.js";
import { fieldName, panelFieldConfig } from "./overrides.js";
import { named, seriesColours } from "./palette.js";

/** Smallest and largest number of all frames, null where there is none. */
function extent(frames) {
  let [min, max] = [Infinity, -Infinity];
  for (const field of frames.flatMap((frame) => frame.fields))
    if (field.type === "number")
      for (const value of field.values) {
        if (value === null || Number.isNaN(value)) continue;
        if (value < min) min = value;
        if (value > max) max = value;
      }
  return { min: min === Infinity ? null : min, max: max === -Infinity ? null : max };
}

/** The frames of an answer with everything about each field worked out: `config`, `label` (its
 * name on the screen), `display(value)`, `colour` (CSS) where series have colours. */
export function prepared(panel, frames, { zone = "utc" } = {}) {
  const range = extent(frames);
  const made = frames.map((frame) => ({
    ...frame,
    fields: frame.fields.map((field) => {
      const of = { ...field, refId: frame.refId };
      const config = panelFieldConfig(panel, of, frames);
      const label = config.displayName || fieldName(of, frames);
      return { ...of, config, label, display: displayOf(of, config, { range, zone }) };
    }),
  }));
  const drawn = made.flatMap((frame) => frame.fields).filter((field) => ["number", "boolean"].includes(field.type));
  const colours = seriesColours(drawn.map((field) => field.label));
  for (const field of drawn) field.colour = colourOf(field, colours);
  return made;
}

function colourOf(field, colours) {
  const { mode, fixedColor } = field.config.color ?? {};
  if (mode === "fixed") return named(fixedColor);
  if (mode?.startsWith("palette")) return colours.get(field.label);
  const last = field.values.findLast((value) => typeof value === "number");
  return named(field.display(last ?? null).color ?? "text");
}

/** Whether the frames hold anything to draw. */
export const empty = (frames) =>
  !frames.some((frame) => frame.fields.some((field) => field.values.some((value) => value !== null)));
