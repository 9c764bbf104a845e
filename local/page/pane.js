// The side pane of the selected call: a small waterfall and the facts.

import { go } from "./address.js";
import { get, Unavailable } from "./api.js";
import { data, el, put } from "./dom.js";
import { attributeList, callFacts, contentNote } from "./facts.js";
import { duration } from "./format.js";
import { icon } from "./icons.js";
import { statusMark } from "./path.js";
import { costOf } from "./rows.js";
import { waterfall } from "./waterfall.js";

function closing(page, label) {
  return el(
    "button",
    { type: "button", class: "quiet", "aria-label": label, title: "Close (Esc)", onclick: () => page.letGo() },
    icon("cross"),
  );
}

function head(call, page) {
  const whole = () => go({ page: "trace", trace: call.trace_id, call: call.call_id, span: call.span_id });
  const open = { type: "button", class: "button small", title: "Open the whole trace (Enter)", onclick: whole };
  return el(
    "header",
    { class: "panehead" },
    el("h2", null, call.endpoint ? data(call.endpoint, 80) : el("span", { class: "untagged" }, "untagged")),
    call.trace_id && el("button", open, icon("wide"), "Trace"),
    closing(page, "Close"),
    el("p", { class: "headline num" }, costOf(call), el("span", null, duration(call.duration_s)), statusMark(call)),
  );
}

/** Draws `call` into the pane of `page`; a call that is drawn anew keeps its place on the screen. */
export async function drawPane(pane, call, page) {
  const again = pane.dataset.call === call.call_id && pane.childElementCount > 0;
  pane.dataset.call = call.call_id;
  const picture = el("div", { class: "picture" });
  const facts = el("div", { class: "factlist" }, callFacts(call), contentNote());
  const body = el("div", { class: "panebody", tabindex: "0" }, picture, facts);
  if (!again) put(pane, head(call, page), body);
  try {
    const trace = call.trace_id && (await get(`/api/traces/${encodeURIComponent(call.trace_id)}`));
    const own = trace?.spans?.find((span) => span.span_id === call.span_id);
    const pick = (span) => go({ page: "trace", trace: call.trace_id, call: call.call_id, span: span.span_id });
    if (trace) put(picture, waterfall(trace, { compact: true, selected: call.span_id, onSelect: pick }).node);
    put(facts, callFacts(call, own?.attributes ?? {}), attributeList(own?.attributes), contentNote());
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    put(picture, el("p", { class: "muted" }, error.message));
  }
  if (!again || pane.dataset.call !== call.call_id) return;
  const { scrollTop } = pane.lastElementChild;
  put(pane, head(call, page), body);
  body.scrollTop = scrollTop;
}

/** What the pane says when its call cannot be had. */
export function paneFailed(pane, sentence, page) {
  const title = el("header", { class: "panehead" }, el("h2", null, "No such call"), closing(page, "Close"));
  delete pane.dataset.call;
  put(pane, title, el("p", { class: "panebody muted" }, sentence));
}
