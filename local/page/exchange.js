// Captured HTTP exchanges of a span: asked for when somebody wants to see one, and shown as text only.

import { get, Unavailable } from "./api.js";
import { data, el, put } from "./dom.js";
import { counted, duration } from "./format.js";

const WIRE_ID = "tollspan.wire.id";
const LONGEST = 60000;
const MOST_CHUNKS = 400;

/** Ids of the exchanges of a span: its own, or those of the attempts below it. */
function idsOf(span, spans) {
  const own = span.attributes?.[WIRE_ID];
  if (own) return [String(own)];
  const below = spans.filter((one) => one.parent_id === span.span_id && one.role === "attempt");
  return below.map((one) => one.attributes?.[WIRE_ID]).filter(Boolean).map(String);
}

/** A section with a button for each captured exchange; null where there is none. */
export function exchangeFacts(span, spans) {
  const ids = idsOf(span, spans);
  if (ids.length === 0) return null;
  return el("section", { class: "facts exchanges" }, el("h3", null, "Captured exchange"), ids.map(one));
}

function one(id) {
  const place = el("div", { class: "exchange" });
  const button = el(
    "button",
    { type: "button", class: "button", onclick: () => load(id, place, button) },
    "Show the captured exchange",
  );
  put(place, button, el("p", { class: "muted" }, el("code", null, data(id, 60))));
  return place;
}

async function load(id, place, button) {
  button.disabled = true;
  try {
    put(place, ...shown(await get(`/api/wire/${encodeURIComponent(id)}`)));
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    put(place, el("p", { class: "muted" }, error.message));
  }
}

function shown(exchange) {
  const { request, response, chunks, end } = exchange;
  return [
    el("p", { class: "muted" }, "As it was stored: secrets were masked before it was written."),
    text(`${request.method} ${request.url}`, heads(request), pretty(request.body ?? `[${request.omitted}]`)),
    response
      ? text(`${response.status} after ${duration(response.offset_s)}`, heads(response), body(chunks))
      : el("p", { class: "failure" }, data(`no answer: ${end.error ?? end.how}`, 200)),
    el("p", { class: "muted" }, `${end.how}, ${counted(chunks.length, "chunk")}, ${duration(end.offset_s)}`),
  ];
}

function text(...parts) {
  return el("pre", { class: "exchange", tabindex: "0" }, data(parts.join("\n\n"), LONGEST));
}

function heads(side) {
  return (side.headers ?? []).map(([name, value]) => `${name}: ${value}`).join("\n");
}

function body(chunks) {
  if (chunks.length < 3) return pretty(chunks.map(said).join(""));
  const lines = chunks.slice(0, MOST_CHUNKS).map((chunk) => `+${duration(chunk.offset_s)}\n${said(chunk)}`);
  if (chunks.length > MOST_CHUNKS) lines.push(`… ${counted(chunks.length - MOST_CHUNKS, "more chunk")}`);
  return lines.join("\n");
}

function said(chunk) {
  if (chunk.frames) return chunk.frames.map((frame) => frame.text ?? frame.payload).join("\n");
  return chunk.text ?? `[${chunk.omitted} bytes]`;
}

function pretty(content) {
  try {
    return JSON.stringify(JSON.parse(content), null, 1);
  } catch {
    return content;
  }
}
