"""What a call span says, held against the log of the provider that was really asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import openai
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tollspan
from tollspan import semconv
from tollspan.chaos import Answer, Chaos, bill
from tollspan.processors.prices import same_model

Attributes = Mapping[str, Any]

HELLO: Any = [{"role": "user", "content": "say hello"}]
USAGE: Any = {"stream_options": {"include_usage": True}}


@contextmanager
def instrumented(provider: TracerProvider, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The application: instrumented, and not waiting between the SDK's retries."""
    patch.setattr(openai._base_client.BaseClient, "_calculate_retry_timeout", lambda *_, **__: 0.0)
    tollspan.instrument(provider, providers=["openai", "anthropic"])
    try:
        yield
    finally:
        tollspan.uninstrument()


def asked(chaos: Chaos) -> list[Answer]:
    """Requests for a model that reached the provider and are done with."""
    assert chaos.wait()
    return [answer for answer in chaos.log if answer.api]


def owners(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """Spans that own money."""
    return [
        span
        for span in exporter.get_finished_spans()
        if (span.attributes or {}).get(semconv.COST_ROLE) == "owner"
    ]


def told(exporter: InMemorySpanExporter, chaos: Chaos) -> Attributes:
    """Attributes of the one call, after they were held against the provider's log."""
    (span,) = owners(exporter)
    call = dict(span.attributes or {})
    check(call, asked(chaos))
    return call


def hops(exporter: InMemorySpanExporter) -> list[Attributes]:
    """Attributes of the hop spans, outermost first."""
    found = [dict(span.attributes or {}) for span in exporter.get_finished_spans()]
    return sorted(
        (each for each in found if semconv.HOP_ROLE in each),
        key=lambda each: each[semconv.HOP_INDEX],
    )


def check(call: Attributes, log: Sequence[Answer]) -> None:
    """Nothing in `call` says more than happened, and what claims to be exact is."""
    count, confidence = call[semconv.UPSTREAM_ATTEMPTS], call[semconv.UPSTREAM_CONFIDENCE]
    if confidence == "exact":
        assert count == len(log)
    else:
        assert confidence == "at_least"
        assert count <= len(log)
    _check_money(call, log)
    good = [answer for answer in log if answer.model_served]
    served = call.get(semconv.MODEL_SERVED)
    if served is not None and good:
        really = good[-1].model_served
        assert served == really or same_model("openai", served, really)


def _check_money(call: Attributes, log: Sequence[Answer]) -> None:
    truth = [price for _, price in bill(log)]
    assert None not in truth
    due = sum((price for price in truth if price is not None), Decimal(0))
    amount, grade = call.get(semconv.COST_AMOUNT), call[semconv.COST_GRADE]
    if grade in ("billed", "derived"):
        assert amount is not None
        assert Decimal(repr(amount)) == due
    elif amount is not None:
        assert grade in ("lower_bound", "estimated")
        assert 0 < Decimal(repr(amount)) <= due
    else:
        assert grade == "unpriced"
