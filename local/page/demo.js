// Demo data: a made-up week of calls, put into the ledger with one click and taken out with another.

import { send, Unavailable } from "./api.js";
import { el, put } from "./dom.js";
import { counted } from "./format.js";
import { icon } from "./icons.js";

/** A button that asks the API once at a time and says meanwhile what it does. */
function asking(label, busy, method, app, { kind = "button", glyph = null } = {}) {
  const button = el("button", { type: "button", class: kind }, glyph && icon(glyph), label);
  button.addEventListener("click", async () => {
    button.disabled = true;
    put(button, busy);
    try {
      await send(method, "/api/demo");
      app.reached();
      await app.reload();
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      app.failed(error);
    }
    button.disabled = false;
    put(button, glyph && icon(glyph), label);
  });
  return button;
}

/** The offer under an empty list. */
export function offer(app) {
  return el(
    "section",
    { class: "offer" },
    el(
      "div",
      null,
      el("h3", null, "Or look around first"),
      el(
        "p",
        { class: "muted" },
        "A made-up week of a shop: 1,200 calls, a gateway, retries, a rate-limit storm, a prompt version that costs more. Marked as data mode “test”, counted in no budget, removed with one click.",
      ),
    ),
    asking("Load demo data", "Loading…", "POST", app, { glyph: "drain" }),
  );
}

/** What stands above the list while demo data is in the ledger. */
export function loaded(calls, app) {
  return el(
    "p",
    { class: "demobar", role: "note" },
    icon("warn"),
    el(
      "span",
      null,
      el("b", null, "Demo data"),
      ` is in the ledger: ${counted(calls, "made-up call")} of data mode “test”.`,
    ),
    el("a", { href: "#/boards/tollspan-overview?var-data_mode=test&from=now-3d&to=now" }, "See the boards with it"),
    asking("Remove it", "Removing…", "DELETE", app, { kind: "link" }),
  );
}
