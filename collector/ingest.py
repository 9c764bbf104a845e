"""Records and events of calls, taken once each, however often they are delivered.

Where they stand is a `Shelf`: the ledger itself, or a stage in front of it. What is taken is safe when the
answer is given. A record that is there already, and says the same, changes nothing; one that says
something else is a fault, unless its revision is higher: an id that is used twice by mistake must not
swallow the first call's money.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock, RLock
from typing import Any, Protocol

from .span import Span, fault
from .told import Fault, Told, Untold, revision_of

__all__ = ["MOST_RECORDS", "Answer", "Ingest", "Place", "Read", "Shelf", "There", "records_in"]

Read = Callable[[Any, int], Told | None]
"""Parsed JSON, and nanoseconds now, to the call that it tells of; None where it tells of none.

Raises:
    Untold: something is wrong with it.
"""

MOST_RECORDS = 10_000
"""Of one request: they are committed together."""

MOST_FAULTS = 1_000
"""Told of one request; the rest is only counted."""

UNDATED = Fault(
    "timestamp",
    "timestamp is missing: write when the call started. Without it only the ledger knows whether a "
    "record came before, and this stage has none to ask (TOLLSPAN_CLICKHOUSE_URL)",
)

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
class There:
    """What is known of a call: safe, or on its way with `done` still to come.

    `version` is None where nobody knows what it said, only that it was there.
    """

    version: int | None
    start_ns: int
    done: Future[None] | None = None


class Shelf(Protocol):
    """Where told calls go, and where they are looked for."""

    def asked(
        self, places: Sequence[Place], *, undated: bool
    ) -> tuple[Mapping[Place, There], bool]:
        """What stands at some of `places`, as far as it takes time to know; and whether what is not
        there has never come. `undated`: that has to be known of one that does not say when it was.

        Raises:
            Refusal: it has to be known, and cannot be now.
        """
        ...

    def there(self, places: Sequence[Place]) -> Mapping[Place, There]:
        """What stands at some of `places`, as far as nobody else may take records meanwhile."""
        ...

    def put(self, spans: Sequence[Span]) -> Iterable[tuple[Sequence[Span], Future[None]]]:
        """Take `spans`, in parts; the future of each part is done when it is safe.

        Raises:
            Refusal: not all of them were taken. Sent again, those that were count once.
        """
        ...


class Ingest:
    """Takes records for a shelf; for any thread. `noted` hears of each request and its spans."""

    def __init__(self, shelf: Shelf, noted: Callable[[Answer, int], None]) -> None:
        self._shelf = shelf
        self._noted = noted
        self._one_by_one = Lock()
        """Held from asking what is there until it is offered."""
        self._changing = RLock()
        """Of `_coming`; never held while anything is waited for."""
        self._coming: dict[Place, There] = {}

    def take(
        self, records: Iterable[Any], read: Read, *, dry_run: bool = False
    ) -> tuple[Answer, list[Future[None]]]:
        """What becomes of `records`, and what to wait for until they are safe.

        An exception among `records` is a record that could not be parsed. With `dry_run` nothing is
        written.

        Raises:
            Refusal: see `Shelf`.
        """
        answer = Answer()
        now_ns = time.time_ns()
        told = list(_read(records, read, now_ns, answer))
        places = [_place(each.span) for _, each in told]
        undated = any(not each.span.start_ns for _, each in told)
        asked, is_sure = self._shelf.asked(places, undated=undated)
        with self._one_by_one:
            coming = self._on_their_way(places)  # before it is asked what has come
            rest = [place for place in places if place not in coming]
            there = {**asked, **self._shelf.there(rest), **coming}
            spans, waits = _sorted(told, there, answer, now_ns, is_sure=is_sure)
            if not dry_run:
                self._noted(answer, len(spans))
                waits += self._offered(spans) if spans else []
        return answer, waits

    def _on_their_way(self, places: Sequence[Place]) -> dict[Place, There]:
        with self._changing:
            return {place: self._coming[place] for place in places if place in self._coming}

    def _offered(self, spans: Sequence[Span]) -> list[Future[None]]:
        return [self._awaited(part, done) for part, done in self._shelf.put(spans)]

    def _awaited(self, spans: Sequence[Span], done: Future[None]) -> Future[None]:
        coming = {_place(span): There(span.version, span.start_ns, done) for span in spans}
        with self._changing:
            self._coming |= coming

        def safe(_: Future[None]) -> None:
            with self._changing:
                for place, each in coming.items():
                    if self._coming.get(place) is each:
                        del self._coming[place]

        done.add_done_callback(safe)
        return done


def _read(
    records: Iterable[Any], read: Read, now_ns: int, answer: Answer
) -> Iterable[tuple[int, Told]]:
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
            yield index, found


def _place(span: Span) -> Place:
    return span.trace_id, span.span_id


def _sorted(
    told: Sequence[tuple[int, Told]],
    there: dict[Place, There],
    answer: Answer,
    now_ns: int,
    *,
    is_sure: bool,
) -> tuple[list[Span], list[Future[None]]]:
    """Spans that are new, the last of each; and commits that others' duplicates wait for."""
    new: dict[Place, Sequence[Span]] = {}
    waits: dict[int, Future[None]] = {}
    for index, each in told:
        place, version = _place(each.span), each.span.version
        known = there.get(place)
        if known is None and not is_sure and not each.span.start_ns:
            answer.reject(index, [UNDATED])
            continue
        revision = revision_of(version)
        unknown = known is not None and known.version is None
        before = revision_of(known.version) if known and known.version is not None else -1
        if known and not unknown and (known.version == version or before > revision):
            answer.duplicates += 1  # or a correction came first
        elif before == revision and each.identity:
            answer.reject(index, [each.conflict()])
        elif known and known.version is not None and known.version > version:
            answer.duplicates += 1
        else:
            span = each.dated(now_ns, known.start_ns if known is not None else 0)
            new[place] = (span, *each.beside)
            there[place] = There(version, span.start_ns)
            # An event may be told by several; one of them stands, whichever came first.
            is_again = known is not None and (unknown or not each.identity)
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
