"""`tollspan reprice`: history priced again by today's book and price file; the difference is shown first.

The ledger of a running `tollspan up` is asked over its API. With `--clickhouse`, or where
TOLLSPAN_CLICKHOUSE_URL is set and no `--url` is given, a server's ledger is read and written here.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tollspan.config import settings
from tollspan.processors.pricefile import load

from .asking import UNITS, WINDOW, NotAnswered, Server, add_server
from .figures import count
from .screen import Column, Paint, table

__all__ = ["add_options", "reprice"]

Pricing = Callable[[bool], dict[str, Any]]
"""Prices again: to write (True) or only to say what would change; see `Report.as_json`."""

TIMEOUT_S = 3600.0
WIDE = 100


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tollspan reprice`."""
    parser.add_argument(
        "--since", required=True, metavar="TIME", help="2026-01-31, 2026-01-31T12:00Z, or 7d ago"
    )
    parser.add_argument("--until", default="", metavar="TIME", help="likewise; default: now")
    parser.add_argument("--model", default="", metavar="NAME", help="asked for, answered or served")
    parser.add_argument("--dry-run", action="store_true", help="only show the difference")
    parser.add_argument("--yes", action="store_true", help="write without asking")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--clickhouse", default="", metavar="URL", help="of a server's ledger, to be written there"
    )
    add_server(parser)


def reprice(options: argparse.Namespace) -> int:
    """Show what changes, then write it if that is wanted; exit code 0, or 1 where it was declined.

    Raises:
        NotAnswered: a time that is none, no server, or it refuses.
        ClickHouseError, BadDestination: the like of ClickHouse.
        PriceFileError: `TOLLSPAN_PRICES` names a file that cannot be used.
    """
    price = _pricing(options)
    report = price(False)
    if not options.json:
        _show(report)
    _tell_of_another_file(report)
    wanted = report["total"]["calls"] and not options.dry_run
    if wanted and not options.yes and not _agreed(report):
        print("Nothing was written.", file=sys.stderr)
        return 1
    if wanted:
        report = price(True)
    if options.json:
        print(json.dumps(report))
    elif wanted:
        print(f"{count(report['written'])} calls were priced again.")
    return 0


def _pricing(options: argparse.Namespace) -> Pricing:
    asked = {"since": moment(options.since, "--since")}
    asked["until"] = moment(options.until, "--until") if options.until else _iso(datetime.now(UTC))
    asked["model"] = options.model
    if options.until and _ns(asked["until"]) <= _ns(asked["since"]):
        raise NotAnswered(
            f"--until {options.until!r} is not after --since {options.since!r}: no call lies between"
        )
    url = options.clickhouse or ("" if options.url else settings().clickhouse_url)
    if url:
        return _on_server(url, asked)
    server = Server(options.url)

    def price(write: bool) -> dict[str, Any]:
        found: dict[str, Any] = server.post(
            "/api/reprice", asked | {"dry_run": not write}, timeout_s=TIMEOUT_S
        )
        return found

    return price


def _on_server(url: str, asked: dict[str, str]) -> Pricing:
    from tollspan.local.reprice import Asked
    from tollspan.local.reprice import reprice as priced_again
    from tollspan.local.reprice_server import ServerStore

    found = settings()
    store = ServerStore(
        url, found.clickhouse_user, found.clickhouse_password, named="--clickhouse or its variable"
    )
    which = Asked(_ns(asked["since"]), _ns(asked["until"]), asked["model"])
    return lambda write: priced_again(store, which, write=write).as_json()


def moment(text: str, option: str, now: datetime | None = None) -> str:
    """An ISO time, or `7d` back from now, as ISO in UTC.

    Raises:
        NotAnswered: it is none.
    """
    found = WINDOW.fullmatch(text.removesuffix(" ago"))
    try:
        if found is not None:
            length = timedelta(**{UNITS[found[2]]: int(found[1])})
            return _iso((now or datetime.now(UTC)) - length)
        said = datetime.fromisoformat(text)
        return _iso(said if said.tzinfo else said.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise NotAnswered(
            f"{option} {text!r} is no time: write 2026-01-31, 2026-01-31T12:00Z or 7d"
        ) from None


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _ns(iso: str) -> int:
    since = datetime.fromisoformat(iso) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since // timedelta(microseconds=1)) * 1000


COLUMNS = (
    Column("model"),
    Column("calls", right=True),
    Column("USD before", right=True),
    Column("USD now", right=True),
    Column("difference", right=True),
)


def _show(report: dict[str, Any]) -> None:
    lines = [*report["models"], {"model": "all", **report["total"]}]
    if report["total"]["calls"]:
        rows = [
            [
                (line["model"], ""),
                (count(line["calls"]), ""),
                (line["old_usd"], ""),
                (line["new_usd"], ""),
                (line["difference_usd"], "bold"),
            ]
            for line in lines
        ]
        for line in table(COLUMNS, rows, WIDE, Paint(sys.stdout)):
            print(line)
    else:
        print("No amount changes.")
    print(f"By the prices of: {report['prices']}")
    for name, sentence in (
        ("same", "at the same cost as before"),
        ("unknown", "without a known price"),
        ("apart", "that keep their amount: their rows do not hold all that it was made from"),
    ):
        if report[name]:
            print(f"Calls {sentence}: {count(report[name])}")


def _tell_of_another_file(report: dict[str, Any]) -> None:
    """Whoever holds the ledger prices, by the file that its own environment names."""
    if not settings().prices:
        return
    here = load(settings().prices).version
    if here not in report["prices"].split(", "):
        print(
            f"TOLLSPAN_PRICES names {here} here, which the process that holds the ledger does not "
            "use: start that one with it.",
            file=sys.stderr,
        )


def _agreed(report: dict[str, Any]) -> bool:
    """Whether the person at the terminal says yes; where nobody sits, nobody does.

    Raises:
        NotAnswered: nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise NotAnswered("nobody is there to be asked: add --yes to write, or --dry-run")
    calls = count(report["total"]["calls"])
    return input(f"Price {calls} calls again? [y/N] ").strip().lower() in ("y", "yes")
