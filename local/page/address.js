// The address holds the whole state of the page: filters, selected call, open span, pause.

export const FILTERS = {
  endpoint: "Endpoint",
  tenant: "Tenant",
  model: "Model",
  route: "Route",
  status: "Status",
  provider: "Provider",
  prompt_version: "Prompt version",
  data_mode: "Data mode",
};

/** A filter with this value asks for calls where it is not known. */
export const UNKNOWN_VALUE = "-";

/** Ranges of time on offer; seconds back from now. */
export const RANGES = {
  "15m": ["Last 15 minutes", 900],
  "1h": ["Last hour", 3600],
  "24h": ["Last 24 hours", 86400],
  "7d": ["Last 7 days", 604800],
};

/** What the address says: `{page, trace, filters, q, unpriced, range, call, span, paused, breakdown}`. */
export function read(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const asked = new URLSearchParams(query);
  const [page, trace] = path.split("/");
  const filters = {};
  for (const name of Object.keys(FILTERS)) if (asked.get(name)) filters[name] = asked.get(name);
  return {
    page: page === "trace" && trace ? "trace" : page === "setup" ? "setup" : "calls",
    trace: trace ? unescaped(trace) : null,
    filters,
    q: asked.get("q") ?? "",
    unpriced: asked.get("unpriced") === "1",
    range: asked.get("range") in RANGES ? asked.get("range") : "",
    call: asked.get("call"),
    span: asked.get("span"),
    paused: asked.get("paused") === "1",
    breakdown: asked.get("breakdown") === "1",
  };
}

function unescaped(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a state, the inverse of `read`. */
export function written(state) {
  const query = new URLSearchParams(state.filters);
  for (const name of ["q", "range", "call", "span"]) if (state[name]) query.set(name, state[name]);
  for (const name of ["unpriced", "paused", "breakdown"]) if (state[name]) query.set(name, "1");
  const path = state.page === "trace" ? `trace/${encodeURIComponent(state.trace)}` : state.page;
  const text = query.toString();
  return `#/${path}${text ? `?${text}` : ""}`;
}

/** Goes to the present state with `change` applied; `replace` leaves no step for the back button. */
export function go(change, { replace = false } = {}) {
  const target = written({ ...read(), ...change });
  if (target === (location.hash || "#/calls")) return;
  history[replace ? "replaceState" : "pushState"](null, "", target);
  window.dispatchEvent(new Event("address"));
}

/** The filters of a state as the API wants them. */
export function query(state) {
  const asked = new URLSearchParams(state.filters);
  if (state.q) asked.set("q", state.q);
  if (state.unpriced) asked.set("unpriced", "1");
  if (state.range) asked.set("since", new Date(Date.now() - RANGES[state.range][1] * 1000).toISOString());
  return asked;
}

/** Whether anything narrows the list. */
export function narrowed(state) {
  return Object.keys(state.filters).length > 0 || state.q !== "" || state.unpriced || state.range !== "";
}
