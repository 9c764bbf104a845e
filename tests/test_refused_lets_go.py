"""A refused request is gone when it was answered: nothing holds its bytes until some collection."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest
from sink import Sink
from stages import post, stage, until

from tollspan.collector.http_servers import HttpServers, bound
from tollspan.collector.otlp_http import http_receiver
from tollspan.collector.receiver import Malformed


@pytest.fixture(autouse=True)
def uncollected() -> Iterator[None]:
    """Circles stay."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def holders(requests: list[bytes]) -> int:
    """How many hold the only one of `requests`."""
    return sys.getrefcount(requests[0])


def garbage() -> list[bytes]:
    return [bytes([255] * 1000)]  # made anew each time, and no constant


def json_of_something_else() -> list[bytes]:
    return [json.dumps({"resourceSpans": 7, "resourceMetrics": 7}).encode()]


@pytest.mark.parametrize(
    ("signal", "made", "is_json"),
    [
        ("traces", garbage, False),
        ("traces", garbage, True),
        ("traces", json_of_something_else, True),
        ("metrics", garbage, True),
        ("metrics", json_of_something_else, True),
    ],
)
def test_by_the_stage(signal: str, made: Callable[[], list[bytes]], is_json: bool) -> None:
    requests = made()
    with Sink() as sink, stage(sink.grpc_url) as running:
        before = holders(requests)
        answer = getattr(running.intake, signal)(requests[0], is_json=is_json)
        with pytest.raises(Malformed):
            answer.result(30)
        until(lambda: holders(requests) == before)


def test_by_the_receiver() -> None:
    taken: list[bytes] = []

    class Refusing:
        def traces(self, body: bytes, *, is_json: bool = False) -> Future[bytes]:
            taken.append(body)
            answer: Future[bytes] = Future()
            answer.set_exception(Malformed("the body is not OTLP"))
            return answer

        metrics = logs = traces

    at = bound("127.0.0.1", 0)
    servers = HttpServers([(http_receiver(Refusing()), at)])
    servers.start()
    try:
        assert post(f"127.0.0.1:{at.getsockname()[1]}", garbage()[0])[0] == 400
        until(lambda: holders(taken) == holders(garbage()))
    finally:
        servers.stop()
