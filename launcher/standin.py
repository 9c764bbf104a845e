"""The tracer provider that stands in while the application has not set one of its own.

Two lines have to be enough, and yet an application that sets its provider later must find the place
free. So ours takes the global place without using up the once-only right to set it, and gives way,
with every tracer that it handed out, when the application's provider arrives.

The one module of the launcher that touches internals of the OpenTelemetry API
(`opentelemetry.trace._TRACER_PROVIDER` and `_set_tracer_provider`, unchanged from 1.40 to 1.45).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from opentelemetry import trace

from tollspan.guard import quietly

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

__all__ = ["StandIn", "notice", "take_the_place", "unnotice"]


class _Redirected(trace.Tracer):
    """A tracer whose provider may change under it: instrumentations keep their tracers for good."""

    def __init__(self, stand_in: StandIn, asked: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        self.asked = asked
        self._stand_in = stand_in

    @cached_property
    def real(self) -> trace.Tracer:
        """Looked for with its first span, and put in place anew when its provider changes."""
        args, kwargs = self.asked
        return self._stand_in.provider.get_tracer(*args, **kwargs)

    def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:
        return self.real.start_span(*args, **kwargs)

    # The API declares a context manager that is a decorator too; whatever the real one gives is it.
    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        return self.real.start_as_current_span(*args, **kwargs)


_OWN: Final = frozenset({"_complete", "_handed_out", "_successor", "made"})


class StandIn(trace.TracerProvider):
    """An SDK provider that can be replaced, and is made when it is wanted: by the first span of a
    tracer of it, or by whoever wants more of it than a tracer.

    Importing the SDK, and what stands around it, takes about as long as everything else that `import
    tollspan.auto` does, which leaves it to a thread of its own. Whoever asks meanwhile is told that this is an SDK provider, and
    finds everything that one has.
    """

    def __init__(self, complete: Callable[[], None]) -> None:
        """`complete` has to put the SDK's provider into `made`."""
        self._complete = complete
        self._handed_out: WeakSet[_Redirected] = WeakSet()
        self._successor: trace.TracerProvider | None = None
        self.made: TracerProvider | None = None

    @property
    def has_given_way(self) -> bool:
        return self._successor is not None

    @property
    def provider(self) -> trace.TracerProvider:
        """Who makes the spans now."""
        if self._successor is not None:
            return self._successor
        if self.made is None:
            with quietly:
                self._complete()
        return self.made or trace.NoOpTracerProvider()

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        if self._successor is not None:
            return self._successor.get_tracer(*args, **kwargs)
        tracer = _Redirected(self, (args, kwargs))
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

    def __getattr__(self, name: str) -> Any:
        if name in _OWN or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._sdk(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(self._sdk(), name, value)

    def _sdk(self) -> Any:
        """Ours, also where it has given way: who has a processor to add to it meant it."""
        return self.provider if self.made is None else self.made

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """What `isinstance` goes by. Who asks for the SDK's class has imported it."""
        sdk = sys.modules.get("opentelemetry.sdk.trace")
        return getattr(sdk, "TracerProvider", StandIn)


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
