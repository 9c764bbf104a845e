// The range of time of a board: quick ranges, two ends in words, and buttons to move about.

import { el, put } from "./dom.js";
import { icon } from "./icons.js";
import { closePopover, popover } from "./popover.js";
import { described, moved, QUICK, resolved, written, zoomedOut } from "./timerange.js";

export class TimePicker {
  /** `change({from, to})` gets the two ends in the words of an address. */
  constructor(change) {
    this.change = change;
    this.button = el("button", {
      type: "button",
      class: "pill range",
      "aria-haspopup": "dialog",
      "aria-expanded": "false",
      onclick: () => this.open(),
    });
    const quiet = (glyph, label, onclick, keys) =>
      el(
        "button",
        {
          type: "button",
          class: "quiet",
          title: `${label} (${keys})`,
          "aria-label": label,
          "aria-keyshortcuts": keys,
          onclick,
        },
        icon(glyph),
      );
    this.node = el(
      "div",
      { class: "timepicker", role: "group", "aria-label": "Time range" },
      quiet("left", "Earlier", () => this.move(-1), "["),
      this.button,
      quiet("right", "Later", () => this.move(1), "]"),
      quiet("zoomout", "Zoom out", () => this.out(), "z"),
    );
  }

  show(said, range, zone) {
    Object.assign(this, { said, range, zone });
    put(
      this.button,
      icon("clock"),
      el("span", { class: "num" }, described(said, zone)),
      el("span", { class: "muted" }, zone === "utc" ? "UTC" : ""),
      icon("down"),
    );
  }

  move(by) {
    this.change(moved(this.range, by));
  }

  out() {
    this.change(zoomedOut(this.range));
  }

  open() {
    const input = (name, value) =>
      el("input", {
        class: "field",
        name,
        value: written(value, this.zone),
        "aria-label": name,
        autocomplete: "off",
        spellcheck: "false",
      });
    const [from, to] = [input("From", this.said.from), input("To", this.said.to)];
    const wrong = el("p", { class: "bad", role: "alert" });
    const take = (event) => {
      event?.preventDefault();
      const said = { from: from.value.trim(), to: to.value.trim() };
      const found = resolved(said, Date.now(), this.zone);
      if (!found) {
        put(wrong, "Write 2026-11-21 09:00, or now-6h; the end comes after the beginning.");
        return;
      }
      closePopover();
      // What is no word of now is kept as the moment it means.
      this.change(
        Object.fromEntries(
          ["from", "to"].map((end) => [end, said[end].startsWith("now") ? said[end] : String(found[end])]),
        ),
      );
    };
    const box = popover(
      this.button,
      { label: "Time range", right: true, wide: true },
      el(
        "form",
        { class: "absolute", onsubmit: take },
        el("label", null, "From", from),
        el("label", null, "To", to),
        wrong,
        el("button", { type: "submit", class: "button small" }, "Apply"),
        el(
          "p",
          { class: "muted" },
          this.zone === "utc" ? "Times are UTC, as on the boards." : "Times are this browser's.",
        ),
      ),
      el(
        "div",
        { class: "quick" },
        QUICK.map(([begin, end, name]) =>
          el(
            "button",
            {
              type: "button",
              class: "choice",
              "aria-pressed": String(begin === this.said.from && end === this.said.to),
              onclick: () => (closePopover(), this.change({ from: begin, to: end })),
            },
            name,
          ),
        ),
      ),
    );
    box?.querySelector('[aria-pressed="true"], .choice')?.focus();
  }
}
