"""Many values for one histogram of the SDK at the price of a few.

The SDK copies, sorts and hashes the labels of each value, which is nine tenths of what recording
one costs. Values of one label set that come together need that once.
https://github.com/open-telemetry/opentelemetry-python/tree/main/opentelemetry-sdk/src/opentelemetry/sdk/metrics/_internal
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics._internal.aggregation import _Aggregation

__all__ = ["Value", "record_all"]

Value = tuple[float, trace.SpanContext]
"""A value, and the span that an exemplar of it leads to."""


class _Measurement:
    """All that an aggregation reads of a measurement that is not to be an exemplar."""

    __slots__ = ("value",)

    def __init__(self, value: float) -> None:
        self.value = value


def record_all(
    histogram: metrics.Histogram,
    values: Sequence[Value],
    labels: Mapping[str, Any],
    boundaries: Sequence[float],
) -> None:
    """`histogram.record` each of `values`, the oldest first.

    The last value of each bucket is recorded as the SDK does it. Those before it, whose exemplars
    it replaces, go straight to where values of these labels gather; on an SDK that we do not know
    they are recorded, too.
    """
    last = {bisect_left(boundaries, value): place for place, (value, _) in enumerate(values)}
    for place in last.values():
        _record(histogram, *values[place], labels)
    if len(last) == len(values):
        return
    shown = frozenset(last.values())
    before = [each for place, each in enumerate(values) if place not in shown]
    gathering = _gathering(histogram, labels)
    if gathering is None:
        for value, span in before:
            _record(histogram, value, span, labels)
        return
    for value, _ in before:
        measurement: Any = _Measurement(value)
        for aggregation in gathering:
            aggregation.aggregate(measurement, False)


def _record(
    histogram: metrics.Histogram, value: float, span: trace.SpanContext, labels: Mapping[str, Any]
) -> None:
    # The span goes along so that exemplars lead from a bucket to a trace.
    context = trace.set_span_in_context(trace.NonRecordingSpan(span))
    histogram.record(value, labels, context)


def _gathering(
    histogram: metrics.Histogram, labels: Mapping[str, Any]
) -> list[_Aggregation[Any]] | None:
    """Where values of these labels gather, for each reader and view, once one has been recorded.

    None where that is not known: another SDK, a view that gathers its own way.
    """
    # Here, because an application may have no metrics, and they would slow its start.
    from opentelemetry.sdk.metrics._internal import _view_instrument_match as matching
    from opentelemetry.sdk.metrics._internal.aggregation import _ExplicitBucketHistogramAggregation
    from opentelemetry.sdk.metrics._internal.exemplar import AlignedHistogramBucketExemplarReservoir

    consumer = getattr(histogram, "_measurement_consumer", None)
    storages = getattr(consumer, "_reader_storages", None)
    hashed = getattr(matching, "_hash_attributes", None)
    if storages is None or hashed is None:
        return None
    found: list[_Aggregation[Any]] = []
    for storage in storages.values():
        for match in storage._get_or_init_view_instrument_match(histogram):
            aggregation = None
            if match._view._attribute_keys is None:
                aggregation = match._attributes_aggregation.get(hashed(labels))
            if (
                type(aggregation) is not _ExplicitBucketHistogramAggregation
                or type(aggregation._reservoir) is not AlignedHistogramBucketExemplarReservoir
            ):
                return None
            found.append(aggregation)
    return found
