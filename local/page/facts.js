// What is known of a call or a span, grouped: who, money, path, tokens, time, ids, attributes.

import { clip, copyButton, data, el } from "./dom.js";
import { clock, count, duration, gradeMark, gradeMeaning, shortId, UNKNOWN, unpricedReason } from "./format.js";
import { icon } from "./icons.js";
import { exact, units } from "./money.js";
import { badges, routeChips } from "./path.js";
import { costOf, promptChip } from "./rows.js";

const LONGEST = 4000;

const copyable = (text, what) =>
  copyButton(
    () => String(text),
    `Copy ${what}`,
    () => icon("copy"),
    () => icon("check"),
  );

/** One line: name, value; nothing at all where the value is unknown and `always` is not said. */
function fact(name, value, { always = false, title = null } = {}) {
  const missing = value === null || value === undefined || value === "";
  if (missing && !always) return null;
  const shown = missing
    ? el("span", { class: "muted" }, "unknown")
    : value instanceof Node || Array.isArray(value)
      ? value
      : data(value, 300);
  return [el("dt", null, name), el("dd", { title }, shown)];
}

function group(title, ...lines) {
  const shown = lines.flat(2).filter(Boolean);
  return shown.length ? el("section", { class: "facts" }, el("h3", null, title), el("dl", null, shown)) : null;
}

const amount = (text) => {
  const size = units(text);
  return size === null ? null : el("span", { class: "num" }, exact(size));
};

const SOURCES = { provider: "stated by the provider or a gateway", local: "computed here from the price book" };

function wasted(call) {
  const reason = clip(call.waste_reason ?? "", 60);
  if (units(call.wasted_usd)) return [amount(call.wasted_usd), reason && ` (${reason})`];
  return reason ? `${reason}, cost unknown` : null;
}

function money(call) {
  const cost = units(call.cost_usd);
  return group(
    "Money",
    fact("cost", cost === null ? costOf(call) : el("b", { class: "num" }, gradeMark(call.cost_grade), exact(cost)), {
      always: true,
    }),
    fact("grade", call.cost_grade, { title: gradeMeaning(call.cost_grade) }),
    call.cost_grade === "unpriced" && fact("why", unpricedReason(call.unpriced_reason)),
    fact("source", SOURCES[call.cost_source] ?? call.cost_source),
    fact("reported", amount(call.reported_usd), { always: true, title: "What the provider or a gateway stated" }),
    fact("derived", amount(call.derived_usd), { always: true, title: "Served tokens times the price book" }),
    fact("wasted", wasted(call)),
    fact("avoided", units(call.avoided_usd) ? amount(call.avoided_usd) : null, {
      title: "Not spent because a cache answered",
    }),
    fact("service tier", call.service_tier),
    fact("price book", call.price_version),
  );
}

const FROM_SPAN = { "tollspan.model.routed": "routed", "tollspan.model.deployment": "deployment" };

function path(call, attributes) {
  const attempts = call.upstream_attempts;
  const least = { at_least: "at least ", exact: "", unknown: "" }[call.upstream_confidence] ?? "";
  return group(
    "Path",
    fact("route", routeChips(call)),
    badges(call).length > 0 && fact("notes", el("span", { class: "badges" }, badges(call))),
    fact("requested", call.request_model, { always: true, title: "The model that the application asked for" }),
    Object.entries(FROM_SPAN).map(([name, label]) => fact(label, attributes[name])),
    fact("answered as", call.response_model, { title: "The model that the answer names" }),
    fact("served", call.served_model, { always: true, title: "The provider's own name of the model that ran" }),
    fact("provider", call.provider),
    fact("server", call.server_address),
    hops(call),
    fact(
      "app attempts",
      call.app_attempts === null || call.app_attempts === undefined ? null : count(call.app_attempts),
      { title: "HTTP requests that the SDK made" },
    ),
    fact("upstream attempts", attempts === null || attempts === undefined ? null : `${least}${count(attempts)}`, {
      title: "Requests that reached a model, as far as anybody tells",
    }),
    fact("blocked by", call.blocked_by),
    fact("blame", call.blame),
    fact("error", call.error_type),
  );
}

const SPLITS = [
  ["input", "input_tokens", 0, null],
  ["from cache", "cache_read_tokens", 1, null],
  ["written to cache", "cache_write_tokens", 1, null],
  ["written, 5 min", null, 2, "tollspan.usage.cache_write_5m.input_tokens"],
  ["written, 1 hour", null, 2, "tollspan.usage.cache_write_1h.input_tokens"],
  ["audio", null, 1, "gen_ai.usage.audio.input_tokens"],
  ["image", null, 1, "gen_ai.usage.image.input_tokens"],
  ["output", "output_tokens", 0, null],
  ["reasoning", "reasoning_tokens", 1, null],
  ["audio", null, 1, "gen_ai.usage.audio.output_tokens"],
  ["image", null, 1, "gen_ai.usage.image.output_tokens"],
];

function tokens(call, attributes) {
  const lines = SPLITS.map(([name, field, depth, attribute]) => [
    name,
    field ? call[field] : attributes[attribute],
    depth,
  ]).filter(([, value, depth]) => depth === 0 || (typeof value === "number" && value > 0));
  const rows = lines.map(([name, value, depth]) =>
    el(
      "tr",
      null,
      el("th", { scope: "row", class: `deep-${depth}` }, depth ? `of which ${name}` : name),
      el("td", { class: "num" }, typeof value === "number" ? count(value) : UNKNOWN),
    ),
  );
  return el(
    "section",
    { class: "facts" },
    el("h3", null, "Tokens"),
    el("table", { class: "vector" }, el("tbody", null, rows)),
  );
}

function ids(call) {
  const line = (name, value) =>
    fact(name, value && [el("code", { title: String(value).slice(0, 400) }, shortId(value)), copyable(value, name)]);
  return group(
    "Ids",
    line("call id", call.call_id),
    line("trace id", call.trace_id),
    line("span id", call.span_id),
    line("request id", call.request_id),
  );
}

function hops(call) {
  const overheads = (call.hops ?? []).filter((hop) => typeof hop.overhead_ms === "number");
  return overheads.map((hop) =>
    fact("overhead", [data(hop.name ?? hop.role, 60), " ", duration(hop.overhead_ms / 1000)], {
      title: "Time this hop added, as it states",
    }),
  );
}

function tags(call) {
  return Object.entries(call.tags ?? {}).map(([name, value]) => fact(clip(name, 60), String(value)));
}

/** Every group of facts of a call; `attributes` are its span's, where they are at hand. */
export function callFacts(call, attributes = {}) {
  return [
    group(
      "Who",
      fact("endpoint", call.endpoint ?? el("span", { class: "untagged" }, "untagged"), { always: true }),
      fact("prompt", call.prompt || call.prompt_version ? [data(call.prompt ?? "", 200), " ", promptChip(call)] : null),
      fact("tenant", call.tenant, { always: true }),
      fact("user", call.user),
      fact("session", call.session),
      tags(call),
      fact("service", call.service),
      fact("environment", call.environment),
      fact("data mode", call.data_mode),
    ),
    money(call),
    path(call, attributes),
    tokens(call, attributes),
    group(
      "Time",
      fact("started", el("time", { datetime: call.time, title: call.time }, clock(call.time))),
      fact("duration", duration(call.duration_s)),
      fact("first chunk", typeof call.time_to_first_chunk_s === "number" ? duration(call.time_to_first_chunk_s) : null),
      fact("streamed", call.streaming ? "yes" : null),
      fact("finish", (call.finish_reasons ?? []).length ? call.finish_reasons.join(", ") : null),
    ),
    ids(call),
  ];
}

/** Attributes as they came, in order of name, with a button that copies them all. */
export function attributeList(attributes) {
  const names = Object.keys(attributes ?? {}).sort();
  if (names.length === 0) return null;
  const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  const lines = names.map((name) => [
    el("dt", null, data(name, 120)),
    el("dd", null, data(text(attributes[name]), LONGEST)),
  ]);
  return el(
    "details",
    { class: "facts raw" },
    el("summary", null, el("h3", null, `Attributes (${names.length})`)),
    copyButton(
      () => JSON.stringify(attributes, null, 2),
      "Copy all attributes as JSON",
      () => icon("copy"),
      () => icon("check"),
    ),
    el("dl", null, lines),
  );
}

/** Why there is no conversation to read here. */
export function contentNote() {
  return el(
    "section",
    { class: "facts note" },
    el("h3", null, "Content"),
    el(
      "p",
      { class: "muted" },
      "Message content is never recorded: prompts and answers stay in your application. What you see here are counts, names, times and money.",
    ),
  );
}
