"""What SDKs and HTTP clients raise is read for what it says of the backend, by the real classes."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
from email.message import Message
from typing import Any

import aiohttp
import anthropic
import botocore.exceptions
import google.genai.errors
import groq
import httpx
import openai
import pytest
import requests
import urllib3.exceptions

from tollspan.calls import Refusal
from tollspan.limits.guards import CircuitOpen
from tollspan.limits.outcomes import (
    CONNECT,
    LIMITED,
    REFUSED,
    SERVER,
    TIMEOUT,
    of_error,
    of_name,
    of_status,
)

REQUEST = httpx.Request("POST", "https://api.openai.com/v1/chat/completions")


def answered(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, request=REQUEST, headers=headers)


def stated(kind: Any, status: int, **headers: str) -> Exception:
    return kind("message", response=answered(status, **headers), body=None)  # type: ignore[no-any-return]


def boto(status: int, code: str) -> Exception:
    return botocore.exceptions.ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Converse"
    )


RAISED: list[tuple[Exception, str | None]] = [
    (stated(openai.InternalServerError, 500), SERVER),
    (stated(openai.RateLimitError, 429), LIMITED),
    (stated(openai.AuthenticationError, 401), REFUSED),
    (stated(openai.BadRequestError, 400), REFUSED),
    (openai.APIConnectionError(request=REQUEST), CONNECT),
    (openai.APIError("in a stream", request=REQUEST, body=None), SERVER),
    (openai.APIResponseValidationError(response=answered(200), body=None), None),
    (openai.APITimeoutError(request=REQUEST), TIMEOUT),
    (stated(anthropic.InternalServerError, 529), SERVER),
    (anthropic.APIConnectionError(request=REQUEST), CONNECT),
    (stated(groq.InternalServerError, 503), SERVER),
    (google.genai.errors.ServerError(503, {"error": {"message": "busy"}}), SERVER),
    (google.genai.errors.ClientError(429, {"error": {"message": "slow"}}), LIMITED),
    (boto(503, "ServiceUnavailableException"), SERVER),
    (boto(429, "ThrottlingException"), LIMITED),
    (boto(403, "AccessDeniedException"), REFUSED),
    (botocore.exceptions.EndpointConnectionError(endpoint_url="https://b"), CONNECT),
    (botocore.exceptions.ReadTimeoutError(endpoint_url="https://b"), TIMEOUT),
    (botocore.exceptions.ConnectTimeoutError(endpoint_url="https://b"), TIMEOUT),
    (httpx.ConnectError("refused"), CONNECT),
    (httpx.ConnectTimeout("slow"), TIMEOUT),
    (httpx.ReadTimeout("slow"), TIMEOUT),
    (httpx.ReadError("broken"), CONNECT),
    (httpx.RemoteProtocolError("broken"), CONNECT),
    (httpx.HTTPStatusError("no", request=REQUEST, response=answered(502)), SERVER),
    (requests.ConnectionError("refused"), CONNECT),
    (requests.exceptions.ChunkedEncodingError("broken"), CONNECT),
    (requests.Timeout("slow"), TIMEOUT),
    (urllib3.exceptions.ReadTimeoutError(None, "u", "slow"), TIMEOUT),  # type: ignore[arg-type]
    (urllib3.exceptions.IncompleteRead(1, 2), CONNECT),
    (aiohttp.ServerDisconnectedError(), CONNECT),
    (aiohttp.ServerTimeoutError(), TIMEOUT),
    (ConnectionRefusedError(), CONNECT),
    (ConnectionResetError(), CONNECT),
    (TimeoutError(), TIMEOUT),
    (socket.gaierror(-2, "unknown"), CONNECT),
    (ssl.SSLError("handshake"), CONNECT),
    (http.client.IncompleteRead(b""), CONNECT),
    (ValueError("no such prompt"), None),
    (TypeError("a connection of mine"), None),
    (KeyError("server_error"), None),
    (RuntimeError("boom"), None),
    (Refusal("a budget is spent"), None),
    (CircuitOpen("openai", "down", 3.0), None),
]


@pytest.mark.parametrize(
    ("error", "kind"), RAISED, ids=lambda each: getattr(type(each), "__qualname__", str(each))
)
def test_an_exception_is_read_for_what_it_says_of_the_backend(
    error: Exception, kind: str | None
) -> None:
    found = of_error(error, 1.5)

    assert (None if found is None else found.kind) == kind
    assert found is None or found.duration_s == 1.5


def test_the_cause_is_read_where_the_exception_itself_says_nothing() -> None:
    class Wrapped(Exception):
        pass

    try:
        try:
            raise httpx.ReadTimeout("slow")
        except httpx.ReadTimeout as cause:
            raise Wrapped from cause
    except Wrapped as error:
        found = of_error(error)

    assert found is not None
    assert found.kind == TIMEOUT


def test_urllib_says_its_status_in_code() -> None:
    with urllib.error.HTTPError("http://h", 503, "busy", Message(), None) as error:
        found = of_error(error)

    assert found is not None
    assert found.kind == SERVER


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "٧"}, None),
        ({}, None),
    ],
)
def test_what_the_answer_asks_for_is_read_in_seconds(
    headers: dict[str, str], wait: float | None
) -> None:
    response = httpx.Response(
        503, request=REQUEST, headers=[(k.encode(), v.encode()) for k, v in headers.items()]
    )
    found = of_error(openai.InternalServerError("busy", response=response, body=None))

    assert found is not None
    assert found.retry_after_s == wait


def test_whoever_cancels_says_nothing_of_the_backend() -> None:
    class Cancelled(BaseException):
        status_code = 500

    assert of_error(Cancelled()) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("500", SERVER),
        ("429", LIMITED),
        ("408", TIMEOUT),
        ("404", REFUSED),
        ("overloaded_error", SERVER),
        ("server_error", SERVER),
        ("rate_limit_exceeded", LIMITED),
        ("openai.APITimeoutError", TIMEOUT),
        ("DeadlineExceeded", TIMEOUT),
        ("ServiceUnavailable", SERVER),
        ("ResourceExhausted", LIMITED),
        ("invalid_request_error", REFUSED),
        ("LengthFinishReasonError", None),
        ("", None),
        ("_OTHER", None),
    ],
)
def test_an_error_type_of_the_ledger_is_read_likewise(name: str, kind: str | None) -> None:
    assert of_name(name) == kind


def test_every_status_has_a_kind() -> None:
    assert {of_status(status) for status in range(100, 600)} == {
        "answered",
        REFUSED,
        LIMITED,
        TIMEOUT,
        SERVER,
    }
