"""With a token, everything that holds data asks for it: header, cookie, gRPC metadata."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import grpc
import pytest
from spans import owner, protobuf

from tollspan.collector.otlp_grpc import TRACES
from tollspan.local import LocalStack


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack(host="0.0.0.0", token="plain-token") as made:
        yield made


def ask(
    port: int, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(
        method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    answer = connection.getresponse()
    told = answer.status, answer.read().decode(), answer.headers.get("set-cookie", "")
    connection.close()
    return told


def test_the_api_asks_for_it(stack: LocalStack) -> None:
    status, body, _ = ask(stack.ui_port, "GET", "/api/calls")

    assert status == 401
    assert "TOLLSPAN_TOKEN" in json.loads(body)["error"]
    assert ask(stack.ui_port, "GET", "/api/calls", authorization="Bearer wrong")[0] == 401
    assert ask(stack.ui_port, "GET", "/api/calls", authorization="Bearer plain-token")[0] == 200
    assert (
        ask(stack.ui_port, "GET", "/api/calls", host="my.host", authorization="Bearer plain-token")[
            0
        ]
        == 200
    )


def test_a_person_opens_the_page_with_it_once(stack: LocalStack) -> None:
    status, _, cookie = ask(stack.ui_port, "GET", "/?token=plain-token")

    assert status == 303
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "plain-token" not in cookie, "every other port of this host is shown it"
    assert ask(stack.ui_port, "GET", "/api/calls", cookie="tollspan_token=plain-token")[0] == 401
    assert ask(stack.ui_port, "GET", "/api/calls", cookie=cookie.split(";")[0])[0] == 200
    assert ask(stack.ui_port, "GET", "/")[0] == 200, "files hold no data"
    assert ask(stack.ui_port, "GET", "/api/live?token=plain-token")[0] == 401


def test_both_receivers_ask_for_it(stack: LocalStack) -> None:
    body = protobuf([owner(1)])
    kind = "application/x-protobuf"
    bare = ask(stack.http_port, "POST", "/v1/traces", body, content_type=kind)
    shown = ask(
        *(stack.http_port, "POST", "/v1/traces", body),
        content_type=kind,
        authorization="Bearer plain-token",
    )
    with grpc.insecure_channel(f"127.0.0.1:{stack.grpc_port}") as channel:
        export = channel.unary_unary(TRACES)
        with pytest.raises(grpc.RpcError) as refused:
            export(body, timeout=20)
        answered = export(body, timeout=20, metadata=(("authorization", "Bearer plain-token"),))

    assert (bare[0], shown[0]) == (401, 200)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert answered == b""
    assert "plain-token" not in repr(stack.status())
