// The boards on offer: the very files that Grafana shows, each a question.

import { get, Unavailable } from "./api.js";
import { data, el, put } from "./dom.js";
import { icon } from "./icons.js";

const PREFIX = /^tollspan:\s*/i;

export class BoardsPage {
  constructor(app) {
    this.app = app;
    this.list = el("div", { class: "boardlist" });
    this.node = el(
      "div",
      { class: "boards paged", hidden: true },
      el(
        "header",
        { class: "pagehead" },
        el("h1", null, "Boards"),
        el("p", { class: "muted" }, "The same files that Grafana shows, asked of the ledger on this machine."),
      ),
      this.list,
    );
  }

  async show() {
    await this.changed();
  }

  async changed() {
    try {
      const { boards } = await get("/api/boards");
      this.app.reached();
      this.draw(boards ?? []);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      this.app.failed(error);
    }
  }

  draw(boards) {
    const text = JSON.stringify(boards);
    if (text === this.drawn) return;
    this.drawn = text;
    put(
      this.list,
      boards.length === 0 && el("p", { class: "muted" }, "This installation brings no boards."),
      boards.map((board) =>
        el(
          "a",
          { class: "card boardcard", href: `#/boards/${encodeURIComponent(board.uid)}` },
          icon("chart"),
          el("h2", null, data(String(board.title ?? board.uid).replace(PREFIX, ""), 80)),
          board.description && el("p", { class: "muted" }, data(board.description, 300)),
        ),
      ),
    );
  }

  pressed(event) {
    if (event.key !== "Escape") return false;
    location.hash = "#/calls";
    return true;
  }
}
