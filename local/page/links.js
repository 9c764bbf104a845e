// Links of boards: their variables put in, and their targets turned into places of this page. No DOM.

/** As Grafana writes it: more than encodeURIComponent leaves stays readable, `'` and the like do not. */
export function encoded(text) {
  return encodeURIComponent(text)
    .replace(/%40/g, "@")
    .replace(/%3A/gi, ":")
    .replace(/%24/g, "$")
    .replace(/%2C/gi, ",")
    .replace(/%3B/gi, ";")
    .replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

const all = (values) => (Array.isArray(values) ? values : [values ?? ""]);

function asked(name, form, values, raw) {
  if (form === "queryparam")
    return all(values[name])
      .map((one) => `var-${name}=${encoded(one)}`)
      .join("&");
  const text = all(values[name]).join(",");
  return form === "percentencode" || !raw ? encoded(text) : text;
}

/** `url` with its variables in place.
 *
 * `scope` is `{variables: {name: [values]}, from, to, value: {raw, text}, row: {column: {raw, text}},
 * series, field, labels}`; whatever data brings in is encoded, so that it cannot become part of the address. */
export function filled(url, scope) {
  return url.replace(/\$\{([^}]+)\}|\$(__\w+)/g, (whole, inside, bare) => {
    const [path, form = ""] = (inside ?? bare).split(/:(?=[a-z]+$)/);
    if (path === "__url_time_range") return `from=${encoded(scope.from)}&to=${encoded(scope.to)}`;
    if (path === "__from") return encoded(scope.from);
    if (path === "__to") return encoded(scope.to);
    if (path === "__all_variables")
      return Object.keys(scope.variables)
        .map((name) => asked(name, "queryparam", scope.variables))
        .join("&");
    if (Object.hasOwn(scope.variables ?? {}, path)) return asked(path, form, scope.variables);
    const found = fromData(path, scope);
    return found === null ? "" : encoded(String(found));
  });
}

function fromData(path, scope) {
  const cell = /^__data\.fields(?:\.(\w+)|\["([^"]+)"\]|\[(\d+)\])(?:\.(text|numeric))?$/.exec(path);
  if (cell) {
    const name = cell[1] ?? cell[2] ?? Object.keys(scope.row ?? {})[Number(cell[3])];
    const found = scope.row?.[name];
    return found ? (cell[4] === "text" ? found.text : (found.raw ?? "")) : null;
  }
  if (path === "__value.raw" || path === "__value.numeric") return scope.value?.raw ?? "";
  if (path === "__value.text" || path === "__value") return scope.value?.text ?? "";
  if (path === "__value.time") return scope.value?.time ?? "";
  if (path === "__series.name" || path === "__field.name" || path === "__field.displayName") return scope.series ?? "";
  const label = /^__field\.labels\.(\w+)$/.exec(path);
  return label ? (scope.labels?.[label[1]] ?? "") : null;
}

const TRACE = /^[0-9a-f]{32}$/;

/** Where a filled link leads on this page: `{href, outside}`, or null for an address that is none.
 *
 * `/d/uid` of a board becomes its page, a board of one trace the page of that trace. */
export function local(url) {
  const board = /^\/d\/([\w-]{1,80})(?:\/[^?]*)?(?:\?(.*))?$/s.exec(url);
  if (board) {
    const trace = new URLSearchParams(board[2] ?? "").get("var-trace_id") ?? "";
    if (board[1].endsWith("-trace") && TRACE.test(trace)) return { href: `#/trace/${trace}`, outside: false };
    return { href: `#/boards/${board[1]}${board[2] ? `?${board[2]}` : ""}`, outside: false };
  }
  if (url.startsWith("#/")) return { href: url, outside: false };
  return /^https?:\/\//i.test(url) ? { href: url, outside: true } : null;
}
