// Keeps the list of calls level with the ledger, without moving what somebody is reading.

import { query, read } from "./address.js";
import { get, Unavailable } from "./api.js";

const PAGE = 50;
// Pages read to close the gap between the newest call and the list; beyond it the list starts anew.
const MOST_PAGES = 4;

// Between two refreshes, so that a busy service does not keep the ledger busy with its own picture.
const REST_MS = 400;

const keyOf = (state) => `${query({ ...state, range: "" })}&${state.range}`;

/** `view` is asked `following` and told `loaded()`, `pendingRows(n, orMore)`, `settled()`, `counted()`, `stale(call)`. */
export class Feed {
  constructor(list, view, app) {
    Object.assign(this, { list, view, app, key: null, loaded: false });
  }

  /** Starts anew when the filters of `state` are others; true when it did. */
  follow(state) {
    const key = keyOf(state);
    if (key === this.key) return false;
    this.key = key;
    this.load();
    return true;
  }

  load() {
    this.loading = this.anew();
    return this.loading;
  }

  async anew() {
    const { key } = this;
    this.view.pendingRows(0, false);
    const page = await this.page(null);
    if (!page || key !== this.key) return;
    this.list.clear();
    this.list.merge(page.calls, page.next, false);
    this.loaded = true;
    this.view.loaded();
    await this.view.counted();
  }

  /** One page of calls older than the cursor `before`, or null while the API does not answer. */
  async page(before) {
    const asked = query(read());
    asked.set("limit", PAGE);
    if (before) asked.set("before", before);
    try {
      const page = await get("/api/calls", asked);
      this.app.reached();
      return page;
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      this.app.failed(error);
      return null;
    }
  }

  /** Something may have changed. One refresh runs at a time; what comes meanwhile makes one more. */
  async changed() {
    if (this.refreshing) {
      this.again = true;
      return;
    }
    this.refreshing = true;
    try {
      do {
        this.again = false;
        await this.refresh();
        if (this.again) await new Promise((resolve) => setTimeout(resolve, REST_MS));
      } while (this.again);
    } finally {
      this.refreshing = false;
    }
  }

  async refresh() {
    // A second load would put in what came meanwhile, under the eyes of somebody who has paused.
    if (!this.loaded) await this.loading;
    if (!this.loaded) return this.load();
    const { key } = this;
    const page = await this.page(null);
    if (!page || key !== this.key) return;
    const fresh = page.calls.filter((call) => !this.list.has(call.call_id)).length;
    if (fresh === 0) this.view.pendingRows(0, false);
    else if (this.view.following || this.list.size === 0) await this.insert(page);
    else this.view.pendingRows(fresh, fresh === page.calls.length);
    if (!read().paused) {
      for (const call of this.list.update(page.calls)) this.view.stale(call);
      await this.view.counted();
    }
    this.view.settled();
  }

  /** Puts a newest page in, and the pages between it and what is shown. */
  async insert(first) {
    const pages = [first];
    const apart = () => this.list.size > 0 && !pages.at(-1).calls.some((call) => this.list.has(call.call_id));
    while (pages.at(-1).next && apart()) {
      if (pages.length === MOST_PAGES) {
        this.list.clear();
        pages.length = 1;
        break;
      }
      const page = await this.page(pages.at(-1).next);
      if (!page) return;
      pages.push(page);
    }
    for (const page of pages) this.list.merge(page.calls, page.next, true);
    this.list.trim();
    this.view.pendingRows(0, false);
    this.view.settled();
  }

  /** Reads the newest calls and shows them now. */
  async newest() {
    const page = await this.page(null);
    if (page) await this.insert(page);
    await this.view.counted();
  }

  /** Adds the next older page. */
  async more() {
    const { cursor } = this.list;
    if (!cursor || this.reading) return;
    this.reading = true;
    const { key } = this;
    const page = await this.page(cursor);
    if (page && key === this.key) this.list.merge(page.calls, page.next, false);
    this.reading = false;
    this.view.settled();
  }
}
