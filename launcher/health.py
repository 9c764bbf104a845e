"""`tollspan health`: which backends are up, by probes and by calls, for people and for scripts."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from datetime import UTC, datetime
from typing import Any

from . import figures
from .asking import NotAnswered, Server, add_server
from .keys import Keys
from .screen import Column, Paint, clip, harmless, padded, table, tsv

__all__ = ["add_options", "health"]

DOWN_CODE = 1
"""Exit code where a backend is down."""

FIELDS = (
    *("name", "provider", "server_address", "server_port", "state", "since", "reason"),
    *("calls", "failed", "latency_p95_s"),
)
"""Of a line for programs, in this order for good."""

COLUMNS = (
    Column("BACKEND", share=1, least=14),
    Column("STATE", 8),
    Column("SINCE", 8, right=True, rank=3),
    Column("PROBE", 8, right=True, rank=4),
    Column("CALLS", 6, right=True, rank=2),
    Column("FAILED", 6, right=True, rank=1),
    Column("P95", 6, right=True, rank=5),
)
PAINTS = {"up": "good", "down": "bad"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tollspan health`."""
    parser.add_argument(
        "--json", action="store_true", help="print what the server answers, as JSON"
    )
    parser.add_argument(
        "--watch", action="store_true", help="go on; not on a terminal, a line for each change"
    )
    parser.add_argument(
        "--interval", type=_seconds, default=2.0, metavar="S", help="seconds between looks (2)"
    )
    add_server(parser)


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if 0.1 <= found <= 3600:
        return found
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 to 3600")


def health(options: argparse.Namespace) -> int:
    """Run it; exit code 0, or 1 where a backend is down.

    Raises:
        NotAnswered: the first look found no server, or it refused.
    """
    server = Server(options.url)
    found = server.get("/v1/health")
    if options.watch and sys.stdout.isatty() and not options.json:
        _live(server, options, found)
        return 0
    if options.watch:
        return _changes(server, options, found)
    if options.json:
        print(json.dumps(found))
    elif sys.stdout.isatty():
        print("\n".join(_screen(found, shutil.get_terminal_size().columns, Paint())))
    else:
        print(tsv(FIELDS))
        for each in found["backends"]:
            print(tsv(_fields(each)))
    return DOWN_CODE if found["state"] == "down" else 0


def _fields(each: dict[str, Any]) -> list[Any]:
    flat = {**each, **(each["calls"] or {}), "state": each["state"]}
    return [flat.get(name) for name in FIELDS]


def _name(each: dict[str, Any]) -> str:
    if each["name"]:
        return str(each["name"])
    return " at ".join(part for part in (each["provider"], each["server_address"]) if part)


def _row(each: dict[str, Any]) -> list[tuple[str, str]]:
    calls = each["calls"] or {}
    lasts = [check["last"] for check in (each["probes"] or {}).get("checks", []) if check["last"]]
    failed = calls.get("failed")
    return [
        (_name(each), "bold"),
        (each["state"], PAINTS.get(each["state"], "warn")),
        (_ago(each["since"]), ""),
        (figures.duration(lasts[0]["duration_s"]) if lasts else "", "dim"),
        (figures.count(calls["calls"]) if calls else "", ""),
        (figures.count(failed) if failed is not None else "", "bad" if failed else "dim"),
        (figures.duration(calls.get("latency_p95_s")) if calls else "", ""),
    ]


def _ago(moment: str | None) -> str:
    if moment is None:
        return ""
    passed_s = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    return figures.duration(max(passed_s, 0.0))


def _screen(found: dict[str, Any], cells: int, paint: Paint) -> list[str]:
    """One look, each line at most `cells` wide."""
    backends = found["backends"]
    if not backends:
        return [
            clip(line, cells)
            for line in (
                "no backend is known: no call in the last minutes, and no file of backends",
                "declare some: TOLLSPAN_BACKENDS=backends.toml tollspan up (docs/operate/health.md)",
            )
        ]
    why = [f"{_name(each)}: {each['reason']}" for each in backends if each["state"] == "down"]
    lines = table(COLUMNS, [_row(each) for each in backends], cells, paint)
    return [*lines, *(paint("bad", clip(harmless(line), cells)) for line in why)]


def _live(server: Server, options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Until somebody presses q or Ctrl-C; the terminal is left as it was found."""
    paint = Paint()
    with Keys() as keys:
        sorry = ""
        while True:
            cells, height = shutil.get_terminal_size()
            foot = padded(clip(sorry or f"{server.url} · q quit", cells), cells).rstrip()
            keys.draw([*_screen(found, cells, paint)[: height - 2], "", foot], height)
            if keys.wait(options.interval) == "q":
                return
            found, sorry = _again(server, found)


def _changes(server: Server, options: argparse.Namespace, found: dict[str, Any]) -> int:
    """A line for each backend, then one whenever its state is another; until somebody ends it."""
    before: dict[str, str] = {}
    while True:
        for each in found["backends"]:
            if before.get(_name(each)) != each["state"]:
                before[_name(each)] = each["state"]
                line = json.dumps(each) if options.json else tsv(_fields(each))
                print(line, flush=True)
        time.sleep(options.interval)
        found, sorry = _again(server, found)
        if sorry:
            print(f"tollspan: {sorry}", file=sys.stderr)


def _again(server: Server, before: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """A new look, or the one before and why there is none: a server that restarts is waited for."""
    try:
        return server.get("/v1/health"), ""
    except NotAnswered as error:
        return before, f"{time.strftime('%H:%M:%S')} {error}"
