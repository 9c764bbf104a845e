"""`tollspan calls`: the recent calls, as a table, as lines for programs, and as they come in."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from . import figures
from .asking import NotAnswered, Server, add_filters, add_server, filters, window
from .screen import Column, Paint, table, tsv

__all__ = ["COLUMNS", "add_options", "calls", "row"]

MOST = 500
"""Calls of one answer of the API."""

SEEN = 20_000
LOOK_S = 1.0
FIELDS = (
    *("time", "call_id", "trace_id", "endpoint", "prompt_version", "tenant", "provider"),
    *("request_model", "served_model", "route", "input_tokens", "output_tokens", "cost_usd"),
    *("cost_grade", "duration_s", "time_to_first_chunk_s", "status", "error_type"),
    *("app_attempts", "upstream_attempts", "data_mode"),
)
"""Of a line for programs, in this order for good; `--json` has everything."""

STATUS = {"success": "good", "error": "bad", "blocked": "bad"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tollspan calls`."""
    parser.add_argument("-n", "--limit", type=_number, default=20, metavar="N", help="calls (20)")
    parser.add_argument(
        "--window", default="all", metavar="TIME", help="back from now: 15m, 24h, 7d, all (all)"
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on with calls as they come in"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    add_server(parser)
    add_filters(parser)


def _number(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 7 and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of calls: write 1 or more")


def calls(options: argparse.Namespace) -> int:
    """Print them, the oldest first; exit code 0.

    Raises:
        NotAnswered: there is no server, or it refuses.
    """
    source = _Source(Server(options.url), options)
    newest = source.newest(options.limit)
    write = _writer(options)
    for call in newest:
        write(call)
    if options.follow:
        _follow(source, write)
    return 0


class _Source:
    """The calls that the filters find."""

    def __init__(self, server: Server, options: argparse.Namespace) -> None:
        self._server = server
        self._asked = filters(options)
        if options.data_mode and options.data_mode != "all":
            self._asked.append(("data_mode", options.data_mode))
        self._window = options.window
        self._oldest = ""
        self._seen: OrderedDict[str, None] = OrderedDict()

    def newest(self, number: int) -> list[dict[str, Any]]:
        """The newest `number`, the oldest of them first; what is there now is not new afterwards."""
        found: list[dict[str, Any]] = []
        for page in self._pages():
            found += page
            if len(found) >= max(number, MOST):
                self._oldest = found[-1]["call_id"]
                break
        self._seen.update(dict.fromkeys(call["call_id"] for call in found))
        return found[:number][::-1]

    def new(self) -> list[dict[str, Any]]:
        """Those that came in since, the oldest first. One that changed later is not told again.

        Calls stand by their start, so a long one comes in behind others that began later: a page
        of calls is looked through, and the next for as long as there is something new on it.
        """
        found: list[dict[str, Any]] = []
        for page in self._pages():
            fresh = [
                call
                for call in page
                if call["call_id"] not in self._seen and call["call_id"] > self._oldest
            ]
            if not fresh:
                break
            found += fresh
            self._seen.update(dict.fromkeys(call["call_id"] for call in fresh))
        while len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        return found[::-1]

    def _pages(self) -> Iterator[list[dict[str, Any]]]:
        before: str | None = ""
        while before is not None:
            asked = [*self._asked, *window(self._window), ("limit", str(MOST))]
            if before:
                asked.append(("before", before))
            page = self._server.get("/api/calls", asked)
            yield page["calls"]
            before = page["next"]


def _follow(source: _Source, write: Callable[[dict[str, Any]], None]) -> None:
    """Until Ctrl-C; a server that restarts is waited for."""
    sorry = ""
    while True:
        time.sleep(LOOK_S)
        try:
            for call in source.new():
                write(call)
            sorry = ""
        except NotAnswered as error:
            if str(error) != sorry:
                sorry = str(error)
                print(f"tollspan: {sorry}; waiting for it", file=sys.stderr, flush=True)


def _writer(options: argparse.Namespace) -> Callable[[dict[str, Any]], None]:
    """What prints one call: JSON, a line of the table on a terminal, or fields with tabs between."""
    if options.json:
        return lambda call: print(json.dumps(call), flush=True)
    if not sys.stdout.isatty():
        print(tsv(FIELDS), flush=True)
        return lambda call: print(tsv([call.get(name) for name in FIELDS]), flush=True)
    paint = Paint()
    print("\n".join(table(COLUMNS, [], shutil.get_terminal_size().columns, paint)))

    def line(call: dict[str, Any]) -> None:
        cells = shutil.get_terminal_size().columns
        print("\n".join(table(COLUMNS, [row(call)], cells, paint, head=False)), flush=True)

    return line


COLUMNS = (
    Column("TIME", 8),
    Column("ENDPOINT", share=4, least=12),
    Column("TENANT", 10, rank=5),
    Column("ROUTE", share=5, least=16),
    Column("TOKENS", 10, right=True, rank=3),
    Column("COST", 12, right=True),
    Column("TOOK", 6, right=True, rank=1),
    Column("1ST", 6, right=True, rank=6),
    Column("STATUS", 12, rank=2),
)


def row(call: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A call, under the API's names, as a line of `COLUMNS`."""
    cost = figures.amount(call["cost_usd"])
    mark = {"lower_bound": "≥", "estimated": "~"}.get(call["cost_grade"] or "", "")
    unpriced = cost is None and call["cost_grade"] == "unpriced"
    version = f" {call['prompt_version']}" if call["prompt_version"] else ""
    status = str(call["status"])
    retried = (call["app_attempts"] or 0) > 1
    return [
        (_clock(call["time"]), "dim"),
        (f"{call['endpoint']}{version}", "") if call["endpoint"] else ("untagged", "warn"),
        (call["tenant"] or figures.UNKNOWN, ""),
        (call["route"] or call["request_model"] or "path unknown", ""),
        (figures.tokens(call["input_tokens"], call["output_tokens"]), ""),
        ("unpriced", "warn") if unpriced else (mark + figures.per_call(cost, 8), "bold"),
        (figures.duration(call["duration_s"]), ""),
        (figures.duration(call["time_to_first_chunk_s"]), "dim"),
        (
            f"{status}{' ×' + str(call['app_attempts']) if retried else ''}",
            STATUS.get(status, "warn"),
        ),
    ]


def _clock(iso: str) -> str:
    """The time of day where the terminal is; the day where it is another one."""
    at = datetime.fromisoformat(iso).astimezone()
    today = datetime.now().astimezone().date()
    return at.strftime("%H:%M:%S" if at.date() == today else "%d.%m. %H")
