// The waterfall of a trace: rows indented under their parents, on one axis of time.

import { clip, data, el } from "./dom.js";
import { duration, gradeMark, gradeMeaning } from "./format.js";
import { icon } from "./icons.js";
import { exact, perCall, units } from "./money.js";
import { roleClass } from "./path.js";
import { costOf } from "./rows.js";

const STEPS = [1, 2, 5];

/** Round steps of time, at most `most` of them, as `[seconds, …]` from 0. */
export function ticks(length, most) {
  if (!(length > 0)) return [0];
  let step = 10 ** Math.floor(Math.log10(length / most));
  step *= STEPS.find((one) => length / (step * one) <= most) ?? 10;
  const found = [];
  for (let n = 0; n * step <= length * 1.0001; n += 1) found.push(n * step);
  return found;
}

/** What a row is called: the role of its hop, else its own role. */
export function kindOf(span) {
  if (span.role === "attempt") return `attempt ${span.attempt ?? span.attributes?.["tollspan.attempt"] ?? ""}`.trim();
  return span.role === "hop" ? (span.hop_role ?? "hop") : span.role === "other" || !span.role ? "span" : span.role;
}

/** The class of its colour. */
export const colourOf = (span) => roleClass(span.role === "hop" ? span.hop_role : span.role);

export const failed = (span) =>
  String(span.status ?? "").toLowerCase() === "error" || Boolean(span.attributes?.["error.type"]);

/** `[{span, level, children}]` in tree order; a span whose parent is not here stands at the top. */
export function tree(spans) {
  const at = new Map(spans.map((span) => [span.span_id, { span, level: 1, children: 0 }]));
  for (const span of spans) {
    const parent = at.get(span.parent_id);
    if (!parent || parent === at.get(span.span_id)) continue;
    at.get(span.span_id).level = Math.min(parent.level + 1, 24);
    parent.children += 1;
  }
  return [...at.values()];
}

function status(code) {
  const kind = code >= 400 ? "bad" : "good";
  return el("span", { class: `badge ${kind}` }, code >= 400 && icon("cross"), String(code));
}

function label(span) {
  const own = span.attributes ?? {};
  if (span.role === "attempt") {
    const code = own["http.response.status_code"];
    const wait = own["tollspan.retry_after_s"];
    return [
      (own["http.request.method"] ?? "POST") !== "POST" &&
        el("span", { class: "muted" }, data(own["http.request.method"], 12)),
      typeof code === "number"
        ? status(code)
        : own["error.type"] && el("span", { class: "badge bad" }, icon("cross"), data(own["error.type"], 40)),
      typeof wait === "number" &&
        el(
          "span",
          { class: "badge warn", title: "The answer asked to wait this long (retry-after)" },
          `retry after ${duration(wait)}`,
        ),
    ];
  }
  if (span.role === "hop") {
    const model = own["gen_ai.response.model"] ?? own["gen_ai.request.model"];
    const name = String(span.name).replace(/^hop /, "");
    return [
      el(
        "span",
        { class: "name" },
        data(span.hop_role === "model" && model && !name.includes("/") ? `${name}/${model}` : name),
      ),
      failed(span) && errorMark(span),
    ];
  }
  return [el("span", { class: "name" }, data(span.name)), failed(span) && errorMark(span)];
}

function errorMark(span) {
  const why = span.attributes?.["error.type"] ?? span.status_message ?? "";
  return el(
    "span",
    { class: "badge bad", title: clip(why, 400) },
    icon("cross"),
    data(why ? clip(String(why).split(".").at(-1), 32) : "error", 40),
  );
}

/** The amount on its owner; restated copies grey, so that nobody adds them twice. */
function cost(span, call) {
  if (span.restated) {
    const said = units(span.attributes?.["tollspan.restated.cost_usd"] ?? null);
    return el(
      "span",
      { class: "restated", title: "The owner of this answer's money is another span; this one only repeats it" },
      said !== null && el("s", null, perCall(said)),
      el("span", { class: "badge" }, "restated"),
    );
  }
  const size = units(span.cost_usd);
  if (call && (size !== null || call.cost_grade === "unpriced"))
    return costOf({ ...call, cost_usd: span.cost_usd ?? call.cost_usd });
  if (size === null) return el("span", { class: "muted" });
  return el(
    "span",
    { class: "money", title: `${exact(size)} USD. ${gradeMeaning(span.attributes?.["tollspan.cost.grade"])}` },
    gradeMark(span.attributes?.["tollspan.cost.grade"]),
    perCall(size),
  );
}

const at = (value, length) => `${Math.max(0, Math.min(100, (value / length) * 100)).toFixed(3)}%`;

function bar(span, call, start, length, next) {
  const from = (span.offset_s ?? 0) - start;
  const long = Math.max(0, span.duration_s ?? 0);
  const inferred = span.timed === false || span.attributes?.["tollspan.hop.evidence"] === "inferred";
  const first = call?.time_to_first_chunk_s;
  const wait = next ? next.offset_s - (span.offset_s + long) : 0;
  return el(
    "span",
    {
      class: "track",
      "aria-hidden": "true",
      title: `${duration(from)} to ${duration(from + long)}${inferred ? "; the time of this hop is inferred" : ""}`,
    },
    wait > 0 && el("i", { class: "wait", vars: { "--from": at(from + long, length), "--long": at(wait, length) } }),
    el("i", {
      class: `span ${failed(span) ? "failed" : ""} ${inferred ? "inferred" : ""}`,
      vars: { "--from": at(from, length), "--long": at(long, length) },
    }),
    typeof first === "number" &&
      first > 0 &&
      el("i", { class: "firstchunk", vars: { "--from": at(from + first, length) } }),
  );
}

/** The waterfall of a trace as `{node, step(by), fold(open)}`; `compact` leaves out the cost column. */
export function waterfall(trace, { compact = false, selected = null, onSelect }) {
  const spans = trace.spans ?? [];
  const calls = new Map((trace.calls ?? []).map((call) => [call.span_id, call]));
  const start = Math.min(0, ...spans.map((span) => span.offset_s ?? 0));
  const end = spans.reduce(
    (late, span) => Math.max(late, (span.offset_s ?? 0) + Math.max(0, span.duration_s ?? 0)),
    start,
  );
  const length = Math.max(end - start, 1e-6);
  const entries = tree(spans);
  const folded = new Set();
  const follower = nextAttempts(spans);
  const rows = entries.map((entry) => {
    const { span, level, children } = entry;
    const toggle =
      children > 0 &&
      el(
        "button",
        {
          type: "button",
          class: "quiet fold",
          tabindex: "-1",
          "aria-label": "Fold",
          onclick: (event) => (event.stopPropagation(), fold(span.span_id, folded.has(span.span_id))),
        },
        icon("chevron"),
      );
    const node = el(
      "div",
      {
        role: "row",
        class: `wrow ${colourOf(span)} ${span.restated ? "is-restated" : ""}`,
        tabindex: span.span_id === selected ? "0" : "-1",
        "aria-level": String(level),
        "aria-expanded": children ? "true" : null,
        "aria-selected": String(span.span_id === selected),
        "data-span": span.span_id,
        vars: { "--level": String(level - 1) },
        onclick: () => onSelect(span),
      },
      el(
        "div",
        { role: "gridcell", class: "wname", title: clip(span.name, 400) },
        el("span", { class: "twist" }, toggle),
        el("span", { class: `kind ${colourOf(span)}` }, data(kindOf(span), 24)),
        label(span),
      ),
      el(
        "div",
        { role: "gridcell", class: "wtime" },
        bar(span, calls.get(span.span_id), start, length, follower.get(span.span_id)),
      ),
      !compact && el("div", { role: "gridcell", class: "wcost num" }, cost(span, calls.get(span.span_id))),
      el("div", { role: "gridcell", class: "wtook num muted" }, duration(span.duration_s)),
    );
    return Object.assign(entry, { node, toggle });
  });
  const marks = ticks(length, compact ? 3 : 5);
  const axis = el(
    "div",
    { class: "axis", role: "columnheader", "aria-label": `Time, 0 to ${duration(length)}` },
    marks.map((mark) =>
      el(
        "span",
        { class: `tick num ${mark > 0.93 * length ? "last" : ""}`, vars: { "--from": at(mark, length) } },
        mark === 0 ? "0" : duration(mark),
      ),
    ),
  );
  const heads = el(
    "div",
    { role: "row", class: "whead" },
    el("div", { role: "columnheader", class: "wname" }, compact ? "" : "Span"),
    axis,
    !compact && el("div", { role: "columnheader", class: "wcost num" }, "Cost"),
    el("div", { role: "columnheader", class: "wtook num" }, "Took"),
  );
  const lines = el(
    "div",
    { class: "lines", "aria-hidden": "true" },
    marks.slice(1).map((mark) => el("i", { vars: { "--from": at(mark, length) } })),
  );
  const body = el(
    "div",
    { class: "wbody", role: "rowgroup" },
    lines,
    rows.map((entry) => entry.node),
  );
  const node = el(
    "div",
    {
      role: "treegrid",
      class: `waterfall ${compact ? "compact" : ""}`,
      "aria-label": "Waterfall of the trace",
      "aria-readonly": "true",
    },
    heads,
    body,
  );

  function fold(id, open) {
    folded[open ? "delete" : "add"](id);
    let under = null;
    for (const entry of rows) {
      if (under !== null && entry.level > under) {
        entry.node.hidden = true;
        continue;
      }
      under = null;
      entry.node.hidden = false;
      const shut = folded.has(entry.span.span_id);
      if (entry.children) entry.node.setAttribute("aria-expanded", String(!shut));
      if (shut) under = entry.level;
    }
  }

  function step(by) {
    const open = rows.filter((entry) => !entry.node.hidden);
    const now = open.findIndex((entry) => entry.node.getAttribute("aria-selected") === "true");
    const next = open[Math.max(0, Math.min(open.length - 1, now + by))];
    if (!next) return;
    onSelect(next.span);
    next.node.focus({ preventScroll: true });
    next.node.scrollIntoView({ block: "nearest" });
  }

  function mark(id) {
    for (const entry of rows) {
      entry.node.setAttribute("aria-selected", String(entry.span.span_id === id));
      entry.node.tabIndex = entry.span.span_id === id ? 0 : -1;
    }
  }
  return { node, step, fold, mark };
}

/** For each attempt the one that follows it under the same parent: between them lies the back-off. */
function nextAttempts(spans) {
  const last = new Map();
  const found = new Map();
  for (const span of spans.filter((one) => one.role === "attempt").sort((a, b) => a.offset_s - b.offset_s)) {
    const before = last.get(span.parent_id);
    if (before) found.set(before.span_id, span);
    last.set(span.parent_id, span);
  }
  return found;
}
