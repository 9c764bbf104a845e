// The strip above the list: what was spent, and whether that number can be trusted.

import { go, read, UNKNOWN_VALUE } from "./address.js";
import { clip, data, el, put } from "./dom.js";
import { count, counted, duration, percent, shortCount } from "./format.js";
import { icon } from "./icons.js";
import { exact, perCall, ratio, share, total, units } from "./money.js";

// Below this many calls a 95th percentile is one call's accident.
const ENOUGH_FOR_P95 = 20;

function tile(label, value, detail, { kind = "", title = null, size = "", chars = null } = {}) {
  return el(
    "section",
    { class: `tile ${size}`, title },
    el("h2", null, label),
    el("p", { class: `value num ${kind}`, vars: { "--chars": String(Math.max(7, String(value).length)) } }, value),
    el("p", { class: "detail num", vars: { "--chars": String(chars ?? String(detail).length) } }, detail),
  );
}

function trust(summary) {
  if (!summary.calls)
    return el(
      "section",
      { class: "tile trust" },
      el("h2", null, "Can I trust this?"),
      el("p", { class: "detail" }, "Nothing to doubt yet: no calls."),
    );
  const line = (number, good, said, onclick) =>
    el(
      "li",
      { class: number ? "warn" : "muted" },
      icon(number ? "warn" : "check"),
      number ? (onclick ? el("button", { type: "button", class: "link", onclick }, said) : said) : good,
    );
  return el(
    "section",
    { class: "tile trust" },
    el("h2", null, "Can I trust this?"),
    el(
      "ul",
      { class: "num" },
      line(
        summary.unpriced_calls,
        "every call has a price",
        `${count(summary.unpriced_calls)} unpriced: spend is under-counted`,
        () => go({ unpriced: true }),
      ),
      line(
        summary.lower_bound_calls,
        "no lower bounds",
        `${count(summary.lower_bound_calls)} lower bound${summary.lower_bound_calls === 1 ? "" : "s"}`,
      ),
      line(
        summary.untagged_calls,
        "every call has an endpoint",
        `${count(summary.untagged_calls)} untagged: no endpoint`,
        () => go({ filters: { ...read().filters, endpoint: UNKNOWN_VALUE } }),
      ),
    ),
  );
}

function errors(s) {
  const said = `${percent(s.errors, s.calls)} of calls`;
  return s.errors
    ? el(
        "button",
        {
          type: "button",
          class: "link",
          title: "Show them",
          onclick: () => go({ filters: { ...read().filters, status: "error" } }),
        },
        said,
      )
    : said;
}

/** The tiles of a summary, or quiet placeholders while there is none. */
export function tiles(summary) {
  const s = summary ?? {};
  const spent = units(s.cost_usd);
  const priced = (s.calls ?? 0) - (s.unpriced_calls ?? 0);
  const each = share(spent, priced);
  const wasted = units(s.wasted_usd);
  const avoided = units(s.avoided_usd);
  const bound = s.unpriced_calls || s.lower_bound_calls ? "≥ " : "";
  const nothing = !s.calls;
  const money = (amount) => (amount === null ? "–" : total(amount));
  return [
    tile("Spend", `${spent ? bound : ""}${money(spent)}`, nothing ? "no calls" : `${counted(priced, "call")} priced`, {
      title: spent === null ? null : `${exact(spent)} USD`,
      size: "wide",
    }),
    tile("Cost per call", each === null ? "–" : perCall(each), nothing ? "" : "per priced call", {
      title: each === null ? null : `${exact(each)} USD`,
    }),
    tile(
      "Calls",
      count(s.calls ?? 0),
      `${shortCount(s.input_tokens ?? 0)} → ${shortCount(s.output_tokens ?? 0)} tokens`,
      { title: `${count(s.input_tokens ?? 0)} tokens in, ${count(s.output_tokens ?? 0)} tokens out` },
    ),
    tile("Errors", nothing ? "–" : count(s.errors), nothing ? "" : errors(s), {
      chars: 14,
      kind: s.errors ? "bad" : "",
    }),
    tile(
      "Duration p50",
      duration(s.p50_s),
      s.calls >= ENOUGH_FOR_P95 ? `p95 ${duration(s.p95_s)}` : nothing ? "" : `n = ${count(s.calls)}`,
    ),
    tile(
      "Wasted",
      money(wasted),
      spent && wasted !== null ? `${(ratio(wasted, spent) * 100).toFixed(1)} % of spend` : "paid for nothing",
      {
        kind: wasted ? "warn" : "",
        title: wasted === null ? null : `${exact(wasted)} USD paid for retries, dead streams, errors`,
      },
    ),
    tile("Avoided", money(avoided), "by cache hits", {
      kind: avoided ? "good" : "",
      title: avoided === null ? null : `${exact(avoided)} USD not spent`,
    }),
    trust({ unpriced_calls: 0, lower_bound_calls: 0, untagged_calls: 0, ...s }),
  ];
}

const SPLITS = [
  ["by_endpoint", "endpoint", "Endpoints"],
  ["by_tenant", "tenant", "Tenants"],
  ["by_model", "model", "Models"],
  ["by_route", "route", "Routes"],
];

/** Where the money goes: four short lists with bars, each name a filter. */
export function breakdown(summary) {
  const whole = units(summary?.cost_usd);
  return SPLITS.map(([key, filter, title]) => {
    const lines = (summary?.[key] ?? []).slice(0, 5);
    return el(
      "section",
      { class: "split" },
      el("h2", null, title, el("small", null, "by spend")),
      lines.length === 0 && el("p", { class: "muted" }, "no calls in range"),
      lines.map((line) => {
        const amount = units(line.cost_usd);
        const name = line.name ?? null;
        const said = name ?? (filter === "endpoint" ? "untagged" : "unknown");
        return el(
          "div",
          { class: "share", vars: { "--share": `${(ratio(amount, whole) * 100).toFixed(1)}%` } },
          el(
            "button",
            {
              type: "button",
              class: name ? "link" : "link untagged",
              title: clip(said, 400),
              onclick: () => go({ filters: { ...read().filters, [filter]: name ?? UNKNOWN_VALUE } }),
            },
            data(said, 60),
          ),
          el("span", { class: "bar", "aria-hidden": "true" }, el("i")),
          el("span", { class: "num muted", title: counted(line.calls, "call") }, count(line.calls)),
          el(
            "span",
            {
              class: "num",
              title: amount === null ? "No priced call" : `${exact(amount)} USD, ${counted(line.calls, "call")}`,
            },
            amount === null ? "–" : total(amount),
          ),
        );
      }),
    );
  });
}

function redrawn(place, children) {
  const buttons = () => [...place.querySelectorAll("button")];
  const focused = buttons().indexOf(document.activeElement);
  put(place, children);
  if (focused >= 0) buttons()[focused]?.focus({ preventScroll: true });
}

/** Draws both into their places; the keyboard stays where it was. */
export function drawSummary(strip, splits, summary) {
  redrawn(strip, tiles(summary));
  redrawn(splits, breakdown(summary));
}
