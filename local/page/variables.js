// The variables of a board: what is chosen, and the menus to choose from.

import { Unavailable } from "./api.js";
import { askOptions, takenBack } from "./board_api.js";
import { data, el, put } from "./dom.js";
import { icon } from "./icons.js";
import { popover } from "./popover.js";

export const ALL = "$__all";
const MOST_SHOWN = 300;
const FULL_MENU = 500;

const list = (value) =>
  Array.isArray(value) ? value : value === undefined || value === null || value === "" ? [] : [value];
const isAll = (values) => values.length === 0 || values.includes(ALL);
/** Kinds that people choose; the others (a datasource, a constant) have one value here. */
const CHOSEN = new Set(["query", "custom", "textbox"]);

export class Variables {
  /** `change(values)` puts new values in the address; `body()` is what the API is asked with. */
  constructor(board, settings, { change, body }) {
    this.uid = settings.uid;
    this.of = (settings.templating?.list ?? []).filter((one) => CHOSEN.has(one.type) && one.hide !== 2);
    Object.assign(this, { change, body, said: {} });
    this.pills = new Map();
    this.node = el("div", { class: "variables", role: "group", "aria-label": "Filters" });
    put(
      this.node,
      this.of.map((one) => (one.type === "textbox" ? this.textbox(one) : this.pill(one))),
      (this.clear = el(
        "button",
        { type: "button", class: "quiet", hidden: true, onclick: () => this.reset() },
        icon("cross"),
        "Clear filters",
      )),
    );
  }

  /** Values by name as the address has them, else as the board does; never empty for a menu. */
  values(said = this.said) {
    return Object.fromEntries(
      this.of.map((one) => {
        const own = said[one.name] ?? list(one.current?.value ?? one.query ?? "");
        if (one.type === "textbox") return [one.name, [own[0] ?? ""]];
        return [one.name, isAll(own) ? [ALL] : [...new Set(own)]];
      }),
    );
  }

  show(said) {
    this.said = said;
    const values = this.values();
    for (const one of this.of) {
      const chosen = values[one.name];
      if (one.type === "textbox") {
        const input = this.pills.get(one.name);
        if (document.activeElement !== input) input.value = chosen[0];
        input.parentElement.classList.toggle("set", chosen[0] !== "");
      } else this.drawPill(one, chosen);
    }
    this.clear.hidden = !this.of.some(
      (one) => said[one.name] && JSON.stringify(values[one.name]) !== JSON.stringify(this.values({})[one.name]),
    );
  }

  drawPill(one, chosen) {
    const button = this.pills.get(one.name);
    const all = isAll(chosen);
    const [first, ...more] = chosen;
    button.classList.toggle("set", !all);
    put(
      button,
      el("span", { class: "muted" }, one.label || one.name),
      " ",
      all ? el("span", null, "All") : data(first, 40),
      more.length > 0 && el("span", { class: "muted num" }, `+${more.length}`),
      icon("down"),
    );
  }

  pill(one) {
    const button = el("button", {
      type: "button",
      class: "pill",
      "aria-haspopup": "dialog",
      "aria-expanded": "false",
      "data-variable": one.name,
      onclick: () => this.open(one, button),
    });
    this.pills.set(one.name, button);
    return button;
  }

  textbox(one) {
    const input = el("input", {
      type: "search",
      class: "boxinput",
      "aria-label": one.label || one.name,
      placeholder: "All",
      autocomplete: "off",
      spellcheck: "false",
      "data-variable": one.name,
      onchange: () => this.set(one.name, [input.value.trim()]),
    });
    this.pills.set(one.name, input);
    return el("label", { class: "pill box" }, el("span", { class: "muted" }, one.label || one.name), input);
  }

  reset() {
    this.change(Object.fromEntries(this.of.map((one) => [one.name, null])));
  }

  set(name, values) {
    this.said = { ...this.said, [name]: values };
    this.change({ [name]: values });
    this.follow(name);
  }

  /** A choice that another choice depends on was changed: what is no longer on its menu is let go. */
  async follow(name) {
    for (const one of this.of.filter((each) => each.name !== name && mentions(each, name))) {
      const chosen = this.values()[one.name];
      if (isAll(chosen)) continue;
      const offered = await this.options(one);
      if (this.left || !offered || offered.length >= FULL_MENU) continue;
      const left = chosen.filter((value) => offered.some((each) => each.value === value));
      if (left.length < chosen.length) this.change({ [one.name]: left.length ? left : [ALL] });
    }
  }

  /** Another board takes the place of this one: nothing chosen here may reach its address. */
  leave() {
    this.left = true;
    this.stop?.abort();
  }

  /** The choices now, or null when they cannot be had. */
  async options(one) {
    this.stop?.abort();
    this.stop = new AbortController();
    try {
      return (await askOptions(this.uid, one.name, this.body(), this.stop.signal)).options;
    } catch (error) {
      if (!takenBack(error) && !(error instanceof Unavailable)) throw error;
      return null;
    }
  }

  async open(one, button) {
    const chosen = new Set(this.values()[one.name].filter((value) => value !== ALL));
    const before = [...chosen].join("\n");
    const choices = new Choices(one, chosen, (value) => {
      chosen.clear();
      if (value !== null) chosen.add(value);
      button.click();
    });
    const box = popover(
      button,
      {
        label: one.label || one.name,
        onClose: () => [...chosen].join("\n") !== before && this.set(one.name, chosen.size ? [...chosen] : [ALL]),
      },
      choices.node,
    );
    if (!box) return;
    choices.search.focus();
    choices.offer(await this.options(one));
  }
}

const mentions = (one, name) => one.type === "query" && new RegExp(`\\$\\{?${name}\\b`).test(one.query?.rawSql ?? "");

/** The list in a variable's menu: `only(value or null)` ends it, ticks are put into `chosen`. */
class Choices {
  constructor(one, chosen, only) {
    Object.assign(this, { one, chosen, only, offered: null });
    const label = (one.label || one.name).toLowerCase();
    this.list = el("div", { class: "choices", role: "group", "aria-label": one.label || one.name });
    this.search = el("input", {
      type: "search",
      class: "field",
      placeholder: `Find ${label}`,
      "aria-label": `Find ${label}`,
      autocomplete: "off",
      spellcheck: "false",
      oninput: () => this.draw(),
    });
    this.node = el("div", { class: "choosing" }, this.search, this.list);
    this.node.addEventListener("keydown", (event) => this.walk(event));
    this.draw();
  }

  offer(options) {
    this.offered = options ?? [];
    this.draw();
  }

  draw() {
    const wanted = this.search.value.trim().toLowerCase();
    const offered = this.offered ?? [];
    const others = [...this.chosen]
      .filter((value) => !offered.some((each) => each.value === value))
      .map((value) => ({ value, text: value }));
    const found = [...others, ...offered].filter((each) => each.text.toLowerCase().includes(wanted));
    const focused = document.activeElement?.closest?.(".pickable")?.dataset.value;
    put(
      this.list,
      wanted === "" && this.all(),
      found.slice(0, MOST_SHOWN).map((each) => this.tick(each)),
      this.offered === null && el("p", { class: "muted none" }, "Reading…"),
      this.offered !== null &&
        found.length === 0 &&
        wanted === "" &&
        el("p", { class: "muted none" }, "Nothing in this range"),
      found.length > MOST_SHOWN &&
        el("p", { class: "muted none" }, `${found.length - MOST_SHOWN} more: type to find them`),
      wanted !== "" &&
        !found.some((each) => each.text === this.search.value.trim()) &&
        this.custom(this.search.value.trim()),
    );
    if (focused !== undefined)
      [...this.list.querySelectorAll(".pickable")]
        .find((node) => node.dataset.value === focused)
        ?.querySelector("button")
        ?.focus();
  }

  all() {
    const none = this.chosen.size === 0;
    return el(
      "button",
      { type: "button", class: "choice", "aria-pressed": String(none), onclick: () => this.only(null) },
      none ? icon("check") : el("i", { class: "gap" }),
      "All",
    );
  }

  tick({ value, text }) {
    const is = this.chosen.has(value);
    const flip = () => {
      this.chosen[is ? "delete" : "add"](value);
      this.draw();
    };
    return el(
      "div",
      { class: "pickable", "data-value": value },
      this.one.multi &&
        el(
          "button",
          {
            type: "button",
            class: "tickbox",
            role: "checkbox",
            "aria-checked": String(is),
            "aria-label": `${text.slice(0, 200)}, with others`,
            onclick: flip,
          },
          is && icon("check"),
        ),
      el(
        "button",
        { type: "button", class: "choice", title: text.slice(0, 400), onclick: () => this.only(value) },
        data(text, 80),
        el("span", { class: "only muted" }, "only"),
      ),
    );
  }

  custom(text) {
    return el(
      "button",
      { type: "button", class: "choice", onclick: () => this.only(text) },
      el("i", { class: "gap" }),
      "Take ",
      data(text, 60),
    );
  }

  walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const places = [...this.list.querySelectorAll(".choice")];
    const now = places.findIndex(
      (one) =>
        one === document.activeElement ||
        (one.parentElement.contains(document.activeElement) && one.parentElement.matches(".pickable")),
    );
    if (step) (places[now + step] ?? (step < 0 ? this.search : places.at(-1)))?.focus();
    else if (event.key === "Enter" && event.target === this.search)
      (this.list.querySelector(".pickable .choice") ?? places[0])?.click();
    else if (event.key === " " && this.one.multi && event.target.matches(".pickable .choice"))
      event.target.parentElement.querySelector(".tickbox").click();
    else return;
    event.preventDefault();
  }
}
