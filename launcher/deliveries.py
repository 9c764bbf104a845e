"""What became of the spans that went to exporters: sent, refused, thrown away on a full queue.

The SDK keeps these numbers only as metrics of its own, off by default, or not at all (1.40). They are
counted here at the two places that every version has: the exporter's `export`, and the batch
processor's `emit`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from tollspan.guard import quietly

__all__ = ["Delivery", "deliveries", "forget", "watch", "watch_provider"]


@dataclass(slots=True)
class Delivery:
    """One exporting processor: counts of spans since the start of the process."""

    exporter: str
    """Class of the exporter, or the name by which the environment asked for it."""
    endpoint: str
    """Empty where the exporter does not say."""
    sent: int = 0
    refused: int = 0
    """Handed to an exporter that failed or raised: lost."""
    dropped: int = 0
    """Thrown away because the queue was full or the processor already shut down."""
    last_error: str = ""
    """Class of the last exception that the exporter raised."""
    waiting: Callable[[], int] = lambda: 0
    """How many are queued now."""
    alive: Callable[[], bool] = lambda: True
    """Whether the exporting thread runs in this process, or has done all it had to."""


deliveries: list[Delivery] = []
_watched: WeakSet[Any] = WeakSet()
_undo: list[Callable[[], None]] = []
_lock = threading.Lock()


def watch_provider(provider: TracerProvider) -> None:
    """Count what all processors of `provider` export, also those added later."""
    add = provider.add_span_processor

    def added(processor: SpanProcessor) -> None:
        add(processor)
        with quietly:
            watch(processor)

    for processor in provider._active_span_processor._span_processors:
        watch(processor)
    _override(provider, "add_span_processor", added)


def watch(processor: SpanProcessor) -> Delivery | None:
    """Count what `processor` exports; None where it is no exporting processor that we know."""
    exporter = getattr(processor, "span_exporter", None)
    if exporter is None or not callable(getattr(exporter, "export", None)):
        return None
    with _lock:
        if processor in _watched:
            return None
        _watched.add(processor)
        delivery = Delivery(
            getattr(exporter, "name", None) or type(exporter).__name__,
            str(getattr(exporter, "endpoint", None) or getattr(exporter, "_endpoint", None) or ""),
        )
        deliveries.append(delivery)
    _count_exports(exporter, delivery)
    queue = getattr(processor, "_batch_processor", None)
    if queue is not None:
        _count_drops(queue, delivery)
    return delivery


def _count_exports(exporter: Any, delivery: Delivery) -> None:
    export = exporter.export

    def counted(spans: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        try:
            result = export(spans, *args, **kwargs)
        except BaseException as error:
            delivery.refused += len(spans)
            delivery.last_error = type(error).__name__
            raise
        if result is SpanExportResult.SUCCESS:
            delivery.sent += len(spans)
        else:
            delivery.refused += len(spans)
        return result

    _override(exporter, "export", counted)


def _count_drops(queue: Any, delivery: Delivery) -> None:
    emit, waiting, longest = queue.emit, queue._queue, queue._max_queue_size

    def counted(span: Any) -> None:
        if len(waiting) >= longest or queue._shutdown:
            delivery.dropped += 1
        emit(span)

    _override(queue, "emit", counted)
    delivery.waiting = lambda: len(waiting)
    delivery.alive = lambda: queue._shutdown or queue._worker_thread.is_alive()


def _override(target: Any, name: str, replacement: Callable[..., Any]) -> None:
    """Shadow a method on one object; one that takes no attributes stays uncounted."""
    try:
        setattr(target, name, replacement)
    except AttributeError:
        return
    _undo.append(lambda: target.__dict__.pop(name, None))


def forget() -> None:
    """Count nothing any more, and give every object its own methods back."""
    with _lock:
        while _undo:
            _undo.pop()()
        deliveries.clear()
        _watched.clear()
