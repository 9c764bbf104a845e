// What Grafana prints for frames, and what the local page prints for the same: for tests/test_grafana_parity.py.
//
// node oracle.mjs FOLDER_OF_MAKE LOCAL_PAGE < cases.json
// A case is `{panel, frames}`; the answer has for each `{grafana, ours}`, both a list by frame of a list
// by field of `{name, texts, colors, reduced}`. Beside cases, `{intervals: [[range_ms, points]]}` are
// answered with what `rangeUtil` rounds them to.

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

globalThis.navigator ??= { language: "en-US", languages: ["en-US"] };
const [folder, page] = process.argv.slice(2);
const grafana = createRequire(join(folder, "package.json"))("@grafana/data");
const ours = {};
for (const name of ["frames", "reduce", "display"])
  Object.assign(ours, await import(pathToFileURL(join(page, `${name}.js`))));

const theme = grafana.createTheme({ colors: { mode: "dark" } });
const { identityOverrideProcessor: same } = grafana;
const STANDARD = {
  unit: grafana.unitOverrideProcessor,
  decimals: grafana.numberOverrideProcessor,
  min: grafana.numberOverrideProcessor,
  max: grafana.numberOverrideProcessor,
  displayName: grafana.displayNameOverrideProcessor,
  noValue: grafana.stringOverrideProcessor,
  thresholds: grafana.thresholdsOverrideProcessor,
  mappings: grafana.valueMappingsOverrideProcessor,
  links: grafana.dataLinksOverrideProcessor,
  color: same,
};
const option = (id, process, isCustom) => ({
  id: isCustom ? `custom.${id}` : id,
  path: id,
  name: id,
  isCustom,
  process,
  settings: { expandTemplateVars: true },
  override: () => null,
  editor: () => null,
  shouldApply: () => true,
});
// Grafana fills this registry in the browser with the editors of its options.
grafana.standardFieldConfigEditorRegistry.setInit(() => [
  ...Object.entries(STANDARD).map(([id, process]) => option(id, process, false)),
  ...["width", "cellOptions", "hidden", "align"].map((id) => option(id, same, true)),
]);

function interpolated(text, scopedVars) {
  const field = scopedVars?.__dataContext?.value.field ?? scopedVars?.__field?.value;
  return String(text).replace(/\$\{__field\.(?:labels\.(\w+)|name)\}/g, (_, label) =>
    label ? (field.labels?.[label] ?? "") : field.name,
  );
}

const hex = (color) => grafana.colorManipulator.asHexString(color).toLowerCase();
const CALCS = ["lastNotNull", "last", "firstNotNull", "first", "min", "max", "mean", "median", "sum", "count", "range", "diff"];
const plain = (value) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : (value ?? null));

function printed(field, name, text, color, reduce) {
  return {
    name,
    texts: field.values.map((value) => text(field.display(value))),
    colors: field.values.map((value) => color(field.display(value))),
    reduced: Object.fromEntries(
      CALCS.map((calc) => {
        const value = plain(reduce(field, calc));
        return [calc, [value, text(field.display(value))]];
      }),
    ),
  };
}

function theirs(panel, frames) {
  const data = frames.map((frame) => grafana.toDataFrame(structuredClone(frame)));
  const replaceVariables = interpolated;
  const shared = { fieldConfig: panel.fieldConfig, replaceVariables, theme, timeZone: "utc" };
  const shown = grafana.applyFieldOverrides({ data, ...shared });
  const reduce = (field, calc) => {
    delete field.state?.calcs;
    return grafana.reduceField({ field, reducers: [calc] })[calc];
  };
  const each = shown.map((frame) =>
    frame.fields.map((field) =>
      printed(
        field,
        grafana.getFieldDisplayName(field, frame, shown),
        grafana.formattedValueToString,
        (found) => (found.color ? hex(found.color) : null),
        reduce,
      ),
    ),
  );
  return { frames: each };
}

const named = (name) => (name === null ? null : hex(theme.visualization.getColorByName(name)));

function local(panel, frames) {
  const made = ours.prepared(panel, structuredClone(frames), { zone: "utc" });
  const each = made.map((frame) =>
    frame.fields.map((field) =>
      printed(field, field.label, ours.textOf, (found) => named(found.color), ours.reduce),
    ),
  );
  return { frames: each };
}

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { cases = [], intervals = [] } = JSON.parse(Buffer.concat(chunks).toString());
const answer = {
  cases: cases.map(({ panel, frames }) => ({ grafana: theirs(panel, frames), ours: local(panel, frames) })),
  intervals: intervals.map(([range, points]) => grafana.rangeUtil.roundInterval(range / points)),
};
process.stdout.write(JSON.stringify(answer));
