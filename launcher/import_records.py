"""`tollspan import`: records and gateways' events from files into the ledger of a running `tollspan up`,
or through a `tollspan stage`."""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from .asking import NotAnswered, Server, add_server
from .import_file import Item, Unreadable, items
from .screen import harmless

__all__ = ["DESCRIPTION", "SOURCES", "add_options", "import_records"]

DESCRIPTION = """Take records of calls from files: JSON lines, an array, or one object, packed with
gzip or not; `-` is standard input. What is in the ledger already counts once: a file can be imported
again."""
SOURCES = {
    "records": ("/v1/ingest", "the no-proxy contract"),
    "otoroshi": ("/v1/ingest/otoroshi", "LLMUsageAudit events"),
    "litellm": ("/v1/ingest/litellm", "spend logs, standard logging payloads"),
    "llm-interactive-proxy": ("/v1/ingest/llm-interactive-proxy", "/v1/usage/export"),
    "usage": ("/v1/ingest/usage", "what `tollspan usage export` wrote"),
}
"""Where records of each source go, and what they are."""

BATCH, BATCH_BYTES = 5_000, 4 * 1024 * 1024
MOST_SHOWN = 20
TIMEOUT_S = 120.0
PATIENCE_S = 60.0
"""How long a ledger that cannot keep up is waited for, at a stretch."""

COUNTS = ("accepted", "duplicates", "ignored", "rejected")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tollspan import`."""
    parser.add_argument(
        "source",
        choices=tuple(SOURCES),
        metavar="SOURCE",
        help="; ".join(f"{name}: {said}" for name, (_, said) in SOURCES.items()),
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="`-` is standard input")
    parser.add_argument("--dry-run", action="store_true", help="only say what is wrong with it")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_server(parser)


def import_records(options: argparse.Namespace) -> int:
    """Send the files; exit code 0, or 1 where some records were not taken.

    Raises:
        NotAnswered: no server, or it refuses; a file that cannot be read.
    """
    server = Server(options.url)
    path, _ = SOURCES[options.source]
    path += "?dry_run=true" if options.dry_run else ""
    found: Counter[str] = Counter()
    faults: list[str] = []
    drawn = False
    try:
        for batch in _batches(chain.from_iterable(items(file) for file in options.files)):
            answer = _sent(server, path, batch)
            found.update({name: answer[name] for name in COUNTS})
            for fault in answer["errors"]:
                where = fault["path"] or "the record"
                faults.append(f"{batch[fault['index']].where}: {where}: {fault['error']}")
                if not options.json and len(faults) <= MOST_SHOWN:
                    drawn = _cleared(drawn)
                    print(harmless(faults[-1]), file=sys.stderr)
            if sys.stderr.isatty() and len(batch) == BATCH:  # of one batch there is no progress
                print(f"\r{sum(found.values()):,} records", end="", file=sys.stderr, flush=True)
                drawn = True
    except Unreadable as error:
        raise NotAnswered(str(error)) from error
    finally:
        _cleared(drawn)
    _told(options, found, faults)
    return 1 if found["rejected"] else 0


def _cleared(drawn: bool) -> bool:
    """Take the progress away, if there is any; there is none then."""
    if drawn:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return False


def _told(options: argparse.Namespace, found: Counter[str], faults: Sequence[str]) -> None:
    if options.json:
        print(json.dumps({name: found[name] for name in COUNTS} | {"errors": list(faults)}))
        return
    if len(faults) > MOST_SHOWN:
        print(f"… and {len(faults) - MOST_SHOWN:,} more", file=sys.stderr)
    said = ", ".join(f"{found[name]:,} {name}" for name in COUNTS)
    print(f"{said}{' (nothing was written)' if options.dry_run else ''}")


def _batches(found: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in found:
        if batch and (len(batch) == BATCH or size + len(item.text) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += len(item.text)
    if batch:
        yield batch


def _sent(server: Server, path: str, batch: Sequence[Item]) -> dict[str, Any]:
    """What the server answers to a batch; it is waited for while it cannot keep up."""
    body = gzip.compress(b"\n".join(item.text for item in batch), 1)
    headers = {"content-type": "application/x-ndjson", "content-encoding": "gzip"}
    deadline = time.monotonic() + PATIENCE_S
    while True:
        status, answer = server.send(path, body, headers, timeout_s=TIMEOUT_S)
        if isinstance(answer, dict) and "accepted" in answer:
            return answer
        sentence = answer.get("error") if isinstance(answer, dict) else None
        if status != 503 or time.monotonic() > deadline:
            raise NotAnswered(f"{server.url} refuses: {sentence or status}")
        time.sleep(1.0)
