// The filter bar: search, menus, and a removable chip for what is set.

import { EVERYTHING, FILTERS, filterName, go, narrowed, RANGES, read, UNKNOWN_VALUE } from "./address.js";
import { get, Unavailable } from "./api.js";
import { data, el, put } from "./dom.js";
import { clock } from "./format.js";
import { icon } from "./icons.js";
import { menu } from "./menu.js";

const IN_BAR = ["endpoint", "tenant", "model", "route", "status", "data_mode"];
const SEARCH_PAUSE_MS = 250;

const said = (value) => (value === UNKNOWN_VALUE ? "not known" : value);

export class Filters {
  constructor() {
    this.values = {};
    this.search = el("input", {
      type: "search",
      class: "field",
      id: "search",
      placeholder: "Search calls",
      "aria-label": "Search calls",
      "aria-keyshortcuts": "/",
      autocomplete: "off",
      spellcheck: "false",
      maxlength: "200",
    });
    this.search.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => go({ q: this.search.value.trim() }, { replace: true }), SEARCH_PAUSE_MS);
    });
    this.menus = IN_BAR.map((name) =>
      menu({
        label: FILTERS[name],
        values: () => [...(this.values[name] ?? []), UNKNOWN_VALUE],
        chosen: () => read().filters[name],
        choose: (value) => this.choose(name, value),
        names: said,
        refresh: () => this.refresh(),
      }),
    );
    this.range = menu({
      label: "Time",
      values: () => Object.keys(RANGES),
      chosen: () => read().range,
      choose: (value) => go({ range: value, since: "", until: "" }),
      names: (value) => RANGES[value][0],
    });
    this.chips = el("div", { class: "chips", "aria-label": "Active filters" });
    this.node = el(
      "div",
      { class: "filters", role: "search" },
      el("label", { class: "searchbox" }, icon("search"), this.search, el("kbd", { "aria-hidden": "true" }, "/")),
      this.menus.map((one) => one.button),
      this.range.button,
      this.chips,
    );
  }

  /** Sets or clears one filter. */
  choose(name, value) {
    const filters = { ...read().filters };
    delete filters[name];
    if (value) filters[name] = value;
    go({ filters });
  }

  draw(state) {
    if (document.activeElement !== this.search) this.search.value = state.q;
    for (const one of [...this.menus, this.range]) one.draw();
    const chip = (label, value, remove) =>
      el(
        "span",
        { class: "chip removable" },
        el("span", { class: "muted" }, `${label} `),
        data(value, 48),
        el(
          "button",
          { type: "button", class: "quiet", "aria-label": `Remove filter ${label}`, onclick: remove },
          icon("cross"),
        ),
      );
    put(
      this.chips,
      Object.entries(state.filters).map(([name, value]) =>
        chip(filterName(name), said(value), () => this.choose(name, "")),
      ),
      state.unpriced && chip("Cost", "unpriced", () => go({ unpriced: false })),
      state.range && chip("Time", RANGES[state.range][0], () => go({ range: "" })),
      state.since && chip("Since", clock(state.since), () => go({ since: "" })),
      state.until && chip("Until", clock(state.until), () => go({ until: "" })),
      state.q && chip("Text", state.q, () => go({ q: "" })),
      narrowed(state) && el("button", { type: "button", class: "link", onclick: () => go(EVERYTHING) }, "Clear all"),
    );
    this.chips.hidden = !narrowed(state);
  }

  /** Asks for the values on offer; a failure leaves the ones that are there. */
  async refresh() {
    try {
      this.values = await get("/api/filters");
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
    }
  }
}
