"""Who is asked before a call leaves may refuse it, delay it or change it; nobody else's fault does.

Every way of asking: sync and async, plain, raw and streamed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import calls, guard, semconv
from tollspan.processors.spans import adopt_provider


class Enough(calls.Refusal):
    attributes = MappingProxyType({semconv.BLOCKED_STAGE: "before"})


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    undo = adopt_provider(provider)
    try:
        with sdks.watched(provider):
            yield
    finally:
        undo()
        assert calls.before == calls.after == (), "a test left its hooks"


@pytest.fixture
def hooked() -> Iterator[Callable[..., None]]:
    undo: list[Callable[[], None]] = []

    def hook(before: Any = None, after: Any = None) -> None:
        if before is not None:
            undo.append(calls.on_before(before))
        if after is not None:
            undo.append(calls.on_after(after))

    yield hook
    for each in undo:
        each()


def refusing(call: calls.OpenCall) -> None:
    raise Enough("that is enough")


def blocked(exporter: InMemorySpanExporter) -> None:
    span = sdks.ended(exporter)
    found = span.attributes or {}
    assert (found[semconv.STATUS], found[semconv.BLOCKED_BY]) == ("blocked", "app")
    assert found[semconv.ERROR_TYPE] == "Enough"
    assert found[semconv.BLOCKED_STAGE] == "before"
    assert found[semconv.COST_ROLE] == "owner"
    absent = {semconv.COST_AMOUNT, semconv.COST_GRADE, semconv.UNPRICED_REASON}
    assert absent.isdisjoint(found), "a call that never left costs nothing, not an unknown amount"


@pytest.mark.parametrize(("api", "way"), sdks.WAYS)
def test_a_refusal_reaches_the_caller_as_it_was_raised(
    api: str, way: str, exporter: InMemorySpanExporter, hooked: Any
) -> None:
    hooked(refusing)
    server = sdks.server_for(api)
    with pytest.raises(Enough, match="that is enough") as caught:
        sdks.ALL[way][0](sdks.client_for(api, server), api)

    assert caught.value.__cause__ is None and caught.value.__context__ is None
    assert server.requests == [], "it left all the same"
    blocked(exporter)


@pytest.mark.parametrize(("api", "way"), sdks.WAYS)
def test_a_refusal_reaches_the_awaiting_caller_as_it_was_raised(
    api: str, way: str, exporter: InMemorySpanExporter, hooked: Any
) -> None:
    hooked(refusing)
    server = sdks.server_for(api)
    with pytest.raises(Enough, match="that is enough"):
        asyncio.run(sdks.ALL[way][1](sdks.async_client_for(api, server), api))

    assert server.requests == []
    blocked(exporter)


@pytest.mark.quiet
def test_a_hook_that_fails_lets_the_call_go_and_the_others_be_asked(hooked: Any) -> None:
    asked: list[str] = []

    def broken(call: calls.OpenCall) -> None:
        asked.append("broken")
        raise RuntimeError("our own fault")

    guard.faults.clear()
    hooked(broken, broken)
    hooked(lambda call: asked.append("second"), lambda call: asked.append("told"))
    server = sdks.server_for("chat")

    assert sdks.plain(sdks.openai_client(server), "chat").id == "chatcmpl-1"
    assert len(server.requests) == 1
    assert asked == ["broken", "second", "broken", "told"]
    assert sum(guard.faults.values()) == 2


def test_who_is_asked_again_is_asked_again_after_that_time(hooked: Any) -> None:
    asked: list[float] = []

    def soon(call: calls.OpenCall) -> float | None:
        asked.append(time.monotonic())
        return 0.02 if len(asked) < 3 else None

    hooked(soon)
    sdks.plain(sdks.openai_client(sdks.server_for("chat")), "chat")

    assert len(asked) == 3
    assert asked[2] - asked[0] >= 0.04


def test_waiting_leaves_the_event_loop_free_and_can_be_cancelled(
    exporter: InMemorySpanExporter, hooked: Any
) -> None:
    hooked(lambda call: 30.0)
    server = sdks.server_for("chat")

    async def main() -> None:
        task = asyncio.create_task(sdks.plain_async(sdks.async_openai_client(server), "chat"))
        while not calls.open_calls:
            await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())

    assert server.requests == []
    assert sdks.status(exporter) == "cancelled"


@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_what_is_sent_instead_is_sent_and_the_callers_own_stays(
    api: str, exporter: InMemorySpanExporter, hooked: Any
) -> None:
    def cheaper(call: calls.OpenCall) -> None:
        assert call.sending is not None
        assert call.sending.send({**call.sending.body, "model": "gpt-5-nano"})

    hooked(cheaper)
    server = sdks.server_for(api)
    client = sdks.client_for(api, server)
    resource, asked = sdks._resource(client, api)
    given = {**asked, "extra_body": {"model": "mine", "more": 1}}
    resource.create(**given)

    sent = json.loads(server.requests[0].content)
    assert (sent["model"], sent["more"]) == ("gpt-5-nano", 1)
    assert given["extra_body"] == {"model": "mine", "more": 1}
    assert (sdks.ended(exporter).attributes or {})[semconv.REQUEST_MODEL] == "gpt-5-nano"


def test_everybody_is_told_of_every_end_with_its_cost(hooked: Any) -> None:
    told: list[dict[str, Any]] = []
    hooked(after=lambda call: told.append(call.attributes))
    sdks.plain(sdks.openai_client(sdks.server_for("chat")), "chat")
    hooked(refusing)
    with pytest.raises(Enough):
        sdks.plain(sdks.openai_client(sdks.server_for("chat")), "chat")

    assert [each[semconv.STATUS] for each in told] == ["success", "blocked"]
    assert told[0][semconv.COST_AMOUNT] > 0
