"""Records and events of calls into the ledger: each once, however often it is delivered.

What is taken is committed when the answer is given. A record that is there already, and says the
same, changes nothing; one that says something else is a fault, unless its revision is higher: an
id that is used twice by mistake must not swallow the first call's money.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock, RLock
from typing import Any

from tollspan.collector.receiver import Received
from tollspan.collector.span import Span, fault
from tollspan.collector.told import Fault, Told, Untold, revision_of

from .ledger import Ledger
from .recall import Recall
from .writer import Writer

__all__ = ["MOST_RECORDS", "Answer", "Ingest", "Read", "records_in"]

Read = Callable[[Any, int], Told | None]
"""Parsed JSON, and nanoseconds now, to the call that it tells of; None where it tells of none.

Raises:
    Untold: something is wrong with it.
"""

MOST_RECORDS = 10_000
"""Of one request: they are committed together."""

MOST_FAULTS = 1_000
"""Told of one request; the rest is only counted."""

ASKED_AT_ONCE = 4_000
THERE = """
SELECT trace_id, span_id, max(version) AS version,
       toUnixTimestamp64Nano(argMax(time, spans.version)) AS time_ns
FROM spans WHERE trace_id IN {traces:Array(String)} GROUP BY trace_id, span_id
"""

Place = tuple[str, str]
"""Trace id and span id."""


@dataclass(slots=True)
class Answer:
    """What became of a request's records, each counted once; `faults` with the record's place."""

    accepted: int = 0
    duplicates: int = 0
    ignored: int = 0
    rejected: int = 0
    faults: list[tuple[int, Fault]] = field(default_factory=list)

    def reject(self, index: int, faults: Sequence[Fault]) -> None:
        self.rejected += 1
        self.faults += [(index, fault) for fault in faults]

    def as_json(self) -> dict[str, Any]:
        """`{accepted, duplicates, ignored, rejected, errors: [{index, path, error}], more_errors}`."""
        told = sorted(self.faults, key=lambda each: each[0])
        return {
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "ignored": self.ignored,
            "rejected": self.rejected,
            "errors": [
                {"index": index, "path": _utf8(fault.path), "error": _utf8(fault.error)}
                for index, fault in told[:MOST_FAULTS]
            ],
            "more_errors": max(0, len(told) - MOST_FAULTS),
        }

    @property
    def http_status(self) -> int:
        """200 when all is well, 207 when some records are not, 400 when none is."""
        if not self.rejected:
            return 200
        return 207 if self.accepted or self.duplicates or self.ignored else 400


def _utf8(text: str) -> str:
    """JSON may hold halves of characters, which nothing can send."""
    return text.encode("utf-8", "replace").decode()


@dataclass(slots=True)
class _There:
    """What is known of a call: committed, or on its way with `done` still to come."""

    version: int
    start_ns: int
    done: Future[None] | None = None


class Ingest:
    """Takes records for the ledger; for any thread."""

    def __init__(self, ledger: Ledger, writer: Writer, recall: Recall, received: Received) -> None:
        self._ledger = ledger
        self._writer = writer
        self._recall = recall
        self._received = received
        self._one_by_one = Lock()
        """Held from asking what is there until it is offered."""
        self._changing = RLock()
        """Of `_coming`; never held while anything is waited for."""
        self._coming: dict[Place, _There] = {}

    def take(
        self, records: Iterable[Any], read: Read, *, dry_run: bool = False
    ) -> tuple[Answer, list[Future[None]]]:
        """What becomes of `records`, and what to wait for until they are safe.

        An exception among `records` is a record that could not be parsed. With `dry_run` nothing is
        written.

        Raises:
            Overloaded: the ledger cannot keep up; nothing was taken.
            Busy, LedgerError: the ledger cannot be asked; nothing was taken.
        """
        answer = Answer()
        now_ns = time.time_ns()
        told: list[tuple[int, Told]] = []
        for index, record in enumerate(records):
            try:
                if isinstance(record, Untold):
                    raise record
                found = read(record, now_ns)
            except Untold as wrong:
                answer.reject(index, wrong.faults)
                continue
            if found is None:
                answer.ignored += 1
            elif found.span.start_ns and (why := fault(found.span)):
                answer.reject(index, [Fault("", why)])
            else:
                told.append((index, found))
        with self._one_by_one:
            there = self._known([_place(each.span) for _, each in told])
            spans, waits = _sorted(told, there, answer, now_ns)
            if not dry_run:
                self._received.add(requests=1, spans=len(spans), rejected=answer.rejected)
                waits += [self._offered(spans)] if spans else []
        return answer, waits

    def _known(self, places: Sequence[Place]) -> dict[Place, _There]:
        with self._changing:
            found = {place: self._coming[place] for place in places if place in self._coming}
        traces = dict.fromkeys(place[0] for place in places if place not in found)
        asked = self._recall.perhaps(traces)
        for begin in range(0, len(asked), ASKED_AT_ONCE):
            wanted = asked[begin : begin + ASKED_AT_ONCE]
            for row in self._ledger.query(THERE, {"traces": wanted}):
                place = row["trace_id"], row["span_id"]
                found.setdefault(place, _There(row["version"], row["time_ns"]))
        return found

    def _offered(self, spans: list[Span]) -> Future[None]:
        done = self._writer.offer(spans)
        coming = {_place(span): _There(span.version, span.start_ns, done) for span in spans}
        with self._changing:
            self._coming |= coming

        def safe(_: Future[None]) -> None:
            with self._changing:
                for place, each in coming.items():
                    if self._coming.get(place) is each:
                        del self._coming[place]

        done.add_done_callback(safe)
        return done


def _place(span: Span) -> Place:
    return span.trace_id, span.span_id


def _sorted(
    told: Sequence[tuple[int, Told]], there: dict[Place, _There], answer: Answer, now_ns: int
) -> tuple[list[Span], list[Future[None]]]:
    """Spans that are new, the last of each; and commits that others' duplicates wait for."""
    new: dict[Place, Sequence[Span]] = {}
    waits: dict[int, Future[None]] = {}
    for index, each in told:
        place, version = _place(each.span), each.span.version
        known = there.get(place)
        revision = revision_of(version)
        before = revision_of(known.version) if known is not None else -1
        if known is not None and (known.version == version or before > revision):
            answer.duplicates += 1  # or a correction came first
        elif before == revision and each.identity:
            answer.reject(index, [each.conflict()])
        elif known is not None and known.version > version:
            answer.duplicates += 1
        else:
            span = each.dated(now_ns, known.start_ns if known is not None else 0)
            new[place] = (span, *each.beside)
            there[place] = _There(version, span.start_ns)
            # An event may be told by several; one of them stands, whichever came first.
            is_again = known is not None and not each.identity
            answer.duplicates += is_again
            answer.accepted += not is_again
        if known is not None and known.done is not None:
            waits[id(known.done)] = known.done
    return [span for spans in new.values() for span in spans], list(waits.values())


def records_in(body: bytes, *, lines: bool) -> list[Any]:
    """The records of a request's body: one JSON object or an array, or one on each line.

    A line that is no JSON stands in its place as an `Untold`.

    Raises:
        ValueError: the body is no JSON, or holds more than `MOST_RECORDS`; a sentence.
    """
    found = _of_lines(body) if lines else _parsed(body)
    records = found if isinstance(found, list) else [found]
    if len(records) > MOST_RECORDS:
        raise ValueError(f"more than {MOST_RECORDS} records at once: send them in several requests")
    return records


def _of_lines(body: bytes) -> list[Any]:
    found: list[Any] = []
    for line in body.splitlines():
        if line.strip():
            try:
                found.append(_parsed(line))
            except ValueError as wrong:
                found.append(Untold([Fault("", str(wrong))]))
    return found


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("this is nested too deeply") from None
    except ValueError as error:
        where = f" ({error})" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"this is not JSON{where}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
