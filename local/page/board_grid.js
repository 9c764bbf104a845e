// The 24 columns of a board: rows that fold, panels in their places; only what can be seen asks.

import { data, el, put } from "./dom.js";
import { icon } from "./icons.js";
import { Panel } from "./panel.js";

const AHEAD_PX = 250;
const TIMED = new Set(["timeseries", "heatmap", "state-timeline"]);

/** Rows of a board as `{settings, panels}`; panels before the first row stand in a row without a name. */
export function rowsOf(panels) {
  const rows = [{ settings: null, panels: [] }];
  for (const panel of panels) {
    if (panel.type === "row") rows.push({ settings: panel, panels: [...(panel.panels ?? [])] });
    else rows.at(-1).panels.push(panel);
  }
  return rows.filter((row) => row.settings || row.panels.length);
}

/** Panels of a row in bands, each as high as the panels that stand beside each other. */
export function bandsOf(panels) {
  const bands = [];
  for (const panel of panels.toSorted((a, b) => a.gridPos.y - b.gridPos.y)) {
    const { y, h } = panel.gridPos;
    const last = bands.at(-1);
    if (last && y < last.end) {
      last.panels.push(panel);
      last.end = Math.max(last.end, y + h);
    } else bands.push({ top: y, end: y + h, panels: [panel] });
  }
  return bands;
}

/** Whether a band can shrink to what is in it: numbers, tables and panels with nothing to draw are low. */
const shrinks = ({ top, panels }) => panels.every((one) => one.gridPos.y === top);

/** Here is no Prometheus: rows of nothing but its panels start folded, and say their reason when opened. */
const asksMetrics = (panel) => panel.settings.datasource?.type === "prometheus";

export class BoardGrid {
  constructor(board, settings, root) {
    this.board = board;
    this.node = el("div", { class: "boardgrid" });
    this.seen = new IntersectionObserver((entries) => this.looked(entries), { root, rootMargin: `${AHEAD_PX}px` });
    this.panels = new Map();
    this.rows = rowsOf(settings.panels ?? []).map((row) => this.row(row));
    put(
      this.node,
      this.rows.map((row) => row.node),
    );
  }

  row({ settings, panels }) {
    const made = panels.map((one) => this.panel(one));
    const grid = el(
      "div",
      { class: "bands" },
      bandsOf(panels).map((band) => {
        const inside = made.filter((panel) => band.panels.includes(panel.settings));
        for (const panel of inside)
          panel.node.style.setProperty("--y", String(panel.settings.gridPos.y - band.top + 1));
        return el(
          "div",
          { class: `panels ${shrinks(band) ? "shrinks" : ""}` },
          inside.map((panel) => panel.node),
        );
      }),
    );
    if (!settings) return { settings, grid, panels: made, node: el("section", { class: "boardrow" }, grid) };
    const startsFolded = Boolean(settings.collapsed) || (made.length > 0 && made.every(asksMetrics));
    const count = el("span", { class: "muted" }, "");
    const button = el(
      "button",
      { type: "button", onclick: () => this.board.fold(settings.id) },
      icon("chevron"),
      data(settings.title, 120),
      count,
    );
    const head = el("h2", { class: "rowhead" }, button);
    return {
      settings,
      grid,
      panels: made,
      startsFolded,
      button,
      count,
      head,
      node: el("section", { class: "boardrow" }, head, grid),
    };
  }

  panel(settings) {
    const made = new Panel(this.board, settings);
    this.panels.set(settings.id, made);
    this.seen.observe(made.node);
    return made;
  }

  /** Shows what the address says: folded rows, or one panel alone. */
  show(state) {
    const alone = this.panels.get(state.view) ?? null;
    this.node.classList.toggle("alone", Boolean(alone));
    for (const { settings, grid, panels, startsFolded, button, count, head, node } of this.rows) {
      const folded = settings ? startsFolded !== state.rows.includes(settings.id) : false;
      node.hidden = alone ? !panels.includes(alone) : false;
      if (button) {
        head.hidden = Boolean(alone);
        button.setAttribute("aria-expanded", String(!folded));
        count.textContent = folded ? `${panels.length} panel${panels.length === 1 ? "" : "s"}` : "";
      }
      grid.hidden = folded && !alone;
      for (const band of grid.children) band.hidden = alone ? !band.contains(alone.node) : false;
      for (const panel of panels) {
        panel.node.hidden = alone ? panel !== alone : false;
        panel.full.setAttribute("aria-pressed", String(panel === alone));
      }
    }
  }

  looked(entries) {
    for (const entry of entries) {
      const panel = this.panels.get(Number(entry.target.dataset.panel));
      panel.visible = entry.isIntersecting;
      if (panel.visible) panel.load();
    }
  }

  /** Asks again: what is in sight now, the rest when it comes into sight. */
  load(again = false) {
    for (const panel of this.panels.values()) {
      if (again) panel.asked = null;
      panel.load();
    }
  }

  /** The marks of time charts have changed. */
  redraw() {
    for (const panel of this.panels.values()) if (TIMED.has(panel.settings.type)) panel.draw();
  }

  get busy() {
    return [...this.panels.values()].filter((panel) => !panel.busy.hidden).length;
  }

  /** Moves the keyboard to the next panel (`by` 1) or the one before. */
  step(by) {
    const shown = [...this.panels.values()].filter((panel) => panel.node.checkVisibility());
    const now = shown.findIndex((panel) => panel.node.contains(document.activeElement));
    const next = shown[now < 0 ? (by > 0 ? 0 : shown.length - 1) : Math.max(0, Math.min(shown.length - 1, now + by))];
    next?.node.focus({ preventScroll: true });
    next?.node.scrollIntoView({ block: "nearest" });
  }

  /** The panel that the keyboard is in, or null. */
  get here() {
    return [...this.panels.values()].find((panel) => panel.node.contains(document.activeElement)) ?? null;
  }

  leave() {
    this.seen.disconnect();
    for (const panel of this.panels.values()) panel.leave();
  }
}
