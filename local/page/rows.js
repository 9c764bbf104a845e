// One row of the list of calls.

import { clip, data, el } from "./dom.js";
import {
  clock,
  count,
  duration,
  fittedCount,
  gradeMark,
  gradeMeaning,
  UNKNOWN,
  unpricedReason,
} from "./format.js";
import { icon } from "./icons.js";
import { exact, perCall, units } from "./money.js";
import { badges, routeChips, statusMark } from "./path.js";

/** Columns in order: key, heading, what the heading means. */
export const COLUMNS = [
  ["time", "Time", "When the call started, in this browser's time zone"],
  ["endpoint", "Endpoint", "Which feature of the application asked, and with which prompt version"],
  ["tenant", "Tenant", "On whose behalf"],
  ["path", "Path", "From the application to the model that answered"],
  [
    "tokens",
    "Tokens in → out",
    "All input → all output; the pale part of the bar came from the provider's cache, the dark part is reasoning",
  ],
  ["cost", "Cost", "What the call cost, in USD; ≥ is a lower bound, ~ an estimate"],
  ["first", "1st chunk", "Time to first chunk, streams only"],
  ["duration", "Duration", "From the call to its last byte; the bar is on a log scale, 0.05 s to 60 s"],
  ["status", "Status", "How the call ended"],
];

function cell(key, attributes, ...children) {
  return el("div", { role: "gridcell", ...attributes, class: `c-${key} ${attributes?.class ?? ""}` }, ...children);
}

/** The chip that carries a prompt's version; name in the title. */
export function promptChip(call) {
  if (!call.prompt && !call.prompt_version) return null;
  const title = `Prompt ${call.prompt ?? "(unnamed)"}, version ${call.prompt_version ?? "unknown"}`;
  return el("span", { class: "chip", title: title.slice(0, 400) }, data(call.prompt_version ?? call.prompt, 40));
}

/** An icon where money bought nothing, known or not, else nothing. */
function wasteMark(call) {
  const wasted = units(call.wasted_usd);
  const reason = clip(call.waste_reason ?? "", 80);
  if (wasted === null ? !reason : wasted <= 0n) return null;
  const why = wasted === null ? `${reason}, cost unknown` : `${exact(wasted)} of it wasted${reason && `: ${reason}`}`;
  return el("span", { class: "wasted", role: "img", "aria-label": why, title: why }, icon("drain"));
}

/** The amount of a call with the mark of its grade, or the word `unpriced` with the reason. */
export function costOf(call) {
  const amount = units(call.cost_usd);
  if (call.cost_grade === "unpriced" && amount === null)
    return el(
      "span",
      { class: "unpriced", title: `Unpriced: ${unpricedReason(call.unpriced_reason)}. The cost is unknown, not zero.` },
      icon("warn"),
      "unpriced",
    );
  if (amount === null) return el("span", { class: "muted", title: gradeMeaning(call.cost_grade) }, UNKNOWN);
  return el(
    "span",
    { class: "money", title: `${gradeMark(call.cost_grade)}${exact(amount)} USD. ${gradeMeaning(call.cost_grade)}` },
    gradeMark(call.cost_grade) && el("span", { class: "grade" }, gradeMark(call.cost_grade)),
    perCall(amount),
  );
}

const share = (part, whole) => `${Math.max(0, Math.min(100, whole > 0 ? ((part ?? 0) / whole) * 100 : 0)).toFixed(2)}%`;

/** Input and output as one bar, each with its cached and its reasoning share. */
function tokenBar(call) {
  const input = call.input_tokens ?? 0;
  const output = call.output_tokens ?? 0;
  if (input + output <= 0) return null;
  return el(
    "span",
    {
      class: "tokenbar",
      "aria-hidden": "true",
      vars: {
        "--in": share(input, input + output),
        "--cached": share(call.cache_read_tokens, input),
        "--reasoning": share(call.reasoning_tokens, output),
      },
    },
    el("i", { class: "in" }, el("i", { class: "cached" })),
    el("i", { class: "out" }, el("i", { class: "reasoning" })),
  );
}

/** The token counts in a sentence. */
export function tokensSaid(call) {
  const of = (value, word) => (typeof value === "number" && value > 0 ? `${count(value)} ${word}` : null);
  const input = [of(call.cache_read_tokens, "from cache"), of(call.cache_write_tokens, "written to cache")]
    .filter(Boolean)
    .join(", ");
  const output = of(call.reasoning_tokens, "reasoning");
  return `${count(call.input_tokens)} in${input ? ` (${input})` : ""}, ${count(call.output_tokens)} out${output ? ` (${output})` : ""}`;
}

/** 0…1 on a log scale from 50 ms to 60 s, where model calls live. */
function slowness(seconds) {
  if (!(seconds > 0)) return 0;
  return Math.max(0.02, Math.min(1, Math.log(seconds / 0.05) / Math.log(60 / 0.05)));
}

function moment(iso) {
  const parts = clock(iso).split(" ");
  return [parts.length > 1 && el("span", { class: "day" }, parts.slice(0, -1).join(" ")), parts.at(-1)];
}

function cells(call) {
  const mode =
    call.data_mode && call.data_mode !== "real"
      ? el("span", { class: "chip mode", title: "Data mode" }, data(call.data_mode, 20))
      : null;
  const operation =
    call.operation && call.operation !== "chat"
      ? el("span", { class: "chip soft", title: "Operation" }, data(call.operation, 24))
      : null;
  return [
    cell("time", { title: call.time }, moment(call.time)),
    cell(
      "endpoint",
      { title: (call.endpoint ?? "No endpoint tag on this call").slice(0, 400) },
      call.endpoint
        ? el("span", { class: "name" }, data(call.endpoint))
        : el("span", { class: "name untagged" }, "untagged"),
      promptChip(call),
      operation,
      mode,
    ),
    cell(
      "tenant",
      { title: call.tenant?.slice(0, 400) ?? "Tenant unknown" },
      call.tenant ? data(call.tenant) : el("span", { class: "muted" }, UNKNOWN),
    ),
    cell("path", {}, routeChips(call), el("span", { class: "badges" }, badges(call))),
    cell(
      "tokens",
      { title: tokensSaid(call), class: "num" },
      el(
        "span",
        { class: "pair" },
        el("span", null, fittedCount(call.input_tokens)),
        el("span", { class: "then" }, "→"),
        el("span", null, fittedCount(call.output_tokens)),
      ),
      tokenBar(call),
    ),
    cell("cost", { class: "num" }, wasteMark(call), costOf(call)),
    cell("first", { class: "num muted" }, duration(call.time_to_first_chunk_s)),
    cell(
      "duration",
      { class: "num" },
      el(
        "span",
        {
          class: "track",
          "aria-hidden": "true",
          vars: { "--long": `${(slowness(call.duration_s) * 100).toFixed(1)}%` },
        },
        el("i"),
      ),
      el("span", { class: "took" }, duration(call.duration_s)),
    ),
    cell("status", {}, statusMark(call)),
  ];
}

/** A new row for a call; `onOpen(id, whole)` when it is clicked, `whole` for a double click. */
export function row(call, onOpen) {
  const node = el("div", {
    role: "row",
    class: "row",
    tabindex: "-1",
    "data-id": call.call_id,
    "aria-selected": "false",
  });
  node.addEventListener("click", () => onOpen(call.call_id, false));
  node.addEventListener("dblclick", () => onOpen(call.call_id, true));
  return redraw(node, call);
}

/** Draws a call into the row that it has. */
export function redraw(node, call) {
  node.classList.toggle("failed", call.status === "error" || call.status === "blocked");
  node.replaceChildren(...cells(call));
  return node;
}
