"""`tollspan points`: usage as asked, as a gateway sent it on, as the provider reported it and as it came
back, of one call or in groups."""

from __future__ import annotations

import argparse
import json
from decimal import Decimal
from typing import Any

from . import figures
from .asking import NotAnswered, Server, add_server
from .screen import Column, Paint, harmless, table

__all__ = ["add_options", "points"]

WIDE = 100
POINTS = (
    ("asked", "asked"),
    ("sent_on", "sent on"),
    ("provider", "provider"),
    ("reported_back", "reported back"),
)
FIELDS = (
    ("model", "model"),
    ("max_tokens", "most asked for"),
    ("input_tokens", "input"),
    ("output_tokens", "output"),
    ("cache_read_tokens", "read from cache"),
    ("cache_write_tokens", "written to cache"),
    ("reasoning_tokens", "reasoning"),
    ("cost_usd", "cost"),
    ("told_by", "told by"),
    ("evidence", "evidence"),
)
DIFFERENCES = {
    "added_by_gateway": "the gateway sent on other than asked",
    "counted_by_provider": "the provider counts other than the gateway",
    "altered_by_gateway": "the gateway reports back other than the provider",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tollspan points`."""
    parser.add_argument("call_id", nargs="?", default="", metavar="CALL_ID", help="of one call")
    parser.add_argument(
        "--by", default="model,gateway", metavar="NAMES", help="groups of many (model,gateway)"
    )
    parser.add_argument("--last", default="7d", metavar="TIME", help="back from now: 24h, 7d, all")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--clickhouse", default="", metavar="URL", help="of a server's ledger")
    add_server(parser)


def points(options: argparse.Namespace) -> int:
    """Print them; exit code 0.

    Raises:
        NotAnswered: there is no server, or it refuses.
        ClickHouseError, BadDestination: the like of ClickHouse.
    """
    found = _of_clickhouse(options) if options.clickhouse else _of_server(options)
    show = _show_one if options.call_id else _show_many
    print(json.dumps(found)) if options.json else show(found)
    return 0


def _query(options: argparse.Namespace) -> list[tuple[str, str]]:
    return [("by", options.by), ("last", options.last)]


def _of_server(options: argparse.Namespace) -> dict[str, Any]:
    server = Server(options.url)
    if options.call_id:
        one: dict[str, Any] = server.get(f"/v1/points/{options.call_id}")
        return one
    many: dict[str, Any] = server.get("/v1/points", _query(options))
    return many


def _of_clickhouse(options: argparse.Namespace) -> dict[str, Any]:
    from tollspan.local.points import points_of
    from tollspan.local.points_sums import sums
    from tollspan.local.queries import BadFilter
    from tollspan.local.reconcile_server import asked_of

    ledger = asked_of(options.clickhouse)
    try:
        found = (
            points_of(ledger, options.call_id) if options.call_id else sums(ledger, _query(options))
        )
    except BadFilter as error:
        raise NotAnswered(str(error)) from error
    if found is None:
        raise NotAnswered("there is no call with this id")
    return found


def _show_one(found: dict[str, Any]) -> None:
    paint = Paint()
    print(harmless(f"{found['time']}  {found['route'] or found['model'] or found['call_id']}"))
    print()
    columns = (Column("", cells=16), *(Column(name, least=12, right=True) for _, name in POINTS))
    sides = [found["points"][name] or {} for name, _ in POINTS]
    rows = [
        [(label, "dim"), *((_cell(field, side.get(field)), "") for side in sides)]
        for field, label in FIELDS
        if any(side.get(field) is not None for side in sides)
    ]
    for line in table(columns, rows, WIDE, paint):
        print(line)
    print()
    labels = dict(FIELDS)
    for each in found["differences"]:
        amount = _signed(each["field"], each["difference"])
        print(paint("warn", f"{DIFFERENCES[each['name']]}: {labels[each['field']]} {amount}"))
    if not found["differences"]:
        print("nothing differs between the points that are known")


def _cell(field: str, value: Any) -> str:
    if value is None:
        return figures.UNKNOWN
    if field == "cost_usd":
        return figures.exact(figures.amount(value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _signed(field: str, value: Any) -> str:
    sign = "-" if str(value).startswith("-") else "+"
    if field == "cost_usd":
        return sign + figures.exact(abs(figures.amount(value) or Decimal(0)))
    return f"{sign}{abs(value):,}"


COLUMNS = (
    Column("calls", cells=6, right=True),
    Column("asked", cells=8, right=True, rank=1),
    Column("sent on", cells=8, right=True, rank=1),
    Column("provider", cells=13, right=True),
    Column("reported back", cells=13, right=True),
    Column("altered", cells=8, right=True),
    Column("tokens", cells=8, right=True),
)


def _show_many(found: dict[str, Any]) -> None:
    names = [Column(name, least=10) for name in found["by"]]
    rows = []
    for group in found["groups"]:
        told, altered = group["points"], group["altered_by_gateway"]
        moved = altered["input_tokens"] + altered["output_tokens"]
        compared = altered["compared_calls"]
        rows.append(
            [
                *((str(group[name] or figures.UNKNOWN), "") for name in found["by"]),
                (figures.count(group["calls"]), ""),
                (figures.count(told["asked"]["input_tokens"]), ""),
                (figures.count(told["sent_on"]["input_tokens"]), ""),
                (_both(told["provider"]), ""),
                (_both(told["reported_back"]), ""),
                (f"{altered['altered_calls']}/{compared}" if compared else figures.UNKNOWN, ""),
                (_signed("", moved) if moved else "", "warn"),
            ]
        )
    for line in table([*names, *COLUMNS], rows, WIDE, Paint()):
        print(line)


def _both(side: dict[str, Any]) -> str:
    return figures.tokens(side["input_tokens"], side["output_tokens"])
