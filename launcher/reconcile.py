"""`tollspan reconcile EXPORT…`: a provider's bill against the ledger, with a reason for each difference.

Exports are read here and sent nowhere. The ledger's side is asked of a running `tollspan up`; with
`--clickhouse`, or where TOLLSPAN_CLICKHOUSE_URL is set and no `--url` is given, of that server.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tollspan.config import settings

from . import figures
from .asking import NotAnswered, Server, add_server
from .screen import Column, Paint, harmless, table

if TYPE_CHECKING:
    from tollspan.local.reconcile import Told
    from tollspan.local.reconcile_ledger import Sum

__all__ = ["add_options", "reconcile"]

WIDE = 100
MOST_ROWS = 40
MOST_NAMES = 3
"""Of models or days that a reason is told with."""
ONE_DAY = timedelta(days=1)
AT_ONCE = timedelta(days=2)
"""Days behind the first that one question asks for: those of a busy ledger take a second each."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tollspan reconcile`."""
    parser.add_argument(
        "exports",
        nargs="+",
        metavar="EXPORT",
        help="CSV or JSON, also in gzip; - is standard input",
    )
    parser.add_argument("--provider", default="", help="where the export does not say it")
    parser.add_argument("--from", dest="first", default="", metavar="DAY", help="2026-01-31")
    parser.add_argument("--to", dest="last", default="", metavar="DAY", help="likewise, included")
    parser.add_argument(
        "--tolerance", default="1%", metavar="PART", help="that may stay unexplained: 1%%, 0.005"
    )
    parser.add_argument(
        "--rate", action="append", default=[], metavar="EUR=1.08", help="US dollars of a currency"
    )
    parser.add_argument(
        "--same", action="append", default=[], metavar="NAME=MODEL", help="export's name, ledger's"
    )
    parser.add_argument(
        "--key", action="append", default=[], metavar="ID=FINGERPRINT", help="compare by key"
    )
    parser.add_argument("--days", action="store_true", help="show each day")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    parser.add_argument("--clickhouse", default="", metavar="URL", help="of a server's ledger")
    add_server(parser)


def reconcile(options: argparse.Namespace) -> int:
    """Print the report; exit code 0 where what stays open is within the tolerance, else 1.

    Raises:
        NotAnswered: a file or an option that cannot be used, no server, or it refuses.
        ClickHouseError, BadDestination: the like of ClickHouse.
    """
    from tollspan.local import reconcile as reconciling
    from tollspan.local.reconcile_asked import asked
    from tollspan.local.reconcile_lines import BadExport
    from tollspan.local.reconcile_read import read

    try:
        wanted = asked(_query(options))
        reads = read([_file(name) for name in options.exports])
        report = reconciling.reconcile(reads, _told_by(options), wanted)
    except BadExport as error:
        raise NotAnswered(str(error)) from error
    print(json.dumps(report)) if options.json else _show(report, by_day=options.days)
    return 0 if report["total"]["within_tolerance"] else 1


def _query(options: argparse.Namespace) -> list[tuple[str, str]]:
    single = {"provider": options.provider, "from": options.first, "to": options.last}
    found = [(name, value) for name, value in single.items() if value]
    found.append(("tolerance", options.tolerance))
    for name in ("rate", "same", "key"):
        found += [(name, value) for value in getattr(options, name)]
    return found


def _file(name: str) -> tuple[str, bytes]:
    try:
        if name == "-":
            return "standard input", sys.stdin.buffer.read()
        return name, Path(name).read_bytes()
    except OSError as error:
        raise NotAnswered(f"{name} cannot be read: {error.strerror or error}") from None


def _told_by(options: argparse.Namespace) -> Told:
    from tollspan.local.reconcile_ledger import from_json, sums

    url = options.clickhouse or ("" if options.url else settings().clickhouse_url)
    if url:
        from tollspan.local.reconcile_server import asked_of

        ledger = asked_of(url)
        return lambda *which: sums(ledger, *which)
    server = Server(options.url)

    def told(provider: str, first: date, last: date, zone: str) -> Iterator[Sum]:
        while first <= last:
            until = min(last, first + AT_ONCE)
            query = {"provider": provider, "from": str(first), "to": str(until), "zone": zone}
            yield from map(from_json, server.get("/v1/reconcile", query.items())["sums"])
            first = until + ONE_DAY

    return told


COLUMNS = (
    Column("model", share=3, least=16),
    Column("days", cells=10, rank=2),
    Column("calls", cells=7, right=True, rank=1),
    Column("billed", cells=11, right=True),
    Column("ledger", cells=11, right=True),
    Column("difference", cells=11, right=True),
    Column("open", cells=10, right=True),
)


def _show(report: dict[str, Any], *, by_day: bool) -> None:
    paint, unit, total = Paint(), report["unit"], report["total"]
    names = ", ".join(f"{each['shape']}, {each['lines']} lines" for each in report["exports"])
    days = f"{report['from']} to {report['to']} ({report['zone']})"
    print(f"{report['provider']}, {days}: {names}")
    print()
    rows = [
        [
            (row["model"], ""),
            (row["days"], ""),
            (figures.count(row["calls"]) if row["calls"] else "", ""),
            (_amount(row["billed"], unit), ""),
            (_amount(row["ledger"], unit), ""),
            (_signed(row["difference"], unit), ""),
            (_amount(row["open"], unit) if row["open"] else "", "warn"),
        ]
        for row in _lines(report, by_day)[:MOST_ROWS]
    ]
    whole = [("all", ""), ("", ""), (figures.count(total["calls"]), "")]
    whole += [(_amount(_number(total[name]), unit), "") for name in ("billed", "ledger")]
    whole += [(_signed(_number(total["difference"]), unit), "bold")]
    whole += [(_amount(_number(total["open"]), unit), "warn")]
    for line in table(COLUMNS, [*rows, whole], WIDE, paint):
        print(line)
    print()
    for each in report["reasons"]:
        mark = "?" if each["open"] else " "
        calls = f" ({figures.count(each['calls'])} calls)" if each["calls"] else ""
        amount = _signed(_number(each[unit]), unit)
        print(f"{mark} {amount:>11}  {each['meaning']}{calls}{_where(report, each)}")
        if each["next"]:
            print(f"{'':15}{each['next']}")
    print()
    print(_verdict(total, unit, paint))


def _where(report: dict[str, Any], reason: dict[str, Any]) -> str:
    """The models and days of an open reason, where they are few of several."""
    if not reason["open"]:
        return ""
    said = ""
    rows = [
        row
        for row in report["rows"]
        if any(each["reason"] == reason["reason"] for each in row["reasons"])
    ]
    for name in ("model", "from"):
        every = {row[name] for row in report["rows"]}
        of = sorted({row[name] for row in rows})
        if len(of) < len(every) and len(of) <= MOST_NAMES:
            said += f", {', '.join(harmless(each) for each in of)}"
    return said


def _lines(report: dict[str, Any], by_day: bool) -> list[dict[str, Any]]:
    """The rows of the table: one a model, or one a model and day."""
    made: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in report["rows"]:
        same = row["from"] == row["to"]
        days = row["from"] if same else f"{row['from'][5:]}…{row['to'][8:]}"
        name = f"{row['model']} ({row['key']})" if row["key"] else row["model"]
        key = (name, days) if by_day else (name,)
        line = made.setdefault(
            key,
            {"model": name, "days": days if by_day else 0, "calls": 0}
            | dict.fromkeys(("billed", "ledger", "difference", "open"), Decimal(0)),
        )
        line["calls"] += row["ledger"]["calls"] or 0
        if not by_day:
            line["days"] += 1
        for name, value in (
            ("billed", _side(row["billed"])),
            ("ledger", _side(row["ledger"])),
            ("difference", row["difference"]),
            ("open", row["open"]),
        ):
            line[name] += _number(value)
    return sorted(
        made.values(), key=lambda line: (str(line["days"]) if by_day else "", -line["billed"])
    )


def _side(side: dict[str, Any]) -> Any:
    if side["usd"] is not None:
        return side["usd"]
    tokens = side["tokens"] or {}
    return tokens.get("input", 0) + tokens.get("output", 0)


def _number(value: Any) -> Decimal:
    return Decimal(str(value))


def _amount(value: Decimal, unit: str) -> str:
    if unit != "usd":
        return figures.count(int(value))
    return ("-" if value < 0 else "") + figures.spent(abs(value))


def _signed(value: Decimal, unit: str) -> str:
    if not value:
        return "0"
    return ("+" if value > 0 else "-") + _amount(abs(value), unit)


def _verdict(total: dict[str, Any], unit: str, paint: Paint) -> str:
    left, allowed = _amount(_number(total["open"]), unit), _amount(_number(total["allowed"]), unit)
    tokens = "" if unit == "usd" else " tokens"
    if total["within_tolerance"]:
        return paint("good", f"reconciled: {left}{tokens} open, {allowed} allowed")
    return paint("bad", f"not reconciled: {left}{tokens} open, {allowed} allowed")
