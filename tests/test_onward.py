"""Attribution goes with the application's own requests to its own services, and to nobody else.

No LLM call is open here. Every test reads the headers that a server at the other end really received.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mirror import CLIENTS, Mirror, Reply, Send, carried, watching
from opentelemetry import baggage, context
from opentelemetry.sdk.trace import TracerProvider

import tollspan
from tollspan import attribution, config


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    with watching(provider):
        yield


@pytest.fixture(params=CLIENTS)
def send(request: pytest.FixtureRequest) -> Send:
    return CLIENTS[request.param]


@pytest.fixture
def came_in() -> Iterator[None]:
    """The context of a request that brought attribution and something of the user's."""
    inside = baggage.set_baggage("tollspan.tenant", "acme", baggage.set_baggage("colour", "red"))
    token = context.attach(inside)
    yield
    context.detach(token)


@pytest.fixture
def instrumented(provider: TracerProvider) -> Iterator[None]:
    module = pytest.importorskip("opentelemetry.instrumentation.httpx")
    kinds = [module.HTTPXClientInstrumentor(), module.HTTPX2ClientInstrumentor()]
    for each in kinds:
        each.instrument(tracer_provider=provider)
    yield
    for each in kinds:
        each.uninstrument()


def propagate_to(*hosts: str) -> None:
    config.reload({"TOLLSPAN_PROPAGATE_TO": ",".join(hosts), "TOLLSPAN_RAISE": "1"})


def test_a_service_of_ones_own_learns_for_whom_it_works(send: Send) -> None:
    with Mirror() as mirror, tollspan.attribute(tenant="acme & söns", tags={"team": "growth"}):
        send(mirror.url)
    assert carried(mirror.received[0]) == {
        "tollspan.tenant": "acme & söns",
        "tollspan.tag.team": "growth",
    }


def test_a_request_id_is_one_calls_and_stays_behind(send: Send) -> None:
    with Mirror() as mirror, tollspan.attribute(request_id="r1", user="u_1"):
        send(mirror.url)
    assert carried(mirror.received[0]) == {"user.id": "u_1"}


@pytest.mark.usefixtures("came_in")
def test_what_came_in_goes_on_and_the_block_wins(send: Send) -> None:
    with Mirror() as mirror, tollspan.attribute(endpoint="inner"):
        send(mirror.url)
    with Mirror() as second, tollspan.attribute(tenant="other"):
        send(second.url)
    assert carried(mirror.received[0]) == {
        "tollspan.tenant": "acme",
        "tollspan.endpoint_tag": "inner",
    }
    assert carried(second.received[0])["tollspan.tenant"] == "other"


def test_nothing_known_nothing_sent(send: Send) -> None:
    config.reload({"TOLLSPAN_TENANT": "the default, which the other service has of its own"})
    with Mirror() as mirror:
        send(mirror.url)
    assert "baggage" not in mirror.received[0]


def test_any_other_host_gets_none(send: Send) -> None:
    propagate_to("gateway.example")
    with Mirror() as mirror, tollspan.attribute(tenant="acme"):
        send(mirror.url, headers={"baggage": "colour=red,tollspan.tenant=acme"})
    assert mirror.received[0]["baggage"] == "colour=red"


def test_a_redirect_carries_none_to_a_host_that_may_not_receive(send: Send) -> None:
    propagate_to("localhost")
    with (
        Mirror() as end,
        Mirror(Reply(307, {"location": end.url})) as start,
        tollspan.attribute(tenant="acme"),
    ):
        assert send(start.url_by_name) == 200
    assert carried(start.received[0]) == {"tollspan.tenant": "acme"}
    assert "baggage" not in end.received[0]


HTTPX = ["httpx", "httpx async", "httpx2", "httpx2 async"]


@pytest.mark.parametrize("name", HTTPX)
@pytest.mark.usefixtures("instrumented", "came_in")
def test_an_http_instrumentation_carries_it_to_allowed_hosts_only(name: str) -> None:
    with Mirror() as mirror, tollspan.attribute(endpoint="a"):
        around = context.get_current()
        CLIENTS[name](mirror.url)
        assert context.get_current() is around
        propagate_to()
        CLIENTS[name](mirror.url)
    allowed, other = mirror.received
    assert carried(allowed) == {
        "colour": "red",
        "tollspan.tenant": "acme",
        "tollspan.endpoint_tag": "a",
    }
    assert carried(other) == {"colour": "red"}
    assert "traceparent" in other  # theirs to decide


@pytest.mark.quiet
def test_a_fault_of_ours_stops_no_request(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> dict[str, str]:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(attribution, "travelling", broken)
    with Mirror() as mirror, tollspan.attribute(tenant="acme"):
        assert send(mirror.url) == 200
    assert "baggage" not in mirror.received[0]
