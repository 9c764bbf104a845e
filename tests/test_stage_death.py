"""Whatever dies, is away, dawdles or is full: no acknowledged span is missing, no call counts twice.

Real processes, senders that try again until they are told that it is safe, and at the end the real
ledger, mended.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import grpc
import pytest
from sink import Sink
from spans import attempt, foreign, hop, owner, protobuf, span
from stages import Running, send, stage, until

from tollspan import semconv
from tollspan.collector import wire
from tollspan.collector.rows import span_row
from tollspan.collector.span import Span
from tollspan.local import LocalStack

C = grpc.StatusCode
TRIED_AGAIN = {C.UNAVAILABLE, C.RESOURCE_EXHAUSTED, C.DEADLINE_EXCEEDED, C.CANCELLED}
"""What OTLP senders try again."""


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as made:
        yield made


def story(number: int) -> list[Span]:
    """A trace with one paid call that another instrumentation tells, too, and a proxy behind it;
    every third has a second call."""
    here = {"trace_id": f"{number:032x}"}
    at = time.time_ns()
    spans = [
        span(9, **here),
        owner(1, 9, cost=0.001, **here),
        foreign(2, 1, **here),
        hop(3, 1, 0, "proxy", "litellm"),
        foreign(4, 5, **here),
        span(5, 1, **here),
        attempt(6, 1),
    ]
    if number % 3 == 0:
        spans.append(owner(7, 9, cost=0.01, **here))
    for each in spans:
        each.trace_id = here["trace_id"]
        each.start_ns, each.end_ns = at, at + 10**9
    spans[6].attributes[semconv.ATTEMPT] = 1
    return spans


def bill(stories: Sequence[list[Span]]) -> Decimal:
    paid = (each.attributes.get(semconv.COST_AMOUNT) for spans in stories for each in spans)
    return sum((Decimal(repr(each)) for each in paid if each is not None), Decimal(0))


@dataclass
class Senders:
    """Send parts of stories to the stage of their trace, until each is acknowledged."""

    addresses: list[str]
    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    refusals: list[Any] = field(default_factory=list)
    tries: int = 0
    parts: int = 0
    may: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(1_000_000))
    """How many parts may be begun."""

    def send(self, part: Sequence[Span]) -> None:
        body = protobuf(part)
        self.may.acquire()
        for _ in range(600):
            addresses = self.addresses
            address = addresses[hash(part[0].trace_id) % len(addresses)]
            self.tries += 1
            try:
                send(address, body)
            except grpc.RpcError as error:
                self.refusals.append(error.code())
                time.sleep(0.05)
                continue
            self.acknowledged += [(each.trace_id, each.span_id) for each in part]
            self.parts += 1
            return
        raise AssertionError("it was never taken")


@dataclass
class Landed:
    """The ledger behind the collector: what the sink took, inserted as it came."""

    stack: LocalStack
    sink: Sink
    bodies: int = 0
    told: int = 0

    def land(self) -> None:
        ledger = self.stack.ledger
        with self.sink.changed:
            bodies, told = self.sink.bodies[self.bodies :], self.sink.told[self.told :]
        self.bodies += len(bodies)
        self.told += len(told)
        ledger.insert(
            "spans", (span_row(each) for body in bodies for each in wire.traces(body).spans)
        )
        ledger.insert("llm_calls", (each["call"] | {"told_by": each["told_by"]} for each in told))
        ledger.insert("llm_hops", (hop for each in told for hop in each["hops"]))

    def mend(self) -> str:
        """Run `tollspan stage --mend-once`, land what it tells; what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "tollspan.launcher.command", "stage", "--mend-once"]
            + ["--forward-to", self.sink.grpc_url],
            env={**os.environ, "TOLLSPAN_CLICKHOUSE_URL": self.stack.clickhouse_url},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.land()
        return done.stdout

    def calls(self) -> list[dict[str, Any]]:
        return self.stack.ledger.query("SELECT * FROM tollspan_calls ORDER BY trace_id, span_id")

    def usd(self) -> Decimal:
        (row,) = self.stack.ledger.query("SELECT sum(cost_usd) AS usd FROM tollspan_calls")
        return Decimal(row["usd"])


@pytest.fixture
def landed(sink: Sink) -> Iterator[Landed]:
    with LocalStack(clickhouse_port=0) as stack:
        yield Landed(stack, sink)


@pytest.mark.slow
def test_stages_killed_at_random_and_a_ring_that_is_resized(sink: Sink, landed: Landed) -> None:
    chance = random.Random(7)
    stories = [story(number) for number in range(1, 121)]
    parts: list[list[Span]] = []
    for spans in stories:
        chance.shuffle(spans)
        cut = chance.randint(1, len(spans) - 1)
        parts += [spans[:cut], spans[cut:]]
    chance.shuffle(parts)
    sink.slow_s = 0.01
    alive = [Running(sink.grpc_url, "--name", f"s{each}") for each in range(2)]
    senders = Senders([each.grpc for each in alive], may=threading.Semaphore(0))
    try:
        with ThreadPoolExecutor(8) as threads:
            sent = [threads.submit(senders.send, part) for part in parts]
            for victim in (0, 1, 0):
                enough = senders.parts + chance.randint(20, 50)
                senders.may.release(60)
                until(lambda enough=enough: senders.parts >= enough)
                alive[victim].process.kill()  # -9, in the middle of whatever it does
                alive[victim].ended()
                senders.addresses = [alive[1 - victim].grpc]  # the ring has one member less
                alive[victim] = Running(sink.grpc_url, "--name", f"s{victim}")
                senders.addresses = [each.grpc for each in alive]
            senders.may.release(len(parts))
            for each in sent:
                each.result(120)
        for part in parts[:40]:  # and a fan-out that is sent once more, to another member
            send(alive[0].grpc, protobuf(part))
    finally:
        for each in alive:
            each.end()

    assert senders.tries > len(parts), "nothing had to be sent again: nobody died at work"
    assert set(senders.refusals) <= TRIED_AGAIN
    every = {(each.trace_id, each.span_id) for spans in stories for each in spans}
    assert set(senders.acknowledged) == every
    assert sink.missing(every) == []

    landed.land()
    assert not landed.mend().startswith("mended 0 ")
    calls = landed.calls()
    owners = {(row["trace_id"], row["span_id"]) for row in calls}
    paid = {
        (each.trace_id, each.span_id)
        for spans in stories
        for each in spans
        if semconv.COST_AMOUNT in each.attributes
    }
    assert owners == paid
    assert len(calls) == len(paid)
    assert landed.usd() == bill(stories)
    first = [row for row in calls if row["span_id"] == f"{1:016x}"]
    assert {row["told_by"].split("/")[-1] for row in first} >= {"mend"}
    hops = landed.stack.ledger.query("SELECT call_id FROM tollspan_hops WHERE name = 'litellm'")
    assert {row["call_id"] for row in hops} == {row["call_id"] for row in first}
    assert landed.mend().startswith("mended 0 "), "a mend that was done is done"
    assert landed.calls() == calls


@pytest.mark.slow
def test_spans_that_passed_a_stage_in_a_hurry_are_told_by_the_mend(
    sink: Sink, landed: Landed
) -> None:
    """As bytes that no stage had time for; and what was told alone is put together."""
    stories = [story(number) for number in range(1, 11)]
    for spans in stories:
        sink.take("traces", protobuf(spans))
    landed.land()
    assert landed.calls() == []
    landed.mend()

    assert landed.usd() == bill(stories)
    assert {row["told_by"].split("/")[-1] for row in landed.calls()} == {"deferred"}

    alone = story(11)
    with stage(sink.grpc_url) as made:
        for each in alone:
            told = made.holding.take([each], alone=True)
            from tollspan.collector.records import requests_of

            for body, _ in requests_of(told.alone, "me/alone", 0):
                sink.take("logs", body)
    sink.take("traces", protobuf(alone))
    landed.land()
    assert len(landed.calls()) > len(bill_rows([*stories, alone])), "told from themselves alone"
    landed.mend()
    assert landed.usd() == bill([*stories, alone])
    assert len(landed.calls()) == len(bill_rows([*stories, alone]))


def bill_rows(stories: Sequence[list[Span]]) -> list[Span]:
    return [e for spans in stories for e in spans if semconv.COST_AMOUNT in e.attributes]


@pytest.mark.slow
def test_the_stage_mends_by_itself_where_it_knows_clickhouse(sink: Sink, landed: Landed) -> None:
    spans = story(1)
    sink.take("traces", protobuf(spans))
    landed.land()
    known = {
        "clickhouse_url": landed.stack.clickhouse_url,
        "clickhouse_user": "reader",
        "clickhouse_password": "any",
        "mend_every_s": 1,
    }
    with stage(sink.grpc_url, **known) as made:
        until(lambda: made.counters.count("records", "mended"))
    landed.land()

    assert landed.usd() == bill([spans])
    assert made.counters.count("mend_failures") == 0


def test_a_ledger_that_cannot_be_asked_waits_for_the_next_mend(sink: Sink) -> None:
    known = {"clickhouse_url": "http://127.0.0.1:9", "mend_every_s": 1}
    with stage(sink.grpc_url, **known) as made:
        until(lambda: made.counters.count("mend_failures"))
        assert send(f"127.0.0.1:{made.ports.grpc}", protobuf([owner(1)])) == b""


@pytest.mark.slow
def test_a_collector_behind_that_is_away_and_then_slow_loses_nothing(sink: Sink) -> None:
    stories = [story(number) for number in range(1, 61)]
    port = sink.port
    with stage(sink.grpc_url, stage_inflight_mb=1, forward_timeout_s=2) as made:
        senders = Senders([f"127.0.0.1:{made.ports.grpc}"])
        with ThreadPoolExecutor(6) as threads:
            sent = [threads.submit(senders.send, spans) for spans in stories]
            until(lambda: len(senders.acknowledged) > 50)
            sink._server.stop(0).wait()
            before = len(senders.refusals)
            until(lambda: len(senders.refusals) > before + 12)
            with Sink(port=port, slow_s=0.1) as back:
                for each in sent:
                    each.result(60)
                back.spans.update({**sink.spans, **back.spans})
                for record in sink.told:
                    back._keep(record)
                assert set(senders.refusals) <= TRIED_AGAIN
                assert back.missing(senders.acknowledged) == []
                assert back.usd() == bill(stories)
                assert len(back.owners()) == len(bill_rows(stories))


@pytest.mark.slow
def test_a_full_disk_under_the_local_ledger_is_told_and_nothing_counts_twice(tmp_path: Any) -> None:
    """Files may not grow: what a full disk does, and undoes."""
    from test_local_up import up

    numbers = range(1, 2001)
    body = protobuf(owner(1, trace_id=f"{each:032x}", cost=0.001) for each in numbers)
    # Python keeps the half of a compiled module that fits, for everybody who comes later.
    unkept = {"TOLLSPAN_RAISE": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    with up(tmp_path / "data", **unkept) as local:
        address = local.grpc.removeprefix("http://")
        pid = local.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(grpc.RpcError) as refused:
            send(address, body)
        assert refused.value.code() is C.UNAVAILABLE
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
        for _ in range(2):
            send(address, body)
        found = local.get("/api/summary?since=2000-01-01")
        assert local.end(signal.SIGTERM) == 0

    assert (found["calls"], Decimal(found["cost_usd"])) == (2000, Decimal(2))


@pytest.mark.slow
def test_kill_9_of_the_local_server_under_load_with_senders_that_try_again(tmp_path: Any) -> None:
    from test_local_up import Up

    stories = [story(number) for number in range(1, 81)]
    parts = [part for spans in stories for part in (spans[:4], spans[4:])]
    random.Random(3).shuffle(parts)
    local = Up(tmp_path / "data")
    senders = Senders([local.grpc.removeprefix("http://")])
    try:
        with ThreadPoolExecutor(6) as threads:
            sent = [threads.submit(senders.send, part) for part in parts]
            until(lambda: len(senders.acknowledged) > 200)
            local.process.kill()
            local.process.communicate()
            local = Up(tmp_path / "data")
            senders.addresses = [local.grpc.removeprefix("http://")]
            for each in sent:
                each.result(60)
        found = local.get("/api/summary?since=2000-01-01")
        assert local.end() == 0
    finally:
        if local.process.poll() is None:
            local.process.kill()
            local.process.communicate()

    assert set(senders.refusals) <= TRIED_AGAIN
    assert Decimal(found["cost_usd"]) == bill(stories)
    assert found["calls"] == len(bill_rows(stories))


def test_threads_are_none_left_behind(sink: Sink) -> None:
    before = {each.name for each in threading.enumerate()}
    with stage(sink.grpc_url):
        pass
    with stage(sink.http_url):
        pass
    left = {each.name for each in threading.enumerate()} - before
    assert not [name for name in left if name.startswith(("tollspan-step", "tollspan-http"))]
