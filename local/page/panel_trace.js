// One trace as the waterfall that its own page has, from the frame of Grafana's traces panel.

import { el } from "./dom.js";
import { go } from "./address.js";
import { waterfall } from "./waterfall.js";

const MONEY = "gen_ai.usage.cost.amount";

function valuesOf(tags) {
  const found = {};
  for (const { key, value } of Array.isArray(tags) ? tags : []) {
    const number = typeof value === "string" && /^-?\d+(\.\d+)?(e-?\d+)?$/i.test(value) ? Number(value) : value;
    found[key] = key.startsWith("gen_ai.response.id") || key.includes("version") ? value : number;
  }
  return found;
}

/** What a span is to the call, as far as its tags say it. */
function roleOf(span) {
  const own = span.attributes;
  if (own["tollspan.hop.role"]) return "hop";
  if ("tollspan.attempt" in own || "http.request.method" in own) return "attempt";
  return own["gen_ai.operation.name"] || own["gen_ai.request.model"] ? "call" : "other";
}

/** The spans of a traces frame in tree order, as `waterfall` wants them. */
export function traceOf(frame) {
  const column = (name) => frame.fields.find((field) => field.name === name)?.values ?? [];
  const [ids, parents, starts] = [column("spanID"), column("parentSpanID"), column("startTime")];
  const begin = Math.min(...starts);
  const spans = ids.map((id, n) => {
    const attributes = valuesOf(column("tags")[n]);
    const span = {
      span_id: id,
      parent_id: parents[n] || null,
      name: column("operationName")[n],
      service: column("serviceName")[n],
      offset_s: (starts[n] - begin) / 1000,
      duration_s: (column("duration")[n] ?? 0) / 1000,
      status: column("statusCode")[n] === 2 ? "error" : "ok",
      attributes,
      hop_role: attributes["tollspan.hop.role"],
      attempt: attributes["tollspan.attempt"],
      restated: attributes["tollspan.cost.role"] === "restated",
      cost_usd: attributes[MONEY] === undefined ? null : String(attributes[MONEY]),
    };
    span.role = roleOf(span);
    return span;
  });
  return { trace_id: column("traceID")[0], calls: [], spans: inTreeOrder(spans) };
}

function inTreeOrder(spans) {
  const here = new Set(spans.map((span) => span.span_id));
  const below = new Map();
  const roots = [];
  for (const span of spans.toSorted((a, b) => a.offset_s - b.offset_s)) {
    if (here.has(span.parent_id) && span.parent_id !== span.span_id) {
      if (!below.has(span.parent_id)) below.set(span.parent_id, []);
      below.get(span.parent_id).push(span);
    } else roots.push(span);
  }
  const found = [];
  const seen = new Set();
  // A circle of parents has no root: what is left stands at the top.
  for (const start of [...roots, ...spans]) {
    const waiting = [start];
    while (waiting.length) {
      const span = waiting.pop();
      if (seen.has(span.span_id)) continue;
      seen.add(span.span_id);
      found.push(span);
      waiting.push(...(below.get(span.span_id) ?? []).toReversed());
    }
  }
  return found;
}

/** Draws into `place`; nothing has to be ended. */
export function drawTrace(place, { frames }) {
  const trace = traceOf(frames[0]);
  const open = (span) => go({ page: "trace", trace: trace.trace_id, call: null, span: span.span_id });
  const fall = waterfall(trace, { onSelect: open });
  place.classList.add("rolls");
  place.append(el("div", { class: "tracepanel" }, fall.node));
  return null;
}
