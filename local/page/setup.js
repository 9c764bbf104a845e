// The page of this installation: how to send calls here, what has arrived, which settings are in force.

import { get, Unavailable } from "./api.js";
import { loaded, offer } from "./demo.js";
import { diagnostics } from "./diagnostics.js";
import { data, el, put } from "./dom.js";
import { bytes, clock, count, counted } from "./format.js";
import { tabs } from "./start.js";

function about(status) {
  const facts = [
    ["version", status.version],
    ["OTLP/HTTP", status.http],
    ["OTLP/gRPC", status.grpc],
    ["page", status.page],
    ["token", status.with_token ? "asked for" : "not asked for: only this machine reaches the ports"],
    ["data directory", status.data_dir],
    ["ledger", `${count(status.ledger_rows)} rows, ${bytes(status.ledger_bytes)}`],
    ["running since", clock(status.started)],
    ["compiled parts", status.compiled ? null : "absent: no compiler when tollspan was installed; spans go in more slowly"],
  ].filter(([, value]) => value !== null && value !== undefined);
  return el(
    "section",
    { class: "card" },
    el("h2", null, "This tollspan"),
    el(
      "dl",
      { class: "install" },
      facts.map(([name, value]) => [el("dt", null, name), el("dd", { class: "num" }, data(value, 300))]),
    ),
    el("p", { class: "muted" }, "Calls stay in the data directory on this machine. Message content is never recorded."),
  );
}

/** The settings of the running process: those that somebody chose first, the others folded away. */
function settings(all) {
  const line = (one) =>
    el(
      "tr",
      null,
      el("th", { scope: "row" }, el("code", null, one.variable)),
      el("td", { class: "num" }, one.value === "" ? el("span", { class: "muted" }, "not set") : data(one.value, 200)),
      el("td", { class: "muted" }, data(one.doc, 400)),
    );
  const table = (rows, name) =>
    el(
      "table",
      { class: "settings", "aria-label": name },
      el(
        "thead",
        null,
        el(
          "tr",
          null,
          ["Variable", "Value", "Meaning"].map((head) => el("th", { scope: "col" }, head)),
        ),
      ),
      el("tbody", null, rows.map(line)),
    );
  const chosen = all.filter((one) => one.set);
  const usual = all.filter((one) => !one.set);
  return el(
    "section",
    { class: "card inforce" },
    el("h2", null, "Settings in force"),
    el("p", { class: "muted" }, "Of the environment in which this was started. A program that is watched has its own."),
    chosen.length
      ? table(chosen, "Settings that are set")
      : el("p", null, "Nothing is set: all settings are as they come."),
    el(
      "details",
      null,
      el("summary", null, `${counted(usual.length, "setting")} as they come`),
      table(usual, "Settings as they come"),
    ),
  );
}

export class SetupPage {
  constructor(app) {
    this.app = app;
    this.node = el("div", { class: "setup", hidden: true });
  }

  async show() {
    await this.changed();
  }

  async changed() {
    try {
      const status = await get("/api/status");
      this.inForce ??= (await get("/api/settings")).settings ?? [];
      this.app.reached();
      this.draw(status);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      this.app.failed(error);
    }
  }

  draw(status) {
    if (!this.side) {
      this.arrived = el("section", { class: "card" });
      this.about = el("div");
      this.demo = el("section", { class: "card" });
      this.side = el("div", { class: "setupside" }, this.arrived, this.about);
      const send = el("section", { class: "card" }, el("h2", null, "Send calls here"), tabs(status));
      put(this.node, el("div", { class: "setupmain" }, send, this.demo, settings(this.inForce)), this.side);
    }
    // Drawn anew only when it says something else, so that a button under the pointer stays.
    const draw = (place, ...children) => {
      const fresh = put(place.cloneNode(false), children);
      if (!fresh.isEqualNode(place)) put(place, children);
    };
    draw(this.arrived, el("h2", null, "What has arrived"), diagnostics(status));
    draw(this.about, about(status));
    const here = status.demo_calls ?? 0;
    draw(this.demo, el("h2", null, "Demo data"), here ? loaded(here, this.app) : offer(this.app));
  }

  pressed(event) {
    if (event.key !== "Escape") return false;
    location.hash = "#/calls";
    return true;
  }
}
