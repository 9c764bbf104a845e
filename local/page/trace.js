// The page of one trace: what it cost in all, its waterfall, and the facts of the chosen span.

import { go, read } from "./address.js";
import { get, Unavailable } from "./api.js";
import { copyButton, data, el, put } from "./dom.js";
import { exchangeFacts } from "./exchange.js";
import { attributeList, callFacts, contentNote } from "./facts.js";
import { clock, count, counted, duration, shortId } from "./format.js";
import { icon } from "./icons.js";
import { exact, sum, total } from "./money.js";
import { roleClass } from "./path.js";
import { pointFacts } from "./points.js";
import { costOf } from "./rows.js";
import { colourOf, failed, kindOf, waterfall } from "./waterfall.js";

export class TracePage {
  constructor(app) {
    this.app = app;
    this.head = el("header", { class: "tracehead" });
    this.left = el("div", { class: "traceleft", tabindex: "0", "aria-label": "Spans of the trace" });
    this.right = el("aside", { class: "traceright", "aria-label": "Chosen span" });
    this.node = el(
      "div",
      { class: "trace", hidden: true },
      this.head,
      el("div", { class: "tracebody" }, this.left, this.right),
    );
  }

  async show(state, back) {
    if (this.shown !== state.trace) {
      this.shown = state.trace;
      this.trace = null;
      this.signature = "";
      put(this.left, el("p", { class: "muted" }, "Reading the trace…"));
      put(this.head);
      put(this.right);
      await this.load(state.trace);
    } else {
      if (this.trace) this.choose(state.span);
      if (back) await this.changed();
    }
  }

  /** Calls came in: late spans may belong here. */
  async changed() {
    if (this.shown && !read().paused) await this.load(this.shown);
  }

  async load(id) {
    try {
      const trace = await get(`/api/traces/${encodeURIComponent(id)}`);
      this.app.reached();
      const signature = JSON.stringify(trace);
      if (this.shown !== id || signature === this.signature) return;
      this.signature = signature;
      this.trace = trace;
      this.draw();
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      if (this.shown !== id) return;
      if (!this.trace)
        put(
          this.left,
          el(
            "div",
            { class: "nomatch" },
            el("h2", null, "This trace cannot be shown"),
            el("p", { class: "muted" }, error.message),
            el("button", { type: "button", class: "button", onclick: () => this.back() }, "Back to the calls"),
          ),
        );
      else this.app.failed(error);
    }
  }

  draw() {
    const { trace } = this;
    const spans = trace.spans ?? [];
    const root = spans[0];
    const cost = sum((trace.calls ?? []).map((call) => call.cost_usd));
    const bound = (trace.calls ?? []).some((call) => ["unpriced", "lower_bound"].includes(call.cost_grade));
    const errors = spans.filter(failed).length;
    const long = spans.reduce((late, span) => Math.max(late, (span.offset_s ?? 0) + (span.duration_s ?? 0)), 0);
    put(
      this.head,
      el(
        "button",
        { type: "button", class: "quiet back", title: "Back to the calls (Esc)", onclick: () => this.back() },
        icon("back"),
        "Calls",
      ),
      el("h1", null, root ? data(root.name, 100) : "Trace"),
      el("code", { class: "muted", title: trace.trace_id }, shortId(trace.trace_id)),
      copyButton(
        () => trace.trace_id,
        "Copy trace id",
        () => icon("copy"),
        () => icon("check"),
      ),
      el(
        "div",
        { class: "totals num" },
        el(
          "span",
          { title: cost === null ? "No priced call" : `${exact(cost)} USD: each answer counted once, on its owner` },
          cost === null
            ? el("span", { class: "muted" }, "cost unknown")
            : [el("b", null, `${bound && cost ? "≥ " : ""}${total(cost)}`), " in all"],
        ),
        el("span", null, el("b", null, duration(long)), ""),
        el("span", null, counted((trace.calls ?? []).length, "call")),
        el("span", null, counted(spans.length, "span")),
        errors > 0 && el("span", { class: "bad" }, icon("cross"), counted(errors, "failed span")),
        root?.time && el("span", { class: "muted", title: root.time }, clock(root.time)),
      ),
    );
    const state = read();
    this.chosen = this.pick(state.span)?.span_id ?? null;
    this.fall = waterfall(trace, {
      selected: this.chosen,
      onSelect: (span) => go({ span: span.span_id }, { replace: true }),
    });
    const focused = this.left.contains(document.activeElement);
    put(
      this.left,
      this.fall.node,
      trace.truncated &&
        el("p", { class: "cutoff warn" }, icon("warn"), `Only the first ${count(spans.length)} spans are shown.`),
      legend(),
    );
    if (focused) this.left.focus({ preventScroll: true });
    this.describe();
  }

  /** The span that the address names, else the first call, else the root. */
  pick(id) {
    const spans = this.trace.spans ?? [];
    return spans.find((span) => span.span_id === id) ?? spans.find((span) => span.role === "call") ?? spans[0] ?? null;
  }

  choose(id) {
    this.chosen = this.pick(id)?.span_id ?? null;
    this.fall.mark(this.chosen);
    this.describe();
  }

  describe() {
    const span = this.pick(this.chosen);
    if (!span) {
      put(this.right, el("p", { class: "muted" }, "No spans are kept of this trace."));
      return;
    }
    const call = (this.trace.calls ?? []).find((one) => one.span_id === span.span_id);
    const failure =
      failed(span) &&
      el(
        "p",
        { class: "failure" },
        icon("cross"),
        data(span.attributes?.["error.type"] ?? "error", 120),
        span.status_message && [": ", data(span.status_message, 600)],
      );
    put(
      this.right,
      el(
        "header",
        { class: "panehead" },
        el("span", { class: `kind ${colourOf(span)}` }, data(kindOf(span), 24)),
        el("h2", null, data(span.name, 120)),
        el(
          "p",
          { class: "headline num" },
          call ? costOf(call) : null,
          el("span", null, duration(span.duration_s)),
          el("span", { class: "muted" }, `at ${duration(span.offset_s)}`),
        ),
      ),
      el(
        "div",
        { class: "panebody" },
        failure,
        span.restated && restatedNote(span, this.trace),
        el(
          "div",
          { class: "factlist" },
          call ? callFacts(call, span.attributes) : spanFacts(span),
          pointFacts(call, span, this.trace.spans ?? []),
          events(span),
          attributes(span, !call),
          exchangeFacts(span, this.trace.spans ?? []) ?? contentNote(),
        ),
      ),
    );
  }

  pressed(event) {
    const moves = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };
    const folds = { h: false, ArrowLeft: false, l: true, ArrowRight: true };
    if (event.key in moves) this.fall?.step(moves[event.key]);
    else if (event.key in folds) this.fall?.fold(this.chosen, folds[event.key]);
    else if (event.key === "Escape") this.back();
    else return false;
    return true;
  }

  back() {
    go({ page: "calls", trace: null, span: null });
  }
}

function attributes(span, open) {
  const list = attributeList(span.attributes);
  if (list && open) list.open = true;
  return list;
}

function restatedNote(span, trace) {
  const owner = span.attributes?.["tollspan.owner_span_id"];
  const found = (trace.spans ?? []).find((one) => one.span_id === owner);
  return el(
    "p",
    { class: "restatednote" },
    "Restated: this span repeats an answer whose money is counted on ",
    found
      ? el(
          "button",
          { type: "button", class: "link", onclick: () => go({ span: owner }, { replace: true }) },
          data(found.name, 80),
        )
      : "another span",
    ".",
  );
}

function spanFacts(span) {
  const line = (name, value) =>
    value && [el("dt", null, name), el("dd", null, value instanceof Node ? value : data(value, 300))];
  return el(
    "section",
    { class: "facts" },
    el("h3", null, "Span"),
    el(
      "dl",
      null,
      line("kind", span.kind),
      line("scope", span.scope),
      line("service", span.service),
      line("started", el("time", { title: span.time }, clock(span.time))),
      line("status", span.status),
      line("redaction", span.attributes?.["tollspan.hop.redaction"]),
      line("span id", el("code", null, span.span_id)),
      line("parent", span.parent_id && el("code", null, span.parent_id)),
    ),
  );
}

function events(span) {
  if (!span.events?.length) return null;
  return el(
    "section",
    { class: "facts" },
    el("h3", null, `Events (${span.events.length})`),
    el(
      "dl",
      null,
      span.events.map((event) => [
        el("dt", null, `+${duration(event.offset_s)}`),
        el(
          "dd",
          null,
          data(event.name, 120),
          Object.keys(event.attributes ?? {}).length > 0 &&
            el("div", { class: "muted" }, data(JSON.stringify(event.attributes), 2000)),
        ),
      ]),
    ),
  );
}

function legend() {
  const roles = ["app", "call", "attempt", "proxy", "router", "model", "cache", "guardrail"];
  return el(
    "footer",
    { class: "legend" },
    roles.map((role) => el("span", { class: roleClass(role) }, el("i", { class: "dot" }), role)),
    el("span", null, el("i", { class: "swatch inferred" }), "time inferred"),
    el("span", null, el("i", { class: "swatch wait" }), "back-off"),
    el("span", null, el("i", { class: "swatch firstchunk" }), "first chunk"),
  );
}
