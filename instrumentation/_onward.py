"""Attribution travels with the application's own requests, outside of any LLM call.

A service that asks another one inside an `attribute(...)` block, or for a request that came with
attribution, sends it along as baggage, so that the other's calls know for whom they are. The rule
of destinations is that of calls: hosts that may not receive attribution get none, not even what
an HTTP instrumentation would inject from the ambient baggage.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Self

from opentelemetry.context import Context

from tollspan import attribution, contexts
from tollspan.guard import quietly

from . import _propagation
from ._destinations import may_receive

__all__ = ["Onward"]

Known = Callable[[], tuple[MutableMapping[str, str], str, bool]]
"""Gives a request's headers and its host, and whether an HTTP instrumentation below will inject the
ambient baggage; one that is above has done so already."""


class Onward:
    """A block around one request on the wire. Its headers are changed inside and only there: a
    redirect copies them."""

    __slots__ = ("_before", "_changes", "_headers", "_inside", "_known")

    def __init__(self, known: Known) -> None:
        self._known = known
        self._headers: MutableMapping[str, str] = {}
        self._changes: _propagation.Changes = []
        self._inside: Context | None = None
        self._before = Context()

    def __enter__(self) -> Self:
        with quietly:
            self._depart()
        return self

    def __exit__(self, *_: object) -> None:
        with quietly:
            if self._inside is not None:
                contexts.put_back(self._before, self._inside)
            _propagation.restore(self._headers, reversed(self._changes))

    def _depart(self) -> None:
        self._headers, host, below = self._known()
        allowed = may_receive(host)
        attributes = attribution.travelling() if allowed else {}
        if below:
            # The instrumentation overwrites the header, which must not travel on with a redirect.
            before = self._headers.get(_propagation.BAGGAGE)
            self._changes.append((_propagation.BAGGAGE, before))
            self._before = contexts.current()
            self._inside = _propagation.baggage_for_instrumentation(
                self._before, self._headers, allowed=allowed, attributes=attributes
            )
            contexts.attach(self._inside)
        elif allowed:
            self._changes += _propagation.write(self._headers, span=None, attributes=attributes)
        if not allowed and _propagation.BAGGAGE in self._headers:
            self._changes += _propagation.take(self._headers)
