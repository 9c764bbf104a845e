"""Captured gateways: what they answered, as exchanges to replay, and what their upstream really saw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from needs import SHARED, captures
from replay import Exchange

NAMES = sorted(path.stem for path in (SHARED / "captures" / "gateways").glob("*.json"))

_ASKED_WITH = ("x-portkey-", "x-litellm-", "x-session-id")
_ARGUMENTS = ("input", "max_tokens", "messages", "model", "stream", "stream_options")


@dataclass(frozen=True)
class Capture:
    """One file: a call of an SDK through a gateway, and the log of the upstream behind it."""

    name: str
    found: Mapping[str, Any]

    @property
    def attempts(self) -> list[Mapping[str, Any]]:
        return list(self.found.get("client_attempts") or ())

    @property
    def last(self) -> Mapping[str, Any]:
        return self.attempts[-1]

    @property
    def upstream(self) -> list[tuple[str | None, str]]:
        """Model and outcome of each request that reached the upstream."""
        if "upstream_requests" not in self.found:
            return [(None, "") for _ in self.found["upstream_headers"]]
        asked = self.found["upstream_requests"]
        return [((each["body"] or {}).get("model"), each["planned"]) for each in asked]

    @property
    def native_span(self) -> Mapping[str, Any] | None:
        """Attributes of the span that the SDK made, where the file has that and no answer."""
        spans = self.found.get("client_spans") or ()
        return spans[0]["attributes"] if spans else None

    @property
    def path(self) -> str:
        return urlsplit(self.last["url"]).path

    @property
    def dies(self) -> bool:
        """The stream broke off, which the capture tells by the SDK's exception alone."""
        return bool((self.found.get("sdk") or {}).get("exception")) and self.last["status"] < 400

    @property
    def asked_with(self) -> dict[str, str]:
        """The caller's own headers, those that speak to the gateway."""
        sent = self.last["request_headers"]
        return {name: value for name, value in sent if name.lower().startswith(_ASKED_WITH)}

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """What the SDK's `create` was called with."""
        body = dict(self.last["request_body"])
        given = {name: body.pop(name) for name in _ARGUMENTS if name in body}
        return {**given, "extra_headers": self.asked_with, "extra_body": body}

    @property
    def exchanges(self) -> list[Exchange]:
        return [self._exchange(each) for each in self.attempts]

    def _exchange(self, attempt: Mapping[str, Any]) -> Exchange:
        return Exchange(
            url=attempt["url"],
            asked=attempt["request_body"],
            status=attempt["status"],
            headers=[
                (name, value)
                for name, value in attempt["response_headers"]
                if name.lower() not in _OF_THE_CONNECTION
            ],
            body=self._body(attempt),
        )

    def _body(self, attempt: Mapping[str, Any]) -> bytes:
        body = attempt.get("response_body")
        if body is not None:
            return (body if isinstance(body, str) else json.dumps(body)).encode()
        chunks = list(self.found["stream_chunks"] or ())
        if self.path.endswith("/messages"):
            return b"".join(
                f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in chunks
            )
        if self.dies:
            said = self.found["sdk"]
            chunks.append({"error": {"message": said["exception_str"], "code": said["code"]}})
        lines = [f"data: {json.dumps(each)}\n\n".encode() for each in chunks]
        return b"".join([*lines, b"data: [DONE]\n\n"])


_OF_THE_CONNECTION = frozenset(
    {"connection", "content-encoding", "content-length", "date", "keep-alive", "transfer-encoding"}
)


def capture(name: str) -> Capture:
    return Capture(name, json.loads((captures() / f"{name}.json").read_text()))
