// What a panel's settings say about one field: defaults, then overrides, as Grafana puts them together.
// No DOM: tests/test_grafana_parity.py imports it in Node.

/** `name` of a field as a frame shows it when the settings do not name it. */
export function fieldName(field, frames = []) {
  if (field.config?.displayNameFromDS) return field.config.displayNameFromDS;
  const labels = field.labels ?? {};
  if (field.type === "time" && Object.keys(labels).length === 0) return field.name || "Time";
  const parts = field.name && field.name !== "Value" ? [field.name] : [];
  const keys = new Set(frames.flatMap((frame) => frame.fields.flatMap((one) => Object.keys(one.labels ?? {}))));
  const own = Object.keys(labels).sort();
  if (keys.size === 1 && own.length === 1) parts.push(labels[own[0]]);
  else if (own.length) parts.push(`{${own.map((key) => `${key}="${labels[key]}"`).join(", ")}}`);
  return parts.filter(Boolean).join(" ") || field.name || "Value";
}

/** `text` with `${__field.labels.x}` and `${__field.name}` of a field in place. */
export function fieldText(text, field) {
  return text.replace(
    /\$\{__field\.(?:labels(?:\.(\w+)|\["([^"]*)"\])?|(name|displayName))\}/g,
    (_, key, quoted, name) =>
      name
        ? field.name
        : key || quoted
          ? (field.labels?.[key ?? quoted] ?? "")
          : Object.values(field.labels ?? {}).join(" "),
  );
}

function pattern(text) {
  const found = /^\/(.*)\/([gimsuy]*)$/s.exec(text);
  try {
    return found ? new RegExp(found[1], found[2].replace("g", "")) : new RegExp(`^${text}$`);
  } catch {
    return /(?!)/;
  }
}

const MATCHERS = {
  byName: (options, field, names) => names.includes(options),
  byNames: (options, field, names) => (options?.names ?? []).some((name) => names.includes(name)),
  byRegexp: (options, field, names) => names.some((name) => pattern(options).test(name)),
  byType: (options, field) => field.type === options,
  byFrameRefID: (options, field) => field.refId === options,
};

function place(config, path, value) {
  const steps = path.split(".");
  const last = steps.pop();
  let at = config;
  for (const step of steps) at = at[step] ??= {};
  if (value === null || value === undefined) delete at[last];
  else at[last] = Array.isArray(value) && Array.isArray(at[last]) ? [...value, ...at[last]] : value;
}

/** The settings that hold for a field `{name, type, labels?, config?, refId?}` of `panel`, in a fresh object.
 *
 * `frames` are those of the panel: they decide what a field without a name of its own is called. */
export function panelFieldConfig(panel, field, frames = []) {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  const config = { ...structuredClone(defaults), ...structuredClone(field.config ?? {}) };
  config.custom = { ...structuredClone(defaults.custom ?? {}), ...structuredClone(field.config?.custom ?? {}) };
  if (config.displayName) config.displayName = fieldText(config.displayName, field);
  const names = [field.name, config.displayName || fieldName(field, frames)];
  for (const { matcher, properties } of overrides) {
    if (!MATCHERS[matcher?.id]?.(matcher.options, field, names)) continue;
    for (const { id, value } of properties) {
      place(config, id, id === "displayName" && value ? fieldText(value, field) : structuredClone(value));
    }
  }
  return config;
}
