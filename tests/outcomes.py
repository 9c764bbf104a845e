"""What a caller got, made comparable, and the call spans that were told of it. Imports no SDK."""

from __future__ import annotations

import gc
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pydantic
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import semconv
from tollspan.instrumentation import _dropped

__all__ = ["call_spans", "outcome", "outcome_async", "settle", "shown", "told"]


def settle() -> None:
    """Whatever was dropped has gone, and its call has ended."""
    gc.collect()
    assert _dropped.settled()


def call_spans(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    return [
        span
        for span in exporter.get_finished_spans()
        if semconv.OPERATION in (span.attributes or {})
        and span.instrumentation_scope is not None
        and span.instrumentation_scope.name == semconv.SCOPE
    ]


def shown(value: Any) -> Any:
    """`value` so that it can be compared: models by class and content, whatever they hold."""
    if isinstance(value, pydantic.BaseModel):
        held = {**value.__dict__, **(value.__pydantic_extra__ or {})}
        return type(value).__name__, {key: shown(each) for key, each in held.items()}
    if isinstance(value, dict):
        return {key: shown(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(each) for each in value]
    return repr(value)


def outcome(make: Callable[[], Any]) -> Any:
    """What the caller gets: the result, or the exception with all it carries."""
    try:
        return "returned", shown(make())
    except Exception as error:  # noqa: BLE001  (the test compares whatever the SDK raises)
        return told(error)


async def outcome_async(make: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return "returned", shown(await make())
    except Exception as error:  # noqa: BLE001
        return told(error)


_ADDRESS = re.compile(
    r" at 0x[0-9a-f]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=created=)\d+"
)
"""What is another in each run: addresses, random ids, times."""


def told(error: BaseException | None) -> Any:
    if error is None:
        return None
    return (
        type(error),
        [_ADDRESS.sub("", repr(each)) for each in error.args],
        error.__suppress_context__,
        told(error.__cause__),
        told(error.__context__),
    )
