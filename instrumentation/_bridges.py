"""Bridges: what some gateways must be told before they join our trace or say more of an answer.

Each is off until `TOLLSPAN_BRIDGES` names it, and acts only on requests to the gateway that it is
for, never on those to a plain provider. What the caller set wins; bodies are made anew, the
caller's objects stay as they are; everything is taken back before a redirect could copy it.
What each sends: docs/bridges.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace

from tollspan import semconv
from tollspan.config import BRIDGES

from ._destinations import may_receive

__all__ = ["ROWS", "Asked", "Bridge", "cross", "heard"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of a call, as far as a bridge looks at it."""

    host: str
    port: int | None
    model: str
    headers: Mapping[str, str]
    """Of the request; names in any case."""


Said = Callable[[trace.SpanContext], Mapping[str, Any]]


def _nothing(context: trace.SpanContext) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Bridge:
    """One gateway: which requests are meant for it, and what they get."""

    meant: Callable[[Asked], bool]
    headers: Said = _nothing
    body: Said = _nothing
    """Members for the JSON object that is the body of a chat request."""
    mark: str = ""
    """Response header, and `pattern` of its value, that a gateway of unknown address is known by."""
    pattern: str = ""


def _trace_id(context: trace.SpanContext) -> str:
    return trace.format_trace_id(context.trace_id)


def _span_id(context: trace.SpanContext) -> str:
    return trace.format_span_id(context.span_id)


_known: set[tuple[str, str, int | None]] = set()
"""Bridge, host and port of gateways that have answered here and said what they are."""


def _has_answered(name: str) -> Callable[[Asked], bool]:
    return lambda asked: (name, asked.host, asked.port) in _known


_PORTKEY = ("x-portkey-config", "x-portkey-provider", "x-portkey-virtual-key", "x-portkey-api-key")


def _for_portkey(asked: Asked) -> bool:
    return asked.host == "api.portkey.ai" or any(name in asked.headers for name in _PORTKEY)


def _for_model_router(asked: Asked) -> bool:
    routed = asked.model == "auto" or asked.model.startswith("model-router")
    return routed and asked.host.endswith(".services.ai.azure.com")


ROWS: Mapping[str, Bridge] = {
    # https://developers.cloudflare.com/ai-gateway/observability/otel-integration
    "cloudflare": Bridge(
        lambda asked: asked.host == "gateway.ai.cloudflare.com",
        headers=lambda context: {
            "cf-aig-otel-trace-id": _trace_id(context),
            "cf-aig-otel-parent-span-id": _span_id(context),
        },
    ),
    # https://learn.microsoft.com/azure/foundry/model-router/routing-controls
    "foundry": Bridge(
        _for_model_router,
        headers=lambda context: {"foundry-features": "ModelRouterControls=V1Preview"},
    ),
    # Older versions hand the member on to providers, who refuse it.
    "litellm": Bridge(
        _has_answered("litellm"),
        body=lambda context: {"include_fallback_errors": True},
        mark="x-litellm-version",
        pattern=r"1\.(?:10[6-9]|1[1-9]\d|[2-9]\d\d)\.\d+.*|[2-9]\..*",
    ),
    # https://openrouter.ai/docs/features/broadcast
    "openrouter": Bridge(
        lambda asked: asked.host in ("openrouter.ai", "api.openrouter.ai"),
        headers=lambda context: {"x-openrouter-metadata": "enabled"},
        body=lambda context: {
            "trace": {"trace_id": _trace_id(context), "parent_span_id": _span_id(context)}
        },
    ),
    # https://portkey.ai/docs/product/observability/traces
    "portkey": Bridge(
        _for_portkey, headers=lambda context: {"x-portkey-trace-id": _trace_id(context)}
    ),
    "vsr": Bridge(
        _has_answered("vsr"),
        headers=lambda context: {"x-vsr-debug": "true"},
        mark="x-vsr-schema-version",
        pattern=r".+",
    ),
}
assert tuple(ROWS) == BRIDGES

_CHAT = ("chat", "text_completion")


def heard(names: Iterable[str], host: str, port: int | None, answer: Mapping[str, Any]) -> None:
    """Learn from the attributes of an answer that a gateway with a bridge lives at this address.

    Whoever answers says so of itself, hence only hosts that may receive trace context count.
    """
    for name in names:
        mark, pattern = ROWS[name].mark, ROWS[name].pattern
        said = answer.get(semconv.RESPONSE_HEADER_PREFIX + mark) if mark else None
        if isinstance(said, str) and re.fullmatch(pattern, said) and may_receive(host):
            if len(_known) >= 1024:
                _known.clear()
            _known.add((name, host.lower(), port))


def cross(
    names: Iterable[str],
    request: Any,
    host: str,
    port: int | None,
    call: Mapping[str, Any],
    context: trace.SpanContext,
) -> Callable[[], None] | None:
    """Tell the gateway that `request` goes to what its bridge says; how to take it back, if it did.

    Args:
        request: of httpx, httpx2, requests or aiohttp; bodies of the last stay as they are.
        call: attributes of the call.
        context: of the span that the gateway's own spans shall be children of.
    """
    asked = Asked(host.lower(), port, str(call.get(semconv.REQUEST_MODEL) or ""), request.headers)
    headers: dict[str, str] = {}
    body: dict[str, Any] = {}
    for name in names:
        row = ROWS[name]
        if context.is_valid and row.meant(asked):
            headers.update(row.headers(context))
            if call.get(semconv.OPERATION) in _CHAT:
                body.update(row.body(context))
    undo: list[Callable[[], None]] = []
    for name, value in headers.items():
        if name not in request.headers:
            request.headers[name] = value
            undo.append(lambda name=name: request.headers.pop(name, None))  # type: ignore[misc]
    if body and (refill := _refilled(request, body)) is not None:
        undo.append(refill)
    if not undo:
        return None

    def back() -> None:
        for each in undo:
            each()

    return back


def _refilled(request: Any, members: Mapping[str, Any]) -> Callable[[], None] | None:
    """Give `request` a body with `members` too; how to give it its own again."""
    if "content-encoding" in request.headers or "content-length" not in request.headers:
        return None
    stream = getattr(request, "stream", None)
    names = ("body",) if stream is None else ("_content", "stream")
    before = {name: getattr(request, name, None) for name in names}
    before_length = request.headers["content-length"]
    whole = _with(before[names[0]], members)
    if whole is None:
        return None
    if stream is not None:
        if type(stream).__name__ != "ByteStream":
            return None
        request.stream = type(stream)(whole)
    setattr(request, names[0], whole)
    request.headers["content-length"] = str(len(whole))

    def back() -> None:
        for name, value in before.items():
            setattr(request, name, value)
        request.headers["content-length"] = before_length

    return back


def _with(body: Any, members: Mapping[str, Any]) -> bytes | None:
    """`body`, a JSON object, with those of `members` that it lacks, its own bytes untouched."""
    data = body.encode() if isinstance(body, str) else body
    if not isinstance(data, bytes) or not data.rstrip().endswith(b"}"):
        return None
    try:
        found = json.loads(data)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    lacking = {name: value for name, value in members.items() if name not in found}
    if not lacking:
        return None
    start = data.rstrip()[:-1]
    return start + (b"," if found else b"") + json.dumps(lacking).encode()[1:]
