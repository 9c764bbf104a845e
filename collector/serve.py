"""The stage behind the receivers: each request enriched, folded, sent on, and then answered.

A request is answered only after the collector behind has acknowledged both halves of what became of
it: the spans, and the records of the calls that they change. One thread, the step, does the work in
the order in which requests came; receivers wait for the future that they were given.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tollspan.guard import quietly

from .admission import Admission, Level
from .call import Call
from .counters import Counters
from .enrich import enrich, trace_of
from .forward import Forwarder
from .handover import Handover
from .holding import Holding, Told
from .markers import MARKERS, marked
from .otlp_json import answer_as_json, as_protobuf
from .receiver import Malformed, Overloaded, Refusal, Unavailable
from .records import requests_of
from .unopened import spans_of

__all__ = ["ALONE", "TORN", "StageIntake"]

_logger = logging.getLogger("tollspan")

ALONE, TORN = "/alone", "/torn"
"""Behind the name of a stage that told a call without the rest of its trace, or while a span above
it was missing. The mend looks for both."""

TICK_S = 1.0
"""How often windows are looked at while nothing comes."""
SAY_AGAIN_S = 10.0
"""Between two lines of the log that say why nothing is taken."""


@dataclass(slots=True)
class _Job:
    """A request with spans on its way through."""

    body: bytes
    is_json: bool
    number: int
    answer: Future[bytes] = field(default_factory=Future)
    spans: int = 0
    calls: list[Call] = field(default_factory=list)
    """That are told with it."""
    first: int = 0
    """Of these, those that no span before it told of."""


class StageIntake:
    """An `Intake` that sends on.

    Args:
        told_by: name of this running stage, in every record.
    """

    def __init__(
        self,
        forwarder: Forwarder,
        holding: Holding,
        admission: Admission,
        counters: Counters,
        told_by: str,
    ) -> None:
        self._forwarder = forwarder
        self._holding = holding
        self._admission = admission
        self._counters = counters
        self._told_by = told_by
        self._waiting: SimpleQueue[_Job | None] = SimpleQueue()
        self._not_told: deque[Sequence[Call]] = deque()
        self._said, self._said_at = "", -SAY_AGAIN_S
        self._thread = threading.Thread(target=self._run, name="tollspan-step", daemon=True)
        self._thread.start()

    # --- the receivers' side ---------------------------------------------------------------------

    def traces(self, body: bytes, *, is_json: bool = False) -> Future[bytes]:
        number = self._entered("traces", body)
        job = _Job(body, is_json, number)
        if is_json:
            try:
                job.body = as_protobuf("traces", body)
            except Malformed as error:
                self._admission.begun(number)
                self._refused(job, error, "malformed")
                return job.answer
        self._waiting.put(job)
        return job.answer

    def metrics(self, body: bytes, *, is_json: bool = False) -> Future[bytes]:
        return self._untouched("metrics", body, is_json)

    def logs(self, body: bytes, *, is_json: bool = False) -> Future[bytes]:
        return self._untouched("logs", body, is_json)

    @property
    def is_alive(self) -> bool:
        """Whether the step goes on."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the step. Nothing may come in any more."""
        self._waiting.put(None)
        self._thread.join()

    def _entered(self, signal: str, body: bytes) -> int:
        self._counters.add("received_requests", label=signal)
        try:
            return self._admission.enter(len(body))
        except Refusal as refusal:
            reason = "overload" if isinstance(refusal, Overloaded) else "stopping"
            self._counters.add("refused_requests", label=reason)
            if signal == "traces":
                with suppress(Malformed):
                    self._counters.add("refused_spans", sum(map(len, spans_of(body))), reason)
            raise

    def _untouched(self, signal: str, body: bytes, is_json: bool) -> Future[bytes]:
        """Metrics and logs: sent on as they came, answered as they were answered there."""
        number = self._entered(signal, body)
        self._admission.begun(number)
        job = _Job(body, is_json, number)
        try:
            sent = self._forwarder.send(signal, as_protobuf(signal, body) if is_json else body)
        except Malformed as error:
            self._refused(job, error, "malformed")
            return job.answer

        def answered(done: Future[bytes]) -> None:
            error = done.exception()
            if error is None:
                self._answered(job, signal, done.result())
            else:
                self._counters.add("downstream_failures", label=signal)
                self._say(error)
                self._refused(job, error, "downstream")

        sent.add_done_callback(answered)
        return job.answer

    # --- the step --------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                job = self._waiting.get(timeout=TICK_S)
            except Empty:
                self._holding.release_passed()
                continue
            if job is None:
                return
            self._step(job)
            del job  # and all that was made of it, while nothing comes

    def _step(self, job: _Job) -> None:
        while self._not_told:
            self._holding.untold(self._not_told.popleft())
        made: tuple[bytes, Told] | None = None
        error: Refusal = Unavailable("the stage failed; send the spans again")
        with quietly:
            try:
                made = self._made(job, self._admission.begun(job.number))
            except Malformed as malformed:
                error = malformed
        if made is not None:
            self._hand_over(job, *made)
        else:
            self._refused(job, error, "malformed" if isinstance(error, Malformed) else "fault")

    def _made(self, job: _Job, level: Level) -> tuple[bytes, Told]:
        """What to send on for `job`: spans, and the calls to tell of.

        Raises:
            Malformed: the request is not OTLP.
        """
        malformed: Malformed | None = None
        if level < Level.ENRICHMENT:
            with quietly:  # a fault of ours costs enrichment, which the mend makes up for
                try:
                    return self._enriched(job, level)
                except Malformed as error:
                    malformed = error
        if malformed is not None:
            raise malformed
        unopened = spans_of(job.body)
        job.spans = sum(map(len, unopened))
        for raws in unopened:
            for at in marked(raws, MARKERS):
                self._holding.suspect(trace_of(raws[at]))
        self._counters.add("received_spans", job.spans)
        self._counters.add("shed_spans", job.spans, "enrichment" if level else "fault")
        return job.body, Told()

    def _enriched(self, job: _Job, level: Level) -> tuple[bytes, Told]:
        enriched = enrich(job.body)
        spans = enriched.relevant(self._holding, self._holding.bystanders.put)
        try:
            told = self._holding.take(spans, alone=level >= Level.HOPS)
        except BaseException:
            self._holding.forget({span.trace_id for span in spans})
            raise
        job.spans = enriched.spans
        job.calls = told.all
        brought = {(span.trace_id, span.span_id) for span in spans}
        job.first = sum((call.span.trace_id, call.span.span_id) in brought for call in job.calls)
        self._counters.add("received_spans", job.spans)
        self._counters.add("unusable_spans", enriched.unusable)
        for grade, count in enriched.priced.items():
            self._counters.add("priced_spans", count, grade)
        return enriched.body, told

    def _hand_over(self, job: _Job, body: bytes, told: Told) -> None:
        now_ns = time.time_ns()
        records = [
            *requests_of(told.calls, self._told_by, now_ns),
            *requests_of(told.torn, self._told_by + TORN, now_ns),
            *requests_of(told.alone, self._told_by + ALONE, now_ns),
        ]
        Handover(self._forwarder, body, records, lambda over: self._ended(job, over))

    # --- what came of it -------------------------------------------------------------------------

    def _ended(self, job: _Job, over: Handover) -> None:
        for signal, failures in over.failures.items():
            self._counters.add("downstream_failures", failures, signal)
        if over.refusal is None:
            self._counters.add("records", job.first, "first")
            self._counters.add("records", len(job.calls) - job.first, "corrected")
            if self._said:
                self._said = ""
                _logger.info("requests are taken again")
            self._answered(job, "traces", self._merged(job, over))
            return
        self._say(over.refusal)
        # Before the sender is told: what it sends again must find this.
        self._not_told.append(job.calls)
        self._refused(job, over.refusal, "downstream")

    def _say(self, error: BaseException) -> None:
        """Log why the collector behind takes nothing: once, not for every request, and not for every
        turn of one that comes and goes."""
        now = time.monotonic()
        if str(error) != self._said and now - self._said_at >= SAY_AGAIN_S:
            self._said, self._said_at = str(error), now
            _logger.warning("requests are refused for now: %s", error)

    def _merged(self, job: _Job, over: Handover) -> bytes:
        """The answer about the spans, with a word about records that were left out."""
        answer = ExportTraceServiceResponse.FromString(over.answer)
        rejected = answer.partial_success.rejected_spans
        self._counters.add("rejected_spans", rejected, "downstream")
        self._counters.add("forwarded_spans", job.spans - rejected)
        for each in over.record_answers:
            partial = ExportLogsServiceResponse.FromString(each).partial_success
            if partial.rejected_log_records:
                self._counters.add("records", partial.rejected_log_records, "rejected")
                answer.partial_success.error_message += (
                    f" {partial.rejected_log_records} records of calls were left out:"
                    f" {partial.error_message[:300]}"
                )
        return bytes(answer.SerializeToString())

    def _answered(self, job: _Job, signal: str, answer: bytes) -> None:
        self._counters.add("request_seconds", self._admission.leave(job.number))
        job.answer.set_result(answer_as_json(signal, answer) if job.is_json else answer)

    def _refused(self, job: _Job, error: BaseException, reason: str) -> None:
        self._counters.add("request_seconds", self._admission.leave(job.number))
        self._counters.add("refused_requests", label=reason)
        if job.spans:
            self._counters.add("refused_spans", job.spans, reason)
        job.answer.set_exception(_alone(error))


def _alone(error: BaseException) -> BaseException:
    """`error` without the places where it was raised: their variables hold the request, and lead back to
    the answer that holds the error. Such a circle of 60 MB may stay for as long as the process."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
