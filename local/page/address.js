// The address holds the whole state of the page: filters, selected call, open span, pause.

/** What calls can be filtered by, and how it is called. Tags of calls come on top, as `tag.<key>`. */
export const FILTERS = {
  endpoint: "Endpoint",
  tenant: "Tenant",
  model: "Model",
  route: "Route",
  status: "Status",
  provider: "Provider",
  prompt_version: "Prompt version",
  data_mode: "Data mode",
  prompt: "Prompt",
  user: "User",
  session: "Session",
  service: "Service",
  environment: "Environment",
  grade: "Grade",
  request_id: "Request id",
};

const TAG = "tag.";

/** Whether calls can be filtered by `name`. */
export const filterable = (name) => Object.hasOwn(FILTERS, name) || (name.startsWith(TAG) && name.length > TAG.length);

/** What a filter is called. */
export const filterName = (name) => FILTERS[name] ?? `Tag ${name.slice(TAG.length)}`;

/** A filter with this value asks for calls where it is not known. */
export const UNKNOWN_VALUE = "-";

/** Ranges of time on offer; seconds back from now. */
export const RANGES = {
  "15m": ["Last 15 minutes", 900],
  "1h": ["Last hour", 3600],
  "24h": ["Last 24 hours", 86400],
  "7d": ["Last 7 days", 604800],
};

const PAGES = ["calls", "boards", "budgets", "setup"];

/** What the address says: `{page, trace, board, asked, filters, q, unpriced, range, since, until, call, span, paused, breakdown}`.
 *
 * `asked` is the query as it came: a board reads its variables and its range from it. */
export function read(hash = location.hash) {
  const [path, ...rest] = hash.replace(/^#\/?/, "").split("?");
  const asked = new URLSearchParams(rest.join("?"));
  const [page, name] = path.split("/");
  const filters = {};
  for (const [one, value] of asked) if (value && filterable(one)) filters[one] = value;
  return {
    page: opened(page, name),
    trace: page === "trace" && name ? unescaped(name) : null,
    board: page === "boards" && name ? unescaped(name) : null,
    asked: rest.join("?"),
    filters,
    q: asked.get("q") ?? "",
    unpriced: asked.get("unpriced") === "1",
    range: Object.hasOwn(RANGES, asked.get("range") ?? "") ? asked.get("range") : "",
    since: instant(asked.get("since")),
    until: instant(asked.get("until")),
    call: asked.get("call"),
    span: asked.get("span"),
    paused: asked.get("paused") === "1",
    breakdown: asked.get("breakdown") === "1",
  };
}

function opened(page, name) {
  if (page === "trace" && name) return "trace";
  if (page === "boards" && name) return "board";
  return PAGES.includes(page) ? page : "calls";
}

/** An instant as ISO-8601, of ISO-8601 or of ms since 1970, which boards write; empty where it is none. */
function instant(text) {
  const at = new Date(/^\d{9,15}$/.test(text ?? "") ? Number(text) : (text ?? ""));
  return Number.isNaN(at.getTime()) ? "" : at.toISOString();
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
  if (state.page === "board") {
    const path = `#/boards/${encodeURIComponent(state.board)}`;
    return state.asked ? `${path}?${state.asked}` : path;
  }
  const query = new URLSearchParams(state.filters);
  for (const name of ["q", "range", "since", "until", "call", "span"]) if (state[name]) query.set(name, state[name]);
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
  if (state.since) asked.set("since", state.since);
  if (state.until) asked.set("until", state.until);
  if (state.range) asked.set("since", new Date(Date.now() - RANGES[state.range][1] * 1000).toISOString());
  return asked;
}

/** What `go` is given to see all calls again. */
export const EVERYTHING = { filters: {}, q: "", unpriced: false, range: "", since: "", until: "" };

/** Whether anything narrows the list. */
export function narrowed(state) {
  return (
    Object.keys(state.filters).length > 0 || Object.keys(EVERYTHING).some((name) => name !== "filters" && state[name])
  );
}
