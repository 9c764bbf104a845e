// The strip above the list: what was spent, and whether that number can be trusted.

import { go, read, UNKNOWN_VALUE } from "./address.js";
import { get } from "./api.js";
import { clip, data, el, put } from "./dom.js";
import { count, counted, duration, percent, shortCount, UNKNOWN } from "./format.js";
import { icon } from "./icons.js";
import { exact, perCall, ratio, share, total, units } from "./money.js";

// Below this many calls a 95th percentile is one call's accident.
const ENOUGH_FOR_P95 = 20;

/** The sums of the calls that the query `asked` finds.
 *
 * Tests, replays and demo data are no spending: unless a data mode is asked for, sums are of real calls alone
 * wherever there are some, and `apart` says how many others the list shows. */
export async function summed(asked) {
  const all = await get("/api/summary", asked);
  if (asked.has("data_mode") || !all.calls) return all;
  const real = new URLSearchParams(asked);
  for (const mode of ["real", UNKNOWN_VALUE]) real.append("data_mode", mode);
  const sums = await get("/api/summary", real);
  return sums.calls ? { ...sums, apart: all.calls - sums.calls } : { ...all, unreal: true };
}

function tile(label, value, detail, { kind = "", title = null, size = "", chars = null, note = null } = {}) {
  return el(
    "section",
    { class: `tile ${size}`, title },
    el("h2", null, label, note && el("small", { class: "warn", title: note[1] }, note[0])),
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
        summary.unpriced_calls || (summary.nonePriced && summary.calls),
        "every call has a price",
        summary.unpriced_calls
          ? `${count(summary.unpriced_calls)} unpriced: spend is under-counted`
          : "no call states what it cost",
        summary.unpriced_calls ? () => go({ unpriced: true }) : null,
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

/** What the sums leave out, or that none of them is real money: `[words, sentence]`. */
function apart(s) {
  if (s.unreal) return ["not real money", "All these calls are tests, replays or demo data; they count in no budget"];
  if (!s.apart) return null;
  const said = `${counted(s.apart, "call")} below ${s.apart === 1 ? "is" : "are"} not real (tests, replays, demo data)`;
  return [`+ ${shortCount(s.apart)} not real`, `${said} and not part of these sums`];
}

/** The tiles of a summary, or empty ones while it is not read: nothing is said before it is known. */
export function tiles(summary) {
  if (!summary)
    return ["Spend", "Cost per call", "Calls", "Errors", "Duration p50", "Wasted", "Avoided", "Can I trust this?"].map(
      (label) => (label.endsWith("?") ? tile(label, "", "", { size: "trust" }) : tile(label, UNKNOWN, "")),
    );
  const s = summary;
  const spent = units(s.cost_usd);
  const priced = (s.calls ?? 0) - (s.unpriced_calls ?? 0);
  const each = share(spent, priced);
  const wasted = units(s.wasted_usd);
  const avoided = units(s.avoided_usd);
  const bound = s.unpriced_calls || s.lower_bound_calls ? "≥ " : "";
  const nothing = !s.calls;
  const money = (amount) => (amount === null ? "–" : total(amount));
  return [
    tile(
      "Spend",
      `${spent ? bound : ""}${money(spent)}`,
      nothing ? "no calls" : spent === null ? "no call has a price" : `${counted(priced, "call")} priced`,
      {
        title: spent === null ? null : `${exact(spent)} USD`,
        size: "wide",
        note: apart(s),
      },
    ),
    tile("Cost per call", each === null ? "–" : perCall(each), nothing ? "" : "per priced call", {
      title: each === null ? null : `${exact(each)} USD`,
    }),
    tile(
      "Calls",
      count(s.calls ?? 0),
      s.input_tokens || s.output_tokens
        ? `${shortCount(s.input_tokens ?? 0)} → ${shortCount(s.output_tokens ?? 0)} tokens`
        : nothing
          ? ""
          : "no tokens stated",
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
    trust({ nonePriced: spent === null && !nothing, unpriced_calls: 0, lower_bound_calls: 0, untagged_calls: 0, ...s }),
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
  const none = summary ? "no calls in range" : "reading…";
  return SPLITS.map(([key, filter, title]) => {
    const lines = (summary?.[key] ?? []).slice(0, 5);
    return el(
      "section",
      { class: "split" },
      el("h2", null, title, el("small", null, "by spend")),
      lines.length === 0 && el("p", { class: "muted" }, none),
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
