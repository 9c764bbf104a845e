// What has arrived, stage by stage, so that an empty list says where the calls got stuck and what to do.

import { copyButton, data, el } from "./dom.js";
import { clock, count, counted } from "./format.js";
import { icon } from "./icons.js";

const GLYPHS = {
  yes: ["check", "good", "done"],
  no: ["cross", "muted", "not yet"],
  warn: ["warn", "warn", "look"],
};

function step(state, said, ...details) {
  const [glyph, kind, word] = GLYPHS[state];
  const shown = details.flat().filter(Boolean);
  return el(
    "li",
    { class: kind },
    icon(glyph),
    el("span", { class: "offscreen" }, `${word}: `),
    el("span", { class: "said" }, said),
    shown.length > 0 && el("span", { class: "muted detail" }, shown),
  );
}

function requests(status) {
  const number = status.requests_received ?? 0;
  if (number) return step("yes", `${counted(number, "OTLP request")} received`);
  return step(
    "no",
    "No OTLP request received yet",
    `listening on ${status.http ?? "?"} (HTTP) and ${status.grpc ?? "?"} (gRPC); a program in a container asks the host's name, not 127.0.0.1`,
  );
}

/** Who knocked and was not let in: wrong protocol, wrong path, no token. */
function refusals(status) {
  return (status.refused ?? []).map((one) =>
    step("warn", `Refused ${count(one.count)}×: ${one.said}`, data(one.advice, 300), ` (last at ${clock(one.last)})`),
  );
}

function spans(status) {
  const number = status.spans_received ?? 0;
  const other = (status.metrics_received ?? 0) + (status.logs_received ?? 0);
  const rejected = status.spans_rejected ?? 0;
  const only = !number && other > 0;
  return step(
    rejected || only ? "warn" : number ? "yes" : "no",
    `${counted(number, "span")} parsed`,
    rejected > 0 &&
      `${counted(rejected, "span")} rejected: an id of the wrong length or no time; which one the sender's log says`,
    only && `only metrics and logs came (${count(other)}): is OTEL_TRACES_EXPORTER set to none?`,
  );
}

function recognised(status) {
  const number = status.llm_spans ?? 0;
  const all = status.spans_received ?? 0;
  if (number) return step("yes", `${counted(number, "LLM span")} recognised`);
  if (!all) return step("no", "No LLM span recognised yet");
  return step(
    "warn",
    "None of them looked like an LLM call",
    "an LLM span carries gen_ai.operation.name. Is the SDK patched? ",
    el("code", null, "tollspan doctor"),
    " in the program's environment says which are; ",
    el("code", null, "tollspan run --"),
    " patches them all",
  );
}

function priced(status) {
  const calls = status.calls ?? 0;
  const known = status.priced_calls ?? 0;
  const unknown = status.unpriced_models ?? [];
  const names = unknown
    .slice(0, 8)
    .flatMap((one, n) => [
      n > 0 && ", ",
      el("code", null, data(one.provider ? `${one.provider}/${one.model}` : (one.model ?? "unknown"), 60)),
      ` (${count(one.calls)})`,
    ]);
  const advice = unknown.length > 0 && [
    "no price for ",
    ...names,
    unknown.length > 8 && `, and ${count(unknown.length - 8)} more`,
    ": write them into a price file and name it in TOLLSPAN_PRICES ",
    copyButton(
      () => priceFile(unknown),
      "Copy a price file with these models",
      () => icon("copy"),
      () => icon("check"),
    ),
  ];
  const unbilled = calls - known > 0 && unknown.length === 0 && "the others stated no usage, or cost nothing";
  return step(
    calls && !unknown.length && known ? "yes" : calls ? "warn" : "no",
    `${count(known)} of ${counted(calls, "call")} priced`,
    advice,
    unbilled,
  );
}

/** A price file for models that have no price, with the numbers left to fill in. */
export function priceFile(models) {
  const quoted = (text) => JSON.stringify(String(text).slice(0, 200)).replaceAll("\u007f", "\\u007f");
  return models
    .map(
      (one) =>
        `[[prices]]\n${one.provider ? `provider = ${quoted(one.provider)}\n` : ""}model = ${quoted(one.model ?? "")}\n` +
        "input_usd_per_mtok =    # USD for a million tokens\noutput_usd_per_mtok =\n",
    )
    .join("\n");
}

function tagged(status) {
  const calls = status.calls ?? 0;
  const untagged = status.untagged_calls ?? 0;
  if (!calls) return step("no", "No endpoint tag seen yet");
  if (!untagged) return step("yes", "Every call has an endpoint tag");
  return step(
    "warn",
    `${counted(untagged, "call")} untagged`,
    "name them: ",
    el("code", null, 'tollspan.attribute(endpoint="…")'),
  );
}

function commits(status) {
  const failed = status.failed_commits ?? 0;
  if (!failed) return null;
  return step(
    "warn",
    `The ledger refused ${counted(failed, "batch").replace("batchs", "batches")}`,
    `is the disk of ${status.data_dir ?? "the data directory"} full? Senders were told to send again`,
  );
}

/** The list of stages. */
export function diagnostics(status) {
  return el(
    "ul",
    { class: "diagnostics num", "aria-label": "What has arrived", "aria-live": "polite" },
    requests(status),
    refusals(status),
    spans(status),
    recognised(status),
    priced(status),
    tagged(status),
    commits(status),
  );
}
