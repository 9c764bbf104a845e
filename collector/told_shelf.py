"""Records and events at a stage: sent on as the spans that they tell of.

Their ids are functions of the id that their sender gave them, so that the ledger counts a record once
however often and by whichever stage it is sent on. Whether it came before, the ledger is asked, where this
stage has one; and the records of the last minutes are remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from threading import BoundedSemaphore, Lock

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from .clickhouse import ClickHouse, ClickHouseError
from .counters import Counters
from .ingest import Answer, Ingest, Place, There
from .receiver import Intake, Unavailable
from .span import Span
from .told_wire import requests_of

__all__ = ["ingest_through"]

ASKED_AT_ONCE = 1_000
"""Ids travel in the query string."""

ASKING = 2
"""Requests that ask the ledger at one time."""

REMEMBERED = 50_000
"""Records; 20 MB."""

SPANS = """
SELECT trace_id, span_id, max(version) AS version,
       toUnixTimestamp64Nano(argMax(time, spans.version)) AS time_ns
FROM spans WHERE trace_id IN {traces:Array(String)} GROUP BY trace_id, span_id
"""
CALLS = """
SELECT trace_id, span_id, toUnixTimestamp64Nano(argMax(time, llm_calls.version)) AS time_ns
FROM llm_calls WHERE trace_id IN {traces:Array(String)} AND role != 'gone' GROUP BY trace_id, span_id
"""
"""Of those whose spans were not kept: a sampler may have dropped them behind the stage."""


def ingest_through(intake: Intake, ledger: ClickHouse | None, counters: Counters) -> Ingest:
    """What takes records for this stage."""

    def noted(answer: Answer, spans: int) -> None:
        for outcome in ("accepted", "duplicates", "ignored", "rejected"):
            counters.add("told_records", getattr(answer, outcome), outcome)

    return Ingest(_StageShelf(intake, ledger), noted)


class _StageShelf:
    """A `Shelf`: others send to the same ledger, which decides in the end."""

    def __init__(self, intake: Intake, ledger: ClickHouse | None) -> None:
        self._intake = intake
        self._ledger = ledger
        self._lately: OrderedDict[Place, There] = OrderedDict()
        self._changing = Lock()
        self._asking = BoundedSemaphore(ASKING)

    def asked(
        self, places: Sequence[Place], *, undated: bool
    ) -> tuple[Mapping[Place, There], bool]:
        """
        Raises:
            Unavailable: the ledger cannot be asked, and has to be.
        """
        if self._ledger is None:
            return {}, False
        known = self.there(places)
        traces = list(dict.fromkeys(place[0] for place in places if place not in known))
        found: dict[Place, There] = {}
        try:
            with self._asking:
                for begin in range(0, len(traces), ASKED_AT_ONCE):
                    found |= _standing(self._ledger, traces[begin : begin + ASKED_AT_ONCE])
        except ClickHouseError as error:
            if undated:
                raise Unavailable(
                    f"{error}: records without a timestamp cannot be taken meanwhile"
                ) from error
            return {}, False
        return found, True

    def there(self, places: Sequence[Place]) -> Mapping[Place, There]:
        with self._changing:
            return {place: self._lately[place] for place in places if place in self._lately}

    def put(self, spans: Sequence[Span]) -> Iterable[tuple[Sequence[Span], Future[None]]]:
        """
        Raises:
            Refusal: the stage is full or stopping; some may have been taken.
        """
        return [(some, self._sent(some, body)) for some, body in requests_of(spans)]

    def _sent(self, spans: Sequence[Span], body: bytes) -> Future[None]:
        safe: Future[None] = Future()

        def answered(sent: Future[bytes]) -> None:
            error = sent.exception()
            left_out = "" if error else _left_out(sent.result())
            if error is None and not left_out:
                self._remember(spans)
                safe.set_result(None)
            else:
                safe.set_exception(error or Unavailable(left_out))

        self._intake.traces(body).add_done_callback(answered)
        return safe

    def _remember(self, spans: Iterable[Span]) -> None:
        with self._changing:
            for span in spans:
                place = span.trace_id, span.span_id
                there = self._lately.pop(place, None)
                if there is None or (there.version or 0) <= span.version:
                    there = There(span.version, span.start_ns)
                self._lately[place] = there
            while len(self._lately) > REMEMBERED:
                self._lately.popitem(last=False)


def _standing(ledger: ClickHouse, traces: Sequence[str]) -> Iterator[tuple[Place, There]]:
    """What the ledger has of `traces`.

    Raises:
        ClickHouseError: it cannot be asked.
    """
    seen: set[str] = set()
    for row in ledger.rows(SPANS, {"traces": traces}):
        seen.add(row["trace_id"])
        yield _place(row), There(int(row["version"]), int(row["time_ns"]))
    rest = [each for each in traces if each not in seen]
    for row in ledger.rows(CALLS, {"traces": rest}) if rest else ():
        yield _place(row), There(None, int(row["time_ns"]))


def _place(row: Mapping[str, str]) -> Place:
    return row["trace_id"], row["span_id"]


def _left_out(answer: bytes) -> str:
    """What the collector behind says that it has not kept; '' where it has kept all."""
    return str(ExportTraceServiceResponse.FromString(answer).partial_success.error_message[:300])
