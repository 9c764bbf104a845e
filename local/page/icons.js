// Icons as inline SVG: emoji glyphs are missing on plain Linux. All decorative: words stand beside them.

import { svg } from "./dom.js";

const PATHS = {
  check: "M3.5 8.5l3 3 6-7",
  cross: "M4 4l8 8M12 4l-8 8",
  warn: "M8 2.500L14.500 13.500H1.500zM8 6.500v3.200M8 11.700v.1",
  stop: "M5.300 1.800h5.400l3.500 3.500v5.400l-3.500 3.500H5.300L1.800 10.700V5.300zM5 8h6",
  cut: "M2 8h4M10 8h4M7 4.500L9 11.500",
  copy: "M5.500 5.500v-3h8v8h-3M2.500 5.500h8v8h-8z",
  pause: "M5.500 3v10M10.500 3v10",
  play: "M4.500 2.800v10.400L13 8z",
  search: "M7 11.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9zM10.500 10.500L14 14",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1.100 1.100M11.900 11.900L13 13M13 3l-1.100 1.100M4.100 11.900L3 13",
  moon: "M13.500 9.600A6 6 0 0 1 6.400 2.500a6 6 0 1 0 7.100 7.100z",
  auto: "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12M8 2v12",
  chevron: "M5.500 3.500L10.500 8l-5 4.500",
  down: "M3.500 6l4.500 4.500L12.500 6",
  back: "M10 3L5 8l5 5",
  up: "M3.500 10L8 5.500l4.500 4.500",
  drain: "M8 2v7.500M4.800 6.500L8 9.700l3.200-3.200M2.500 11.500v2h11v-2",
  chart: "M2.500 13.500V9M6.200 13.500V5M9.800 13.500V7.500M13.500 13.500V2.500",
  info: "M8 14.200a6.200 6.200 0 1 0 0-12.400 6.200 6.200 0 0 0 0 12.400zM8 7.300v4M8 4.700v.1",
  rows: "M2.500 3.500h11M2.500 8h11M2.500 12.500h11M6.500 3.500v9",
  clock: "M8 14.200a6.200 6.200 0 1 0 0-12.400 6.200 6.200 0 0 0 0 12.400zM8 4.500V8l2.500 1.500",
  left: "M10 3.500L5.500 8l4.500 4.500",
  right: "M6 3.500L10.500 8L6 12.500",
  zoomout: "M7 11.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9zM10.500 10.500L14 14M5 7h4",
  again: "M13 8a5 5 0 1 1-1.600-3.700M13 2.500v2.700h-2.700",
  wide: "M9.500 2.500h4v4M13.500 2.500L9 7M6.500 13.500h-4v-4M2.500 13.500L7 9",
};

/** An icon by name, 16 units square, drawn in the colour of the text. */
export function icon(name) {
  return svg(
    "svg",
    { class: `icon icon-${name}`, viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: PATHS[name] }),
  );
}

/** The mark of the project: a bridge. */
export function logo() {
  return svg(
    "svg",
    { class: "logo", viewBox: "0 0 24 24", "aria-hidden": "true" },
    svg("path", { d: "M2 19V9M22 19V9M2 13h20M5 19a7 5.200 0 0 1 14 0" }),
    svg("path", { class: "cable", d: "M2 9c3 2.600 6 3.800 10 3.800S19 11.600 22 9" }),
  );
}
