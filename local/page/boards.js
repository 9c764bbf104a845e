// The page of boards: the very files that Grafana gets, over the local ledger.

import { get, Unavailable } from "./api.js";
import { boardAddress, readBoard } from "./board_address.js";
import { askMarks, boardPath, takenBack } from "./board_api.js";
import { BoardGrid } from "./board_grid.js";
import { drawTabs, shortTitle } from "./board_tabs.js";
import { Cursor } from "./cursor.js";
import { data, el, put } from "./dom.js";
import { icon } from "./icons.js";
import { Pace } from "./pace.js";
import { closePopover } from "./popover.js";
import { TimePicker } from "./time_picker.js";
import { resolved } from "./timerange.js";
import { moment } from "./units.js";
import { Variables } from "./variables.js";

const LAST = { from: "now-24h", to: "now" };
const LIVE_MS = 5000;

export class BoardPage {
  constructor(app) {
    this.app = app;
    this.cursor = new Cursor();
    this.marks = [];
    Object.assign(this, { took: 0, began: null, opening: null });
    this.tabs = el("nav", { class: "boardtabs", "aria-label": "Boards" });
    this.time = new TimePicker((range) => this.go(range));
    this.told = el("span", { class: "muted num told", role: "status" });
    this.again = el(
      "button",
      {
        type: "button",
        class: "quiet",
        title: "Ask again (r)",
        "aria-label": "Ask again",
        "aria-keyshortcuts": "r",
        onclick: () => this.refresh(),
      },
      icon("again"),
    );
    this.pace = new Pace((refresh) => this.go({ refresh }, { replace: true }));
    this.filters = el("div", { class: "boardfilters" });
    this.scroll = el("div", { class: "boardscroll", tabindex: "-1" });
    this.node = el(
      "div",
      { class: "boardpage", hidden: true },
      el(
        "div",
        { class: "boardbar" },
        this.tabs,
        el("span", { class: "space" }),
        this.told,
        this.again,
        this.pace.node,
        this.time.node,
      ),
      this.filters,
      this.scroll,
    );
    setInterval(() => this.beat(), 1000);
  }

  // --- what panels ask of their board -----------------------------------------------------------

  get zone() {
    return this.settings?.timezone === "utc" ? "utc" : "browser";
  }

  /** What the API is asked with. */
  body(width = 1000) {
    const width_px = Math.max(1, Math.min(10_000, width));
    return { ...this.range, width_px, variables: this.variables.values() };
  }

  /** What links of the board are filled with; the time range in words, so that "now" stays now. */
  scope() {
    const fixed = Object.fromEntries(
      (this.settings.templating?.list ?? []).filter((one) => one.type === "datasource").map((one) => [one.name, []]),
    );
    return { variables: { ...fixed, ...this.variables.values() }, from: this.said.from, to: this.said.to };
  }

  zoom(from, to) {
    this.go({ from: String(from), to: String(to) });
  }

  look(number) {
    this.go({ view: number });
  }

  fold(number) {
    const rows = new Set(this.state.rows);
    if (!rows.delete(number)) rows.add(number);
    this.go({ rows: [...rows] }, { replace: true });
  }

  waits() {
    const busy = this.grid?.busy ?? 0;
    if (busy > 0) this.began ??= Date.now();
    else if (this.began) [this.took, this.began] = [Date.now() - this.began, null];
    this.again.classList.toggle("turning", busy > 0);
    const then = this.range ? `as of ${moment(this.asOf, { zone: this.zone }).slice(11)}` : "";
    put(this.told, busy > 0 ? "asking…" : then);
  }

  // --- the address ------------------------------------------------------------------------------

  /** Goes to the present state with `change` applied. */
  go(change, { replace = false } = {}) {
    const target = boardAddress({ ...readBoard(location.hash), ...change });
    if (target === location.hash) return;
    history[replace ? "replaceState" : "pushState"](null, "", target);
    window.dispatchEvent(new Event("address"));
  }

  /** The app shows this page, or its address changed. */
  async show() {
    if (!readBoard(location.hash)) return;
    closePopover({ focus: false });
    if (!(await this.listed())) return;
    // The address may have moved on while the list was asked for.
    const state = readBoard(location.hash);
    if (!state) return;
    const before = this.settings && this.state?.uid === state.uid ? this.state : null;
    this.state = state;
    if (before || (await this.open(state.uid))) this.apply(before);
  }

  async listed() {
    if (this.list) return true;
    const answer = await this.asked(
      () => get("/api/boards"),
      () => !this.list && readBoard(location.hash),
    );
    this.list ??= answer?.boards ?? null;
    return Boolean(this.list);
  }

  /** What `ask` answers, or null and the reason on the page, where it is `wanted` still. */
  async asked(ask, wanted) {
    try {
      const answer = await ask();
      this.app.reached();
      return answer;
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      if (wanted()) this.cannot(error.message);
      return null;
    }
  }

  /** Says in place of the board why there is none. */
  cannot(sentence) {
    this.close();
    const again = () => ((this.state = null), this.show());
    put(
      this.scroll,
      el(
        "div",
        { class: "nomatch" },
        el("h2", null, "This board cannot be shown"),
        el("p", { class: "muted" }, sentence),
        el("button", { type: "button", class: "button", onclick: again }, "Try again"),
      ),
    );
    drawTabs(this.tabs, this.list ?? [], readBoard(location.hash));
  }

  close() {
    this.grid?.leave();
    this.variables?.leave();
    this.stop?.abort();
    this.cursor.clear();
    this.grid = this.settings = this.range = null;
    delete this.scroll.dataset.board;
    this.marks = [];
    put(this.filters);
  }

  /** Draws the frame of a board; false where another one, or none, is wanted by the time it is here. */
  async open(uid) {
    if (this.opening === uid) return false;
    this.close();
    this.opening = uid;
    const wanted = () => this.opening === uid && readBoard(location.hash)?.uid === uid;
    const settings = await this.asked(() => get(boardPath(uid)), wanted);
    const late = !wanted();
    if (this.opening === uid) this.opening = null;
    if (!settings || late) return false;
    this.settings = settings;
    this.variables = new Variables(this, settings, {
      change: (values) => this.choose(values),
      body: () => this.body(),
    });
    put(this.filters, this.variables.node);
    this.grid = new BoardGrid(this, settings, this.scroll);
    put(
      this.scroll,
      settings.description && el("p", { class: "boardsays muted" }, data(settings.description, 300)),
      this.grid.node,
    );
    this.scroll.scrollTop = 0;
    this.scroll.dataset.board = uid;
    return true;
  }

  /** Values of variables into the address; null takes one out of it. */
  choose(values) {
    const next = { ...readBoard(location.hash).values };
    for (const [name, chosen] of Object.entries(values)) {
      if (chosen === null) delete next[name];
      else next[name] = chosen;
    }
    this.go({ values: next });
  }

  /** Draws what the address says; `before` is the state that was drawn, null for a fresh board. */
  apply(before) {
    const { state } = this;
    this.said = {
      from: state.from ?? this.settings.time?.from ?? LAST.from,
      to: state.to ?? this.settings.time?.to ?? LAST.to,
    };
    const text = JSON.stringify([this.said, state.values]);
    const moved = !before || text !== this.text;
    this.text = text;
    this.variables.show(state.values);
    if (moved) this.now();
    document.title = `${shortTitle(this.settings.title)} · tollspan`;
    drawTabs(this.tabs, this.list ?? [], readBoard(location.hash));
    this.pace.show(state.refresh ?? this.settings.refresh);
    this.time.show(this.said, this.range, this.zone);
    const turned = before && before.view !== state.view;
    if (turned && state.view) this.left = this.scroll.scrollTop;
    this.grid.show(state);
    if (turned) this.scroll.scrollTop = state.view ? 0 : (this.left ?? 0);
    if (moved) for (const panel of this.grid.panels.values()) panel.stale();
    if (moved) this.ask();
    this.waits();
  }

  /** The range as it is at this moment. */
  now() {
    this.asOf = Date.now();
    this.range = resolved(this.said, this.asOf, this.zone);
    if (this.range) return;
    this.said = { ...LAST };
    this.range = resolved(LAST, this.asOf, this.zone);
  }

  refresh() {
    if (!this.grid) return void ((this.state = null), this.show());
    this.now();
    this.time.show(this.said, this.range, this.zone);
    this.ask(true);
  }

  /** Asks for what is in sight, and for the marks of the range. */
  async ask(again = false) {
    this.grid.load(again);
    if (!this.settings.annotations?.list?.length) return;
    this.stop?.abort();
    this.stop = new AbortController();
    try {
      const { annotations } = await askMarks(this.settings.uid, this.body(), this.stop.signal);
      if (JSON.stringify(annotations) === JSON.stringify(this.marks)) return;
      this.marks = annotations;
      this.grid.redraw();
    } catch (error) {
      if (!takenBack(error) && !(error instanceof Unavailable)) throw error;
    }
  }

  // --- by itself --------------------------------------------------------------------------------

  /** Whether the board asks again by itself: it may, and its range moves. */
  get moves() {
    return Boolean(this.grid) && this.pace.every > 0 && String(this.said.to).startsWith("now");
  }

  beat() {
    if (this.node.hidden) return this.cursor.clear();
    if (document.hidden || !this.moves || this.grid.busy) return;
    if (Date.now() - this.asOf >= this.pace.every) this.refresh();
  }

  /** Calls came in: sooner than the pace, but never so that asking is most of what is done. */
  changed() {
    if (!this.moves || this.grid.busy) return;
    if (Date.now() - this.asOf >= Math.max(LIVE_MS, 10 * this.took)) this.refresh();
  }

  /** Keys of this page; true when the key was one of them. */
  pressed(event) {
    const here = this.grid?.here;
    const acts = {
      j: () => this.grid?.step(1),
      k: () => this.grid?.step(-1),
      r: () => this.refresh(),
      z: () => this.time.out(),
      "[": () => this.time.move(-1),
      "]": () => this.time.move(1),
      v: () => (this.state.view ? this.look(null) : here && this.look(here.settings.id)),
      Escape: () => this.state?.view && this.look(null),
    };
    if (!this.grid || !Object.hasOwn(acts, event.key)) return false;
    acts[event.key]();
    return true;
  }
}
