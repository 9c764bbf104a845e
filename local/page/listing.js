// The rows that are shown: newest first, each call once, ends of fetched pages remembered.

import { redraw, row } from "./rows.js";

const MOST_ROWS = 600;

/** Keeps calls and their rows in one order and touches only the rows that changed. */
export class Listing {
  constructor(body, onOpen) {
    this.body = body;
    this.onOpen = onOpen;
    this.clear();
  }

  clear() {
    this.entries = new Map(); // call_id → {call, text, node, cursor?}
    this.order = [];
    this.body.replaceChildren();
  }

  get size() {
    return this.order.length;
  }

  call(id) {
    return this.entries.get(id)?.call ?? null;
  }

  node(id) {
    return this.entries.get(id)?.node ?? null;
  }

  has(id) {
    return this.entries.has(id);
  }

  /** Cursor to ask for older calls with, null when the last row is the oldest call. */
  get cursor() {
    return this.order.length ? (this.entries.get(this.order.at(-1)).cursor ?? null) : null;
  }

  /** Redraws the rows of calls that are here and have changed, and returns those. */
  update(calls) {
    const changed = [];
    for (const call of calls) {
      const entry = this.entries.get(call.call_id);
      const text = entry && JSON.stringify(call);
      if (!entry || text === entry.text) continue;
      Object.assign(entry, { call, text });
      redraw(entry.node, call);
      changed.push(call);
    }
    return changed;
  }

  /** Adds a page of calls where they belong; `next` is the cursor behind its last call. */
  merge(calls, next, fresh) {
    this.update(calls);
    for (const call of calls) {
      if (this.entries.has(call.call_id)) continue;
      const node = row(call, this.onOpen);
      if (fresh) node.classList.add("fresh");
      this.entries.set(call.call_id, { call, text: JSON.stringify(call), node });
      this.place(call);
    }
    const last = calls.at(-1);
    if (last) this.entries.get(last.call_id).cursor = next;
  }

  place(call) {
    const later = (other) => other.time > call.time || (other.time === call.time && other.call_id > call.call_id);
    let low = 0;
    let high = this.order.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (later(this.entries.get(this.order[middle]).call)) low = middle + 1;
      else high = middle;
    }
    const before = low < this.order.length ? this.node(this.order[low]) : null;
    this.body.insertBefore(this.node(call.call_id), before);
    this.order.splice(low, 0, call.call_id);
  }

  /** Lets go of the oldest rows, back to the end of a page, so that the rest can be asked for again. */
  trim() {
    if (this.order.length <= MOST_ROWS) return;
    const end = this.order.findIndex((id, n) => n >= MOST_ROWS / 2 && this.entries.get(id).cursor);
    if (end < 0) return;
    for (const id of this.order.splice(end + 1)) {
      this.node(id).remove();
      this.entries.delete(id);
    }
  }
}
