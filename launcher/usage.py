"""`tollspan usage`: what calls spent, took and did, from the running server or from ClickHouse."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from .asking import NotAnswered, Query, Server
from .usage_file import Pieces, written
from .usage_table import as_csv, as_tsv, left_out, printed
from .usage_tables import IN_TIME, TABLES

__all__ = ["add_options", "usage"]

Ask = Callable[[str, Query], Any]
FORMATS = ("jsonl", "csv", "parquet", "focus-csv", "focus-parquet")
PATHS = {name: f"/v1/usage/{name}" for name in ("stats", "month", "recent", "sessions", "keys")} | {
    "replacement": "/v1/replacement/metrics",
    "new_keys": "/v1/keys/events",
}
COMMANDS = {
    "stats": "calls, spend, tokens and times, by whatever you like and over time",
    "month": "a month's spend beside the month before, and where it ends",
    "recent": "single calls, the newest first",
    "sessions": "sessions: calls, spend, how long, which models",
    "keys": "spend and use by the fingerprint of the provider's API key",
    "replacement": "the model that was asked for against the one that answered",
    "export": "every call in a file: JSON lines, CSV, Parquet, FOCUS 1.4",
}
PAGE = 500
"""Lines that the API gives at once."""
LISTS = {
    "stats": ("groups", "offset"),
    "month": ("groups", "offset"),
    "sessions": ("sessions", "offset"),
    "keys": ("keys", "offset"),
    "recent": ("calls", "cursor"),
}
"""Where they stand in answers that have pages, and what the next page is asked by."""
CELLS = 16
"""Of a sparkline."""

STEPS_S = (60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 2 * 86_400, 604_800)
UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare `tollspan usage` with its commands."""
    commands = parser.add_subparsers(dest="asked", metavar="what", required=True)
    for name, about in COMMANDS.items():
        command = commands.add_parser(name, help=about, description=about)
        if name != "month":
            _add_times(command)
        _add_filters(command)
        if name == "export":
            command.add_argument(
                "--format", choices=FORMATS, default="jsonl", help="of the file (jsonl)"
            )
            command.add_argument(
                "--charge-period", choices=("hour", "day"), help="of a row of FOCUS (day)"
            )
            command.add_argument(
                "-o", "--output", default="-", metavar="FILE", help="where to write it; `-` prints"
            )
            continue
        shown = command.add_mutually_exclusive_group()
        shown.add_argument("--json", action="store_true", help="print the answer as JSON")
        shown.add_argument("--csv", action="store_true", help="print the lines as CSV")
        command.add_argument("--limit", default="20", metavar="N", help="lines at most (20)")
        if name in ("stats", "month"):
            command.add_argument(
                "--by", default="model", metavar="A,B", help="what makes a line (model)"
            )
            command.add_argument(
                "--tz", default="", metavar="ZONE", help="whose days: Europe/Berlin, … (UTC)"
            )
        if name == "stats":
            command.add_argument("--interval", default="", metavar="TIME", help="1h, day, week, …")
        if name == "month":
            command.add_argument(
                "--month", default="", metavar="YYYY-MM", help="2026-10 (the one of now)"
            )
        if name in ("stats", "sessions", "keys"):
            command.add_argument("--sort", default="", metavar="WHAT", help="cost, calls, p95, …")
        if name == "keys":
            command.add_argument(
                "--new", action="store_true", help="only keys first seen in that time, newest first"
            )
        if name == "replacement":
            command.add_argument(
                "--opt-out", default="", metavar="TAG", help="tag.replacement:off, or another"
            )


def _add_times(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--last", default="", metavar="TIME", help="24h, 7d, all (30d)")
    parser.add_argument("--from", dest="begin", default="", metavar="TIME", help="ISO-8601, in UTC")
    parser.add_argument("--to", dest="end", default="", metavar="TIME", help="ISO-8601, in UTC")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="tenant=acme, model=gpt-5, tag.team=growth, data_mode=all, …; `-` is not known",
    )
    parser.add_argument("--url", default="", help="of the page of `tollspan up`")
    parser.add_argument(
        "--clickhouse",
        default="",
        metavar="URL",
        help="ask this ledger instead, as http://clickhouse:8123/tollspan",
    )


def usage(options: argparse.Namespace) -> int:
    """Ask and print; exit code 0.

    Raises:
        NotAnswered: there is nobody to ask, or the question is refused.
    """
    query = _query(options)
    if options.asked == "export":
        return _export(options, query)
    if options.asked in ("stats", "month"):
        query.append(("by", options.by))
    # A length of time is no zone's: days of one have no sparkline beside them.
    if options.asked == "stats" and (
        interval := options.interval or ("" if options.tz else _interval(options))
    ):
        query.append(("interval", interval))
    asked = "new_keys" if getattr(options, "new", False) else options.asked
    found = _pages(_asker(options), asked, query, options.limit)
    table = TABLES[asked]
    lines = IN_TIME if getattr(options, "interval", "") else table
    if options.json:
        print(json.dumps(found))
        return 0
    if options.csv:
        print(as_csv(lines, found), end="")
    elif not sys.stdout.isatty():
        print(as_tsv(lines, found))
    else:
        print(printed(table, found, _told(options)))
    if left := left_out(found, len(table.lines(found))):
        print(f"tollspan: {left}", file=sys.stderr)
    return 0


def _pages(ask: Ask, asked: str, query: Query, limit: str) -> Any:
    """An answer with up to `limit` lines: of more than the API gives at once, page after page."""
    path, wanted = PATHS[asked], int(limit) if limit.isascii() and limit.isdigit() else 0
    if wanted <= PAGE or len(limit) > 9 or asked not in LISTS:
        return ask(path, [*query, ("limit", limit)])
    listed, by = LISTS[asked]
    found = page = ask(path, [*query, ("limit", str(PAGE))])
    lines = found.get(listed, [])
    while page.get(f"next_{by}") is not None and len(lines) < wanted:
        at = (by, str(page[f"next_{by}"]))
        page = ask(path, [*query, at, ("limit", str(min(wanted - len(lines), PAGE)))])
        lines += page[listed]
    return found


def _query(options: argparse.Namespace) -> Query:
    query: Query = []
    for name, option in (("last", "last"), ("from", "begin"), ("to", "end")):
        if value := getattr(options, option, ""):
            query.append((name, value))
    for pair in options.where:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise NotAnswered(f"--where {pair!r} is no pair: write --where tenant=acme")
        query.append((name, value))
    for name in ("sort", "opt_out", "month", "tz"):
        if value := getattr(options, name, ""):
            query.append((name, value))
    return query


def _interval(options: argparse.Namespace) -> str:
    """The shortest interval that fits into a sparkline; '' where the time is not known here."""
    text = options.last or ("" if options.begin or options.end else "30d")
    if not (text[:-1].isascii() and text[:-1].isdigit() and text[-1:] in UNIT_S):
        return ""
    length_s = int(text[:-1]) * UNIT_S[text[-1]]
    step_s = next((step for step in STEPS_S if length_s <= step * CELLS), 0)
    return f"{step_s or -(-length_s // CELLS // 86_400) * 86_400}s"


def _told(options: argparse.Namespace) -> str:
    """The time that is asked for, in words."""
    zone = getattr(options, "tz", "") or "UTC"
    if options.asked == "month":
        return f"{zone} months"
    if options.begin or options.end:
        times = (("from", options.begin), ("to", options.end))
        said = " ".join(f"{word} {value}" for word, value in times if value)
        return f"{said} {zone}"
    last = options.last or "30d"
    return "all time" if last == "all" else f"last {last}"


def _asker(options: argparse.Namespace) -> Ask:
    if not options.clickhouse:
        return Server(options.url).get
    from tollspan.local.key_events import events
    from tollspan.local.usage_api import ANSWERS

    answers = {**ANSWERS, PATHS["new_keys"]: events}
    ledger = _ledger(options.clickhouse)
    return lambda path, query: _asked_there(lambda: answers[path](ledger, query))


def _ledger(url: str) -> Any:
    """The ledger of the ClickHouse at `url`, as the settings say who asks."""
    from tollspan.collector.clickhouse import ClickHouse
    from tollspan.config import settings
    from tollspan.local.remote import ClickHouseLedger

    found = settings()
    clickhouse = ClickHouse(
        url, found.clickhouse_user, found.clickhouse_password, named="--clickhouse"
    )
    return ClickHouseLedger(clickhouse)


def _asked_there(ask: Callable[[], Any]) -> Any:
    from tollspan.local.ledger import Busy, LedgerError
    from tollspan.local.queries import BadFilter

    try:
        return ask()
    except BadFilter as wrong:
        raise NotAnswered(str(wrong)) from None
    except (Busy, LedgerError) as error:
        raise NotAnswered(f"the ledger does not answer: {error}") from None


def _export(options: argparse.Namespace, query: Query) -> int:
    query.append(("format", options.format))
    if options.charge_period:
        query.append(("charge_period", options.charge_period))
    return written(_pieces(options, query), options.output, _told(options))


def _pieces(options: argparse.Namespace, query: Query) -> Pieces:
    if not options.clickhouse:
        return Pieces(*Server(options.url).read("/v1/usage/export", query))
    from tollspan.local.usage_export import export

    ledger = _ledger(options.clickhouse)
    made = _asked_there(lambda: export(ledger, query))
    return Pieces(made.headers, iter(lambda: _asked_there(lambda: next(made.pieces, b"")), b""))
