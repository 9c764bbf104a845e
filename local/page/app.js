// The frame of the page: header, address, keyboard, live feed; the pages do the rest.

import { go, read, written } from "./address.js";
import { get, Live, Unavailable } from "./api.js";
import { BoardsPage } from "./boardlist.js";
import { BudgetsPage } from "./budgets.js";
import { CallsPage } from "./calls.js";
import { el, put } from "./dom.js";
import { icon, logo } from "./icons.js";
import { Later } from "./later.js";
import { close } from "./menu.js";
import { SetupPage } from "./setup.js";
import { TracePage } from "./trace.js";

const KEYS = [
  ["j  k", "next, previous row"],
  ["Enter", "open the call; again: the whole trace"],
  ["h  l", "fold, unfold in the waterfall"],
  ["Esc", "close, clear, go back"],
  ["/", "search"],
  ["b", "where the money goes"],
  ["p", "pause, resume"],
  ["t", "light, dark, as the system"],
  ["?", "this help"],
];

const TITLES = {
  calls: "Calls",
  trace: "Trace",
  boards: "Boards",
  board: "Board",
  budgets: "Budgets",
  setup: "Setup",
};

// Pages that stand under the entry of another one.
const UNDER = { trace: "calls", board: "boards" };

const THEMES = { auto: ["auto", "As the system"], light: ["sun", "Light"], dark: ["moon", "Dark"] };

class App {
  constructor() {
    this.main = document.getElementById("main");
    this.pages = {
      calls: new CallsPage(this),
      trace: new TracePage(this),
      boards: new BoardsPage(this),
      board: new Later(this, async () => new (await import("./boards.js")).BoardPage(this)),
      budgets: new BudgetsPage(this),
      setup: new SetupPage(this),
    };
    this.feed = el("span", { class: "feed", role: "status" });
    this.pause = el("button", {
      type: "button",
      class: "quiet",
      "aria-keyshortcuts": "p",
      onclick: () => this.togglePause(),
    });
    this.split = el(
      "button",
      {
        type: "button",
        class: "quiet",
        title: "Where the money goes (b)",
        "aria-label": "Where the money goes",
        "aria-keyshortcuts": "b",
        onclick: () => go({ breakdown: !read().breakdown }, { replace: true }),
      },
      icon("chart"),
    );
    this.theme = el("button", {
      type: "button",
      class: "quiet",
      "aria-keyshortcuts": "t",
      onclick: () => this.nextTheme(),
    });
    this.links = Object.fromEntries(
      ["calls", "boards", "budgets", "setup"].map((name) => [name, el("a", { href: `#/${name}` }, TITLES[name])]),
    );
    this.help = el(
      "dialog",
      { class: "help", "aria-label": "Keyboard" },
      el("h2", null, "Keyboard"),
      el(
        "dl",
        null,
        KEYS.map(([keys, does]) => [
          el(
            "dt",
            null,
            keys.split("  ").map((one) => el("kbd", null, one)),
          ),
          el("dd", null, does),
        ]),
      ),
      el("button", { type: "button", class: "button", onclick: () => this.help.close() }, "Close"),
    );
    this.alert = el("p", { class: "alert", role: "alert", hidden: true });
    const helpButton = el(
      "button",
      {
        type: "button",
        class: "quiet mark",
        title: "Keyboard (?)",
        "aria-label": "Keyboard help",
        onclick: () => this.help.showModal(),
      },
      "?",
    );
    put(
      document.getElementById("top"),
      el(
        "a",
        { class: "brand", href: "#/calls", "aria-label": "tollspan, all calls" },
        logo(),
        el("b", null, "tollspan"),
      ),
      el("nav", { "aria-label": "Pages" }, Object.values(this.links)),
      el("span", { class: "space" }),
      this.feed,
      this.pause,
      this.split,
      this.theme,
      helpButton,
    );
    put(
      this.main,
      this.alert,
      Object.values(this.pages).map((page) => page.node),
    );
    document.body.append(this.help);
    this.drawTheme();
    window.addEventListener("address", () => this.route());
    window.addEventListener("popstate", () => this.route());
    window.addEventListener("hashchange", () => this.route());
    document.addEventListener("keydown", (event) => this.pressed(event));
    this.live = new Live(
      () => this.page?.changed(),
      (state) => this.drawFeed(state),
      () => this.reload(),
    );
    this.route();
    this.live.start();
    this.pulse = setInterval(() => this.waits(), 2000);
  }

  /** While no call is here the diagnostics move on their own: a span that is no call raises no event. */
  waits() {
    const { calls } = this.pages;
    if (document.hidden) return;
    if (this.page === calls && calls.list.size === 0 && calls.loaded) calls.settled();
    if ([this.pages.setup, this.pages.budgets].includes(this.page)) this.page.changed();
  }

  /** Calls were put in or taken out on purpose: everything is read anew. */
  async reload() {
    await this.pages.calls.reload();
    if (this.page !== this.pages.calls) await this.page.changed();
  }

  route() {
    const state = read();
    if (location.hash && written(state) === this.last) return;
    this.last = written(state);
    close();
    const page = this.pages[state.page];
    const back = this.page && this.page !== page;
    this.page = page;
    for (const one of Object.values(this.pages)) one.node.hidden = one !== page;
    for (const [name, link] of Object.entries(this.links)) {
      const here = name === (UNDER[state.page] ?? state.page);
      link[here ? "setAttribute" : "removeAttribute"]("aria-current", "page");
    }
    if (state.page === "calls" || state.page === "trace")
      this.links.calls.setAttribute("href", written({ ...state, page: "calls", span: null, trace: null }));
    this.split.hidden = state.page !== "calls";
    this.split.setAttribute("aria-pressed", String(state.breakdown));
    document.title = `${TITLES[state.page]} · tollspan`;
    this.drawFeed(this.feedState ?? "connecting");
    // While another page was open nothing was read for this one: it asks anew, once.
    this.page.show(state, back);
  }

  togglePause() {
    go({ paused: !read().paused }, { replace: true });
  }

  drawFeed(state) {
    this.feedState = state;
    const { paused } = read();
    const [kind, word] = paused
      ? ["warn", "paused"]
      : this.down
        ? ["bad", "no answer"]
        : ({ live: ["good", "live"], polling: ["warn", "polling"] }[state] ?? ["muted", "connecting"]);
    if (this.feed.textContent !== word) put(this.feed, el("i", { class: "dot" }), word);
    this.feed.className = `feed ${kind}`;
    put(this.pause, icon(paused ? "play" : "pause"));
    this.pause.setAttribute("aria-label", paused ? "Resume" : "Pause");
    this.pause.title = paused ? "Resume (p)" : "Pause (p)";
    this.pause.setAttribute("aria-pressed", String(paused));
  }

  /** The API answered. */
  reached() {
    if (!this.down) return;
    this.down = false;
    this.alert.hidden = true;
    this.drawFeed(this.feedState);
  }

  /** The API did not answer, or refused: one sentence on top, what is shown stays. */
  failed(error) {
    this.down = true;
    this.alert.hidden = false;
    put(this.alert, icon("warn"), error.message);
    this.drawFeed(this.feedState);
  }

  /** `/api/status`, or null while it cannot be had. */
  async status() {
    try {
      return await get("/api/status");
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      this.failed(error);
      return null;
    }
  }

  get themed() {
    return document.documentElement.dataset.theme ?? "auto";
  }

  nextTheme() {
    const names = Object.keys(THEMES);
    const next = names[(names.indexOf(this.themed) + 1) % names.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      if (next === "auto") localStorage.removeItem("tollspan.theme");
      else localStorage.setItem("tollspan.theme", next);
    } catch {
      // Storage may be switched off: then the choice lasts as long as the page.
    }
    this.drawTheme();
  }

  drawTheme() {
    const [glyph, name] = THEMES[this.themed];
    put(this.theme, icon(glyph));
    this.theme.setAttribute("aria-label", `Theme: ${name.toLowerCase()}`);
    this.theme.title = `Theme: ${name.toLowerCase()} (t)`;
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.help.open) return;
    if (event.target.matches("input, textarea, select")) {
      if (event.key === "Escape" && !close()) event.target.blur();
      return;
    }
    if (event.key === "Escape" && close()) return;
    const acts = {
      "/": () => this.pages.calls.filters.search.focus(),
      p: () => this.togglePause(),
      t: () => this.nextTheme(),
      "?": () => this.help.showModal(),
    };
    const act = event.key === "/" && this.page !== this.pages.calls ? null : acts[event.key];
    if (act) act();
    else if (event.target.closest("[role=tablist], .menu") || !this.page.pressed(event)) return;
    event.preventDefault();
  }
}

new App();
