"""Many values for one histogram of the SDK at the price of a few.

The SDK copies, sorts and hashes the labels of each value, which is nine tenths of what recording
one costs. Values of one label set that come together need that once.
https://github.com/open-telemetry/opentelemetry-python/tree/main/opentelemetry-sdk/src/opentelemetry/sdk/metrics/_internal
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from opentelemetry import metrics, trace

__all__ = ["Value", "record_all"]

Value = tuple[float, trace.SpanContext]
"""A value, and the span that an exemplar of it leads to."""


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
    numbers = [number for number, _ in values]
    buckets = list(map(partial(bisect_left, boundaries), numbers))
    last = sorted(dict(zip(buckets, range(len(buckets)), strict=True)).values())
    for place in last:
        _record(histogram, *values[place], labels)
    if len(last) == len(values):
        return
    gathering = _gathering(histogram, labels)
    if gathering is None:
        shown = frozenset(last)
        for place, (number, span) in enumerate(values):
            if place not in shown:
                _record(histogram, number, span, labels)
        return
    for place in reversed(last):
        del numbers[place], buckets[place]
    for aggregation in gathering:
        known = aggregation._boundaries
        if known != boundaries:  # those of a view
            buckets = list(map(partial(bisect_left, known), numbers))
        _aggregate(aggregation, numbers, Counter(buckets))


def _aggregate(aggregation: Any, numbers: Sequence[float], buckets: Mapping[int, int]) -> None:
    """What `aggregation.aggregate` does with each of `numbers`, none of which is to be an exemplar.

    `buckets`: how many of them are in each.
    """
    total, least, most = sum(numbers), min(numbers), max(numbers)
    with aggregation._lock:
        if aggregation._value is None:
            aggregation._value = aggregation._get_empty_bucket_counts()
        aggregation._sum += total
        if aggregation._record_min_max:
            aggregation._min = min(aggregation._min, least)
            aggregation._max = max(aggregation._max, most)
        for bucket, many in buckets.items():
            aggregation._value[bucket] += many


def _record(
    histogram: metrics.Histogram, value: float, span: trace.SpanContext, labels: Mapping[str, Any]
) -> None:
    # The span goes along so that exemplars lead from a bucket to a trace.
    context = trace.set_span_in_context(trace.NonRecordingSpan(span))
    histogram.record(value, labels, context)


def _gathering(histogram: metrics.Histogram, labels: Mapping[str, Any]) -> list[Any] | None:
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
    found: list[Any] = []
    for storage in storages.values():
        for match in storage._get_or_init_view_instrument_match(histogram):
            aggregation = None
            if match._view._attribute_keys is None:
                aggregation = match._attributes_aggregation.get(hashed(labels))
            if (
                type(aggregation) is not _ExplicitBucketHistogramAggregation
                or not hasattr(aggregation, "_get_empty_bucket_counts")
                or type(aggregation._reservoir) is not AlignedHistogramBucketExemplarReservoir
            ):
                return None
            found.append(aggregation)
    return found
