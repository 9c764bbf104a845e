"""The SDK provider that the stand-in stands for: its ids, and what it exports to.

Whoever imports this imports the OpenTelemetry SDK.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from random import Random

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from tollspan import calls, ended
from tollspan.config import environment
from tollspan.guard import quietly

from . import background
from .exporters import DELAY_MS, EXIT_MS, MOST_WAITING
from .first_use import OnFirstUse

__all__ = ["Batched", "made"]

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


def made(names: Sequence[str]) -> TracerProvider:
    """A provider with the environment's settings that exports by each of `names`, entry points."""
    provider = TracerProvider(id_generator=_Ids())
    for name in names:
        provider.add_span_processor(Batched(OnFirstUse(name)))
    return provider


class Batched(BatchSpanProcessor):
    """The SDK's batch processor, which at exit waits five seconds at most instead of thirty.

    It does with an ended span just what the SDK's does: where one did more, calls could not wait to
    be settled together.
    """

    def __init__(self, exporter: OnFirstUse) -> None:
        # A second instead of the SDK's five: a worker that is killed loses less, a page is livelier.
        # Eight times the SDK's queue: a thousand calls that end within a second are 3,000 spans.
        asked = environment()
        delay = None if "OTEL_BSP_SCHEDULE_DELAY" in asked else DELAY_MS
        queue = None if "OTEL_BSP_MAX_QUEUE_SIZE" in asked else MOST_WAITING
        super().__init__(exporter, schedule_delay_millis=delay, max_queue_size=queue)
        self._lazy = exporter
        with quietly:
            background.before_threads_end(self._make_ready)

    def _make_ready(self) -> None:
        """The main thread has ended: what a program that is this short will want to tell needs the
        exporter, which cannot be imported any later. Where there is nothing to tell, it is not."""
        ended.settle_all(ended.LAST_S)
        waiting = getattr(self._batch_processor, "_queue", True)
        if waiting or calls.open_calls or background.others_run():
            self._lazy.ready()

    def shutdown(self) -> None:
        self._lazy.closing = True
        self._batch_processor.shutdown(timeout_millis=EXIT_MS)
