// Colours of charts by the names that boards use; each is a variable of colours.css, so that a chart
// follows the theme without being drawn anew. No DOM.

const FAMILIES = {
  text: "--ink",
  green: "--ok",
  orange: "--warn",
  red: "--bad",
  blue: "--c1",
  purple: "--c4",
  yellow: "--c5",
  gray: "--c6",
  grey: "--c6",
};

/** A board's colour name, `dark-red` and the like included, as CSS; unknown names are the text's colour. */
export function named(name) {
  const text = String(name ?? "");
  if (/^#[0-9a-f]{6}$/i.test(text)) return text;
  return `var(${FAMILIES[text.replace(/^(semi-|super-)?(dark|light)-/, "")] ?? "--ink"})`;
}

/** The soft background that goes with a colour name, for cells and bars with text on them; null for neutral. */
export function soft(name) {
  const family = String(name ?? "").replace(/^(semi-|super-)?(dark|light)-/, "");
  return { green: "var(--okb)", orange: "var(--warnb)", red: "var(--badb)", blue: "var(--selected)" }[family] ?? null;
}

// c6 is the grey of what has no name of its own.
const SERIES = ["--c1", "--c2", "--c3", "--c8", "--c5", "--c4", "--c7", "--c9"];
const NAMELESS = new Set(["(all others)", "other", "others", "-", "", "unknown"]);

// Begins where the words that the boards themselves use (providers, kinds of tokens, p50 to p99, reasons)
// fall on different colours, openai on the first.
const SEED = 203095;

function hash(text) {
  let found = SEED;
  for (let n = 0; n < text.length; n += 1) found = Math.imul(found ^ text.charCodeAt(n), 16777619);
  return (found ^ (found >>> 15)) >>> 0;
}

/** Colours by series name: the same name has the same colour on every board, but where two meet in one panel. */
export function seriesColours(names) {
  const found = new Map();
  const taken = new Set();
  for (const name of [...names].sort()) {
    if (found.has(name)) continue;
    if (NAMELESS.has(name)) {
      found.set(name, "var(--c6)");
      continue;
    }
    let place = hash(name) % SERIES.length;
    for (let n = 0; n < SERIES.length && taken.has(place); n += 1) place = (place + 1) % SERIES.length;
    taken.add(place);
    if (taken.size === SERIES.length) taken.clear();
    found.set(name, `var(${SERIES[place]})`);
  }
  return found;
}

/** One hue from faint to full, for magnitudes: `share` from 0 to 1. */
export function magnitude(share) {
  const part = Math.round(Math.max(0, Math.min(1, share)) * 100);
  return `color-mix(in oklab, var(--h1) ${part}%, var(--h0))`;
}
