"""The production path with real processes: each call stands in the ledger once, whatever dies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import board_data
import clickhouse_connect
import pytest
from pipeline_path import Production, arrived, billed, ended, production
from pipeline_processes import until

from tollspan.chaos import Chaos, ok, slow, status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CALLS = 120


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    with production(tmp_path_factory.mktemp("production")) as path:
        yield path


@pytest.fixture
def chaos() -> Iterator[Chaos]:
    """Answers of two prices, and now and then none."""
    with Chaos() as chaos:
        chaos.mix(
            [
                (8, ok(input_tokens=1234, output_tokens=77)),
                (3, ok(input_tokens=2048, output_tokens=901, cached_tokens=1024)),
                (1, status(429, retry_after=0.01)),
                (1, status(500)),
            ],
            seed=7,
        )
        yield chaos


def calls(path: Production, service: str) -> list[dict[str, Any]]:
    return path.clickhouse.rows(f"SELECT * FROM tollspan_calls WHERE service = '{service}'")


def paid(rows: list[dict[str, Any]]) -> Decimal:
    return sum((Decimal(row["cost_usd"]) for row in rows if row["cost_usd"]), Decimal(0))


def test_each_call_stands_in_the_ledger_once_with_its_price(path: Production, chaos: Chaos) -> None:
    said = ended(path.application("calm", chaos, CALLS))
    arrived(path, "calm", CALLS)
    rows = calls(path, "calm")

    assert len(rows) == len({row["call_id"] for row in rows}) == CALLS
    answered = {answer.response_id for answer in chaos.log if answer.status == 200}
    assert {row["response_id"] for row in rows} - {""} == answered
    assert sum(row["status"] == "success" for row in rows) == said["answered"]
    assert paid(rows) == billed(chaos) > 0
    assert sum(row["app_attempts"] for row in rows) == len(chaos.log)
    # One stage told each trace, and both had work.
    tellers = {row["told_by"] for row in rows}
    assert {teller.partition(".")[0] for teller in tellers} == {"stage-1", "stage-2"}


def test_attribution_and_path_come_through(path: Production, chaos: Chaos) -> None:
    ended(path.application("attributed", chaos, 12))
    arrived(path, "attributed", 12)
    rows = calls(path, "attributed")

    assert {row["tenant"] for row in rows} == {"acme", "globex", "O'Brien \\ Söhne"}
    assert {row["endpoint"] for row in rows} == {f"shop.page_{n}" for n in range(4)}
    assert {row["tags"]["team"] for row in rows} == {"growth", "search"}
    hops = path.clickhouse.rows(
        "SELECT name, count() AS n FROM tollspan_hops WHERE service = 'attributed' GROUP BY name"
    )
    assert hops == [{"name": "openai/gpt-4o-mini", "n": 12}] or sum(row["n"] for row in hops) == 12
    spans = path.clickhouse.one(
        "SELECT count() AS n FROM spans FINAL WHERE service = 'attributed' AND name = 'GET /checkout'"
    )
    assert spans == 12


def test_metrics_are_in_prometheus(path: Production, chaos: Chaos) -> None:
    ended(path.application("measured", chaos, 20))
    counted = 'sum(gen_ai_client_operation_duration_seconds_count{job="measured"})'
    until(lambda: path.value(counted) == 20, "Prometheus has counted 20 calls")
    cost = 'sum(tollspan_cost_USD_total{job="measured"})'

    assert path.value(cost) == pytest.approx(float(billed(chaos)))
    assert path.value('sum(up{job="tollspan-collector"})') == 3
    assert path.value('sum(up{job="tollspan-stage"})') == 2
    # What alerts/prometheus.yml and the board of data quality read, from the real collectors.
    for name in ("queue_size", "queue_capacity"):
        assert path.measured(f'otelcol_exporter_{name}{{exporter="clickhouse"}}'), name
    assert path.value('sum({__name__=~"otelcol_exporter_sent_spans(_total)?"})')


def test_boards_answer_over_http(path: Production, chaos: Chaos) -> None:
    """As a Grafana asks: ClickHouse's HTTP interface, the statements as they stand on the boards."""
    ended(path.application("boards", chaos, 20))
    arrived(path, "boards", 20)
    now = board_data.DataSet("now", datetime.now(UTC) + timedelta(minutes=1))
    with clickhouse_connect.get_client(host="127.0.0.1", port=path.clickhouse.port) as client:
        shown = {
            title: client.query(
                board_data.expanded(board_data.statement(board, title), now, {})
            ).named_results()
            for board, title in (
                ("overview", "Spend"),
                ("attribution", "Top endpoints"),
                ("hops", "Routes"),
            )
        }
        spent = paid(path.clickhouse.rows("SELECT cost_usd FROM tollspan_calls"))

    (total,) = shown["Spend"]
    assert Decimal(str(total["spend"])) == spent
    assert {row["endpoint"] for row in shown["Top endpoints"]} == {
        f"shop.page_{n}" for n in range(4)
    }
    assert list(shown["Routes"])


def test_nothing_is_lost_or_doubled_when_every_part_dies(path: Production, chaos: Chaos) -> None:
    """kill -9 of each part under load, a stage less and one more, SIGTERM, ClickHouse away and slow
    meanwhile; then one mend."""
    chaos.mix([(6, slow(0.03, then=ok(input_tokens=777, output_tokens=33))), (1, status(429))])
    total = 600
    application = path.application("mortal", chaos, total, threads=4)

    def after(share: float) -> None:
        until(lambda: len(chaos.log) >= share * total, f"{share:.0%} of the calls", 60)

    after(0.1)
    path.stages[0].kill()
    path.clickhouse.down()
    after(0.2)
    path.stages[0].start()
    path.after.kill()
    path.after.start()
    after(0.35)
    path.clickhouse.slow_s = 0.5
    path.clickhouse.up()
    path.gateway.kill()
    one, two = (f"127.0.0.1:{each.port}" for each in path.stages)
    path.gateway.start(TOLLSPAN_STAGE_2=one)  # a ring of one: traces move in the middle
    after(0.5)
    path.agent.kill()
    path.agent.start()
    path.stages[1].kill()
    path.stages[1].start()
    after(0.6)
    path.gateway.end()
    path.gateway.start(TOLLSPAN_STAGE_2=two)
    after(0.7)
    path.stages[0].end()
    path.stages[0].start()
    path.after.kill()
    path.after.start()
    path.clickhouse.slow_s = 0
    ended(application, within_s=90)
    arrived(path, "mortal", total, within_s=60)
    path.mend()
    rows = calls(path, "mortal")

    assert len(rows) == len({row["call_id"] for row in rows}) == total
    assert paid(rows) == billed(chaos)
    assert sum(row["app_attempts"] for row in rows) == len(chaos.log)
    # It was as bad as it was meant to be: both stages told something before and after their deaths.
    tellers = path.clickhouse.rows(
        "SELECT DISTINCT told_by FROM llm_calls WHERE service = 'mortal'"
    )
    assert len({row["told_by"].partition("/")[0] for row in tellers}) >= 4
    spans = path.clickhouse.rows(
        "SELECT name, count() AS n FROM spans FINAL WHERE service = 'mortal' GROUP BY name"
    )
    assert {row["name"]: row["n"] for row in spans} == {
        "GET /checkout": total,
        "chat gpt-4o-mini": total,
        "POST": len(chaos.log),
    }
