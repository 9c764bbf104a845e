// How to send calls here, with the real endpoint filled in, and what has arrived so far.

import { get, Unavailable } from "./api.js";
import { copyButton, data, el, put } from "./dom.js";
import { clock, count, counted } from "./format.js";
import { icon, logo } from "./icons.js";

/** The three ways to start, as `[key, title, sentence, [[caption, code], …]]`. */
export function ways(status) {
  const http = status.http ?? "http://127.0.0.1:4318";
  const two = `import tollspan\n\ntollspan.instrument()   # sends to ${http}`;
  return [
    [
      "zero",
      "Zero-code",
      "Nothing to change: start your program with its calls patched and its spans sent here.",
      [
        ["one command", "tollspan run -- python app.py"],
        [
          "or with the OpenTelemetry launcher",
          `export OTEL_EXPORTER_OTLP_ENDPOINT=${http}\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\nopentelemetry-instrument python app.py`,
        ],
      ],
    ],
    [
      "two",
      "Two lines",
      "In your program, before or after the SDKs are imported.",
      [
        ["app.py", status.python_snippet || two],
        [
          "who and what the call is for",
          'with tollspan.attribute(endpoint="checkout.summary", tenant="acme",\n                        prompt="summary", prompt_version="v3"):\n    client.chat.completions.create(...)',
        ],
      ],
    ],
    [
      "otel",
      "Existing OTel",
      "Any OpenTelemetry program or collector, in any language: point its exporter here as well.",
      [
        ["environment", `OTEL_EXPORTER_OTLP_ENDPOINT=${http}`],
        ["collector", `exporters:\n  otlp_http/tollspan:\n    endpoint: ${http}`],
      ],
    ],
  ];
}

function snippet([caption, code]) {
  return el(
    "figure",
    { class: "snippet" },
    el(
      "figcaption",
      null,
      caption,
      copyButton(
        () => code,
        `Copy: ${caption}`,
        () => icon("copy"),
        () => icon("check"),
      ),
    ),
    el("pre", null, el("code", null, code)),
  );
}

let lastWay = "zero";

/** The ways to start as tabs. */
export function tabs(status) {
  const all = ways(status);
  const panel = el("div", { role: "tabpanel", class: "way", id: "way", tabindex: "0" });
  const buttons = all.map(([key, title]) =>
    el(
      "button",
      { type: "button", role: "tab", id: `way-${key}`, "aria-controls": "way", onclick: () => choose(key) },
      title,
    ),
  );
  function choose(key) {
    lastWay = key;
    const now = all.findIndex(([one]) => one === key);
    buttons.forEach((button, n) => {
      button.setAttribute("aria-selected", String(n === now));
      button.tabIndex = n === now ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", `way-${key}`);
    put(panel, el("p", null, all[now][2]), all[now][3].map(snippet));
  }
  const list = el("div", { role: "tablist", class: "tabs", "aria-label": "Ways to start" }, buttons);
  list.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = (buttons.indexOf(document.activeElement) + by + buttons.length) % buttons.length;
    choose(all[next][0]);
    buttons[next].focus();
    event.stopPropagation();
  });
  choose(lastWay);
  return el("div", { class: "ways" }, list, panel);
}

function step(state, said, detail) {
  const [glyph, kind, word] = {
    yes: ["check", "good", "done"],
    no: ["cross", "muted", "not yet"],
    warn: ["warn", "warn", "look"],
  }[state];
  return el(
    "li",
    { class: kind },
    icon(glyph),
    el("span", { class: "offscreen" }, `${word}: `),
    el("span", { class: "said" }, said),
    detail && el("span", { class: "muted detail" }, detail),
  );
}

/** What has arrived, stage by stage, so that an empty list says where the calls got stuck. */
export function diagnostics(status) {
  const requests = status.requests_received ?? 0;
  const spans = status.spans_received ?? 0;
  const llm = status.llm_spans ?? 0;
  const calls = status.calls ?? 0;
  const priced = status.priced_calls ?? 0;
  const untagged = status.untagged_calls ?? 0;
  const unknown = status.unpriced_models ?? [];
  const unpriced = unknown
    .slice(0, 8)
    .flatMap((one, n) => [
      n > 0 && ", ",
      el("code", null, data(one.provider ? `${one.provider}/${one.model}` : (one.model ?? "unknown"), 60)),
      ` (${count(one.calls)})`,
    ]);
  return el(
    "ul",
    { class: "diagnostics num", "aria-label": "What has arrived", "aria-live": "polite" },
    step(
      requests ? "yes" : "no",
      requests ? `${counted(requests, "OTLP request")} received` : "No OTLP request received yet",
      requests ? null : `listening on ${status.http ?? "?"} and ${status.grpc ?? "?"}`,
    ),
    step(
      spans ? "yes" : "no",
      `${counted(spans, "span")} parsed`,
      status.spans_rejected ? `${count(status.spans_rejected)} rejected` : null,
    ),
    step(
      llm ? "yes" : spans ? "warn" : "no",
      llm
        ? `${counted(llm, "LLM span")} recognised`
        : spans
          ? "None of them looked like an LLM call"
          : "No LLM span recognised yet",
      !llm && spans ? "an LLM span carries gen_ai.operation.name; is the SDK patched? `tollspan doctor` says" : null,
    ),
    step(
      calls && priced === calls ? "yes" : calls ? "warn" : "no",
      `${count(priced)} of ${counted(calls, "call")} priced`,
      unknown.length ? ["no price for ", ...unpriced, unknown.length > 8 && `, and ${unknown.length - 8} more`] : null,
    ),
    step(
      calls && !untagged ? "yes" : untagged ? "warn" : "no",
      untagged
        ? `${counted(untagged, "call")} untagged`
        : calls
          ? "Every call has an endpoint tag"
          : "No endpoint tag seen yet",
      untagged ? 'name them: tollspan.attribute(endpoint="…")' : null,
    ),
  );
}

/** The empty list: it waits, teaches, and says what has arrived. */
export async function waiting(place, app) {
  const status = await app.status();
  if (place.hidden || !status) return;
  const seen = place.querySelector(".diagnostics");
  if (seen) {
    seen.replaceWith(diagnostics(status));
    return;
  }
  put(
    place,
    el(
      "div",
      { class: "waiting" },
      el(
        "div",
        { class: "hello" },
        el("span", { class: "pulse", "aria-hidden": "true" }, logo()),
        el(
          "div",
          null,
          el("h2", null, "Waiting for the first call…"),
          el(
            "p",
            { class: "muted" },
            "Start your program in one of three ways. The first call appears here by itself.",
          ),
        ),
      ),
      tabs(status),
      el("section", { class: "arrived" }, el("h3", null, "What has arrived"), diagnostics(status)),
    ),
  );
}

export class SetupPage {
  constructor(app) {
    this.app = app;
    this.node = el("div", { class: "setup", hidden: true });
  }

  async show() {
    await this.changed();
  }

  async changed() {
    let status;
    try {
      status = await get("/api/status");
      this.app.reached();
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      this.app.failed(error);
      return;
    }
    const facts = [
      ["version", status.version],
      ["OTLP/HTTP", status.http],
      ["OTLP/gRPC", status.grpc],
      ["page", status.page],
      ["data directory", status.data_dir],
      ["ledger rows", count(status.ledger_rows)],
      ["running since", clock(status.started)],
    ].filter(([, value]) => value !== null && value !== undefined);
    const arrived = el("section", { class: "card" }, el("h2", null, "What has arrived"), diagnostics(status));
    const about = el(
      "section",
      { class: "card" },
      el("h2", null, "This tollspan"),
      el(
        "dl",
        { class: "about" },
        facts.map(([name, value]) => [el("dt", null, name), el("dd", { class: "num" }, data(value, 300))]),
      ),
      el(
        "p",
        { class: "muted" },
        "Calls stay in the data directory on this machine. Message content is never recorded.",
      ),
    );
    const side = this.node.querySelector(".setupside");
    if (side) put(side, arrived, about);
    else
      put(
        this.node,
        el("section", { class: "card" }, el("h2", null, "Send calls here"), tabs(status)),
        el("div", { class: "setupside" }, arrived, about),
      );
  }

  pressed(event) {
    if (event.key !== "Escape") return false;
    location.hash = "#/calls";
    return true;
  }
}
