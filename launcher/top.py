"""`tollspan top`: who spends most, as a table that keeps itself fresh, for people on ssh."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from . import figures
from .asking import REAL, NotAnswered, Server, add_filters, add_server, filters, window
from .keys import Keys
from .screen import Column, Paint, clip, padded, table, tsv

__all__ = ["add_options", "top"]

BY = ("endpoint", "tenant", "model", "route", "provider", "user", "prompt_version")
SORTS = ("cost", "calls", "each", "tokens", "errors", "wasted", "p95", "last")
WINDOWS = ("15m", "1h", "24h", "7d", "all")
LINES = 20
MOST_LINES = 500
HEAD_LINES = 4
"""Above the table and below it: where, totals, headings, keys."""

FIELDS = (
    *("name", "calls", "cost_usd", "per_call_usd", "wasted_usd", "unpriced_calls"),
    *("lower_bound_calls", "errors", "input_tokens", "output_tokens", "p50_s", "p95_s"),
)
"""Of a line for programs, in this order for good."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tollspan top`."""
    parser.add_argument("--by", choices=BY, default="endpoint", help="what makes a line (endpoint)")
    parser.add_argument("--sort", choices=SORTS, default="cost", help="most of this first (cost)")
    parser.add_argument(
        "--window", default="24h", metavar="TIME", help="back from now: 15m, 24h, 7d, all (24h)"
    )
    parser.add_argument("--limit", type=_lines, default=0, metavar="N", help="lines at most")
    parser.add_argument(
        "--interval", type=_seconds, default=2.0, metavar="S", help="seconds between looks (2)"
    )
    parser.add_argument("--once", action="store_true", help="look once and end")
    parser.add_argument("--json", action="store_true", help="print one JSON object and end")
    add_server(parser)
    add_filters(parser)


def _lines(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= MOST_LINES:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST_LINES}")


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if 0.1 <= found <= 3600:
        return found
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 to 3600")


def top(options: argparse.Namespace) -> int:
    """Run it; exit code 0. Not on a terminal it looks once and prints tab-separated lines.

    Raises:
        NotAnswered: the first look found no server, or it refused.
    """
    server = Server(options.url)
    look = _Look(server, options)
    if options.json:
        print(json.dumps(look(options.limit or LINES)))
    elif not sys.stdout.isatty():
        found = look(options.limit or LINES)
        print(tsv(FIELDS))
        for line in found["lines"]:
            print(tsv([line[name] for name in FIELDS]))
    elif options.once:
        cells = shutil.get_terminal_size().columns
        print("\n".join(_screen(look(options.limit or LINES), options, cells, Paint())))
    else:
        _live(look, options, server.url)
    return 0


class _Look:
    """Asks once; what is not real money stays out wherever there is real money."""

    def __init__(self, server: Server, options: argparse.Namespace) -> None:
        self._server = server
        self._options = options
        self._filters = filters(options)

    def __call__(self, lines: int) -> dict[str, Any]:
        options = self._options
        asked = [("by", options.by), ("sort", options.sort), ("limit", str(lines))]
        asked += self._filters + window(options.window)
        mode = options.data_mode
        if mode and mode != "all":
            return self._ask([*asked, ("data_mode", mode)])
        found = self._ask([*asked, *REAL]) if not mode else None
        if found is None or not found["total"]["calls"]:
            found = self._ask(asked) | {"unreal": found is not None}
        return found

    def _ask(self, asked: list[tuple[str, str]]) -> dict[str, Any]:
        found: dict[str, Any] = self._server.get("/api/top", asked)
        return found


COLUMNS = (
    Column("", share=1, least=14),
    Column("COST", 11, right=True),
    Column("$/CALL", 10, right=True, rank=2),
    Column("CALLS", 6, right=True),
    Column("ERR", 5, right=True, rank=3),
    Column("TOKENS", 10, right=True, rank=5),
    Column("WASTED", 10, right=True, rank=6),
    Column("P50", 6, right=True, rank=7),
    Column("P95", 6, right=True, rank=4),
)


def _row(line: dict[str, Any], by: str) -> list[tuple[str, str]]:
    cost = figures.amount(line["cost_usd"])
    name, kind = line.get("name"), ""
    if name is None:
        name, kind = ("untagged" if by == "endpoint" else "not known"), "warn"
    money = (
        "unpriced"
        if cost is None and line["unpriced_calls"]
        else _least(line, cost) + figures.spent(cost)
    )
    wasted = figures.amount(line["wasted_usd"])
    return [
        (name, kind),
        (money, "warn" if money == "unpriced" else "bold"),
        (figures.per_call(figures.amount(line["per_call_usd"])), ""),
        (figures.count(line["calls"]), ""),
        (figures.percent(line["errors"], line["calls"]), "bad" if line["errors"] else "dim"),
        (figures.tokens(line["input_tokens"], line["output_tokens"]), ""),
        (figures.spent(wasted) if wasted else "", "warn"),
        (figures.duration(line["p50_s"]), ""),
        (figures.duration(line["p95_s"]), ""),
    ]


def _least(line: dict[str, Any], cost: Decimal | None) -> str:
    """The mark of a sum that lacks something."""
    lacks = line["unpriced_calls"] or line["lower_bound_calls"]
    return "≥" if cost is not None and lacks else ""


def _screen(
    found: dict[str, Any], options: argparse.Namespace, cells: int, paint: Paint
) -> list[str]:
    """Everything that one look shows, each line at most `cells` wide."""
    total, lines = found["total"], found["lines"]
    span = "all time" if options.window == "all" else f"last {options.window}"
    cost = figures.amount(total["cost_usd"])
    if cost is None and not total["calls"]:
        cost = Decimal(0)
    said = (
        f"{_least(total, cost)}{figures.spent(cost)} · {figures.count(total['calls'])} calls"
        f" · {figures.percent(total['errors'], total['calls'] or 1)} errors · {span}"
    )
    notes = []
    if found.get("unreal") and total["calls"]:
        notes.append("no real calls: these are tests or demo data")
    if total["unpriced_calls"]:
        notes.append(f"{figures.count(total['unpriced_calls'])} unpriced: spend is under-counted")
    columns = (Column(options.by.replace("_", " ").upper(), share=1, least=14), *COLUMNS[1:])
    rows = [_row(line, options.by) for line in lines]
    more = (total.get("names") or 0) - len(lines)
    below = [f"and {more} more"] if more > 0 else [] if lines else ["no calls in this window"]
    return [
        paint("bold", clip(said, cells)),
        paint("warn", clip("; ".join(notes), cells)) if notes else "",
        *table(columns, rows, cells, paint),
        *(paint("dim", clip(line, cells)) for line in below),
    ]


KEYS = "q quit  b by  s sort  w window"


def _live(look: _Look, options: argparse.Namespace, url: str) -> None:
    """Until somebody presses q or Ctrl-C; the terminal is left as it was found."""
    shown = look(options.limit or LINES)
    paint = Paint()
    with Keys() as keys:
        sorry = ""
        while True:
            cells, height = shutil.get_terminal_size()
            lines = _screen(shown, options, cells, paint)
            foot = sorry or f"{url} · by {options.by}, {options.sort} first · {KEYS}"
            keys.draw([*lines[: height - 2], "", padded(clip(foot, cells), cells).rstrip()], height)
            pressed = keys.wait(options.interval)
            if pressed == "q":
                return
            _turn(pressed, options)
            wanted = options.limit or max(1, height - HEAD_LINES - 2)
            shown, sorry = _again(lambda n=wanted: look(min(n, MOST_LINES)), shown)  # type: ignore[misc]


def _turn(pressed: str, options: argparse.Namespace) -> None:
    for key, name, choices in (("b", "by", BY), ("s", "sort", SORTS), ("w", "window", WINDOWS)):
        if pressed == key:
            now = getattr(options, name)
            at = choices.index(now) if now in choices else -1
            setattr(options, name, choices[(at + 1) % len(choices)])


def _again(
    look: Callable[[], dict[str, Any]], before: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """A new look, or the one before and why there is none: a server that restarts is waited for."""
    try:
        return look(), ""
    except NotAnswered as error:
        return before, f"{time.strftime('%H:%M:%S')} {error}"
