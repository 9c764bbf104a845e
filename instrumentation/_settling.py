"""What the span of a call says in the end, of all that its answer, attempts and inner calls told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollspan import calls, semconv
from tollspan.guard import quietly

from . import _attempts
from ._blocked import stopped
from ._headroom import headroom
from ._hosts import provider_at
from ._restated import counted_by_library, restated
from ._spec import Attributes

if TYPE_CHECKING:
    from ._call import Call

__all__ = ["Ending", "concluded", "settle", "stated"]

Ending = tuple[str, Attributes, "str | None"]
"""How a call ended: its status, what was found, and what the span's status says of a failure."""


def stated(call: Call, found: Attributes) -> Attributes:
    """0 as a cost is a price only from who sends the bill: others write it for an unknown."""
    free = found.get(semconv.COST_REPORTED) == 0
    if not free or call.attributes.get(semconv.PROVIDER) == "openrouter":
        return found
    return {name: value for name, value in found.items() if name != semconv.COST_REPORTED}


def concluded(found: Attributes) -> Ending:
    """How a call ended whose whole answer has come."""
    if (kind := found.get(semconv.ERROR_TYPE)) is not None:
        return "error", found, str(kind)
    blocked = semconv.BLOCKED_BY in found or stopped(found.get(semconv.FINISH_REASONS))
    return "blocked" if blocked else "success", found, None


def settle(call: Call, status: str, found: Attributes, first_chunk_s: float | None) -> None:
    """Write on `call` and its span all that is known, now that it has ended."""
    known = {**found}
    if None in known.values():
        known = {name: value for name, value in known.items() if value is not None}
    if call.attempts:
        known[semconv.APP_ATTEMPTS] = len(call.attempts)
        with quietly:
            _attempts.close(call)
            for attempt in call.attempts:
                attempt.read()
            headroom(known, call.attempts[-1].attributes)
        if (served := call.attempts[-1].attributes.get(_SERVED_BY)) is not None:
            known.setdefault(semconv.RESPONSE_PROVIDER, served)
    if call.inner and counted_by_library(known, call.inner[-1]):
        known[semconv.USAGE_UNTRUSTED] = True
    if call.surface.around and semconv.PROVIDER not in known:
        with quietly:
            known.update(_asked_inside(call))
    if semconv.BACKGROUND in known:
        from ._once import counted_once  # few answers come more than once

        known = dict(counted_once(known))
    if semconv.COST_ROLE in call.attributes:
        call.usage, known = restated(known)
    known[semconv.STATUS] = status
    if first_chunk_s is not None:
        known[semconv.TIME_TO_FIRST_CHUNK] = first_chunk_s
    if type(reasons := known.get(semconv.FINISH_REASONS)) is list:
        known[semconv.FINISH_REASONS] = tuple(reasons)  # as spans have it
    call.attributes.update(known)
    try:
        if calls.settler is not None:
            call.attributes.update(calls.settler.settle(call))
    finally:
        if call.span.is_recording():
            calls.write(call.span, call.attributes)


_SERVED_BY = semconv.RESPONSE_HEADER_PREFIX + "x-inference-provider"
"""Hugging Face's router names the provider that it chose."""

_WHO = (
    *(semconv.PROVIDER, semconv.SERVER_ADDRESS, semconv.SERVER_PORT),
    semconv.API_KEY_FINGERPRINT,
)


def _asked_inside(call: Call) -> dict[str, Any]:
    """Who was asked last inside a library's call: by the call there, or by its HTTP request alone."""
    if call.inner:
        inner = call.inner[-1].attributes
        return {name: inner[name] for name in _WHO if name in inner}
    if call.attempts:
        host = call.attempts[-1].attributes.get(semconv.SERVER_ADDRESS)
        if isinstance(host, str) and (name := provider_at(host)) is not None:
            return {semconv.PROVIDER: name}
    return {}
