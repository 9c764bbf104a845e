"""What leaves the process: hosts that may receive it get trace context and attribution, no other does.

Every test reads the headers that a server on the other end of a socket really received.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anthropic
import boto3
import httpx
import httpx2
import pytest
import requests
from mirror import (
    CLIENTS,
    Mirror,
    Reply,
    Send,
    context_of,
    ids_of,
    open_call,
    watching,
)
from mirror import carried as members
from needs import missing
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tollspan import config

WHO = {"TENANT": "acme & söns", "USER": "u_42", "ENDPOINT_TAG": "checkout", "REQUEST_ID": "r1"}
SENT = {
    "tollspan.tenant": "acme & söns",
    "user.id": "u_42",
    "tollspan.endpoint_tag": "checkout",
    "tollspan.request_id": "r1",
}


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    with watching(provider):
        yield


@pytest.fixture(params=CLIENTS)
def send(request: pytest.FixtureRequest) -> Send:
    return CLIENTS[request.param]


def propagate_to(*hosts: str) -> None:
    config.reload({"TOLLSPAN_PROPAGATE_TO": ",".join(hosts), "TOLLSPAN_RAISE": "1"})


@contextmanager
def ambient(**entries: str) -> Iterator[None]:
    """OpenTelemetry baggage around the block, `_` in names for `.`."""
    inside = context.get_current()
    for name, value in entries.items():
        inside = baggage.set_baggage(name.replace("_", "."), value, inside)
    token = context.attach(inside)
    try:
        yield
    finally:
        context.detach(token)


def carried(headers: Mapping[str, str]) -> dict[str, str]:
    """Baggage but for the owner's id, which is another in each test."""
    found = members(headers)
    found.pop("tollspan.owner_span_id", None)
    return found


def test_an_allowed_host_gets_the_attempts_context_and_the_attribution(
    send: Send, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with Mirror() as mirror, ambient(colour="red"), open_call(provider, **WHO):
        send(mirror.url)
        (headers,) = mirror.received
    span = next(span for span in exporter.get_finished_spans() if span.name == "POST")
    assert context_of(headers) == ids_of(span)
    assert carried(headers) == SENT  # and nothing else that was in the caller's baggage


def test_an_allowed_host_learns_which_span_owns_the_money(
    send: Send, provider: TracerProvider
) -> None:
    with Mirror() as end, open_call(provider, **WHO) as outer:
        with open_call(provider, outer=outer):
            send(end.url)
        with open_call(provider, OWNER_SPAN_ID="00000000000000aa"):
            send(end.url)
    owners = [members(each)["tollspan.owner_span_id"] for each in end.received]
    assert owners == [f"{outer.span_id:016x}", "00000000000000aa"]


def test_any_other_host_gets_nothing(send: Send, provider: TracerProvider) -> None:
    propagate_to("gateway.example", "10.0.0.0/8")
    with (
        Mirror() as mirror,
        ambient(tollspan_tenant="acme", colour="red"),
        open_call(provider, **WHO),
    ):
        send(mirror.url)
    (headers,) = mirror.received
    assert not {"traceparent", "tracestate", "baggage"} & set(headers)
    assert not [value for value in headers.values() if "acme" in value or "u_42" in value]


def test_an_empty_setting_allows_nobody(send: Send, provider: TracerProvider) -> None:
    propagate_to()
    with Mirror() as mirror, open_call(provider, **WHO):
        send(mirror.url)
    assert not {"traceparent", "baggage"} & set(mirror.received[0])


def test_a_redirect_carries_nothing_to_a_host_that_may_not_receive(
    send: Send, provider: TracerProvider
) -> None:
    propagate_to("localhost")
    with (
        Mirror() as end,
        Mirror(Reply(307, {"location": end.url})) as start,
        open_call(provider, **WHO) as call,
    ):
        assert send(start.url_by_name) == 200
    assert len(call.attempts) == 2
    assert carried(start.received[0]) == SENT
    assert "traceparent" in start.received[0]
    assert not {"traceparent", "baggage"} & set(end.received[0])


def test_a_redirect_to_a_host_that_may_receive_gets_the_context_of_its_own_attempt(
    send: Send, provider: TracerProvider
) -> None:
    propagate_to("localhost")
    with (
        Mirror() as end,
        Mirror(Reply(307, {"location": end.url_by_name})) as start,
        open_call(provider, **WHO) as call,
    ):
        assert send(start.url) == 200
    assert not {"traceparent", "baggage"} & set(start.received[0])
    assert context_of(end.received[0]) == ids_of(call.attempts[1].span)
    assert carried(end.received[0]) == SENT


def test_each_hop_of_a_redirect_among_allowed_hosts_has_its_own_context(
    send: Send, provider: TracerProvider
) -> None:
    with (
        Mirror() as end,
        Mirror(Reply(307, {"location": end.url})) as start,
        open_call(provider, **WHO) as call,
    ):
        send(start.url)
    for mirror, attempt in zip((start, end), call.attempts, strict=True):
        assert context_of(mirror.received[0]) == ids_of(attempt.span)
        assert carried(mirror.received[0]) == SENT


def test_what_the_user_put_on_the_request_wins(send: Send, provider: TracerProvider) -> None:
    own = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    given = {"traceparent": own, "baggage": "colour=red,user.id=u_1"}
    with Mirror() as mirror, open_call(provider, **WHO):
        send(mirror.url, headers=given)
    (headers,) = mirror.received
    assert headers["traceparent"] == own
    assert carried(headers) == {**SENT, "colour": "red", "user.id": "u_1"}


def test_a_baggage_header_loses_the_attribution_on_its_way_to_a_public_host(
    send: Send, provider: TracerProvider
) -> None:
    propagate_to()
    given = {"baggage": "colour=red,tollspan.tenant=acme, user%2Eid=u_1 ;ttl=1"}
    with Mirror() as mirror, open_call(provider, **WHO):
        send(mirror.url, headers=given)
    assert mirror.received[0]["baggage"] == "colour=red"


def test_an_unsampled_call_says_so_to_whom_it_may(send: Send) -> None:
    off = TracerProvider(sampler=ALWAYS_OFF)
    with watching(off), Mirror() as mirror, open_call(off, **WHO) as call:
        send(mirror.url)
    (headers,) = mirror.received
    assert context_of(headers) == ids_of(call.span)
    assert int(headers["traceparent"][-2:], 16) & 1 == 0
    assert carried(headers) == SENT


def test_without_tracing_attribution_still_travels(send: Send) -> None:
    none: Any = trace.NoOpTracerProvider()
    with watching(none), Mirror() as mirror, open_call(none, **WHO):
        send(mirror.url)
    assert "traceparent" not in mirror.received[0]
    assert carried(mirror.received[0]) == SENT


def test_hostile_attribution_makes_a_header_that_is_one_header(
    send: Send, provider: TracerProvider
) -> None:
    with Mirror() as mirror, open_call(provider, TENANT="a,b=c;d\r\nx-evil: 1") as call:
        call.attributes |= {
            "tollspan.tag.a\r\nx-evil: 2": "1",
            "tollspan.tag.größe": "1",
            "tollspan.tag.two words": "1",
            "tollspan.tag.": "ok",
            **{f"tollspan.tag.{n}": "€" * 256 for n in range(40)},
        }
        send(mirror.url)
    (headers,) = mirror.received
    assert "x-evil" not in headers
    assert carried(headers)["tollspan.tenant"] == "a,b=c;d\r\nx-evil: 1"
    assert len(headers["baggage"]) <= 4096


def test_the_propagators_that_the_user_chose_decide(send: Send, provider: TracerProvider) -> None:
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(CompositePropagator([TraceContextTextMapPropagator()]))
    try:
        with Mirror() as mirror, open_call(provider, **WHO):
            send(mirror.url)
    finally:
        propagate.set_global_textmap(before)
    assert "traceparent" in mirror.received[0]
    assert "baggage" not in mirror.received[0]


def test_the_users_request_and_context_are_as_before(provider: TracerProvider) -> None:
    given = {"baggage": "colour=red"}
    with Mirror() as mirror, ambient(colour="red"), open_call(provider, **WHO):
        around = context.get_current()
        with httpx2.Client() as client:
            request = client.build_request("POST", mirror.url, headers=given)
            before = list(request.headers.raw)
            client.send(request)
        assert list(request.headers.raw) == before
        with requests.Session() as session:
            prepared = session.prepare_request(requests.Request("POST", mirror.url, headers=given))
            was = dict(prepared.headers)
            session.send(prepared)
        assert dict(prepared.headers) == was
        assert context.get_current() is around
    assert all("traceparent" in headers for headers in mirror.received)


# --- together with others that inject -------------------------------------------------------------


@pytest.fixture
def instrumented(provider: TracerProvider) -> Iterator[None]:
    module = pytest.importorskip("opentelemetry.instrumentation.httpx")
    kinds = [module.HTTPXClientInstrumentor(), module.HTTPX2ClientInstrumentor()]
    for each in kinds:
        each.instrument(tracer_provider=provider)
    yield
    for each in kinds:
        each.uninstrument()


HTTPX = ["httpx", "httpx async", "httpx2", "httpx2 async"]


@pytest.mark.parametrize("name", HTTPX)
@pytest.mark.usefixtures("instrumented")
def test_the_httpx_instrumentation_carries_attribution_to_allowed_hosts(
    name: str, provider: TracerProvider
) -> None:
    with Mirror() as mirror, ambient(colour="red"), open_call(provider, **WHO):
        CLIENTS[name](mirror.url, headers={"baggage": "shape=round"})
    assert carried(mirror.received[0]) == {**SENT, "colour": "red", "shape": "round"}


@pytest.mark.parametrize("name", HTTPX)
@pytest.mark.usefixtures("instrumented")
def test_the_httpx_instrumentation_carries_no_attribution_to_public_hosts(
    name: str, provider: TracerProvider
) -> None:
    propagate_to()
    came_in = {"tollspan_tenant": "acme", "user_id": "u_1", "session_id": "s", "colour": "red"}
    with Mirror() as mirror, ambient(**came_in), open_call(provider, **WHO):
        CLIENTS[name](mirror.url)
        assert baggage.get_baggage("tollspan.tenant") == "acme"  # the caller's own stays
    assert carried(mirror.received[0]) == {"colour": "red"}
    assert "traceparent" in mirror.received[0]  # theirs to decide


@pytest.mark.parametrize("name", HTTPX)
@pytest.mark.usefixtures("instrumented")
def test_a_redirect_under_the_httpx_instrumentation_carries_no_attribution_on(
    name: str, provider: TracerProvider
) -> None:
    propagate_to("localhost")
    with (
        Mirror() as end,
        Mirror(Reply(307, {"location": end.url})) as start,
        ambient(tollspan_session="s"),
        open_call(provider, **WHO),
    ):
        assert CLIENTS[name](start.url_by_name) == 200
    assert carried(start.received[0]) == {**SENT, "tollspan.session": "s"}
    assert carried(end.received[0]) == {}


@pytest.mark.parametrize(
    ("name", "scope", "kind"),
    [
        ("requests", "opentelemetry.instrumentation.requests", "RequestsInstrumentor"),
        ("aiohttp", "opentelemetry.instrumentation.aiohttp_client", "AioHttpClientInstrumentor"),
    ],
)
def test_instrumentations_above_carry_no_attribution_to_public_hosts(
    name: str, scope: str, kind: str, provider: TracerProvider
) -> None:
    try:
        instrumentor = getattr(importlib.import_module(scope), kind)()
    except ImportError:
        missing(name + "-instrumentation", f"{scope} is not installed")
    propagate_to("localhost")
    instrumentor.instrument(tracer_provider=provider)
    try:
        with (
            Mirror() as end,
            Mirror(Reply(307, {"location": end.url})) as start,
            ambient(tollspan_tenant="acme", colour="red"),
            open_call(provider, **WHO),
        ):
            CLIENTS[name](start.url_by_name)
    finally:
        instrumentor.uninstrument()
    assert carried(start.received[0]) == {**SENT, "tollspan.tenant": "acme", "colour": "red"}
    assert carried(end.received[0]) == {"colour": "red"}


def test_native_tracing_of_the_anthropic_sdk_carries_no_attribution_to_public_hosts(
    provider: TracerProvider,
) -> None:
    propagate_to()
    with (
        Mirror(Reply(400)) as mirror,
        ambient(tollspan_tenant="acme", colour="red"),
        open_call(provider, **WHO),
    ):
        client = anthropic.Anthropic(
            api_key="k",
            base_url=f"http://127.0.0.1:{mirror.port}",
            open_telemetry={"tracer_provider": provider},
        )
        with client, pytest.raises(anthropic.BadRequestError):
            client.messages.create(
                model="m", max_tokens=5, messages=[{"role": "user", "content": "x"}]
            )
    (headers,) = mirror.received
    assert "traceparent" in headers  # the SDK's, and its choice
    assert carried(headers) == {"colour": "red"}


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_custom_transports_see_what_the_host_may_receive(
    module: Any, provider: TracerProvider
) -> None:
    seen: list[dict[str, str]] = []

    def answer(request: Any) -> Any:
        seen.append(dict(request.headers))
        return module.Response(200)

    with open_call(provider, **WHO), module.Client(transport=module.MockTransport(answer)) as c:
        c.post("http://litellm:4000/v1")
        c.post("https://api.openai.com/v1")
    assert carried(seen[0]) == SENT
    assert not {"traceparent", "baggage"} & set(seen[1])


@pytest.mark.parametrize(("host", "allowed"), [("localhost", True), ("127.0.0.1", False)])
def test_botocore_carries_attribution_to_allowed_hosts_only(
    host: str, allowed: bool, provider: TracerProvider
) -> None:
    propagate_to("localhost")
    with Mirror() as mirror:
        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=f"http://{host}:{mirror.port}",
            region_name="eu-central-1",
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="k",
        )
        with ambient(tollspan_tenant="acme", colour="red"), open_call(provider, **WHO):
            client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "x"}]}])
        client.close()
    (headers,) = mirror.received
    assert carried(headers) == (SENT if allowed else {})
    assert ("traceparent" in headers) is allowed
