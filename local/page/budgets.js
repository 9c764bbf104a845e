// The page of budgets: how much of each is used, where it ends at this pace, whom to ask, when it starts anew.

import { filterable, filterName } from "./address.js";
import { get, Unavailable } from "./api.js";
import { clip, data, el, put } from "./dom.js";
import { count, counted } from "./format.js";
import { icon } from "./icons.js";
import { exact, total, units } from "./money.js";
import { snippet } from "./start.js";

const STATES = {
  ok: ["good", "check", "within budget"],
  soft: ["warn", "warn", "above the soft mark"],
  hard: ["bad", "stop", "used up"],
};
const PERIODS = { day: "daily", week: "weekly", month: "monthly" };
// A bar ends here, whatever was spent: one budget burnt tenfold must not flatten all others.
const WIDEST = 1.25;

const EXAMPLE = `[[budgets]]
name = "acme monthly"
period = "month"          # day, week or month, in UTC
limit_usd = 2000
soft_ratio = 0.8          # where it turns amber
owner = "growth team"
contact = "#team-growth"
[budgets.filters]         # none: everything counts
tenant = "acme"
"tag.team" = "growth"
`;

/** `part` of `whole`, both decimal strings, as a number for the width of a bar only. */
function ratioOf(part, whole) {
  const [size, all] = [units(part), units(whole)];
  if (size === null || all === null || all <= 0n || size <= 0n) return 0;
  return Number((size * 10000n) / all) / 10000;
}

const width = (ratio) => `${((Math.min(ratio, WIDEST) / WIDEST) * 100).toFixed(2)}%`;

/** Days and hours, or hours and minutes. */
export function until(iso, now = Date.now()) {
  const minutes = Math.max(0, Math.floor((new Date(iso).getTime() - now) / 60000));
  if (!Number.isFinite(minutes)) return "unknown";
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60)];
  return days ? `${days} d ${hours} h` : `${hours} h ${minutes % 60} min`;
}

/** Where the calls of a budget are listed, or null where the list cannot be filtered like that. */
function callsOf(budget) {
  const filters = Object.entries(budget.filters ?? {});
  if (!filters.every(([name]) => filterable(name))) return null;
  const asked = new URLSearchParams(filters.map(([name, value]) => [name, value === "" ? "-" : value]));
  asked.set("since", budget.period_start);
  return `#/calls?${asked}`;
}

const named = (name) => (filterable(name) ? filterName(name) : name);

function scope(budget) {
  const filters = Object.entries(budget.filters ?? {});
  if (filters.length === 0) return el("span", { class: "muted" }, "everything");
  return filters.map(([name, value]) =>
    el(
      "span",
      { class: "chip", title: clip(`${named(name)}: ${value}`, 400) },
      data(`${named(name)} ${value || "not known"}`, 60),
    ),
  );
}

function bar(budget, used) {
  const projected = ratioOf(budget.projected_usd, budget.limit_usd);
  const soft = ratioOf(budget.soft_usd, budget.limit_usd);
  const said = `${percent(used)} of ${money(budget.limit_usd)} used`;
  return el(
    "span",
    {
      class: `budgetbar state-${budget.state in STATES ? budget.state : "ok"}`,
      role: "meter",
      "aria-label": clip(`${budget.name}: ${said}`, 200),
      "aria-valuemin": "0",
      "aria-valuemax": "100",
      "aria-valuenow": String(Math.min(100, Math.round(used * 100))),
      "aria-valuetext": said,
      title: `${said}; soft mark at ${percent(soft)}${projected ? `, ${percent(projected)} at the end of the period at this pace` : ""}`,
      vars: { "--used": width(used), "--projected": width(projected), "--soft": width(soft), "--hard": width(1) },
    },
    el("i", { class: "pace" }),
    el("i", { class: "used" }),
    el("i", { class: "softmark" }),
    el("i", { class: "hardmark" }),
    used > WIDEST && el("i", { class: "beyond" }),
  );
}

const money = (text) => (units(text) === null ? "–" : total(units(text)));
const percent = (ratio) => `${ratio > 0 && ratio < 0.01 ? (ratio * 100).toFixed(1) : Math.round(ratio * 100)} %`;

function end(iso) {
  return `${String(iso).slice(0, 16).replace("T", " ")} UTC`;
}

function row(budget) {
  const used = ratioOf(budget.spent_usd, budget.limit_usd);
  const [kind, glyph, word] = STATES[budget.state] ?? ["muted", "warn", String(budget.state)];
  const href = callsOf(budget);
  const name = data(budget.name, 80);
  const over = units(budget.projected_usd) !== null && units(budget.projected_usd) > (units(budget.limit_usd) ?? 0n);
  return el(
    "li",
    { class: "budget card" },
    el(
      "header",
      null,
      el("h2", { title: clip(budget.name, 400) }, href ? el("a", { href, title: "Open its calls" }, name) : name),
      el("span", { class: "chip soft" }, PERIODS[budget.period] ?? data(budget.period, 20)),
      el("span", { class: "scope" }, scope(budget)),
      el("span", { class: `status ${kind}` }, icon(glyph), data(word, 40)),
    ),
    bar(budget, used),
    el(
      "dl",
      { class: "budgetfacts num" },
      fact(
        "spent",
        el(
          "b",
          { class: kind === "good" ? "" : kind, title: `${exact(units(budget.spent_usd))} USD` },
          bound(budget),
          money(budget.spent_usd),
        ),
        ` of ${money(budget.limit_usd)} · ${percent(used)}`,
      ),
      fact(
        "by the end",
        el("span", { class: over && budget.state !== "hard" ? "warn" : "" }, money(budget.projected_usd)),
        " at this pace",
      ),
      fact(
        "calls",
        counted(budget.calls ?? 0, "call"),
        budget.unpriced_calls > 0 &&
          el("span", { class: "warn" }, `, ${count(budget.unpriced_calls)} of them unpriced`),
      ),
      fact(
        "starts anew",
        el("span", { title: end(budget.period_end) }, `in ${until(budget.period_end)}`),
        el("span", { class: "muted" }, ` · ${String(budget.period_end).slice(0, 10)} UTC`),
      ),
      fact(
        "owner",
        budget.owner ? data(budget.owner, 40) : el("span", { class: "muted" }, "nobody named"),
        budget.contact && [" · ", data(budget.contact, 60)],
      ),
      budget.action && fact("action", data(budget.action, 120)),
    ),
  );
}

const bound = (budget) => (budget.unpriced_calls ? "≥ " : "");

const fact = (name, ...value) => el("div", null, el("dt", null, name), el("dd", null, value));

function teaching(file) {
  return el(
    "section",
    { class: "card teach" },
    el("h2", null, "No budget yet"),
    el(
      "p",
      { class: "muted" },
      "Write budgets into a TOML file, name it in TOLLSPAN_BUDGETS, and start ",
      el("code", null, "tollspan up"),
      " again. A budget counts the calls that match its filters and are real: tests, replays and demo data stay out.",
    ),
    snippet(["budgets.toml", file]),
    snippet(["then", "export TOLLSPAN_BUDGETS=$PWD/budgets.toml\ntollspan up"]),
  );
}

export class BudgetsPage {
  constructor(app) {
    this.app = app;
    this.list = el("ul", { class: "budgetlist" });
    this.empty = el("div");
    this.node = el(
      "div",
      { class: "budgets paged", hidden: true },
      el(
        "header",
        { class: "pagehead" },
        el("h1", null, "Budgets"),
        el(
          "p",
          { class: "legend muted" },
          el("span", null, el("i", { class: "swatch used" }), "spent"),
          el("span", null, el("i", { class: "swatch pace" }), "by the end at this pace"),
          el("span", null, el("i", { class: "swatch softmark" }), "soft mark"),
          el("span", null, el("i", { class: "swatch hardmark" }), "limit"),
        ),
      ),
      this.list,
      this.empty,
    );
  }

  async show() {
    await this.changed();
  }

  async changed() {
    try {
      const { budgets, example } = await get("/api/budgets");
      this.app.reached();
      this.draw(budgets ?? [], example ?? EXAMPLE);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      this.app.failed(error);
    }
  }

  draw(budgets, example) {
    const text = JSON.stringify([budgets, Math.floor(Date.now() / 60000)]);
    if (text === this.drawn) return;
    this.drawn = text;
    const focused = [...this.list.querySelectorAll("a")].indexOf(document.activeElement);
    put(this.list, budgets.map(row));
    [...this.list.querySelectorAll("a")][focused]?.focus({ preventScroll: true });
    this.node.querySelector(".legend").hidden = budgets.length === 0;
    if (budgets.length) put(this.empty);
    else if (!this.empty.childElementCount) put(this.empty, teaching(example));
  }

  pressed(event) {
    if (event.key !== "Escape") return false;
    location.hash = "#/calls";
    return true;
  }
}
