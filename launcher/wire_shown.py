"""Captured exchanges on a terminal: a line for each, or one with all that it has."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from tollspan.wirefile import Exchange

from . import figures
from .screen import Column, Paint, harmless, table, tsv

__all__ = ["lines", "print_list"]

LINE = 1500
"""Letters of one line on a terminal; longer ones go on in the next."""

FIELDS = (
    *("id", "time", "trace_id", "request_id", "provider", "model", "method", "url", "status"),
    *("duration_s", "chunks", "size", "how", "masked"),
)
COLUMNS = (
    Column("ID", 34),
    Column("PROVIDER", 14, rank=3),
    Column("MODEL", share=2, least=14),
    Column("STATUS", 6),
    Column("TOOK", 7, right=True, rank=1),
    Column("CHUNKS", 6, right=True, rank=4),
    Column("MASKED", 6, right=True, rank=2),
    Column("HOW", 9),
)


def _summary(each: Exchange) -> dict[str, Any]:
    response = each.response or {}
    masked = each.end.get("masked") or {}
    return {
        "id": each.id,
        **{
            name: each.head.get(name)
            for name in ("time", "trace_id", "request_id", "provider", "model")
        },
        "method": each.request.get("method"),
        "url": each.request.get("url"),
        "status": response.get("status"),
        "duration_s": each.end.get("offset_s"),
        "chunks": len(each.chunks),
        "size": response.get("size"),
        "how": each.end.get("how"),
        "masked": sum(count for found in masked.values() for count in found.values()),
    }


def print_list(exchanges: Iterable[Exchange], *, as_json: bool) -> None:
    """Print a line for each: JSON, a table on a terminal, or fields with tabs between."""
    found = map(_summary, exchanges)
    if as_json:
        for each in found:
            print(json.dumps(each))
        return
    if not sys.stdout.isatty():
        print(tsv(FIELDS))
        for each in found:
            print(tsv([each[name] for name in FIELDS]))
        return
    rows = [_row(each) for each in found]
    print("\n".join(table(COLUMNS, rows, shutil.get_terminal_size().columns, Paint())))


def _row(each: dict[str, Any]) -> list[tuple[str, str]]:
    status = each["status"]
    return [
        (each["id"], ""),
        (each["provider"] or figures.UNKNOWN, "dim"),
        (each["model"] or figures.UNKNOWN, ""),
        (str(status or "none"), "good" if status and status < 400 else "bad"),
        (figures.duration(each["duration_s"]), ""),
        (str(each["chunks"]), "dim"),
        (str(each["masked"]), "warn" if each["masked"] else "dim"),
        (each["how"] or figures.UNKNOWN, "" if each["how"] == "complete" else "warn"),
    ]


# --- show -----------------------------------------------------------------------------------------


def lines(exchange: Exchange) -> Iterator[str]:
    """The exchange as text, with nothing in it that a terminal obeys."""
    head, request, response, end = exchange.head, exchange.request, exchange.response, exchange.end
    trace = f"  trace {head['trace_id']}" if head.get("trace_id") else ""
    yield from _plain([f"# {exchange.id}  {head.get('time')}{trace}"])
    yield from _plain([f"{request.get('method')} {request.get('url')}"])
    yield from _plain(f"{name}: {value}" for name, value in request.get("headers") or [])
    yield ""
    if request.get("body") is None:
        yield from _plain([f"[{request.get('size')} bytes: {request.get('omitted')}]"])
    else:
        yield from _plain(_pretty(str(request["body"])).splitlines())
    yield ""
    if response is None:
        yield from _plain([f"no answer: {end.get('how')} {end.get('error') or ''}"])
        return
    yield from _plain(
        [f"{response.get('status')}  after {figures.duration(response.get('offset_s'))}"]
    )
    yield from _plain(f"{name}: {value}" for name, value in response.get("headers") or [])
    yield ""
    if len(exchange.chunks) > 2 or any("text" not in chunk for chunk in exchange.chunks):
        for chunk in exchange.chunks:
            yield from _plain([f"+{figures.duration(chunk.get('offset_s'))}"])
            yield from _plain(_said(chunk).splitlines())
    else:
        yield from _plain(_pretty(exchange.body).splitlines())
    yield ""
    masked = ", ".join(
        f"{count} {rule} in {where.replace('_', ' ')}"
        for where, found in (end.get("masked") or {}).items()
        for rule, count in found.items()
    )
    yield from _plain([f"{end.get('how')} after {figures.duration(end.get('offset_s'))}"])
    yield from _plain([f"masked: {masked or 'nothing'}"])


def _said(chunk: dict[str, Any]) -> str:
    if "frames" in chunk:
        return "\n".join(
            f"{frame['headers'].get(':event-type', '')} {frame.get('text') or frame['payload']}"
            for frame in chunk["frames"]
        )
    return str(chunk.get("text", f"[{chunk.get('omitted')} bytes]"))


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _plain(lines: Iterable[str]) -> Iterator[str]:
    """Lines with nothing in them that a terminal obeys."""
    for line in lines:
        for at in range(0, max(1, len(line)), LINE):
            yield harmless(line[at : at + LINE])
