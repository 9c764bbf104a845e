"""A sender whose clock is years off holds nobody up: its spans land, and those of its batch with them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pipeline_processes import until
from stage_ledger import behind_stages
from stages import send

pytestmark = pytest.mark.slow

MONTH_NS = 31 * 86_400 * 10**9
MONTHS = 150
"""More than the hundred partitions that a server lets one INSERT have."""


def test_spans_of_more_months_than_an_insert_may_have_land_with_those_of_today(
    tmp_path: Path,
) -> None:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number in range(MONTHS):
        told = time.time_ns() - number * MONTH_NS
        spans.add(
            trace_id=(number + 1).to_bytes(16, "big"),
            span_id=(number + 1).to_bytes(8, "big"),
            name="GET /",
            start_time_unix_nano=told,
            end_time_unix_nano=told + 1,
        )
    with behind_stages(tmp_path) as behind:
        send(behind.url.removeprefix("grpc://"), request.SerializeToString())
        until(
            lambda: behind.clickhouse.one("SELECT count() FROM spans FINAL") == MONTHS,
            "every span stands in the ledger",
        )
        assert behind.clickhouse.one("SELECT uniq(toYYYYMM(time)) FROM spans") > 100
