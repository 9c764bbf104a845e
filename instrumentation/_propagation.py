"""What leaves the process with a request: trace context, and attribution as W3C baggage.

Attribution is written when a request goes out to a host that may receive it, and never stands in
the ambient OpenTelemetry baggage, from where anything that injects would carry it anywhere.
https://www.w3.org/TR/baggage/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache
from operator import itemgetter
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from opentelemetry import baggage, trace
from opentelemetry.context import Context

from tollspan import attribution, semconv

from ._httpx_headers import are_listed

__all__ = [
    "Changes",
    "baggage_for_instrumentation",
    "has_baggage",
    "members",
    "restore",
    "take",
    "write",
]

BAGGAGE = "baggage"
MAX_LENGTH = 4096
"""Of our part of a baggage header, in bytes: servers refuse requests whose headers exceed 8 KiB."""

Changes = list[tuple[str, "str | None"]]
"""Headers that were changed on a request: name, and value before or None."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_OURS = frozenset(attribution.FIELDS.values())


def _is_ours(name: str) -> bool:
    return name in _OURS or name.startswith("tollspan.")


def _encoded(name: str, value: str) -> str:
    """`name=value` of a baggage header; empty if the name cannot stand in one."""
    if not _TOKEN.fullmatch(name):
        return ""
    plain = value.isascii() and value.isalnum()
    return f"{name}={value if plain else quote_plus(value)}"


_member = lru_cache(maxsize=4096)(_encoded)


def members(attributes: Mapping[str, Any]) -> dict[str, str]:
    """The attribution in a call's `attributes` as `name` to `name=value`, at most 4,096 bytes.

    A name that cannot stand in a header is left out; where it is too much, tags give way.
    """
    found = {}
    for name, value in attribution.outgoing_baggage(attributes).items():
        # A request id is new for each call: it would only crowd others out of the cache.
        member = _encoded(name, value) if name == semconv.REQUEST_ID else _member(name, value)
        if member:
            found[name] = member
    return found if sum(map(len, found.values())) + len(found) <= MAX_LENGTH else _trimmed(found)


def _trimmed(found: Mapping[str, str]) -> dict[str, str]:
    length = 0
    kept: dict[str, str] = {}
    for name in sorted(found, key=lambda name: name.startswith(semconv.TAG_PREFIX)):
        length += len(found[name]) + 1
        if length > MAX_LENGTH:
            break
        kept[name] = found[name]
    return kept


def write(
    headers: MutableMapping[str, str],
    *,
    span: trace.Span | None,
    attributes: Mapping[str, Any],
    owner: str = "",
) -> Changes:
    """Give a request what its host may receive.

    Trace context of `span` and the attribution in `attributes` are added; a trace context that
    stands there already wins. `owner` is the id of the span that owns the answer's money, for an
    instrumented gateway to know.
    """
    from opentelemetry import propagate  # 6 ms that a program without a gateway does not need

    standing = headers.get(BAGGAGE)
    propagator = propagate.get_global_textmap()
    changes: Changes = []
    if span is not None and span.get_span_context().is_valid and "traceparent" not in headers:
        carrier: dict[str, str] = {}
        # An empty context but for the span: the user's own baggage is not ours to send.
        propagator.inject(carrier, trace.set_span_in_context(span, Context()))
        for name, value in carrier.items():
            changes.append((name, None if name == "traceparent" else headers.get(name)))
            headers[name] = value
    if BAGGAGE in propagator.fields:
        ours = members(attributes)
        if owner:
            ours[semconv.OWNER_SPAN_ID] = f"{semconv.OWNER_SPAN_ID}={owner}"
        if standing is not None:
            present = _names(standing)
            ours = {name: member for name, member in ours.items() if name not in present}
        if ours:
            changes.append((BAGGAGE, standing))
            text = ",".join(ours.values())
            headers[BAGGAGE] = f"{standing},{text}" if standing else text
    return changes


def has_baggage(headers: MutableMapping[str, str]) -> bool:
    """Whether a request carries baggage; asked of every one that goes to a public host."""
    if are_listed(type(headers)):
        return _LISTED in map(_listed_name, headers._list)  # type: ignore[attr-defined]
    return BAGGAGE in headers


_LISTED = BAGGAGE.encode()
_listed_name = itemgetter(1)


def take(headers: MutableMapping[str, str]) -> Changes:
    """Take from a request what its host may not receive: attribution in a baggage header that an
    instrumentation or an SDK made of the ambient baggage."""
    standing = headers[BAGGAGE]
    parts = [part for part in standing.split(",") if not _is_ours(_name(part))]
    if len(parts) == standing.count(",") + 1:
        return []
    if parts:
        headers[BAGGAGE] = ",".join(parts)
    else:
        del headers[BAGGAGE]
    return [(BAGGAGE, standing)]


def _name(member: str) -> str:
    return unquote_plus(member.partition("=")[0]).strip()


def _names(header: str) -> set[str]:
    return {_name(part) for part in header.split(",")}


def restore(headers: MutableMapping[str, str], changes: Iterable[tuple[str, str | None]]) -> None:
    """Take back what `write` did: a redirect copies the headers of the request it follows."""
    for name, before in changes:
        if before is None:
            headers.pop(name, None)
        else:
            headers[name] = before


def baggage_for_instrumentation(
    context: Context,
    headers: Mapping[str, str],
    *,
    allowed: bool,
    attributes: Mapping[str, Any],
    owner: str = "",
) -> Context:
    """`context` with the baggage that an HTTP instrumentation below may inject for this host.

    Where `allowed` that is the ambient baggage, what the request carries already (the
    instrumentation overwrites it) and the attribution in `attributes`; elsewhere it is the ambient
    baggage without attribution that came in with a request or was set by hand.
    """
    if not allowed:
        for name in baggage.get_all(context):
            if _is_ours(name):
                context = baggage.remove_baggage(name, context)
        return context
    if standing := headers.get(BAGGAGE):
        from opentelemetry.baggage.propagation import W3CBaggagePropagator

        context = W3CBaggagePropagator().extract({BAGGAGE: standing}, context)
    present = baggage.get_all(context)
    carried = attribution.outgoing_baggage(attributes)
    for name in members(attributes):
        if name not in present:
            context = baggage.set_baggage(name, carried[name], context)
    if owner:
        context = baggage.set_baggage(semconv.OWNER_SPAN_ID, owner, context)
    return context
