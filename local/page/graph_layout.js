// Where the nodes and the flows of a graph stand: layers from left to right, flows as thick as their number. No DOM.

/** How far from the left each node stands, by the longest way to it; ways in a circle count once. */
export function layers(ids, edges) {
  const out = new Map(ids.map((id) => [id, []]));
  for (const edge of edges) out.get(edge.source)?.push(edge);
  const level = new Map(ids.map((id) => [id, 0]));
  const back = new Set();
  const state = new Map();
  const topological = [];
  const visit = (start) => {
    // By hand and not by calling itself: a hostile graph may be deeper than the stack.
    const stack = [[start, 0]];
    state.set(start, "open");
    while (stack.length) {
      const top = stack.at(-1);
      const edge = out.get(top[0])[top[1]];
      if (!edge) {
        state.set(top[0], "done");
        topological.push(top[0]);
        stack.pop();
        continue;
      }
      top[1] += 1;
      const seen = state.get(edge.target);
      if (seen === "open") back.add(edge);
      else if (!seen && out.has(edge.target)) {
        state.set(edge.target, "open");
        stack.push([edge.target, 0]);
      }
    }
  };
  for (const id of ids) if (!state.has(id)) visit(id);
  for (const id of topological.reverse())
    for (const edge of out.get(id))
      if (!back.has(edge) && level.has(edge.target))
        level.set(edge.target, Math.max(level.get(edge.target), level.get(id) + 1));
  return { level, back };
}

/** The column of each node, and the edges that lead from left to right. */
function columned(nodes, edges) {
  const ids = nodes.map((node) => node.id);
  const here = new Set(ids);
  const inside = edges.filter((edge) => here.has(edge.source) && here.has(edge.target) && edge.size > 0);
  const { level, back } = layers(ids, inside);
  const kept = inside.filter((edge) => !back.has(edge));
  // Where the ways end is the last column, so that models stand under models.
  const last = Math.max(...level.values());
  const goes = new Set(kept.map((edge) => edge.source));
  for (const id of ids) if (!goes.has(id) && level.get(id) > 0) level.set(id, last);
  return { level, kept };
}

/** The same graph with at most `most` nodes in a column: the smallest of each are one, `{id, more: count}`. */
export function folded(nodes, edges, most) {
  const { level } = columned(nodes, edges);
  const into = new Map();
  const found = [];
  for (const at of new Set(level.values())) {
    const column = nodes.filter((node) => level.get(node.id) === at).sort((a, b) => b.size - a.size);
    const rest = column.length > most ? column.splice(most - 1) : [];
    found.push(...column);
    if (rest.length === 0) continue;
    const id = `and more ${at}`;
    for (const node of rest) into.set(node.id, id);
    found.push({ id, more: rest.length, size: rest.reduce((sum, node) => sum + node.size, 0) });
  }
  const sums = new Map();
  for (const edge of edges) {
    const [source, target] = [into.get(edge.source) ?? edge.source, into.get(edge.target) ?? edge.target];
    const key = JSON.stringify([source, target]);
    const before = sums.get(key);
    if (before) before.size += edge.size;
    else sums.set(key, { ...edge, source, target });
  }
  return { nodes: found, edges: [...sums.values()] };
}

/** Nodes `{id, size, x, y, h}` and edges `{source, target, size, y0, y1, h}` in a box; `high` is what it takes.
 *
 * `nodes` are `[{id, size}]`, `edges` `[{source, target, size}]`; edges of nodes that are not there and
 * edges that lead back are left out, and `hidden` says how many those are. */
export function laidOut(nodes, edges, { width, height, gap = 14, bar = 10, label = 120 }) {
  const { level, kept } = columned(nodes, edges);
  const columns = [];
  for (const node of nodes) (columns[level.get(node.id)] ??= []).push({ ...node, in: 0, out: 0 });
  const at = new Map(columns.flat().map((node) => [node.id, node]));
  for (const edge of kept) {
    at.get(edge.source).out += edge.size;
    at.get(edge.target).in += edge.size;
  }
  for (const node of at.values()) node.flow = Math.max(node.in, node.out) || node.size || 1;
  const most = Math.max(...columns.map((column) => column.reduce((sum, node) => sum + node.flow, 0)));
  const longest = Math.max(...columns.map((column) => column.length));
  const scale = Math.max(0.001, (height - (longest - 1) * gap) / most);
  const step = columns.length > 1 ? (width - label - bar) / (columns.length - 1) : 0;
  let high = 0;
  sorted(columns, kept, at);
  columns.forEach((column, n) => {
    const taken = column.reduce((sum, node) => sum + Math.max(3, node.flow * scale), 0);
    let y = Math.max(0, (height - taken - (column.length - 1) * gap) / 2);
    for (const node of column) {
      Object.assign(node, { x: n * step, y, h: Math.max(3, node.flow * scale), fromTop: 0, toTop: 0 });
      y += Math.max(node.h, 4) + gap;
    }
    high = Math.max(high, y - gap);
  });
  const flows = kept
    .toSorted((a, b) => at.get(a.target).y - at.get(b.target).y || at.get(a.source).y - at.get(b.source).y)
    .map((edge) => ({ ...edge, h: Math.max(1, edge.size * scale) }));
  for (const flow of flows) {
    const from = at.get(flow.source);
    flow.y0 = from.y + from.fromTop + flow.h / 2;
    from.fromTop += flow.h;
  }
  for (const flow of flows.toSorted((a, b) => at.get(a.source).y - at.get(b.source).y)) {
    const to = at.get(flow.target);
    flow.y1 = to.y + to.toTop + flow.h / 2;
    to.toTop += flow.h;
  }
  return {
    nodes: [...at.values()],
    edges: flows,
    at,
    high: Math.max(high, 20),
    columns: columns.length,
    hidden: edges.length - kept.length,
  };
}

/** Each column in the order of what flows into it, so that fewer flows cross; the first by size. */
function sorted(columns, edges, at) {
  columns[0]?.sort((a, b) => Boolean(a.more) - Boolean(b.more) || b.flow - a.flow);
  columns[0]?.forEach((node, n) => (node.place = n / columns[0].length));
  for (const column of columns.slice(1)) {
    for (const node of column) {
      const into = edges.filter((edge) => edge.target === node.id);
      const whole = into.reduce((sum, edge) => sum + edge.size, 0);
      node.mean = whole ? into.reduce((sum, edge) => sum + edge.size * (at.get(edge.source).place ?? 0), 0) / whole : 0;
    }
    column.sort((a, b) => a.mean - b.mean || b.flow - a.flow);
    column.forEach((node, n) => (node.place = n / column.length));
  }
}
