// The ways to send calls here, with the real endpoints filled in, each a click away from the clipboard.

import { copyButton, el, put } from "./dom.js";
import { icon } from "./icons.js";

/** What `tollspan run` must be told when the receiver is not where it looks by itself. */
function elsewhere(http) {
  if (http === "http://127.0.0.1:4318") return "";
  const port = /^http:\/\/127\.0\.0\.1:(\d+)$/.exec(http)?.[1];
  return port ? `TOLLSPAN_HTTP_PORT=${port} ` : `OTEL_EXPORTER_OTLP_ENDPOINT=${http} `;
}

/** The three ways to start, as `[key, title, sentence, [[caption, code], …]]`. */
export function ways(status) {
  const http = status.http ?? "http://127.0.0.1:4318";
  const grpc = status.grpc ?? "http://127.0.0.1:4317";
  const two = `import tollspan\n\ntollspan.instrument()   # sends to ${http}`;
  const token = status.with_token
    ? "\nexport OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20TOKEN   # the value of TOLLSPAN_TOKEN"
    : "";
  return [
    [
      "zero",
      "Zero-code",
      "Nothing to change: start your program with its calls patched and its spans sent here.",
      [
        ["one command", `${elsewhere(http)}tollspan run -- python app.py`],
        [
          "or with the OpenTelemetry launcher",
          `export OTEL_EXPORTER_OTLP_ENDPOINT=${http}\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf${token}\nopentelemetry-instrument python app.py`,
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
        [
          "environment",
          `export OTEL_EXPORTER_OTLP_ENDPOINT=${http}\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf${token}\n# or gRPC: ${grpc} with the protocol grpc`,
        ],
        ["collector", `exporters:\n  otlp_http/tollspan:\n    endpoint: ${http}`],
      ],
    ],
  ];
}

/** A piece of code under its caption, with a button that copies it. */
export function snippet([caption, code]) {
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
