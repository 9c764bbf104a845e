// The page of calls: summary, filters, the live list, and the pane of the selected call.

import { EVERYTHING, go, narrowed, query, read } from "./address.js";
import { get, Unavailable } from "./api.js";
import { loaded as demoBar } from "./demo.js";
import { el, put } from "./dom.js";
import { Feed } from "./feed.js";
import { Filters } from "./filters.js";
import { counted } from "./format.js";
import { icon } from "./icons.js";
import { Listing } from "./listing.js";
import { drawPane, paneFailed } from "./pane.js";
import { COLUMNS } from "./rows.js";
import { drawSummary, summed } from "./summary.js";
import { waiting } from "./waiting.js";

const TOP_PX = 8;
const NEAR_END_PX = 400;
const NEAR_END_ROWS = 8;

export class CallsPage {
  constructor(app) {
    this.app = app;
    this.filters = new Filters();
    this.strip = el("div", { class: "strip", role: "region", "aria-label": "Summary" });
    this.splits = el("div", { class: "splits", hidden: true, role: "region", "aria-label": "Where the money goes" });
    this.body = el("div", { role: "rowgroup", class: "rows" });
    this.foot = el("div", { class: "foot" });
    this.empty = el("div", { class: "empty", hidden: true });
    this.grid = el(
      "div",
      { role: "grid", class: "grid bare", "aria-label": "Calls, newest first", "aria-readonly": "true" },
      heads(),
      this.body,
    );
    this.banner = el("button", { type: "button", class: "banner", hidden: true, onclick: () => this.showPending() });
    this.scroller = el("div", { class: "scroller", tabindex: "0" }, this.grid, this.empty, this.foot);
    this.pane = el("aside", { class: "pane", hidden: true, "aria-label": "Selected call", tabindex: "-1" });
    const notice = el("div", { class: "notice", "aria-live": "polite" }, this.banner);
    const listing = el("div", { class: "listing" }, notice, this.scroller);
    const board = el("div", { class: "board" }, listing, this.pane);
    this.demo = el("div", { hidden: true });
    this.node = el(
      "div",
      { class: "calls", hidden: true },
      this.strip,
      this.splits,
      this.demo,
      this.filters.node,
      board,
    );
    this.list = new Listing(this.body, (id, whole) => this.open(id, whole));
    this.feed = new Feed(this.list, this, app);
    this.pending = 0;
    this.scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
    drawSummary(this.strip, this.splits, null);
  }

  /** Called for every address that shows this page; `back` where another one was shown before. */
  show(state, back) {
    this.filters.draw(state);
    this.splits.hidden = !state.breakdown;
    const anew = this.feed.follow(state);
    this.select(state.call);
    if (this.wasPaused && !state.paused) this.catchUp();
    this.wasPaused = state.paused;
    if (back && !anew) this.changed();
  }

  /** Whether new rows may go in: nobody is reading, nothing is selected, nothing is paused. */
  get following() {
    const state = read();
    const marked = getSelection();
    const marking = marked && !marked.isCollapsed && this.body.contains(marked.anchorNode);
    return !state.paused && !state.call && !this.cursor && !marking && this.scroller.scrollTop < TOP_PX;
  }

  changed() {
    return this.feed.changed();
  }

  /** Reads everything anew, whatever is selected: calls were put in or taken out on purpose. */
  async reload() {
    this.point(null);
    if (read().call) go({ call: null }, { replace: true });
    await this.feed.load();
  }

  // --- what the feed tells --------------------------------------------------------------------

  loaded() {
    this.filters.refresh();
    this.noteDemo();
    this.cursor = null;
    this.scroller.scrollTop = 0;
    this.settled();
    const { call } = read();
    if (call) {
      this.point(call);
      this.list.node(call)?.setAttribute("aria-selected", "true");
      this.list.node(call)?.scrollIntoView({ block: "nearest" });
    }
  }

  pendingRows(rows, orMore) {
    this.pending = rows;
    this.banner.hidden = rows === 0;
    if (rows) put(this.banner, icon("up"), `${rows}${orMore ? "+" : ""} new — show`);
  }

  stale(call) {
    if (call.call_id === read().call) drawPane(this.pane, call, this);
  }

  /** Says above the list that some of it is made up, while it is. */
  async noteDemo() {
    try {
      const { calls } = await get("/api/demo");
      this.demo.hidden = !calls;
      if (calls) put(this.demo, demoBar(calls, this.app));
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      this.app.failed(error);
    }
  }

  /** Draws the sums anew. Of answers that overtake one another only the one that was asked for last is drawn. */
  async counted() {
    const asked = query(read());
    this.sumsAsked = asked;
    try {
      const sums = await summed(asked);
      if (asked === this.sumsAsked) drawSummary(this.strip, this.splits, sums);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      this.app.failed(error);
    }
  }

  /** What stands under the rows, or in their place. */
  settled() {
    const none = this.list.size === 0;
    this.empty.hidden = !none;
    this.grid.classList.toggle("bare", none);
    if (none && narrowed(read())) this.nothingMatches();
    else if (none) waiting(this.empty, this.app);
    else put(this.empty);
    if (none) put(this.foot);
    else if (this.list.cursor)
      put(this.foot, el("button", { type: "button", class: "link", onclick: () => this.feed.more() }, "Load more"));
    else put(this.foot, el("span", { class: "muted" }, `${counted(this.list.size, "call")}, that is all`));
  }

  nothingMatches() {
    const clear = () => go(EVERYTHING);
    put(
      this.empty,
      el(
        "div",
        { class: "nomatch" },
        el("h2", null, "No call matches these filters"),
        el("p", { class: "muted" }, "New calls that match appear here by themselves."),
        el("button", { type: "button", class: "button", onclick: clear }, "Clear filters"),
      ),
    );
  }

  // --- what people do -------------------------------------------------------------------------

  async showPending() {
    if (read().call || read().paused) go({ call: null, paused: false }, { replace: true });
    this.point(null);
    getSelection()?.removeAllRanges();
    this.scroller.scrollTop = 0;
    await this.feed.newest();
    this.scroller.focus({ preventScroll: true });
  }

  catchUp() {
    if (this.pending && this.following) this.showPending();
    else this.changed();
  }

  scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.scroller;
    if (scrollTop < TOP_PX && this.pending && this.following) this.showPending();
    if (scrollTop > TOP_PX && scrollTop + clientHeight > scrollHeight - NEAR_END_PX) this.feed.more();
  }

  /** Selects a call for the pane, or opens its whole trace. */
  open(id, whole) {
    const call = this.list.call(id);
    const marked = getSelection();
    if (whole && call?.trace_id) go({ page: "trace", trace: call.trace_id, call: id, span: call.span_id });
    else if (!marked || marked.isCollapsed) {
      this.point(id);
      go({ call: id }, { replace: true });
    }
  }

  /** Moves the keyboard's place in the list. */
  point(id) {
    if (this.cursor) this.list.node(this.cursor)?.classList.remove("cursor");
    this.cursor = id;
    this.list.node(id)?.classList.add("cursor");
  }

  step(by) {
    const at = this.list.order.indexOf(this.cursor ?? read().call);
    const next = this.list.order[at < 0 ? 0 : Math.max(0, Math.min(this.list.size - 1, at + by))];
    if (!next) return;
    this.point(next);
    const node = this.list.node(next);
    node.focus({ preventScroll: true });
    node.scrollIntoView({ block: "nearest" });
    if (read().call) go({ call: next }, { replace: true });
    if (this.list.order.indexOf(next) > this.list.size - NEAR_END_ROWS) this.feed.more();
  }

  pressed(event) {
    const moves = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };
    if (event.key in moves) this.step(moves[event.key]);
    else if (event.key === "Enter" && this.cursor && !event.target.closest("button, a"))
      this.open(this.cursor, read().call === this.cursor);
    else if (event.key === "Escape") this.escape();
    else if (event.key === "b") go({ breakdown: !read().breakdown }, { replace: true });
    else return false;
    return true;
  }

  /** First closes the pane, then lets the row go, and with it the list run on. */
  escape() {
    const { call } = read();
    if (!call) return this.letGo();
    this.point(call);
    go({ call: null }, { replace: true });
    this.list.node(call)?.focus({ preventScroll: true });
  }

  /** Closes the pane and lets the row go. */
  letGo() {
    this.point(null);
    go({ call: null }, { replace: true });
    this.scroller.focus({ preventScroll: true });
    this.catchUp();
  }

  async select(id) {
    if (this.selected === id) return;
    this.list.node(this.selected)?.setAttribute("aria-selected", "false");
    this.list.node(id)?.setAttribute("aria-selected", "true");
    this.selected = id;
    this.pane.hidden = !id;
    this.node.classList.toggle("split-view", Boolean(id));
    if (!id) {
      put(this.pane);
      return;
    }
    if (!this.cursor) this.point(id);
    try {
      const call = this.list.call(id) ?? (await get(`/api/calls/${encodeURIComponent(id)}`));
      if (this.selected === id) await drawPane(this.pane, call, this);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      if (this.selected === id) paneFailed(this.pane, error.message, this);
    }
  }
}

function heads() {
  const names = COLUMNS.map(([key, name, meaning]) =>
    el("div", { role: "columnheader", class: `c-${key}`, title: meaning }, name),
  );
  return el("div", { role: "rowgroup", class: "heads" }, el("div", { role: "row", class: "head" }, names));
}
