"""Whoever knocks at the wrong port or in the wrong language is counted, with a way out in a sentence."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from spans import owner, protobuf

from tollspan.local import LocalStack
from tollspan.local.arrivals import BY_STATUS, CAUSES, HTTP2_PREFACE, Arrivals
from tollspan.local.gate import Gate

PROTOBUF = {"content-type": "application/x-protobuf"}


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack() as running:
        yield running


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def refused(stack: LocalStack) -> dict[str, dict[str, Any]]:
    """What the page is told, by cause."""
    with urllib.request.urlopen(f"{stack.page_url}/api/status") as answer:
        return {one["cause"]: one for one in json.load(answer)["refused"]}


def test_a_request_that_is_taken_is_no_refusal(stack: LocalStack) -> None:
    before = refused(stack)
    assert post(f"{stack.http_endpoint}/v1/traces", protobuf([owner(1)]), PROTOBUF) == 200
    assert refused(stack) == before


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "cause"),
    [
        ("/v1/traces", b"\xff\xff", PROTOBUF, 400, "malformed"),
        ("/v1/traces", b"{}", {"content-type": "text/plain"}, 415, "content_type"),
        ("/", b"", PROTOBUF, 404, "path"),
        ("/api/v2/spans", b"[]", {"content-type": "application/json"}, 404, "path"),
    ],
)
def test_a_wrong_request_is_counted_by_its_cause(
    stack: LocalStack, path: str, body: bytes, headers: dict[str, str], status: int, cause: str
) -> None:
    before = refused(stack).get(cause, {}).get("count", 0)
    assert post(f"{stack.http_endpoint}{path}", body, headers) == status
    told = refused(stack)[cause]
    assert told["count"] == before + 1
    assert told["said"] and told["advice"] and told["last"].endswith("Z")


def test_otlp_at_the_port_of_the_page_is_sent_to_the_right_one(stack: LocalStack) -> None:
    post(f"{stack.page_url}/v1/traces", protobuf([owner(1)]), PROTOBUF)
    advice = refused(stack)["otlp_on_page"]["advice"]
    assert stack.http_endpoint in advice and stack.grpc_endpoint in advice


def export(endpoint: str, body: bytes) -> bytes:
    """Send `body` as OTLP over gRPC to `endpoint`."""
    with grpc.insecure_channel(endpoint.removeprefix("http://")) as channel:
        ask = channel.unary_unary(
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            request_serializer=bytes,
            response_deserializer=bytes,
        )
        return bytes(ask(body, timeout=10))


def test_a_wrong_request_over_grpc_is_counted_too(stack: LocalStack) -> None:
    before = refused(stack).get("malformed", {}).get("count", 0)
    with pytest.raises(grpc.RpcError):
        export(stack.grpc_endpoint, b"\xff\xff")
    assert refused(stack)["malformed"]["count"] == before + 1
    export(stack.grpc_endpoint, protobuf([owner(5)]))
    assert refused(stack)["malformed"]["count"] == before + 1


def test_grpc_at_the_port_of_http_is_sent_to_the_right_one(stack: LocalStack) -> None:
    with pytest.raises(grpc.RpcError):
        export(stack.http_endpoint, protobuf([owner(2)]))
    told = refused(stack)["grpc_on_http"]
    assert told["count"] >= 1
    assert stack.grpc_endpoint in told["advice"]
    assert "http/protobuf" in told["advice"]


def test_the_preface_in_the_middle_of_a_connection_is_not_taken_for_grpc(
    stack: LocalStack,
) -> None:
    before = refused(stack).get("grpc_on_http", {}).get("count", 0)
    connection = http.client.HTTPConnection(stack.http_endpoint.removeprefix("http://"))
    for body in (protobuf([owner(3)]), HTTP2_PREFACE):
        connection.request("POST", "/v1/traces", body, PROTOBUF)
        connection.getresponse().read()
    connection.close()
    assert refused(stack).get("grpc_on_http", {}).get("count", 0) == before


def test_noise_on_a_port_is_answered_and_the_port_lives_on(stack: LocalStack) -> None:
    for noise in (b"\x16\x03\x01\x02\x00", HTTP2_PREFACE[:5], b"\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", stack.http_port), timeout=5) as knocking:
            knocking.sendall(noise)
            knocking.shutdown(socket.SHUT_WR)
            knocking.recv(1000)
    assert post(f"{stack.http_endpoint}/v1/traces", protobuf([owner(4)]), PROTOBUF) == 200


def test_a_sender_without_the_token_is_told_which_header_to_send() -> None:
    arrivals = Arrivals()

    async def never(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the gate is shut")

    async def ask() -> None:
        async def send(message: Any) -> None:
            return None

        headers = [(b"host", b"127.0.0.1:4318")]
        scope = {"type": "http", "method": "POST", "path": "/v1/traces", "headers": headers}
        gate = Gate(never, token="s3cret", asks_host=False)
        await arrivals.at_receiver(gate)(scope, None, send)  # type: ignore[arg-type]

    asyncio.run(ask())
    (told,) = arrivals.told({"http": "h", "grpc": "g"})
    assert told["cause"] == "token"
    assert "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20" in told["advice"]


def test_every_cause_has_its_sentences_and_the_latest_stands_first() -> None:
    assert set(BY_STATUS.values()) <= set(CAUSES)
    arrivals = Arrivals()
    for cause in CAUSES:
        arrivals.note(cause)
    time.sleep(0.002)  # the clock has milliseconds
    arrivals.note("path")
    told = arrivals.told({"http": "http://h", "grpc": "http://g"})
    assert told[0]["cause"] == "path" and told[0]["count"] == 2
    assert not any("{" in one["advice"] for one in told)
