// Node graph: the two frames of nodes and edges as flows from left to right, as thick as what passes.

import { clip, el, svg } from "./dom.js";
import { textOf } from "./display.js";
import { folded, laidOut } from "./graph_layout.js";
import { seriesColours } from "./palette.js";
import { measured } from "./time_chart.js";

const column = (frame, name) => frame?.fields.find((field) => field.name.toLowerCase() === name);

function rows(frame, names) {
  const fields = Object.fromEntries(names.map((name) => [name, column(frame, name)]));
  const length = frame?.fields[0]?.values.length ?? 0;
  return Array.from({ length }, (_, n) =>
    Object.fromEntries(
      names.map((name) => {
        const value = fields[name]?.values[n] ?? null;
        return [name, { value, text: value === null ? "" : textOf(fields[name].display(value)) }];
      }),
    ),
  );
}

/** Nodes and edges of the panel's frames. */
export function graphOf(frames) {
  const nodes = frames.find((frame) => frame.refId === "nodes" || (column(frame, "title") && !column(frame, "source")));
  const edges = frames.find((frame) => frame.refId === "edges" || column(frame, "source"));
  return {
    nodes: rows(nodes, ["id", "title", "subtitle", "mainstat", "secondarystat", "arc__errors"]).map((row) => ({
      id: row.id.value,
      title: row.title.text || row.id.text,
      subtitle: row.subtitle.text,
      text: [row.mainstat.text, row.secondarystat.text].filter(Boolean).join(" · "),
      size: Number(row.mainstat.value) || 0,
      errors: Number(row.arc__errors.value) || 0,
    })),
    edges: rows(edges, ["source", "target", "mainstat"]).map((row) => ({
      source: row.source.value,
      target: row.target.value,
      text: row.mainstat.text,
      size: Number(row.mainstat.value) || 0,
    })),
  };
}

/** Draws into `place`; nothing has to be ended. */
export function drawGraph(place, { frames, panel, width, height }) {
  const graph = graphOf(frames);
  const { nodes, edges } = folded(graph.nodes, graph.edges, Math.max(4, Math.floor((height - 34) / 24)));
  const byId = new Map(nodes.map((node) => [node.id, node.more ? { ...node, ...rest(node) } : node]));
  const label = Math.min(
    width * 0.3,
    Math.max(60, ...[...byId.values()].map((node) => measured(clip(`${node.title} ${node.text}`, 40)) + 16)),
  );
  const laid = laidOut([...byId.values()], edges, { width: width - 8, height: height - 34, gap: 12, label });
  const named = laid.nodes.filter((node) => !node.more && (node.x > 0 || laid.columns === 1));
  const colours = seriesColours(named.map((node) => node.title));
  const colour = (edge) => colours.get(byId.get(edge.target).title) ?? "var(--c6)";
  const high = Math.max(height - 8, laid.high + 34);
  const said = `${panel.title}: ${edges.map((edge) => `${byId.get(edge.source)?.title} to ${byId.get(edge.target)?.title} ${edge.size}`).join(", ")}`;
  const rightmost = Math.max(...laid.nodes.map((node) => node.x));
  place.classList.add("rolls");
  place.append(
    svg(
      "svg",
      {
        class: "graph",
        width,
        height: high,
        viewBox: `-4 -24 ${width} ${high}`,
        role: "img",
        "aria-label": clip(said, 1500),
      },
      heads(laid, byId).map(({ x, text }) => svg("text", { class: "kindname", x, y: -10 }, clip(text, 24))),
      laid.edges.map((edge) => flow(edge, laid, byId, colour(edge))),
      laid.nodes.map((node) => point(node, node.x === rightmost ? label : Infinity)),
    ),
    laid.hidden > 0 && el("p", { class: "muted" }, `${laid.hidden} ways that lead back or nowhere are not drawn`),
  );
  return null;
}

const rest = (node) => ({ title: `and ${node.more} more`, subtitle: "", text: String(node.size), errors: 0 });

/** What stands in each column, in a word, where the nodes say it. */
function heads(laid, byId) {
  const found = new Map();
  for (const node of laid.nodes) {
    const kind = byId.get(node.id).subtitle;
    if (!kind) continue;
    if (!found.has(node.x)) found.set(node.x, new Map());
    found.get(node.x).set(kind, (found.get(node.x).get(kind) ?? 0) + 1);
  }
  return [...found].map(([x, kinds]) => ({
    x,
    text: [...kinds]
      .sort((a, b) => b[1] - a[1])
      .map(([kind]) => kind)
      .slice(0, 2)
      .join(", "),
  }));
}

function flow(edge, laid, byId, colour) {
  const [from, to] = [laid.at.get(edge.source), laid.at.get(edge.target)];
  const [x0, x1] = [from.x + 10, to.x];
  const middle = (x0 + x1) / 2;
  return svg(
    "path",
    {
      class: "flow",
      d: `M${x0} ${edge.y0.toFixed(1)}C${middle} ${edge.y0.toFixed(1)},${middle} ${edge.y1.toFixed(1)},${x1} ${edge.y1.toFixed(1)}`,
      "stroke-width": edge.h.toFixed(1),
      vars: { "--c": colour },
    },
    svg("title", null, clip(`${byId.get(edge.source).title} → ${byId.get(edge.target).title}: ${edge.size}`, 400)),
  );
}

/** A node with its name; `space` is what the name may take. */
function point(node, space) {
  let title = clip(node.title, 44);
  while (title.length > 3 && measured(`${title} ${node.text}`) > space - 10) title = `${title.slice(0, -2)}…`;
  const failed = Math.min(1, node.errors) * node.h;
  const said = `${node.subtitle} ${node.title}: ${node.text}${node.errors ? `, ${(node.errors * 100).toFixed(1)} % failed` : ""}`;
  return svg(
    "g",
    { class: "node" },
    svg("rect", { x: node.x, y: node.y, width: 10, height: node.h, rx: 2 }),
    failed > 0 &&
      svg("rect", {
        class: "broken",
        x: node.x,
        y: node.y + node.h - Math.max(1, failed),
        width: 10,
        height: Math.max(1, failed),
        rx: 1,
      }),
    svg(
      "text",
      { x: node.x + 15, y: node.y + node.h / 2 + 4 },
      title,
      node.text && svg("tspan", { class: "stat", dx: 6 }, node.text),
    ),
    svg("title", null, clip(said.trim(), 400)),
  );
}
