"""Each answer is paid once: whoever tells it, in whatever order, however often, whatever is lost.

Random calls with a known bill: frameworks around them, other instrumentations beside and inside,
proxies in the same and in other traces, retries, billed failures, cache hits, work that a proxy does
for itself. The sum of `gen_ai.usage.cost.amount` over owners is the bill; with parts missing it is
never more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from time import time_ns
from typing import Any

import anthropic
import openai
import pytest
import sdks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from spans import START_NS, span
from test_ledger_ownership import Table, delivered

from tollspan import semconv
from tollspan.collector.span import Event, Span
from tollspan.processors.spans import adopt_provider

MODEL = "gpt-4o-mini"
IN_USD, OUT_USD = Decimal("0.00000015"), Decimal("0.0000006")
SERVER = {"http.method": "POST", "http.route": "/chat/completions"}


# --- in the ledger: spans by hand -----------------------------------------------------------------


@dataclass
class World:
    """Spans, and what providers charged for what they tell."""

    spans: list[Span] = field(default_factory=list)
    bill: Decimal = Decimal(0)
    exact: bool = True
    """False where a part of the bill is known to nobody: the sum is a stated lower bound."""
    made: int = 0
    links: set[int] = field(default_factory=set)
    """Spans that alone join a framework's sum, which names no answer, to what other traces tell."""

    def add(self, trace_id: int, parent: int, attributes: dict[str, Any], **more: Any) -> int:
        self.made += 1
        at = START_NS + trace_id * 10**9
        given = {
            "trace_id": f"{trace_id:032x}",
            "start_ns": at,
            "end_ns": at + 10**9,
            "kind": "client",
            **more,
        }
        self.spans.append(span(self.made, parent, attributes, **given))
        return self.made

    def charge(self, tokens: int) -> None:
        self.bill += tokens * (IN_USD + OUT_USD)


def usage(tokens: int) -> dict[str, Any]:
    return {semconv.INPUT_TOKENS: tokens, semconv.OUTPUT_TOKENS: tokens}


def telling(tokens: int, answer: str | None, **more: Any) -> dict[str, Any]:
    """What another instrumentation says of the call."""
    said = {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: "openai",
        semconv.REQUEST_MODEL: MODEL,
        **usage(tokens),
        **more,
    }
    return said | ({semconv.RESPONSE_ID: answer} if answer else {})


def litellm(tokens: int, answer: str | None, call_id: str, **more: Any) -> dict[str, Any]:
    said = telling(
        tokens, answer, **{semconv.REQUEST_MODEL: "fast", semconv.RESPONSE_MODEL: "fast"}
    )
    return {
        **said,
        "litellm.call_id": call_id,
        "litellm.provider.model": f"openai/{MODEL}",
        "litellm.cost.total": float(tokens * (IN_USD + OUT_USD)),
        "litellm.request.route": "/chat/completions",
        **more,
    }


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World()
    for number in range(1, draw(st.integers(1, 3)) + 1):
        _call(draw, world, number)
    return world


def _call(draw: st.DrawFn, world: World, number: int) -> None:
    """One logical call: the application's trace is `number * 10`, proxies have the next ones."""
    tokens = draw(st.integers(1, 5)) * 1000 + number
    here, answer = number * 10, f"chatcmpl-{number:08d}"
    kind = draw(st.sampled_from(["answered", "answered", "cache hit", "dead stream"]))
    client = draw(st.sampled_from(["ours", "ours", "foreign"]))
    hit = kind == "cache hit"
    if kind == "dead stream":  # nobody tells how much was made before it broke off
        world.exact, client = False, "ours"
    if hit:
        client = "ours"
    if not hit:
        world.charge(tokens)
    above = 0
    summed = kind == "answered" and draw(st.booleans())
    for depth in range(draw(st.integers(0, 2))):  # a framework, which may sum up the usage
        said = telling(tokens, None) if summed else {}
        above = world.add(here, above, said, kind="internal", scope=f"framework {depth}")
    if client == "ours":
        own = {**telling(tokens, answer), semconv.COST_ROLE: "owner", semconv.STATUS: "success"}
        amount = tokens * (IN_USD + OUT_USD)
        grade = "derived"
        if hit:
            amount, grade = Decimal(0), "billed"
            own[semconv.CACHE_HIT] = True
        elif kind == "dead stream":
            amount, grade = amount / 2, "lower_bound"
            own |= {semconv.STATUS: "error", semconv.ERROR_TYPE: "APIError"}
        own |= {semconv.COST_AMOUNT: float(amount), semconv.COST_GRADE: grade}
        call = world.add(here, above, own, scope=semconv.SCOPE)
        if draw(st.booleans()):  # an SDK of its own inside, restating
            inner = {
                semconv.OPERATION: "chat",
                semconv.PROVIDER: "openai",
                semconv.REQUEST_MODEL: MODEL,
                semconv.RESPONSE_ID: answer,
                semconv.RESTATED_INPUT_TOKENS: tokens if kind == "answered" else 0,
                semconv.RESTATED_OUTPUT_TOKENS: tokens if kind == "answered" else 0,
                semconv.STATUS: own[semconv.STATUS],
                semconv.COST_ROLE: "restated",
                semconv.OWNER_SPAN_ID: f"{call:016x}",
            }
            world.add(here, call, inner, scope=semconv.SCOPE)
    else:
        call = world.add(here, above, telling(tokens, answer), scope="sdk of others")
    if summed and above:
        world.links.add(call)
    if kind == "answered":
        for beside in range(draw(st.integers(0, 2))):  # a wrapper or callback without parentage
            places = [(here, above), (here, call), *([] if summed else [(here + 5, 0)])]
            where, parent = draw(st.sampled_from(places))
            said = telling(tokens, answer)
            at = {"start_ns": START_NS + here * 10**9, "end_ns": START_NS + here * 10**9 + 10**9}
            world.add(where, parent, said, scope=f"beside {beside}", **at)
    proxies = draw(st.integers(0, 2)) if client == "ours" else 0
    heard: dict[str, Any] = {}
    parent, where = 0, here
    for depth in range(proxies):
        call_id = f"call-{number:04d}-{depth}"
        prefix = "llm_provider-" * depth
        heard[f"{semconv.RESPONSE_HEADER_PREFIX}{prefix}x-litellm-call-id"] = call_id
    at = {"start_ns": START_NS + here * 10**9, "end_ns": START_NS + here * 10**9 + 10**9}
    for attempt in range(draw(st.integers(1, 2))):
        last = world.add(
            here,
            call,
            {semconv.HTTP_METHOD: "POST", semconv.ATTEMPT: attempt + 1, **heard},
            scope=semconv.SCOPE,
        )
    parent = last
    for depth in range(proxies):
        call_id = f"call-{number:04d}-{depth}"
        if depth or draw(st.booleans()):  # it does not carry trace context onwards
            where, parent = here + 1 + depth, 0
        served = world.add(
            where,
            parent,
            SERVER,
            kind="server",
            scope="fastapi",
            **at,
            events=[Event("litellm.request.deployment_selected", 0, {})],
            resource={semconv.SERVICE_NAME: f"proxy {depth}"},
        )
        more: dict[str, Any] = {"resource": {semconv.SERVICE_NAME: f"proxy {depth}"}, **at}
        if draw(st.booleans()) and not hit:  # its first attempt failed, and cost nothing
            failed = litellm(0, None, call_id)
            world.add(where, served, failed, scope="litellm", status="error", **more)
        if kind == "answered":
            said = litellm(tokens, answer, call_id)
            if depth + 1 < proxies:
                said["litellm.provider.model"] = "litellm_proxy/fast"
            world.add(where, served, said, scope="litellm", **more)
        if draw(st.booleans()):  # a judge of its own: money besides
            world.charge(7)
            extra = litellm(7, None, f"{call_id}-judge", **{"litellm.request.purpose": "judge"})
            world.add(where, served, extra, scope="litellm", **more)
        parent = served


def owned(table: Table) -> tuple[Decimal, set[str]]:
    owners = [call for call in table.calls.values() if call.role == "owner"]
    amounts = (call.attributes.get(semconv.COST_AMOUNT) for call in owners)
    total = sum((Decimal(repr(each)) for each in amounts if each is not None), Decimal(0))
    return total, {str(call.attributes.get(semconv.COST_GRADE)) for call in owners}


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[World, list[Sequence[Span]]]:
    """A world and a way for its spans to come in: shuffled, in batches, some of them twice."""
    world = draw(worlds())
    again = draw(st.lists(st.sampled_from(world.spans), max_size=4))
    sent = draw(st.permutations(world.spans + again))
    batches, at = [], 0
    while at < len(sent):
        size = draw(st.integers(1, 6))
        batches.append(list(sent[at : at + size]))
        at += size
    return world, batches


@pytest.mark.slow
@given(deliveries())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_ledger_sums_to_the_bill(delivery: tuple[World, list[Sequence[Span]]]) -> None:
    world, batches = delivery
    total, grades = owned(delivered(*batches))

    assert delivered(*batches).rows() == delivered(world.spans).rows()
    if world.exact:
        assert total == world.bill
    else:
        assert total <= world.bill
        assert "lower_bound" in grades


@pytest.mark.slow
@given(deliveries())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_ledger_sums_to_the_bill_after_restarts(
    delivery: tuple[World, list[Sequence[Span]]],
) -> None:
    world, batches = delivery
    assert delivered(*batches, fresh_stage=True).rows() == delivered(world.spans).rows()


@pytest.mark.slow
@given(worlds(), st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_with_parts_missing_the_ledger_never_sums_to_more_than_the_bill(
    world: World, data: st.DataObject
) -> None:
    lost = data.draw(st.sets(st.integers(1, len(world.spans)), max_size=4)) - world.links
    came = [each for number, each in enumerate(world.spans, 1) if number not in lost]
    total, _ = owned(delivered(data.draw(st.permutations(came))))
    assert total <= world.bill


# --- in the application: real SDKs, real spans ----------------------------------------------------

PRICE = Decimal("0.00021")  # 1,000 in and 100 out of gpt-4o-mini
NATIVE_PRICE = Decimal("0.0015")  # the same of claude-haiku-4-5
HIT = {"x-litellm-call-id": "call-of-a-hit", "x-litellm-cache-key": "k"}


@dataclass
class Asked:
    """One call through an SDK, and the spans of others that tell it again."""

    number: int
    native: bool
    outcome: str
    tellers: list[tuple[str, bool]]
    """Where each stands (`around`, `beside`, `after`), and whether it knows the answer's id."""

    @property
    def answer(self) -> str:
        return f"answer-{self.number:06d}"

    def ask(self, provider: TracerProvider) -> None:
        status = 500 if self.outcome == "failed" else 200
        if self.native:
            body = MESSAGE | {"id": self.answer}
            server = sdks.Server(body, status=status, named=True)
            option = {"open_telemetry": {"tracer_provider": provider}}
            client: Any = sdks.anthropic_client(server, **option)
            ask, asked = client.messages.create, sdks.MESSAGE | {"model": "claude-haiku-4-5"}
        else:
            headers = HIT if self.outcome == "hit" else {}
            server = sdks.Server(CHAT | {"id": self.answer}, status=status, headers=headers)
            ask = sdks.openai_client(server).chat.completions.create
            asked = sdks.CHAT | {"model": MODEL}
        with contextlib.suppress(openai.APIError, anthropic.APIError):
            ask(**asked)

    def tell(self, told: trace.Span, knows: bool) -> None:
        if self.outcome != "failed":
            model = "claude-haiku-4-5" if self.native else MODEL
            told.set_attributes(
                {
                    "openinference.span.kind": "LLM",
                    "llm.provider": "anthropic" if self.native else "openai",
                    "llm.model_name": model,
                    "llm.token_count.prompt": 1_000,
                    "llm.token_count.completion": 100,
                    "llm.cost.total": 0.9,
                    **({semconv.RESPONSE_ID: self.answer} if knows else {}),
                }
            )

    def run(self, provider: TracerProvider, depth: int = 0) -> None:
        if depth == len(self.tellers):
            self.ask(provider)
            return
        where, knows = self.tellers[depth]
        tracer = provider.get_tracer(f"openinference.instrumentation.{depth}")
        if where == "around":
            with tracer.start_as_current_span("around") as told:
                self.run(provider, depth + 1)
                self.tell(told, knows)
        elif where == "beside":
            told = tracer.start_span("beside")
            self.run(provider, depth + 1)
            self.tell(told, knows)
            told.end()
        else:
            before = time_ns()
            self.run(provider, depth + 1)
            told = tracer.start_span("after", start_time=before)
            self.tell(told, knows)
            told.end()

    @property
    def bill(self) -> Decimal:
        if self.outcome != "answered":
            return Decimal(0)
        return NATIVE_PRICE if self.native else PRICE


CHAT = {
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
    ],
    "usage": {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100},
}
MESSAGE = {
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1_000, "output_tokens": 100},
}
TELLERS = st.lists(
    st.tuples(st.sampled_from(["around", "beside", "after"]), st.booleans()), max_size=3
)


@st.composite
def asking(draw: st.DrawFn) -> list[Asked]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        native = draw(st.booleans())
        outcomes = ["answered", "answered", "failed", *([] if native else ["hit"])]
        found.append(Asked(number, native, draw(st.sampled_from(outcomes)), draw(TELLERS)))
    return found


def as_received(found: ReadableSpan) -> Span:
    """A span of the SDK as the collector gets it."""
    context, parent = found.context, found.parent
    assert context is not None and found.instrumentation_scope is not None
    said = {n: list(v) if isinstance(v, tuple) else v for n, v in (found.attributes or {}).items()}
    return Span(
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_id=f"{parent.span_id:016x}" if parent else "",
        name=found.name,
        kind=found.kind.name.lower(),
        start_ns=found.start_time or 0,
        end_ns=found.end_time or 0,
        attributes=said,
        scope=found.instrumentation_scope.name,
        status=found.status.status_code.name.lower(),
    )


@pytest.mark.slow
@given(asking(), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_application_and_the_ledger_behind_it_sum_to_the_bill(
    made: list[Asked], chance: Random
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    undo = adopt_provider(provider)
    try:
        with sdks.watched(provider):
            for each in made:
                each.run(provider)
        sdks.settle()
    finally:
        undo()
        provider.shutdown()
    spans = exporter.get_finished_spans()
    amounts = [(each.attributes or {}).get(semconv.COST_AMOUNT) for each in spans]
    bill = sum((each.bill for each in made), Decimal(0))

    assert sum((Decimal(repr(each)) for each in amounts if each is not None), Decimal(0)) == bill
    received = [as_received(each) for each in spans]
    chance.shuffle(received)
    total, _ = owned(delivered(received[: len(received) // 2], received[len(received) // 3 :]))
    assert total == bill
