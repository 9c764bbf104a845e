// The path of a call: chips from the application to the model, and badges for what went otherwise.

import { data, el } from "./dom.js";
import { icon } from "./icons.js";
import { exact, units } from "./money.js";

const ROLES = new Set(["app", "proxy", "router", "model", "cache", "guardrail", "call", "attempt"]);

/** The class that colours a role, `other` for a role nobody declared. */
export function roleClass(role) {
  return `role-${ROLES.has(role) ? role : "other"}`;
}

/** `[{role, label, title}]` from the application to the model. */
export function steps(call) {
  const hops = Array.isArray(call.hops) ? call.hops : [];
  const segments = (call.route ?? "").split(" > ");
  const app = { role: "app", label: "app", title: call.service ? `Application ${call.service}` : "The application" };
  if (hops.length === 0) {
    if (!call.route)
      return [app, { role: "other", label: "path unknown", title: "Nothing told which path this call took" }];
    return [
      app,
      ...segments.map((label, n) => ({ role: n === segments.length - 1 ? "model" : "proxy", label, title: label })),
    ];
  }
  return [
    app,
    ...hops.map((hop, n) => ({
      role: hop.role,
      label: hops.length === segments.length ? segments[n] : hopLabel(hop),
      title: hopTitle(hop),
    })),
  ];
}

function hopLabel(hop) {
  if (hop.role === "model" && hop.model && !String(hop.name ?? "").includes(hop.model))
    return hop.name ? `${hop.name}/${hop.model}` : hop.model;
  return hop.name ?? hop.model ?? "unknown";
}

function hopTitle(hop) {
  const model = hop.model ? `, model ${hop.model}` : "";
  return `${hop.role ?? "hop"} ${hop.name ?? ""}${model}${hop.evidence ? ` (${hop.evidence})` : ""}`.slice(0, 400);
}

/** The chips `app › litellm › openai/gpt-4o-mini`. */
export function routeChips(call) {
  const parts = steps(call).flatMap((step, n) => [
    n > 0 && el("span", { class: "then", "aria-hidden": "true" }, "›"),
    el(
      "span",
      { class: `hop ${roleClass(step.role)}`, title: step.title.slice(0, 400) },
      el("i", { class: "dot" }),
      data(step.label, 80),
    ),
  ]);
  return el(
    "span",
    {
      class: "route",
      "aria-label": `Path: ${steps(call)
        .map((step) => step.label.slice(0, 80))
        .join(", then ")}`,
    },
    parts,
  );
}

/** What went otherwise than asked, as `[{kind, word, title}]`. */
export function notes(call) {
  const found = [];
  if (call.fallback) found.push({ kind: "warn", word: "fallback", title: "Answered by a fallback" });
  else if (call.model_swapped)
    found.push({
      kind: "warn",
      word: "swapped",
      title:
        `Asked for ${call.request_model ?? "?"}, served by ${call.served_model ?? call.response_model ?? "?"}`.slice(
          0,
          400,
        ),
    });
  if (call.cache_hit) {
    const avoided = units(call.avoided_usd);
    found.push({
      kind: "good",
      word: "cache hit",
      title: `Answered by a gateway's cache${avoided === null ? "" : `, ${exact(avoided)} avoided`}`,
    });
  }
  if (call.app_attempts > 1)
    found.push({
      kind: "warn",
      word: `retry ×${call.app_attempts - 1}`,
      title: `The SDK sent ${call.app_attempts} HTTP requests for this call`,
    });
  const upstream = call.upstream_attempts;
  if (upstream > 1 && upstream > (call.app_attempts ?? 0)) {
    const least = call.upstream_confidence === "exact" ? "" : "≥";
    found.push({
      kind: "warn",
      word: `upstream ${least}${upstream}`,
      title: `${least ? "At least " : ""}${upstream} requests reached a model for this one call`,
    });
  }
  return found;
}

/** The notes as badges. */
export function badges(call) {
  return notes(call).map((note) => el("span", { class: `badge ${note.kind}`, title: note.title }, note.word));
}

const STATUS = {
  success: ["good", "check"],
  error: ["bad", "cross"],
  cancelled: ["warn", "cut"],
  abandoned: ["warn", "cut"],
  blocked: ["warn", "stop"],
};

/** Status as icon and word, never colour alone. */
export function statusMark(call) {
  const [kind, glyph] = STATUS[call.status] ?? ["muted", "warn"];
  const why = [
    call.error_type,
    call.blame && `blame: ${call.blame}`,
    call.blocked_by && `blocked by: ${call.blocked_by}`,
  ]
    .filter(Boolean)
    .join(" · ");
  return el(
    "span",
    { class: `status ${kind}`, title: why.slice(0, 400) || null },
    icon(glyph),
    data(call.status ?? "unknown", 24),
  );
}
