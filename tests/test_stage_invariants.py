"""What holds of a stage whatever comes, in whatever order, however late: windows, memory, overload.

A fake clock, no sockets: the fold with its windows, admission, and the way of a request through
both, with a collector behind that takes, refuses or dawdles.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from spans import START_NS, attempt, foreign, hop, owner, protobuf, span
from stages import metric
from test_ledger_ownership import Table, deliveries, traces

from tollspan import semconv
from tollspan.collector.admission import Admission, Level
from tollspan.collector.bystanders import Bystanders
from tollspan.collector.counters import Counters
from tollspan.collector.holding import Holding
from tollspan.collector.receiver import Malformed, Overloaded, Refusal, Unavailable
from tollspan.collector.serve import StageIntake
from tollspan.collector.span import Span
from tollspan.collector.stage import Call
from tollspan.collector.windows import Windows

WINDOW_S = 60.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def holding(clock: Clock | None = None, **given: Any) -> Holding:
    most = {"window_s": WINDOW_S, "most_bytes": 10**9, "spans_per_trace": 1000}
    return Holding(Counters(), clock=clock or Clock(), **(most | given))


@dataclass
class Ledger:
    """A `Table` and what told it."""

    table: Table = field(default_factory=Table)

    def take(self, fold: Holding, spans: Sequence[Span], **how: Any) -> list[Call]:
        told = fold.take(spans, **how)
        self.table.add(spans, told.all)
        return told.all


def at_once(trace: Sequence[Span]) -> Table:
    ledger = Ledger()
    ledger.take(holding(), trace)
    return ledger.table


def usd(table: Table) -> float:
    owning = (call for call in table.calls.values() if call.role == "owner")
    return sum(call.attributes.get(semconv.COST_AMOUNT, 0.0) for call in owning)


# --- 2, 3: order and redelivery -------------------------------------------------------------------


@given(deliveries())
@settings(max_examples=150, deadline=None)
def test_any_order_any_batching_any_redelivery_ends_in_the_same_rows(
    delivery: tuple[list[Span], list[list[Span]]],
) -> None:
    trace, batches = delivery
    fold, ledger = holding(), Ledger()
    for batch in batches:
        ledger.take(fold, batch)

    assert ledger.table.rows() == at_once(trace).rows()


# --- 4: late spans --------------------------------------------------------------------------------


@given(deliveries(), st.data())
@settings(max_examples=150, deadline=None)
def test_spans_that_come_after_the_window_change_what_they_would_have_changed_before(
    delivery: tuple[list[Span], list[list[Span]]], data: st.DataObject
) -> None:
    trace, batches = delivery
    clock = Clock()
    fold, ledger = holding(clock), Ledger()
    for batch in batches:
        ledger.take(fold, batch)
        clock.now += data.draw(st.sampled_from([0, 1, WINDOW_S - 1, WINDOW_S, 8 * WINDOW_S]))

    assert ledger.table.rows() == at_once(trace).rows()


def test_late_is_counted_and_a_call_has_one_row_with_its_cost() -> None:
    clock = Clock()
    fold, ledger = holding(clock), Ledger()
    ledger.take(fold, [owner(1, cost=0.5), foreign(4, 1)])
    clock.now += WINDOW_S
    fold.release_passed()
    assert len(fold.windows) == 0
    told = ledger.take(fold, [foreign(2, 1), hop(3, 1, 0, "proxy", "litellm")])

    assert fold._counters.count("late_spans") == 2
    assert fold._counters.count("released_traces", "window") == 1
    assert {call.role for call in told if call.span.span_id == f"{2:016x}"} == {"restated"}
    assert ledger.table.owners() == {1}
    assert usd(ledger.table) == 0.5
    assert [hop.attributes[semconv.HOP_NAME] for hop in told[0].hops] == ["litellm"]


def test_the_window_runs_from_the_first_span_and_is_never_extended() -> None:
    clock = Clock()
    windows = Windows(WINDOW_S, 10**9, clock)
    for _ in range(7):
        windows.add("a", 1, 100)
        clock.now += 9
    windows.add("b", 1, 100)

    assert list(windows.passed()) == ["a"]
    assert (len(windows), windows.weight) == (1, 100)


def test_a_span_after_all_memory_of_its_trace_has_the_ledger_asked() -> None:
    """Only the name of the trace is left: what is told now is told, and a mend follows."""
    clock = Clock()
    fold = holding(clock, most_bytes=1000)
    fold.take([owner(1)])
    fold.take([owner(1, trace_id="ab" * 16)])
    clock.now += WINDOW_S
    fold.release_passed()
    fold.take([foreign(2, 1)])
    clock.now += 20

    assert owner(1).trace_id in fold.take_suspects(10)


def test_after_ten_windows_a_trace_is_forgotten_altogether() -> None:
    clock = Clock()
    fold = holding(clock)
    fold.take([owner(1)])
    clock.now += WINDOW_S
    fold.release_passed()
    assert len(fold.past) == 1
    clock.now += 10 * WINDOW_S
    fold.take([owner(1, trace_id="ab" * 16)])
    clock.now += WINDOW_S
    fold.release_passed()

    assert len(fold.past) == 1, "the second one"


# --- 5: two stages --------------------------------------------------------------------------------


@given(traces(), st.data())
@settings(max_examples=150, deadline=None)
def test_a_trace_told_by_two_stages_has_one_row_for_each_call_and_more_evidence_wins(
    trace: list[Span], data: st.DataObject
) -> None:
    whole = at_once(trace)
    ledger = Ledger()
    split = [data.draw(st.booleans()) for _ in trace]
    folds = [holding(), holding()]
    for at, each in zip(split, trace, strict=True):
        ledger.take(folds[at], [each])

    assert ledger.table.calls.keys() >= whole.calls.keys()
    ledger.take(holding(), trace)  # what the mend does
    mended, _ = ledger.table.rows()
    expected, _ = whole.rows()
    assert {key: mended[key] for key in expected} == expected


def test_a_call_that_may_belong_to_another_is_told_as_torn_until_the_link_comes() -> None:
    fold = holding()
    assert [call.span.span_id for call in fold.take([foreign(3, 2)]).calls] == [f"{3:016x}"]
    told = fold.take([owner(1), foreign(4, 2)])
    assert [call.span.span_id for call in told.calls] == [f"{1:016x}"]
    assert [call.span.span_id for call in told.torn] == [f"{4:016x}"]
    told = fold.take([span(2, 1)])
    assert {(c.span.span_id, c.role) for c in told.calls} == {
        (f"{3:016x}", "restated"),
        (f"{4:016x}", "restated"),
    }
    assert told.torn == []
    assert fold._torn == {}

    unjoined = holding()
    unjoined.take([foreign(3, 2), owner(7)])
    (closed,) = unjoined.take([span(2)]).calls
    assert (closed.span.span_id, closed.role) == (f"{3:016x}", "owner"), "told again as whole"


def test_parts_of_a_call_whose_call_went_elsewhere_are_suspected() -> None:
    for part in (hop(2, 1, 0, "proxy", "x"), attempt(2, 1)):
        part.attributes[semconv.ATTEMPT] = 1
        clock = Clock()
        fold = holding(clock)
        fold.take([part])
        clock.now += WINDOW_S
        fold.release_passed()
        clock.now += 20
        assert fold.take_suspects(10) == [part.trace_id]


# --- 9: odd traces --------------------------------------------------------------------------------


def test_clocks_that_are_years_apart_do_not_tear_a_trace() -> None:
    year = 365 * 86400 * 10**9
    trace = [owner(1, start_ns=START_NS - 20 * year, end_ns=START_NS + 20 * year), foreign(2, 1)]
    ledger = Ledger()
    ledger.take(holding(), trace)

    assert ledger.table.owners() == {1}


def test_the_same_request_id_in_two_traces_is_two_calls() -> None:
    said = {semconv.REQUEST_ID: "order-7"}
    ledger = Ledger()
    fold = holding()
    ledger.take(fold, [owner(1, attributes=said), owner(1, trace_id="ab" * 16, attributes=said)])

    assert len(ledger.table.calls) == 2


def test_spans_beyond_the_limit_of_a_trace_are_told_alone_and_counted_once_each() -> None:
    fold, ledger = holding(spans_per_trace=50), Ledger()
    trace = [owner(number, cost=0.001) for number in range(1, 201)]
    for start in range(0, 200, 40):
        ledger.take(fold, trace[start : start + 40])
    ledger.take(fold, trace)  # again
    ledger.take(fold, trace[:50])

    assert len(ledger.table.owners()) == 200
    assert usd(ledger.table) == pytest.approx(0.2)
    assert fold.windows.spans(trace[0].trace_id) == 50
    assert fold._counters.count("shed_spans", "span_limit") == 150 + 150


# --- 11: memory -----------------------------------------------------------------------------------


def test_what_is_held_stays_within_the_bound_whatever_ids_come() -> None:
    clock = Clock()
    fold, ledger = holding(clock, most_bytes=2_000_000), Ledger()
    for number in range(1, 6001, 20):
        batch = [owner(1, trace_id=f"{each:032x}") for each in range(number, number + 20)]
        ledger.take(fold, batch)
        clock.now += 0.001
        assert fold.windows.weight <= 2_000_000
        assert fold.past._bytes <= 500_000

    assert len(fold.windows) < 1500
    assert fold._counters.count("released_traces", "memory") > 4000
    assert len(ledger.table.calls) == 6000, "released is not dropped"


def test_the_heaviest_traces_go_first() -> None:
    clock = Clock()
    windows = Windows(WINDOW_S, 1000, clock)
    windows.add("old and light", 1, 50)
    clock.now += 10
    windows.add("heavy", 9, 800)
    windows.add("young and light", 1, 100)
    clock.now += 10
    windows.add("last", 1, 100)

    assert windows.too_heavy() == ["heavy"]
    assert windows.weight == 250


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 400), st.integers(0, 30)), max_size=60))
def test_windows_account_for_every_byte(steps: list[tuple[int, int, int]]) -> None:
    clock = Clock()
    windows = Windows(WINDOW_S, 1000, clock)
    for trace, weight, later in steps:
        clock.now += later
        out = [*windows.passed()]
        windows.add(f"t{trace}", 1, weight)
        out += windows.too_heavy()
        assert windows.weight <= 1000
        assert windows.weight == sum(each.weight for each in windows._held.values())
        assert not set(out[:-1]) & set(windows._held) or f"t{trace}" in out


# --- 1, 8: the way of a request -------------------------------------------------------------------


@dataclass
class Behind:
    """A `Forwarder` that keeps what it is sent until it is told what to answer."""

    open: list[tuple[str, bytes, Future[bytes]]] = field(default_factory=list)

    def send(self, signal: str, body: bytes) -> Future[bytes]:
        done: Future[bytes] = Future()
        self.open.append((signal, body, done))
        return done

    def close(self) -> None: ...

    def answer(self, signal: str = "", error: Refusal | None = None) -> list[bytes]:
        """End what is open of a signal; the bodies of that."""
        ended = [each for each in self.open if signal in ("", each[0])]
        self.open = [each for each in self.open if each not in ended]
        for _, _, done in ended:
            done.set_exception(error) if error else done.set_result(b"")
        return [body for _, body, _ in ended]


class Way:
    """An intake whose step is taken by hand."""

    def __init__(self, most_bytes: int = 10**9) -> None:
        self.behind, self.counters = Behind(), Counters()
        self.fold = holding()
        self.fold._counters = self.counters
        self.admission = Admission(most_bytes)
        self.intake = StageIntake(self.behind, self.fold, self.admission, self.counters, "me")
        self.intake.stop()

    def step(self) -> None:
        """Do all that waits."""
        self.intake._waiting.put(None)
        self.intake._run()

    def count(self, name: str, label: str | None = None) -> float:
        return self.counters.count(name, label)


OUTCOMES = st.sampled_from(["taken", "spans refused", "records refused", "malformed there"])


@given(st.lists(st.tuples(st.integers(1, 5), OUTCOMES), min_size=1, max_size=12), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_span_received_is_forwarded_or_refused(
    requests: list[tuple[int, str]], garbage: bool
) -> None:
    way, told = Way(), []
    for number, (size, _) in enumerate(requests, 1):
        spans = [owner(each, trace_id=f"{number:032x}") for each in range(1, size + 1)]
        told.append(way.intake.traces(protobuf(spans)))
        if garbage:
            told.append(way.intake.traces(b"\xff\xff garbage"))
    way.step()
    for _, outcome in requests:
        errors: dict[str, Refusal | None] = {"traces": None, "logs": None}
        if outcome == "spans refused":
            errors["traces"] = Unavailable("away")
        elif outcome == "records refused":
            errors["logs"] = Malformed("ugly")
        elif outcome == "malformed there":
            errors["traces"] = Malformed("ugly")
        for signal in ("traces", "logs"):
            each = next(each for each in way.behind.open if each[0] == signal)
            way.behind.open.remove(each)
            error = errors[signal]
            each[2].set_exception(error) if error else each[2].set_result(b"")

    assert all(each.done() for each in told)
    assert way.behind.open == []
    received = way.count("received_spans")
    assert received == sum(size for size, _ in requests)
    assert received == way.count("forwarded_spans") + way.count("refused_spans")
    assert way.count("refused_requests", "malformed") == (len(requests) if garbage else 0)
    assert (way.admission.inflight_bytes, way.admission.waiting_bytes) == (0, 0)
    for each, (_, outcome) in zip(told[:: 2 if garbage else 1], requests, strict=True):
        assert (each.exception() is None) == (outcome == "taken")
        if outcome == "records refused":
            assert isinstance(each.exception(), Unavailable), "the sender cannot mend our records"


def test_nobody_is_answered_before_both_halves_are_acknowledged() -> None:
    for first, second in (("traces", "logs"), ("logs", "traces")):
        way = Way()
        told = way.intake.traces(protobuf([owner(1)]))
        way.step()
        way.behind.answer(first)
        assert not told.done()
        way.behind.answer(second)
        assert told.result(0) == b""


def test_hops_are_shed_first_then_enrichment_then_requests() -> None:
    batches = [protobuf([foreign(1, trace_id=f"{n:032x}")]) for n in range(1, 101)]
    size = len(batches[0])
    way = Way(most_bytes=100 * size)
    taken = [way.intake.traces(body) for body in batches]
    assert way.admission.level == Level.REFUSE
    with pytest.raises(Overloaded) as refused:
        way.intake.traces(batches[0])
    assert refused.value.retry_after_s
    way.step()
    # 99 wait behind the first, none behind the last: by what waits, one after the other comes back.
    assert way.count("shed_spans", "enrichment") == 50
    assert way.count("shed_spans", "hops") == 25
    spans = [body for signal, body, _ in way.behind.open if signal == "traces"]
    records = [body for signal, body, _ in way.behind.open if signal == "logs"]
    assert spans[:50] == batches[:50], "untouched"
    assert all(len(body) > size for body in spans[50:]), "priced"
    assert len(records) == 50
    assert b"me/alone" in records[0]
    assert b"me/alone" not in records[-1]
    way.behind.answer()
    assert [each.result(0) for each in taken] == [b""] * 100
    assert way.count("forwarded_spans") == way.count("received_spans") == 100
    assert metric(way.counters.text(), "refused_spans_total") == 1
    assert way.admission.level == Level.NOTHING


def test_a_request_alone_is_done_wholly_however_big_it_is() -> None:
    way = Way(most_bytes=10)
    told = way.intake.traces(protobuf([foreign(1)]))
    way.step()
    way.behind.answer()

    assert told.result(0) == b""
    assert way.count("shed_spans") == 0
    assert way.count("priced_spans") == 1


@pytest.mark.quiet
def test_a_fault_of_ours_costs_a_record_and_never_a_span(monkeypatch: pytest.MonkeyPatch) -> None:
    way = Way()
    body = protobuf([foreign(1)])
    monkeypatch.setattr(way.fold._stage, "take", lambda spans: 1 / 0)
    told = way.intake.traces(body)
    way.step()

    assert way.behind.answer() == [body]
    assert told.result(0) == b""
    assert way.count("shed_spans", "fault") == 1
    assert way.fold.suspects == 1, "the mend makes up for it"


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=80))
def test_admission_knows_what_is_inside(steps: list[tuple[bool, int]]) -> None:
    admission = Admission(1000)
    inside: dict[int, int] = {}
    for enters, size in steps:
        if enters:
            try:
                inside[admission.enter(size)] = size
            except Overloaded:
                assert sum(inside.values()) + size > 1000
        elif inside:
            number = next(iter(inside))
            admission.begun(number)
            admission.leave(number)
            del inside[number]
        assert admission.inflight_bytes == sum(inside.values()) <= 1000
        assert admission.inside == len(inside)


def test_a_stage_that_stops_sends_senders_elsewhere() -> None:
    way = Way()
    way.admission.close()
    for take in (way.intake.traces, way.intake.metrics, way.intake.logs):
        with pytest.raises(Unavailable, match="stopping"):
            take(b"")
    assert way.count("refused_requests", "stopping") == 3


def of(spans: Iterable[Span]) -> set[str]:
    return {each.span_id for each in spans}


def test_a_parent_that_is_no_call_and_comes_after_still_joins_two_calls() -> None:
    """Plain spans count where their trace has calls, also where the calls come after."""
    for batches in permutations(([foreign(3, 2)], [span(2, 1, {"a": 1})], [foreign(1)])):
        way = Way()
        for batch in batches:
            way.intake.traces(protobuf(batch))
        way.step()
        trace = way.fold._stage.held(foreign(1).trace_id)
        way.behind.answer()

        assert trace is not None
        assert trace.spans.keys() == of([span(1), span(2), span(3)])
        assert trace.decided is not None
        assert set(trace.decided.values()) == {f"{1:016x}"}
        assert len(way.fold.bystanders) == 0


def test_places_of_spans_without_calls_are_kept_within_their_bound() -> None:
    kept = Bystanders(200 * 10)
    written = ExportTraceServiceRequest.FromString(protobuf([span(2, 1)]))
    (plain,) = written.resource_spans[0].scope_spans[0].spans
    plain.trace_state = "a=b"
    for number in range(1, 26):
        kept.put(f"{number:032x}", plain.SerializeToString())
    assert len(kept) == 10
    assert kept.take_out(f"{15:032x}") == []
    (place,) = kept.take_out(f"{25:032x}")
    assert (place.span_id, place.parent_id) == (f"{2:016x}", f"{1:016x}")
    assert len(kept) == 9
