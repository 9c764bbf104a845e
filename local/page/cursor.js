// The crosshair that all time charts of a board share, and the one tooltip beside it.

import { data, el, put } from "./dom.js";

const MOST_ROWS = 14;

/** Tells every chart of a board where the pointer is in time. */
export class Cursor {
  constructor() {
    this.charts = new Set();
    this.tip = new Tip();
  }

  /** `follow(time, mine)` is called with ms or null; returns the function that ends it. */
  add(follow) {
    this.charts.add(follow);
    return () => this.charts.delete(follow);
  }

  /** The pointer stands at `time` in the chart whose follower is `source`; null: nowhere. */
  point(time, source = null) {
    for (const follow of this.charts) follow(time, follow === source);
  }

  clear() {
    this.tip.hide();
    this.point(null);
  }
}

/** A box beside the pointer: `{title, rows: [{colour, name, value, note}], more}`. */
export class Tip {
  constructor() {
    this.node = el("div", { class: "tip", role: "presentation", hidden: true });
    document.body.append(this.node);
  }

  show({ title, rows, note = null }, x, y) {
    const shown = rows.slice(0, MOST_ROWS);
    put(
      this.node,
      el("p", { class: "tiptitle num" }, title),
      shown.map((row) =>
        el(
          "p",
          { class: `tiprow ${row.here ? "here" : ""}` },
          el("i", { class: "dot", vars: { "--c": row.colour ?? "transparent" } }),
          el("span", { class: "tipname" }, data(row.name, 60)),
          el("b", { class: "num" }, data(row.value, 60)),
        ),
      ),
      rows.length > MOST_ROWS && el("p", { class: "muted" }, `${rows.length - MOST_ROWS} more`),
      note && el("p", { class: "tipnote" }, data(note, 200)),
    );
    this.node.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.node;
    const left = x + 14 + width > innerWidth - 8 ? x - 14 - width : x + 14;
    this.node.style.setProperty("--left", `${Math.max(8, left)}px`);
    this.node.style.setProperty("--top", `${Math.max(8, Math.min(y + 12, innerHeight - height - 8))}px`);
  }

  hide() {
    this.node.hidden = true;
  }
}
