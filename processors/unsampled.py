"""Calls in traces that the sampler drops: told by their own span alone, so that sums stay whole.

Asked for with `TOLLSPAN_EVERY_CALL`. A call span is then made whatever the sampler says, and ends up at the
exporters as if it were sampled; what its requests carry onwards still says that the trace is not. Of
its attempts and hops nothing is told, but for the drivers of most of the spend: those are told whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import nlargest
from threading import Lock
from time import monotonic
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags

from tollspan import semconv
from tollspan.config import settings

from .sdk import attributes_of, rewritten

__all__ = ["Drivers", "drivers", "is_kept", "sampled", "told"]

MOST_DRIVERS = 1_000
HALF_LIFE_S = 600.0
LOOK_S = 1.0

Driver = tuple[Any, ...]


def is_kept() -> bool:
    """Whether calls are told that the sampler drops."""
    return settings().every_call


def told(span: ReadableSpan) -> ReadableSpan:
    """The ended span of a call, as exporters take it."""
    context = span._context
    if context is None or context.trace_flags.sampled or not is_kept():
        return span
    said = attributes_of(span)
    if said.get(semconv.COST_ROLE) == "restated":
        return span  # the one that owns the answer tells of it
    return sampled(rewritten(span, {**said, semconv.UNSAMPLED: True}))


def sampled(span: ReadableSpan) -> ReadableSpan:
    """`span`, a copy of our own, with the flag that exporters ask for."""
    context = span._context
    if context is not None and not context.trace_flags.sampled:
        span._context = SpanContext(
            context.trace_id,
            context.span_id,
            is_remote=context.is_remote,
            trace_flags=TraceFlags(context.trace_flags | TraceFlags.SAMPLED),
            trace_state=context.trace_state,
        )
    return span


class Drivers:
    """Who spends most: tenant, endpoint and model together, what is older counting less."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._spent: dict[Driver, float] = {}
        self._top: frozenset[Driver] = frozenset()
        self._looked_s = self._halved_s = monotonic()

    def is_top(self, call: Mapping[str, Any]) -> bool:
        """Note what a settled call cost; whether its driver is one of those that cost most."""
        most = settings().top_drivers
        if not most:
            return False
        named = (semconv.TENANT, semconv.ENDPOINT_TAG, semconv.REQUEST_MODEL)
        driver = tuple(call.get(name) for name in named)
        amount = call.get(semconv.COST_AMOUNT)
        with self._lock:
            if isinstance(amount, (int, float)) and amount > 0:
                self._spent[driver] = self._spent.get(driver, 0.0) + amount
            now = monotonic()
            if now - self._looked_s >= LOOK_S or len(self._top) < most:
                self._look(now, most)
            return driver in self._top

    def _look(self, now: float, most: int) -> None:
        self._looked_s = now
        if now - self._halved_s >= HALF_LIFE_S:
            self._halved_s = now
            self._spent = {driver: spent / 2 for driver, spent in self._spent.items()}
        if len(self._spent) > MOST_DRIVERS:
            kept = nlargest(MOST_DRIVERS // 2, self._spent, key=self._spent.__getitem__)
            self._spent = {driver: self._spent[driver] for driver in kept}
        self._top = frozenset(nlargest(most, self._spent, key=self._spent.__getitem__))


drivers = Drivers()
"""Of this process."""
