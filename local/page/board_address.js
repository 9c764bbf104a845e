// The address of a board holds its whole state, in the words of Grafana's own addresses. No DOM.

/** What is not said in the address: the board's own setting holds. */
const NONE = { from: null, to: null, refresh: null, view: null, rows: [], values: {} };

/** `#/boards/uid?from=…&to=…&var-name=…` as `{uid, from, to, refresh, view, rows, values}`.
 *
 * `view` is the number of the panel that fills the page, `rows` the numbers of rows that stand the other
 * way round than the board has them, `values` lists by variable. */
export function readBoard(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [page, uid = ""] = path.split("/");
  if (page !== "boards") return null;
  const asked = new URLSearchParams(query);
  const values = {};
  for (const name of new Set(asked.keys())) if (name.startsWith("var-")) values[name.slice(4)] = asked.getAll(name);
  return {
    ...NONE,
    uid: /^[\w-]{1,80}$/.test(uid) ? uid : "",
    from: asked.get("from"),
    to: asked.get("to"),
    refresh: asked.get("refresh"),
    view: Number(asked.get("viewPanel")) || null,
    rows: (asked.get("rows") ?? "").split(",").map(Number).filter(Boolean),
    values,
  };
}

/** The address of a state, the inverse of `readBoard`. */
export function boardAddress(state) {
  const asked = new URLSearchParams();
  for (const name of ["from", "to", "refresh"]) if (state[name]) asked.set(name, state[name]);
  for (const [name, values] of Object.entries(state.values ?? {}))
    for (const value of values) asked.append(`var-${name}`, value);
  if (state.rows?.length) asked.set("rows", state.rows.join(","));
  if (state.view) asked.set("viewPanel", String(state.view));
  const text = asked.toString();
  return `#/boards/${state.uid}${text ? `?${text}` : ""}`;
}
