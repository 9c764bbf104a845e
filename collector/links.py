"""Keys that join spans of different traces: which span bears an id, and which has heard it.

A gateway gives a request an id, which stands on its own spans and on its answer. Proxies that do
not carry trace context onwards begin a new trace; the id joins it to the call all the same. A
response id joins only what two spans say of one answer at one time: caches repeat it later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tollspan import semconv
from tollspan.processors.dialect_gateways import call_id

from .span import Span

__all__ = ["ANSWER", "EXTERNAL", "PASSING", "REQUEST", "Links", "Place", "borne", "heard"]

Place = tuple[str, str]
"""Trace id and span id."""

_PREFIX = semconv.RESPONSE_HEADER_PREFIX
_CALL_ID = "x-litellm-call-id"
_BEHIND = "llm-provider-"
REQUEST, ANSWER, EXTERNAL, SESSION = "request ", "answer ", "external ", "session "
"""What a key names, in front of the id: a request as a gateway calls it, an answer, a call as the
application calls it, a conversation as a gateway calls it."""
PASSING = (ANSWER, SESSION)
"""Keys that come again later: they join what was at one time."""

_SESSION = "x-b2bua-session-id"

MOST_PLACES = 64
"""An id that more spans than this bear or have heard is none: it joins nothing."""


def borne(span: Span, normalised: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Keys of the request or answer that `span` itself is about."""
    found: list[str] = []
    request = call_id(span.attributes) or _text(span.attributes.get(semconv.GATEWAY_REQUEST_ID))
    if request and semconv.HOP_ROLE not in span.attributes:
        found.append(REQUEST + request)
    if normalised is not None and (answer := _answer(span, normalised)):
        found.append(answer)
    if (source := span.attributes.get(semconv.TOLD_FROM)) is not None:
        found += _told(span, source)
    return tuple(found)


def _told(span: Span, source: Any) -> Iterator[str]:
    """What a record says besides; only records are joined by it to calls that have heard it."""
    if name := _text(span.attributes.get(semconv.REQUEST_ID), least=1):
        yield EXTERNAL + name
    session = _text(span.attributes.get(semconv.CONVERSATION_ID))
    if session and source == "llm-interactive-proxy":
        yield SESSION + session


def heard(span: Span) -> tuple[str, ...]:
    """Keys that the answer to `span` brought: headers of an attempt, receipts on a hop."""
    said = span.attributes
    if semconv.HOP_ROLE in said:
        request = _text(said.get(semconv.GATEWAY_REQUEST_ID))
        return (REQUEST + request,) if request else ()
    found: list[str] = []
    for name, value in said.items():
        if name.startswith(_PREFIX):
            header = name[len(_PREFIX) :].replace("_", "-").lower()
            if header == _SESSION:
                value = value[0] if isinstance(value, list | tuple) and value else value
                if session := _text(value):
                    found.append(SESSION + session)
            if header.endswith(_CALL_ID) and not header.replace(_BEHIND, "").replace(_CALL_ID, ""):
                value = value[0] if isinstance(value, list) and value else value
                if request := _text(value):
                    found.append(REQUEST + request)
    if semconv.COST_ROLE in said:
        if answer := _answer(span, said):
            found.append(answer)
        if external := _text(said.get(semconv.REQUEST_ID), least=1):
            found.append(EXTERNAL + external)
    return tuple(found)


def _answer(span: Span, said: Mapping[str, Any]) -> str | None:
    """Never on errors (LiteLLM writes its own id there) nor on cache hits (the id of an earlier
    answer is repeated)."""
    response = _text(said.get(semconv.RESPONSE_ID))
    failed = span.status == "error" or semconv.ERROR_TYPE in said
    return ANSWER + response if response and not failed and not _is_hit(said) else None


def _is_hit(said: Mapping[str, Any]) -> bool:
    return said.get(semconv.CACHE_HIT) is True


def _text(value: Any, least: int = 8) -> str | None:
    return value if isinstance(value, str) and least <= len(value) <= 128 else None


class Links:
    """Both indices, over all traces that the stage holds."""

    def __init__(self) -> None:
        self._bearing: dict[str, dict[Place, None]] = {}
        self._hearing: dict[str, dict[Place, None]] = {}
        self._worn: set[str] = set()

    def put(self, place: Place, bears: Iterable[str], hears: Iterable[str]) -> None:
        for index, keys in ((self._bearing, bears), (self._hearing, hears)):
            for key in keys:
                places = index.setdefault(key, {})
                places[place] = None
                if len(places) > MOST_PLACES:
                    self._worn.add(key)

    def take_away(self, place: Place, bears: Iterable[str], hears: Iterable[str]) -> None:
        for index, keys in ((self._bearing, bears), (self._hearing, hears)):
            for key in keys:
                places = index.get(key)
                if places is not None:
                    places.pop(place, None)
                    if not places:
                        del index[key]

    def hearing(self, keys: Iterable[str]) -> Iterator[Place]:
        """Spans that have heard one of `keys`, in an order that depends on nothing but them."""
        return self._places(self._hearing, keys)

    def bearing(self, keys: Iterable[str]) -> Iterator[Place]:
        """Spans that bear one of `keys`, in an order that depends on nothing but them."""
        return self._places(self._bearing, keys)

    def worn(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that are no ids: too many spans have them."""
        return self._worn.intersection(keys)

    def are_shared(self, keys: Iterable[str]) -> bool:
        """Whether a span bears one of `keys`, and another bears or has heard it."""
        for key in keys:
            bearing = self._bearing.get(key)
            if bearing and len(bearing) + len(self._hearing.get(key, ())) > 1:
                return True
            if key in self._worn:
                return True
        return False

    def everywhere(self, keys: Iterable[str]) -> Iterator[Place]:
        """All spans that bear or have heard one of `keys`, worn or not."""
        for key in keys:
            yield from sorted({**self._bearing.get(key, {}), **self._hearing.get(key, {})})

    def _places(
        self, index: Mapping[str, dict[Place, None]], keys: Iterable[str]
    ) -> Iterator[Place]:
        for key in keys:
            if key not in self._worn:
                yield from sorted(index.get(key, {}))
