// Tokens of one call as asked, sent on, reported by the provider and reported back: shown where more than
// one span tells of its answer.

import { get, Unavailable } from "./api.js";
import { data, el, put } from "./dom.js";

const POINTS = [
  ["asked", "asked"],
  ["sent_on", "sent on"],
  ["provider", "provider"],
  ["reported_back", "reported back"],
];
const FIELDS = [
  ["max_tokens", "most"],
  ["input_tokens", "input"],
  ["output_tokens", "output"],
  ["cache_read_tokens", "from cache"],
  ["evidence", "evidence"],
];
const UNKNOWN = "–";

/** A section with the four points of the call of `span`; null where only one span tells of it. */
export function pointFacts(call, span, spans) {
  const others = spans.some((one) => one.restated && one.owner_span_id === span.span_id);
  if (!call || !others) return null;
  const place = el("div", { class: "fourpoints" }, el("p", { class: "muted" }, "Reading…"));
  load(call.call_id, place);
  return el("section", { class: "facts" }, el("h3", null, "Tokens, point by point"), place);
}

async function load(id, place) {
  try {
    put(place, ...shown(await get(`/v1/points/${encodeURIComponent(id)}`)));
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    put(place, el("p", { class: "muted" }, error.message));
  }
}

function shown(found) {
  const known = POINTS.filter(([name]) => found.points[name]);
  const stated = FIELDS.filter(([field]) => known.some(([name]) => found.points[name][field] !== null));
  const altered = new Set(found.differences.filter((one) => one.name === "altered_by_gateway").map((one) => one.field));
  return [
    el(
      "table",
      { class: "num" },
      el(
        "thead",
        null,
        el(
          "tr",
          null,
          el("th", null, ""),
          known.map(([, label]) => el("th", { scope: "col" }, label)),
        ),
      ),
      el(
        "tbody",
        null,
        stated.map(([field, label]) =>
          el(
            "tr",
            { class: altered.has(field) ? "altered" : "" },
            el("th", { scope: "row" }, label),
            known.map(([name]) => el("td", null, data(found.points[name][field] ?? UNKNOWN, 20))),
          ),
        ),
      ),
    ),
    altered.size > 0 &&
      el("p", { class: "muted" }, "The gateway reported other tokens back than the provider reported to it."),
  ].filter(Boolean);
}
