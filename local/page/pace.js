// How often a board asks again by itself.

import { el, put } from "./dom.js";
import { icon } from "./icons.js";
import { closePopover, popover } from "./popover.js";

const PACES = { off: 0, "5s": 5000, "10s": 10_000, "30s": 30_000, "1m": 60_000, "5m": 300_000, "15m": 900_000 };

export class Pace {
  /** `change(name)` puts another pace in the address. */
  constructor(change) {
    this.change = change;
    this.name = "off";
    this.node = el("button", {
      type: "button",
      class: "pill",
      "aria-haspopup": "dialog",
      "aria-expanded": "false",
      onclick: () => this.choose(),
    });
  }

  /** ms from one asking to the next; 0 for never. */
  get every() {
    return PACES[this.name];
  }

  show(name) {
    this.name = Object.hasOwn(PACES, name ?? "") ? name : "off";
    put(this.node, el("span", { class: "muted" }, "Refresh"), el("span", null, this.name), icon("down"));
  }

  choose() {
    const take = (name) => (closePopover(), this.change(name));
    const choices = Object.keys(PACES).map((name) =>
      el(
        "button",
        { type: "button", class: "choice", "aria-pressed": String(name === this.name), onclick: () => take(name) },
        name === "off" ? "off" : `every ${name}`,
      ),
    );
    const box = popover(this.node, { label: "Refresh", right: true }, el("div", { class: "quick" }, choices));
    box?.querySelector('[aria-pressed="true"]').focus();
  }
}
