"""The tracer provider that stands in while the application has not set one of its own.

Two lines have to be enough, and yet an application that sets its provider later must find the place
free. So ours takes the global place without using up the once-only right to set it, and gives way,
with every tracer that it handed out, when the application's provider arrives.

The one module of the launcher that touches internals of the OpenTelemetry API
(`opentelemetry.trace._TRACER_PROVIDER` and `_set_tracer_provider`, unchanged from 1.40 to 1.45).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any
from weakref import WeakSet

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from tollspan.guard import quietly

__all__ = ["StandIn", "notice", "take_the_place", "unnotice"]


class _Redirected(trace.Tracer):
    """A tracer whose provider may change under it: instrumentations keep their tracers for good."""

    def __init__(self, real: trace.Tracer, asked: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        self.real = real
        self.asked = asked

    def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:
        return self.real.start_span(*args, **kwargs)

    # The API declares a context manager that is a decorator too; whatever the real one gives is it.
    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        return self.real.start_as_current_span(*args, **kwargs)


_own = Random()
if hasattr(os, "register_at_fork"):  # a child does not repeat its parent's ids
    os.register_at_fork(after_in_child=_own.seed)


class _Ids(RandomIdGenerator):
    """Ids that the SDK would draw from the global `random`. A program that seeds that would get the
    ids of its last run, and other numbers than without us."""

    def generate_span_id(self) -> int:
        return _own.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        return _own.getrandbits(128) or 1


class StandIn(TracerProvider):
    """An SDK provider with the environment's settings that can be replaced.

    `before_use` is called whenever somebody asks for a tracer: before any span of it.
    """

    def __init__(self, before_use: Callable[[], None]) -> None:
        super().__init__(id_generator=_Ids())
        self._before_use = before_use
        self._handed_out: WeakSet[_Redirected] = WeakSet()
        self._successor: trace.TracerProvider | None = None

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        if self._successor is not None:
            return self._successor.get_tracer(*args, **kwargs)
        with quietly:
            self._before_use()
        tracer = _Redirected(super().get_tracer(*args, **kwargs), (args, kwargs))
        self._handed_out.add(tracer)
        return tracer

    def give_way(self, successor: trace.TracerProvider | None) -> None:
        """Send all further spans to `successor`; None sends them to whatever is global then.

        Spans that are open now still end here and are exported from here.
        """
        self._successor = successor
        for tracer in list(self._handed_out):
            args, kwargs = tracer.asked
            if successor is not None:
                tracer.real = successor.get_tracer(*args, **kwargs)
            else:
                tracer.real = trace.ProxyTracer(*args, **kwargs)


def take_the_place(stand_in: StandIn | None) -> None:
    """Make `stand_in` the global provider, leaving the right to set one unused; None frees it."""
    trace._TRACER_PROVIDER = stand_in


_set: Callable[..., None] | None = None


def notice(arrived: Callable[[trace.TracerProvider], None]) -> None:
    """Call `arrived(provider)` whenever somebody sets the global tracer provider."""
    global _set
    if _set is not None:
        return
    original = _set = trace._set_tracer_provider

    def noticing(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        with quietly:
            arrived(trace.get_tracer_provider())

    trace._set_tracer_provider = noticing


def unnotice() -> None:
    global _set
    if _set is not None:
        trace._set_tracer_provider = _set
        _set = None
