"""Traces that more than one stage told of, folded again from the ledger and told again. (foreign names)

A stage that crashed, a ring that was resized, a trace too big or told in a hurry: each leaves calls
that were told from a part of their trace. All spans stand in ClickHouse, so the same fold makes the
whole of it, and tells it with a higher version. Any number of mends come to the same rows.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tollspan import semconv

from . import told_interactive, told_litellm, told_otoroshi
from .clickhouse import MOST_SPANS, AskedLedger, ClickHouse
from .foreign import normalised, settled
from .forward import Forwarder
from .records import requests_of
from .span import Span
from .stage import Call, Remembered, Stage

__all__ = ["DEFERRED", "MENDED", "Mend", "Mended"]

MENDED = "/mend"
DEFERRED = "/deferred"
"""Behind the name of a stage that told a call anew, or for the first time, from the ledger."""

MOST_TRACES = 10_000
"""Of one mend; the next one goes on."""

AT_ONCE = 100
"""Traces that are folded together."""

TOLD_SCOPES = (
    semconv.TOLD_SCOPE,
    told_interactive.SOURCE,
    told_litellm.SCOPE,
    told_otoroshi.SOURCE,
)
"""Of calls that came as records and events."""

TORN = """
SELECT trace_id FROM llm_calls FINAL
WHERE told_at >= now('UTC') - toIntervalMinute({minutes:UInt32}) AND told_by != ''
GROUP BY trace_id
HAVING uniqExact(told_by) > 1 OR countIf(match(told_by, '/(alone|torn)$')) > 0
LIMIT {most:UInt32}
"""
"""A trace is whole when one teller stands for all its calls, and had all of it."""

UNTOLD = """
SELECT DISTINCT trace_id FROM spans
WHERE time >= now('UTC') - toIntervalMinute({minutes:UInt32})
  AND arrayExists(name -> startsWith(name, 'gen_ai.') OR startsWith(name, 'llm.')
                       OR endsWith(name, 'span.kind') OR name = 'ai.operationId',
                  mapKeys(attributes))
  AND trace_id NOT IN (
      SELECT trace_id FROM llm_calls
      WHERE time >= now('UTC') - toIntervalMinute({minutes:UInt32} + 60)
  )
LIMIT {most:UInt32}
"""
"""Spans that passed a stage which had no time for them."""

LOST_HOPS = """
SELECT DISTINCT trace_id FROM spans
WHERE time >= now('UTC') - toIntervalMinute({minutes:UInt32})
  AND mapContains(attributes, {hop:String})
  AND (trace_id, span_id) NOT IN (
      SELECT trace_id, span_id FROM llm_hops
      WHERE time >= now('UTC') - toIntervalMinute({minutes:UInt32} + 60)
  )
LIMIT {most:UInt32}
"""
"""Hops that came to a stage which did not have their call."""

APART = """
WITH told AS (
    SELECT trace_id, arrayJoin([
               concat('external ', attributes['tollspan.request_id']),
               concat('request ', attributes['gen_ai.gateway.request.id']),
               concat('answer ', attributes['gen_ai.response.id']),
               concat('session ', attributes['gen_ai.conversation.id'])]) AS key
    FROM spans
    WHERE trace_id IN (
        SELECT trace_id FROM llm_calls
        WHERE told_at >= now('UTC') - toIntervalMinute({minutes:UInt32})
          AND scope IN {scopes:Array(String)}
        GROUP BY call_id, trace_id
        HAVING argMax(role, version) = 'owner'
           AND NOT match(argMax(told_by, version), '/(mend|deferred)$')
    ) AND mapContains(attributes, 'tollspan.told_from')
)
SELECT DISTINCT trace_id FROM told
WHERE key IN (
    SELECT key FROM span_links WHERE key IN (SELECT key FROM told)
    GROUP BY key HAVING uniqExact(trace_id) > 1
)
LIMIT {most:UInt32}
"""
"""Records and events that own their money though another trace has their key: the span that they tell
again came to another stage."""

CALLS = """
SELECT call_id, trace_id, span_id, max(version) AS newest,
       argMax(role, llm_calls.version) AS standing
FROM llm_calls WHERE trace_id IN {traces:Array(String)}
GROUP BY call_id, trace_id, span_id
"""

SPAN_RANK = 1 << 24
"""What a span adds to a rank at least; see `stage`."""


@dataclass(slots=True)
class Mended:
    """What a mend has done."""

    traces: int = 0
    records: int = 0


class Mend:
    """Not for several threads at once.

    Args:
        told_by: name of the stage that mends.
        minutes: how far back it looks.
        timeout_s: how long it waits for records to be acknowledged.
    """

    def __init__(
        self,
        clickhouse: ClickHouse,
        forwarder: Forwarder,
        told_by: str,
        *,
        minutes: int,
        timeout_s: float,
    ) -> None:
        self._clickhouse = clickhouse
        self._ledger = AskedLedger(clickhouse)
        self._forwarder = forwarder
        self._told_by = told_by
        self._minutes = minutes
        self._timeout_s = timeout_s

    def run(self, suspects: Iterable[str] = ()) -> Mended:
        """Mend what is torn or untold, and `suspects` (trace ids).

        Raises:
            ClickHouseError: the ledger cannot be asked.
            Refusal: the collector behind did not take the records. Nothing is lost: the same
                traces are found by the next mend.
        """
        done = Mended()
        asked = {
            "minutes": self._minutes,
            "most": MOST_TRACES,
            "hop": semconv.HOP_ROLE,
            "scopes": TOLD_SCOPES,
        }
        found = dict.fromkeys(suspects)
        for sql in (TORN, UNTOLD, LOST_HOPS, APART):
            found |= dict.fromkeys(row["trace_id"] for row in self._clickhouse.rows(sql, asked))
        for some in _in_parts(list(found)):
            for fold, calls in self._folded(some):
                rows = self._rows(calls)
                there = {row["call_id"]: int(row["newest"]) for row in rows}
                _raise(calls, fold, there)
                done.records += self._tell([*calls, *self._replaced(calls, rows)], there)
                done.traces += len({call.span.trace_id for call in calls})
        return done

    def _folded(self, trace_ids: Sequence[str]) -> Iterator[tuple[Stage, list[Call]]]:
        """Every call of these traces, as all their spans tell it."""
        spans = self._ledger.spans(trace_ids)
        if len(spans) >= MOST_SPANS:
            # Some are missing. One trace that is so big was told in parts, and stays so.
            if half := len(trace_ids) // 2:
                yield from self._folded(trace_ids[:half])
                yield from self._folded(trace_ids[half:])
            return
        first = {span.trace_id: span for span in reversed(spans)}
        recall = _Recalled(self._ledger, spans)
        fold = Stage(settled, normalised, recall, self._ledger.linked, remembered_spans=2**62)
        yield fold, fold.take(list(first.values()))

    def _rows(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
        """What the ledger has of calls of the same traces."""
        return [
            row
            for some in _in_parts(sorted({call.span.trace_id for call in calls}))
            for row in self._clickhouse.rows(CALLS, {"traces": some})
        ]

    def _replaced(self, calls: Sequence[Call], rows: Iterable[Mapping[str, Any]]) -> Iterator[Call]:
        """Rows of a copy of a span that stands no more, as the one of `calls` began at another time:
        two stages were each told of it, and neither knew of the other's."""
        by_span = {(call.span.trace_id, call.span.span_id): call for call in calls}
        told = {call.call_id for call in calls}
        old = [
            (row, by_span[row["trace_id"], row["span_id"]])
            for row in rows
            if row["standing"] != "gone"
            and row["call_id"] not in told
            and (row["trace_id"], row["span_id"]) in by_span
        ]
        hops = self._ledger.hops([call.span.trace_id for _, call in old]) if old else {}
        for row, call in old:
            key, version = row["call_id"], max(int(row["newest"]), call.version) + 1
            span = replace(call.span, start_ns=int(key[:16], 16))
            yield Call(key, span, {}, "gone", "", [], version, hops_gone=hops.get(key, ()))

    def _tell(self, calls: Sequence[Call], there: Container[str]) -> int:
        """Send the records on; how many they were."""
        known = {call.span.trace_id for call in calls if call.call_id in there}
        reasons: dict[str, list[Call]] = {MENDED: [], DEFERRED: []}
        for call in calls:
            reasons[MENDED if call.span.trace_id in known else DEFERRED].append(call)
        now_ns = time.time_ns()
        sent = [
            (self._forwarder.send("logs", body), count)
            for reason, some in reasons.items()
            for body, count in requests_of(some, self._told_by + reason, now_ns)
        ]
        for answer, _ in sent:
            answer.result(self._timeout_s + 1)
        return sum(count for _, count in sent)


def _raise(calls: Iterable[Call], fold: Stage, there: Mapping[str, int]) -> None:
    """Have `calls` stand above what was told from no more than is known here.

    A version counts evidence, and a part of it is a hash of each span, which the ledger and a stage
    take differently; a span more or less counts for more than all of these.
    """
    for call in calls:
        told = there.get(call.call_id, 0)
        trace = fold.held(call.span.trace_id)
        hashed = min(len(trace.spans) << 17 if trace else 0, SPAN_RANK - 1)
        if told > call.version and (told >> 18) - (call.version >> 18) <= hashed:
            call.version = told + 1


class _Recalled:
    """The ledger, with what was asked of it already. All spans of a trace are there, or none."""

    def __init__(self, ledger: AskedLedger, spans: Iterable[Span]) -> None:
        self._ledger = ledger
        self._there: dict[str, list[Span]] = {}
        for span in spans:
            self._there.setdefault(span.trace_id, []).append(span)

    def __call__(self, trace_ids: Sequence[str]) -> Remembered:
        spans = [span for each in trace_ids for span in self._there.get(each, ())]
        strange = [each for each in trace_ids if each not in self._there]
        if strange:
            spans += self._ledger.spans(strange)
        return Remembered(spans, self._ledger.hops(trace_ids))


def _in_parts(trace_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(trace_ids), AT_ONCE):
        yield trace_ids[start : start + AT_ONCE]
