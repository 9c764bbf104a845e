"""One HTTP request of the client: what to do next is all that its answer says."""

from __future__ import annotations

import gzip
import http.client
import json
import random
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.instrumentation.utils import suppress_instrumentation

__all__ = ["Delivery", "Outcome"]

MOST_TRIES = 6
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
PACK_FROM_BYTES = 2_048
MOST_ANSWER_BYTES = 1_000_000
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may succeed."""

_random = random.Random()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch. With `retry_in_s` it may be sent again, after at least so long.

    `reason` is why records are lost, if they are: `unreachable`, `refused`.
    """

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    error: str = ""
    reason: str = ""
    retry_in_s: float | None = None


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the token is for one host."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Delivery:
    """Posts records to `url`."""

    def __init__(self, url: str, token: str, timeout_s: float) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"{url!r} is no address: write http://127.0.0.1:4319")
        self._url = url
        self._timeout_s = timeout_s
        self._headers = {"content-type": "application/json"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        host = urlsplit(url).hostname or ""
        handlers: list[urllib.request.BaseHandler] = [_Stay()]
        if host in ("localhost", "127.0.0.1", "::1"):
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def send(self, records: Sequence[Mapping[str, Any]]) -> Outcome:
        """One request with `records`."""
        body = json.dumps(records).encode()
        headers = dict(self._headers)
        if len(body) >= PACK_FROM_BYTES:
            body, headers["content-encoding"] = gzip.compress(body, 1), "gzip"
        request = urllib.request.Request(self._url, body, headers)
        try:
            with (
                suppress_instrumentation(),
                self._opener.open(request, timeout=self._timeout_s) as answer,
            ):
                return _taken(answer.read(MOST_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                return _refused(error)
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "reason", None) or error
            return Outcome(
                error=f"{type(why).__name__}: {why}"[:200], reason="unreachable", retry_in_s=0.0
            )

    def pause_s(self, tries: int, at_least_s: float) -> float:
        """How long to wait before the next try: longer each time, and not all at once."""
        grown: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (tries - 1))
        return max(min(at_least_s, LONGEST_PAUSE_S), grown * _random.uniform(0.5, 1.0))

    def is_enough(self, tries: int) -> bool:
        return tries >= MOST_TRIES


def _taken(body: bytes) -> Outcome:
    said = _counts(body)
    if said is None:
        return Outcome(error="what answers there is not tollspan", reason="refused")
    return said


def _refused(error: urllib.error.HTTPError) -> Outcome:
    body = b""
    try:
        body = error.read(MOST_ANSWER_BYTES)
    except (OSError, http.client.HTTPException):
        return Outcome(error=f"HTTP {error.code}", reason="unreachable", retry_in_s=0.0)
    if error.code == 400 and (said := _counts(body)) is not None:
        return said
    sentence = f"HTTP {error.code}: {_sentence(body)}".rstrip(": ")
    if error.code in AGAIN:
        after = error.headers.get("retry-after", "") if error.headers else ""
        seconds = float(after) if after.isascii() and after.isdigit() and len(after) < 6 else 0.0
        return Outcome(error=sentence, reason="refused", retry_in_s=seconds)
    return Outcome(error=sentence, reason="refused")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _counts(body: bytes) -> Outcome | None:
    said = _json(body)
    if not isinstance(said, dict):
        return None
    accepted, duplicates, rejected = (
        said.get(name) for name in ("accepted", "duplicates", "rejected")
    )
    if not (
        isinstance(accepted, int) and isinstance(duplicates, int) and isinstance(rejected, int)
    ):
        return None
    errors = said.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else {}
    error = str(first.get("error", ""))[:200] if isinstance(first, dict) else ""
    return Outcome(accepted, duplicates, rejected, error)


def _sentence(body: bytes) -> str:
    said = _json(body)
    found = said.get("error") if isinstance(said, dict) else None
    return found[:200] if isinstance(found, str) else ""
