// The empty list: it waits for the first call, teaches how to send one, and says what has arrived.

import { offer } from "./demo.js";
import { diagnostics } from "./diagnostics.js";
import { el, put } from "./dom.js";
import { logo } from "./icons.js";
import { tabs } from "./start.js";

/** Draws it into `place`, or only what has arrived where it is drawn. */
export async function waiting(place, app) {
  const status = await app.status();
  if (place.hidden || !status) return;
  const seen = place.querySelector(".diagnostics");
  if (seen) {
    const drawn = diagnostics(status);
    // A button of the list that is about to be pressed stays where it is.
    if (!drawn.isEqualNode(seen)) seen.replaceWith(drawn);
    return;
  }
  put(
    place,
    el(
      "div",
      { class: "waiting" },
      el(
        "div",
        { class: "hello" },
        el("span", { class: "pulse", "aria-hidden": "true" }, logo()),
        el(
          "div",
          null,
          el("h2", null, "Waiting for the first call…"),
          el(
            "p",
            { class: "muted" },
            "Start your program in one of three ways. The first call appears here by itself.",
          ),
        ),
      ),
      tabs(status),
      el("section", { class: "arrived" }, el("h3", null, "What has arrived"), diagnostics(status)),
      offer(app),
    ),
  );
}
