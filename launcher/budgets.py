"""`tollspan budgets`: where each budget stands; `tollspan budgets check FILE`: whether one can be used."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tollspan.config import ConfigError, settings

from . import figures
from .asking import NotAnswered, Server, add_server
from .screen import Column, Paint, clip, table, tsv

__all__ = ["add_options", "budgets"]

SPENT_CODE = 1
"""Exit code where a budget is spent."""

FIELDS = (
    *("name", "period", "spent_usd", "limit_usd", "ratio", "state", "period_end"),
    *("calls", "unpriced_calls", "owner", "contact", "action"),
)
"""Of a line for programs, in this order for good."""

COLUMNS = (
    Column("BUDGET", share=3, least=12),
    Column("PERIOD", 7, rank=3),
    Column("SPENT", 10, right=True),
    Column("LIMIT", 10, right=True),
    Column("", 5, right=True),
    Column("STATE", 6),
    Column("RESETS IN", 9, right=True, rank=2),
    Column("CALLS", 7, right=True, rank=4),
    Column("ASK", share=2, least=10, rank=5),
    Column("ACTION", share=3, least=10, rank=6),
)
PAINTS = {"ok": "good", "soft": "warn", "hard": "bad"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tollspan budgets`."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--here",
        action="store_true",
        help="ask no server: the counts of this machine, for the budgets of TOLLSPAN_BUDGETS",
    )
    add_server(parser)
    commands = parser.add_subparsers(dest="budgets_command", metavar="command")
    check = commands.add_parser("check", help="read a budget file and say what it holds")
    check.add_argument("file", help="of the form that TOLLSPAN_BUDGETS names")


def budgets(options: argparse.Namespace) -> int:
    """Run it; exit code 0, or 1 where a budget is spent.

    Raises:
        NotAnswered: no server is there, or it refused.
        ConfigError: a budget file cannot be used.
    """
    if options.budgets_command == "check":
        return _check(options.file)
    found = _here() if options.here else _asked(Server(options.url))
    if options.json:
        print(json.dumps({"budgets": found}))
    elif sys.stdout.isatty():
        print("\n".join(_screen(found, shutil.get_terminal_size().columns, Paint())))
    else:
        print(tsv(FIELDS))
        for each in found:
            print(tsv([each[name] for name in FIELDS]))
    return SPENT_CODE if any(each["state"] == "hard" for each in found) else 0


def _asked(server: Server) -> list[dict[str, Any]]:
    rows = server.get("/v1/budgets").get("budgets")
    if not isinstance(rows, list):
        raise NotAnswered(f"what answers at {server.url} does not tell of budgets")
    return rows


def _check(file: str) -> int:
    from tollspan.limits.budgets_file import read

    found = read(file, "the name")
    for each in found:
        what = each.act()
        does = [
            *(["degrades from the soft limit on"] if what.degrade is not None else []),
            *([f"waits {what.queue_s} s"] if what.queue_s else []),
            *(["refuses"] if what.stops else []),
        ]
        filters = ", ".join(f"{key}={value}" for key, value in each.filters.items()) or "every call"
        print(
            f"{each.name}: {figures.spent(each.limit_usd)} a {each.period}, "
            f"soft at {each.soft_ratio:.0%}, {filters}; {', then '.join(does) or 'warns'}"
            + ("" if each.enabled else " (switched off)")
        )
    print(f"{len(found)} budget{'' if len(found) == 1 else 's'} in {file}, all good")
    return 0


def _here() -> list[dict[str, Any]]:
    """What the processes of this machine have counted, without a server."""
    from tollspan.limits.budgets import counted_here

    if not settings().budgets:
        raise ConfigError(
            "--here asks for the budgets of a file: set TOLLSPAN_BUDGETS, or leave --here out"
        )
    found = []
    for book, standing in counted_here(settings().budgets):
        budget, period = book.budget, book.period
        assert period is not None
        spent = standing.spent
        state = "hard" if spent >= book.limit else "soft" if spent >= book.soft else "ok"
        found.append(
            {
                "name": budget.name,
                "filters": dict(budget.filters),
                "period": budget.period,
                "period_start": _iso(period.begin),
                "period_end": _iso(period.end),
                "limit_usd": str(budget.limit_usd),
                "spent_usd": format(book.usd(spent).normalize(), "f"),
                "reserved_usd": format(book.usd(standing.reserved).normalize(), "f"),
                "ratio": spent / book.limit,
                "state": state,
                "calls": standing.calls,
                "unpriced_calls": standing.unpriced,
                "owner": budget.owner or None,
                "contact": budget.contact or None,
                "action": budget.action or None,
            }
        )
    return sorted(found, key=lambda each: -each["ratio"])


def _iso(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat().replace("+00:00", "Z")


def _screen(found: list[dict[str, Any]], cells: int, paint: Paint) -> list[str]:
    """One look, each line at most `cells` wide."""
    if not found:
        lines = ("there are no budgets", "declare some: TOLLSPAN_BUDGETS=budgets.toml tollspan up")
        return [clip(line, cells) for line in lines]
    return table(COLUMNS, [_row(each) for each in found], cells, paint)


def _row(each: dict[str, Any]) -> list[tuple[str, str]]:
    ratio = each["ratio"]
    left_s = datetime.fromisoformat(each["period_end"]).timestamp() - time.time()
    return [
        (each["name"], "bold"),
        (each["period"], ""),
        (figures.spent(Decimal(each["spent_usd"])), ""),
        (figures.spent(Decimal(each["limit_usd"])), ""),
        ("" if ratio is None else f"{ratio:.0%}", PAINTS[each["state"]]),
        (each["state"], PAINTS[each["state"]]),
        (_days(left_s), "dim"),
        (figures.count(each["calls"]), ""),
        (each["contact"] or each["owner"] or "", "dim"),
        (each["action"] or "", "dim"),
    ]


def _days(seconds: float) -> str:
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:.0f} days"
    return (
        f"{max(seconds, 0) / 3600:.0f} h" if seconds >= 5400 else f"{max(seconds, 0) / 60:.0f} min"
    )
