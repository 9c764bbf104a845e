"""What an ended call says of the backend that it asked: pure readers of attributes and exceptions.

Only what the backend itself did is held against it. That a key is wrong, a prompt too long or a model
unknown (4xx) shows that it answers; that it limits a rate (429) is told apart, since a backend that
limits is not dead; what the application stopped says nothing. Reads foreign names: the exception
classes of SDKs and HTTP clients.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tollspan import semconv
from tollspan.calls import OpenCall, Refusal

__all__ = [
    "ANSWERED",
    "CONNECT",
    "FAILURES",
    "KINDS",
    "LIMITED",
    "REFUSED",
    "SERVER",
    "SLOW",
    "TIMEOUT",
    "Outcome",
    "of_call",
    "of_error",
    "of_name",
    "of_status",
]

ANSWERED: Final = "answered"
SLOW: Final = "slow"
REFUSED: Final = "refused"
LIMITED: Final = "limited"
SERVER: Final = "server"
CONNECT: Final = "connect"
TIMEOUT: Final = "timeout"
KINDS: Final = (ANSWERED, SLOW, REFUSED, LIMITED, SERVER, CONNECT, TIMEOUT)
FAILURES: Final = frozenset({SERVER, CONNECT, TIMEOUT})
"""Kinds that open a circuit; `slow` does so by a rule of its own."""


class Outcome(NamedTuple):
    """How a call ended, as far as its backend is concerned."""

    kind: str
    duration_s: float | None = None
    retry_after_s: float | None = None
    """What the answer asked for."""


def of_status(status: int) -> str:
    """The kind of an HTTP status. 529 is Anthropic's for overload."""
    if status in (408, 504, 524):  # 524: https://developers.cloudflare.com/support/troubleshooting/
        return TIMEOUT
    if status == 429:
        return LIMITED
    if status >= 500:
        return SERVER
    return REFUSED if status >= 400 else ANSWERED


_NAMES: Final = (
    (
        re.compile(r"ratelimit|throttl|toomanyrequests|resourceexhausted|quota", re.IGNORECASE),
        LIMITED,
    ),
    # Before `connect`: httpx's ConnectTimeout, botocore's ConnectTimeoutError.
    (re.compile(r"timed?out|deadline", re.IGNORECASE), TIMEOUT),
    (
        re.compile(
            r"connect|network|remoteprotocol|disconnected|incompleteread|readerror|writeerror"
            r"|chunkedencoding|brokenpipe|gaierror|resolution|ssl|proxyerror|endpointerror"
            r"|transporterror|protocolerror",
            re.IGNORECASE,
        ),
        CONNECT,
    ),
    (
        re.compile(
            r"internalserver|servererror|serviceunavailable|unavailable|overloaded"
            r"|badgateway|gatewayerror|modelnotready|internalfailure|apierror"
            r"|internalerror|^(internal|unknown|aborted|dataloss)$",
            re.IGNORECASE,
        ),
        SERVER,
    ),
    (
        re.compile(
            r"badrequest|authentication|permission|unauthorized|unauthenticated|forbidden|notfound"
            r"|conflict|unprocessable|invalid|accessdenied|toolarge|validationexception|clienterror"
            r"|^(failedprecondition|alreadyexists|outofrange|unimplemented)$",
            re.IGNORECASE,
        ),
        REFUSED,
    ),
)
"""Names of `error.type`, the first that fits: classes of SDKs and clients, codes in streams, and of
gRPC: https://grpc.io/docs/guides/status-codes/"""


def of_name(error_type: str) -> str | None:
    """The kind of an `error.type`: an HTTP status in digits, a class, a code; None: who can say?"""
    if error_type.isascii() and error_type.isdigit() and len(error_type) == 3:
        return of_status(int(error_type))
    plain = error_type.rsplit(".", 1)[-1].replace("_", "")
    return next((kind for pattern, kind in _NAMES if pattern.search(plain)), None)


def of_call(call: OpenCall) -> Outcome | None:
    """What an ended call tells; None where it tells nothing of a backend.

    A library's call around others says only what those have said already.
    """
    known = call.attributes
    status = known.get(semconv.STATUS)
    if call.inner or status in (None, "cancelled", "abandoned"):
        return None
    if status == "blocked" and known.get(semconv.BLOCKED_BY) == "app":
        return None
    duration_s = max(call.end_ns - call.start_ns, 0) / 1e9
    if status != "error":
        return Outcome(ANSWERED, duration_s)
    last: Mapping[str, Any] = call.attempts[-1].attributes if call.attempts else {}
    kind = _failed(known.get(semconv.ERROR_TYPE), last)
    if kind is None:
        return None
    wait_s = last.get(semconv.RETRY_AFTER)
    return Outcome(kind, duration_s, _seconds(wait_s) if kind != REFUSED else None)


def _failed(error_type: Any, last: Mapping[str, Any]) -> str | None:
    """By the status of the last attempt where there is a bad one, else by name: a stream breaks, and
    an error comes in one, after status 200."""
    status = last.get(semconv.HTTP_STATUS)
    if isinstance(status, int) and status >= 400:
        return of_status(status)
    if isinstance(error_type, str) and (kind := of_name(error_type)) is not None:
        return kind
    of_attempt = last.get(semconv.ERROR_TYPE)
    return of_name(of_attempt) if isinstance(of_attempt, str) else None


_DEEP: Final = 4
"""Causes that are looked through: SDKs wrap a client's error, which wraps the socket's."""


def of_error(error: BaseException, duration_s: float | None = None) -> Outcome | None:
    """What an exception tells that any function raised; None where it tells nothing of a backend.

    By the status that it or its response carries, by its place among Python's own exceptions, by the
    names of its classes, then likewise by its cause.
    """
    if not isinstance(error, Exception) or isinstance(error, Refusal):
        return None
    cause: BaseException | None = error
    for _ in range(_DEEP):
        if cause is None:
            break
        kind = _of_one(cause)
        if kind is not None:
            wait_s = _wait(cause) if kind != REFUSED else None
            return Outcome(kind, duration_s, wait_s)
        cause = cause.__cause__
    return None


def _of_one(error: BaseException) -> str | None:
    if (status := _status(error)) is not None:
        return of_status(status)
    if callable(code := getattr(error, "code", None)) and "grpc" in type(error).__module__:
        return of_name(str(getattr(code(), "name", "")))
    if isinstance(error, TimeoutError):
        return TIMEOUT
    if isinstance(error, ConnectionError):
        return CONNECT
    if isinstance(error, ArithmeticError | LookupError | TypeError | AttributeError | NameError):
        return None  # the application's own, whatever their names
    for each in type(error).__mro__:
        if each in (Exception, OSError, RuntimeError, ValueError, object):
            break
        if each is not type(error) and each.__name__ == "APIError":
            break  # the base of all that openai and its likes raise; itself, an error in a stream
        if (kind := of_name(each.__qualname__)) is not None:
            return kind
    return None


def _status(error: BaseException) -> int | None:
    """`status_code` (openai, anthropic, …), `code` (urllib, google), `status` (aiohttp), or the
    response's own; a status below 400 is no failure of a backend."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore's ClientError
        metadata = response.get("ResponseMetadata")
        stated = metadata.get("HTTPStatusCode") if isinstance(metadata, Mapping) else None
        places: tuple[Any, ...] = (stated,)
    else:
        places = (
            getattr(error, "status_code", None),
            getattr(error, "code", None),
            getattr(error, "status", None),
            getattr(response, "status_code", None),
        )
    return next((each for each in places if type(each) is int and 400 <= each < 600), None)


def _wait(error: BaseException) -> float | None:
    """`retry-after-ms` or `retry-after` in seconds of the response's headers."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    if headers is None:
        headers = getattr(error, "headers", None)
    read = getattr(headers, "get", None)
    if not callable(read):
        return None
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = read(name)
        if isinstance(text, str) and re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text.strip(), re.ASCII):
            return float(text) / unit
    return None


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value >= 0 else None
