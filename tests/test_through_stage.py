"""A collector that somebody has sends its spans through a stage and gets them back with a price."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pipeline_processes import collector, free_port, get, stage, until
from spans import foreign, protobuf, span
from stages import send
from test_stage_senders import total

from tollspan import semconv

pytestmark = pytest.mark.slow

YOURS = """
extensions: {{health_check: {{endpoint: "${{env:TOLLSPAN_HEALTH}}"}}}}
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
processors: {{attributes/yours: {{actions: [{{key: team, value: growth, action: insert}}]}}}}
exporters: {{file: {{path: "{folder}/spans.json"}}, file/records: {{path: "{folder}/records.json"}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [attributes/yours], exporters: [file]}}
"""
RECORDS = "service: {pipelines: {logs/records: {exporters: [file/records]}}}"


def attributes(said: Any) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in said}


def written(file: Path, *inside: str) -> list[dict[str, Any]]:
    """Spans or log records in a file of the collector's; the last line may not be whole yet."""
    found: list[dict[str, Any]] = []
    for line in file.read_text().split("\n")[:-1] if file.exists() else ():
        level: list[dict[str, Any]] = [json.loads(line)]
        for name in inside:
            level = [each for outer in level for each in outer.get(name, ())]
        found += level
    return found


def test_spans_come_back_with_a_price_to_the_exporters_that_were_there(tmp_path: Path) -> None:
    port, back = free_port(), free_port()
    for name, text in (("yours.yaml", YOURS), ("records.yaml", RECORDS)):
        said = text.format(port=port, folder=tmp_path) if text is YOURS else text
        (tmp_path / name).write_text(said)
    through = stage("one", tmp_path, f"grpc://127.0.0.1:{back}", TOLLSPAN_WINDOW_S=1)
    yours = collector(
        "yours",
        tmp_path,
        str(tmp_path / "yours.yaml"),
        "through-stage/through-stage.yaml",
        str(tmp_path / "records.yaml"),
        TOLLSPAN_FROM_STAGE=f"127.0.0.1:{back}",
        TOLLSPAN_STAGE_1=f"127.0.0.1:{through.port}",
    )
    try:
        yours.start().ready()
        # Nobody takes them yet, so they wait in the collector.
        send(f"127.0.0.1:{port}", protobuf([foreign(2, 1), span(1, scope="web", kind="server")]))
        through.start().ready()
        file = tmp_path / "spans.json"
        inside = ("resourceSpans", "scopeSpans", "spans")
        spans = until(lambda: written(file, *inside), "spans come back")
        metrics = f"http://127.0.0.1:{through.telemetry}/metrics"
        until(lambda: total(get(metrics), "calls"), "the call is counted")
        status = get(f"http://127.0.0.1:{through.telemetry}/status")
    finally:
        yours.end()
        through.end()

    by_id = {each["spanId"]: attributes(each["attributes"]) for each in spans}
    call, server = by_id[f"{2:016x}"], by_id[f"{1:016x}"]
    assert call[semconv.COST_AMOUNT] == 0.00075
    assert call[semconv.COST_ROLE] == "unjoined"
    assert server == {"team": "growth"}
    assert call["team"] == "growth"
    (record,) = written(tmp_path / "records.json", "resourceLogs", "scopeLogs", "logRecords")
    told = json.loads(record["body"]["stringValue"])["call"]
    assert Decimal(told["cost_usd"]) == Decimal("0.00075")
    assert "another" in status
    assert "0.00075" in status
