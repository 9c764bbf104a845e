// One panel of a board: its frame, what it asks, what it says while it waits, fails or has nothing.

import { Unavailable } from "./api.js";
import { askPanel, takenBack } from "./board_api.js";
import { clip, data, el, put } from "./dom.js";
import { empty, prepared } from "./frames.js";
import { icon } from "./icons.js";
import { drawGraph } from "./panel_graph.js";
import { drawHeatmap } from "./panel_heatmap.js";
import { drawStat } from "./panel_stat.js";
import { drawTable } from "./panel_table.js";
import { drawTimeline } from "./panel_timeline.js";
import { drawTimeseries } from "./panel_timeseries.js";
import { drawTrace } from "./panel_trace.js";
import { popover } from "./popover.js";

const DRAWN = {
  stat: drawStat,
  timeseries: drawTimeseries,
  table: drawTable,
  heatmap: drawHeatmap,
  "state-timeline": drawTimeline,
  nodeGraph: drawGraph,
  traces: drawTrace,
};

/** Kinds that take the height of what is in them. */
const FLOWS = new Set(["stat", "table", "traces"]);

export class Panel {
  /** `board` is the page's: range, marks, cursor, `body(width)`, `zoom`, `look(panel number or null)`. */
  constructor(board, settings) {
    Object.assign(this, { board, settings, frames: null, asked: null, table: false, visible: false });
    this.state = {};
    this.hidden = new Set();
    this.body = el("div", { class: "panelbody" });
    this.busy = el("i", { class: "busy", "aria-hidden": "true", hidden: true });
    this.tools = el("span", { class: "tools" }, this.buttons());
    this.title = el("h3", { id: `panel-${settings.id}` }, data(settings.title, 120));
    this.node = el(
      "section",
      {
        class: `panel panel-${settings.type}`,
        tabindex: "0",
        "aria-labelledby": `panel-${settings.id}`,
        "data-panel": String(settings.id),
        "data-wide": settings.gridPos.w <= 12 ? "half" : null,
      },
      el("header", null, this.title, this.busy, this.tools),
      this.body,
    );
    const { x, y, w, h } = settings.gridPos;
    for (const [name, value] of Object.entries({ x: x + 1, y: y + 1, w, h }))
      this.node.style.setProperty(`--${name}`, String(value));
    this.sized = new ResizeObserver(() => this.frames && this.fits());
    this.sized.observe(this.body);
  }

  buttons() {
    const { settings } = this;
    const tool = (glyph, label, onclick, more = {}) =>
      el(
        "button",
        {
          type: "button",
          class: "quiet tool",
          "aria-label": `${label}: ${settings.title}`,
          title: label,
          onclick,
          ...more,
        },
        icon(glyph),
      );
    const about = tool("info", "What is this?", () => this.about(about), {
      "aria-haspopup": "dialog",
      "aria-expanded": "false",
    });
    this.rows = tool("rows", "As a table", () => this.asTable(), { "aria-pressed": "false" });
    this.full = tool(
      "wide",
      "Fill the page (v)",
      () => this.board.look(this.board.state.view === settings.id ? null : settings.id),
      {
        "aria-pressed": "false",
      },
    );
    return [settings.description && about, settings.type !== "table" && this.rows, this.full];
  }

  about(owner) {
    popover(
      owner,
      { label: this.settings.title, right: true },
      el(
        "div",
        { class: "about" },
        el("h4", null, data(this.settings.title, 120)),
        el("p", null, this.settings.description),
      ),
    );
  }

  asTable() {
    this.table = !this.table;
    this.rows.setAttribute("aria-pressed", String(this.table));
    this.draw();
  }

  /** Asks what the panel shows, unless it is out of sight or the same was asked already. */
  async load(again = false) {
    const width = Math.round(this.body.clientWidth) || 600;
    const body = this.board.body(width);
    const asked = JSON.stringify(body);
    if (!this.visible || (asked === this.asked && !again)) return;
    this.asked = asked;
    this.stop?.abort();
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.waiting(true);
    try {
      const answer = await askPanel(this.board.settings.uid, this.settings.id, body, signal);
      if (signal.aborted) return;
      this.answer = answer;
      this.frames = prepared(this.settings, answer.frames, { zone: this.board.zone });
      this.node.classList.remove("stale");
      this.node.classList.add("filled");
      this.draw();
    } catch (error) {
      if (takenBack(error) || signal.aborted) return;
      if (!(error instanceof Unavailable)) throw error;
      this.asked = null;
      this.failed(error.message);
    } finally {
      if (!signal.aborted) this.waiting(false);
    }
  }

  /** What is on the screen no longer belongs to what the address says. */
  stale() {
    if (this.frames) this.node.classList.add("stale");
  }

  waiting(is) {
    this.busy.hidden = !is;
    this.node.setAttribute("aria-busy", String(is));
    if (is && !this.frames) put(this.body, el("div", { class: "bones", "aria-hidden": "true" }));
    this.board.waits?.();
  }

  failed(sentence) {
    this.end();
    this.frames = null;
    put(
      this.body,
      el(
        "div",
        { class: "panelfailed", role: "alert" },
        icon("warn"),
        el("p", null, data(sentence, 400)),
        el("button", { type: "button", class: "button small", onclick: () => this.load(true) }, "Ask again"),
      ),
    );
  }

  fits() {
    const { clientWidth: width, clientHeight: height } = this.body;
    const flows = FLOWS.has(this.settings.type) || this.table;
    if (width === this.width && (flows || height === this.height)) return;
    this.draw();
  }

  end() {
    if (this.ended && this.body.matches(":hover")) this.board.cursor.clear();
    this.ended?.();
    this.ended = null;
  }

  /** Where somebody is in the panel, to be there again when it is drawn anew. */
  place() {
    const box = () => this.body.querySelector(".tablebox") ?? this.body;
    const places = () => [...this.body.querySelectorAll("a, button, [tabindex]")];
    const { scrollTop, scrollLeft } = box();
    const at = places().indexOf(document.activeElement);
    return () => {
      Object.assign(box(), { scrollTop, scrollLeft });
      if (at >= 0) places()[at]?.focus({ preventScroll: true });
    };
  }

  /** What the panel says where it has nothing to draw, else null. */
  silence() {
    const { answer, frames, settings } = this;
    const nothing = empty(frames);
    if (nothing && answer.notice) return answer.notice;
    if (frames.length && (!nothing || settings.type === "stat")) return null;
    return settings.fieldConfig?.defaults?.noValue || "nothing in range";
  }

  draw() {
    const { body, frames, settings } = this;
    if (!frames) return;
    this.end();
    const back = this.place();
    put(body);
    body.className = "panelbody";
    const silence = this.silence();
    this.node.classList.toggle("low", silence !== null || FLOWS.has(settings.type));
    if (silence !== null) return void body.append(el("p", { class: "nothing" }, data(silence, 300)));
    [this.width, this.height] = [body.clientWidth, body.clientHeight];
    if (this.width < 20 || (this.height < 10 && !FLOWS.has(settings.type))) return;
    const draw = this.table ? drawTable : DRAWN[settings.type];
    if (!draw) return this.unknown();
    this.ended = draw(body, {
      frames,
      panel: settings,
      board: this.board,
      width: this.width,
      height: this.height,
      intervalMs: this.answer.interval_ms,
      hidden: this.hidden,
      state: this.state,
      redraw: (name) => {
        this.draw();
        [...body.querySelectorAll("[data-name]")].find((one) => one.dataset.name === name)?.focus();
      },
    });
    back();
  }

  /** A kind that is not drawn here: never blank, the rows themselves are. */
  unknown() {
    this.body.append(
      el(
        "p",
        { class: "muted unknownkind" },
        `Panels of the kind ${clip(this.settings.type, 40)} are drawn in Grafana; these are the rows.`,
      ),
    );
    this.ended = drawTable(this.body, {
      frames: this.frames,
      panel: this.settings,
      board: this.board,
      state: this.state,
    });
  }

  leave() {
    this.stop?.abort();
    this.end();
    this.sized.disconnect();
  }
}
