"""The page that sizes the pipeline says what was measured, and its arithmetic holds."""

from __future__ import annotations

import re

import pytest
import yaml
from needs import ROOT

from bench import sizing

KNOWN = sizing.Measured(
    per_cpu_s=dict.fromkeys(sizing.PARTS, 10_000.0),
    otlp_gzip=100.0,
    bytes_per_row={"llm_calls": 60.0, "llm_hops": 40.0, "spans": 120.0},
    sources={},
)


def test_the_page_is_what_the_results_say() -> None:
    """After a benchmark: `python -m bench.sizing --write`."""
    text = sizing.PAGE.read_text()

    assert sizing.filled(text, sizing.tables(sizing.measured())) == text


def test_no_number_stands_on_the_page_by_hand() -> None:
    """Outside of the tables, and apart from names, only what is in `ASSUMED` or in the scales."""
    text = re.sub(r"<!-- sizing .*?<!-- end -->", "", sizing.PAGE.read_text(), flags=re.DOTALL)
    text = re.sub(r"`[^`]*`", "", text)

    assert set(re.findall(r"\d[\d,.]*\d|\d", text)) == {"1", "86,400", "5"}
    after = yaml.safe_load((ROOT / "collector-config/after-stage/after-stage.yaml").read_text())
    assert after["exporters"]["clickhouse"]["sending_queue"]["queue_size"] == 5_000_000


def test_the_arithmetic_of_a_million() -> None:
    found = sizing.size(1_000_000, KNOWN)

    peak, spans, busy = (sizing.ASSUMED[each][0] for each in ("peak", "spans_per_call", "busy"))
    assert found.spans_s == pytest.approx(1e6 / 86_400 * peak * spans)
    assert found.cores["gateway"] == pytest.approx(found.spans_s / 10_000 / busy)
    assert found.ledger_bytes == pytest.approx(1e6 * 400 * 100)
    assert (found.stages, found.shards, found.partitions) == (2, 1, 0)
    large = sizing.size(1_000_000_000, KNOWN)
    assert large.partitions % 12 == 0 < large.partitions
    assert large.kafka_bytes == pytest.approx(1e9 * spans * 100 * 3)


def test_everything_grows_with_the_calls_but_not_faster() -> None:
    small, large = (sizing.size(each, KNOWN) for each in (1_000_000, 100_000_000))

    assert large.spans_s == pytest.approx(100 * small.spans_s)
    assert large.usd_month <= 100 * small.usd_month
    assert large.stages >= large.cores["stage"]


def test_a_queue_fills_while_nothing_is_taken_out_and_drains_after() -> None:
    day = sizing.day(peak_s=1000, capacity_s=2000, outage_s=3600)

    assert 3_500_000 < day.deepest_spans <= 3_600_000
    # Twice the peak is taken out, so it takes about as long as the outage.
    assert 3000 < day.drained_s < 3900
    assert sizing.day(peak_s=1000, capacity_s=100, outage_s=3600).drained_s == float("inf")
    assert sizing.day(peak_s=1000, capacity_s=2000, outage_s=0).deepest_spans == 0
