"""Rollups equal the ledger, whatever comes twice, late, corrected, moved or taken away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import pytest
from counted import counted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tollspan import config
from tollspan.local import keeping, rollups
from tollspan.local.ledger import Ledger
from tollspan.local.migrations import statements

REFRESH = (resources.files("tollspan.local.clickhouse") / "refresh.sql").read_text("utf-8")
VIEWS = {
    "calls_by_minute": ("tollspan_minutes", "toStartOfMinute"),
    "calls_by_hour": ("tollspan_hours", "toStartOfHour"),
    "calls_by_tenant_hour": ("tollspan_tenant_hours", "toStartOfHour"),
    "calls_by_tenant_day": ("tollspan_tenant_days", "toStartOfDay"),
}
MODEL = "coalesce(nullIf(served_model, ''), nullIf(response_model, ''), request_model)"
SUMS = (
    *("cost_usd", "reported_usd", "derived_usd", "avoided_usd", "wasted_usd", "cache_saved_usd"),
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
    *("reasoning_tokens", "app_attempts", "upstream_attempts", "duration_s"),
)
COUNTS = {
    "calls": "count()",
    "priced_calls": "countIf(cost_usd IS NOT NULL)",
    "unpriced_calls": "countIf(cost_usd IS NULL AND cost_grade = 'unpriced')",
    "lower_bound_calls": "countIf(cost_grade = 'lower_bound')",
    "failed_calls": "countIf(status IN ('error', 'blocked'))",
    "cache_hits": "countIf(cache_hit)",
}
START = datetime(2026, 5, 31, 23, 58, 30, tzinfo=UTC)
"""Shortly before the end of a minute, an hour, a day and a month."""


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = Ledger(tmp_path_factory.mktemp("ledger"))
    with counted(*VIEWS):
        yield made
    made.close()


def emptied(ledger: Ledger) -> Ledger:
    for table in ("llm_calls", *VIEWS):
        ledger.recall(f"TRUNCATE TABLE {table}", {})
    return ledger


def call(number: int, **more: Any) -> dict[str, Any]:
    at = START + timedelta(seconds=29 * number)
    made = {"call_id": f"{number:032x}", "time": f"{at:%Y-%m-%d %H:%M:%S}", "version": 1}
    return {**made, "role": "owner", **more}


def keys(ledger: Ledger, table: str) -> list[str]:
    columns = [row["name"] for row in ledger.query(f"DESCRIBE TABLE {table}")]
    return columns[1 : columns.index("calls")]


def equal(ledger: Ledger) -> None:
    for table, (view, bucket) in VIEWS.items():
        names = keys(ledger, table)
        kept = ", ".join([*COUNTS, *SUMS])
        said = ledger.query(
            f"SELECT toString(bucket) AS bucket, {', '.join(names)}, {kept} FROM {view} ORDER BY ALL"
        )
        grouped = ", ".join(MODEL + " AS model" if name == "model" else name for name in names)
        made = ", ".join(
            [f"{what} AS {name}" for name, what in COUNTS.items()]
            + [f"sum({name}) AS s_{name}" for name in SUMS]
        )
        truth = ledger.query(
            f"SELECT toString({bucket}(time)) AS bucket, {grouped}, {made} FROM tollspan_calls "
            "GROUP BY ALL ORDER BY ALL"
        )
        assert said == [{n.removeprefix("s_"): v for n, v in row.items()} for row in truth], table


some = st.none() | st.decimals(0, 1000, places=12).map(lambda usd: format(usd, "f"))
versions = st.fixed_dictionaries(
    {
        "number": st.integers(0, 5),
        "version": st.integers(1, 9),
        "role": st.sampled_from(["owner", "owner", "owner", "restated", "gone"]),
        "tenant": st.sampled_from(["acme", "globex", ""]),
        "endpoint": st.sampled_from(["a", "b", ""]),
        "prompt_version": st.sampled_from(["v1", "v2"]),
        "served_model": st.sampled_from(["gpt", ""]),
        "request_model": st.just("asked"),
        "data_mode": st.sampled_from(["real", "test", ""]),
        "status": st.sampled_from(["success", "error", "blocked"]),
        "cost_grade": st.sampled_from(["derived", "unpriced", "lower_bound", "billed"]),
        "cost_usd": some,
        "wasted_usd": some,
        "cache_saved_usd": st.sampled_from([None, "-0.5", "0.25"]),
        "input_tokens": st.none() | st.integers(0, 2**40),
        "duration_s": st.sampled_from([None, 0.5, 2.0]),
        "cache_hit": st.sampled_from([None, True, False]),
    }
)


@given(st.lists(st.lists(versions, min_size=1, max_size=6), min_size=1, max_size=5))
@settings(
    max_examples=7, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_rollups_equal_the_ledger_after_every_batch(
    ledger: Ledger, batches: list[list[dict[str, Any]]]
) -> None:
    """Two rows of one call and version are the same row, as the stage makes them: versions are of the
    content."""
    emptied(ledger)
    known: dict[tuple[int, int], dict[str, Any]] = {}
    for batch in batches:
        rows = [known.setdefault((each["number"], each["version"]), each) for each in batch]
        ledger.insert("llm_calls", (call(**each) for each in rows))
        ledger.count_again()
        equal(ledger)
    ledger.insert("llm_calls", (call(**each) for each in known.values()))  # everything once more
    ledger.count_again()
    equal(ledger)


def test_a_call_that_moves_leaves_no_trace_where_it_was(ledger: Ledger) -> None:
    emptied(ledger)
    ledger.insert("llm_calls", [call(1, tenant="acme", cost_usd="5")])
    ledger.count_again()
    ledger.insert("llm_calls", [call(1, tenant="globex", cost_usd="6", version=2)])
    ledger.count_again()

    assert ledger.query("SELECT tenant, cost_usd FROM tollspan_tenant_hours") == [
        {"tenant": "globex", "cost_usd": "6"}
    ]


def test_a_bucket_that_loses_its_last_call_is_empty(ledger: Ledger) -> None:
    emptied(ledger)
    ledger.insert("llm_calls", [call(1, cost_usd="5")])
    ledger.count_again()
    ledger.insert("llm_calls", [call(1, role="restated", version=2)])
    ledger.count_again()

    for view, _ in VIEWS.values():
        assert ledger.query(f"SELECT * FROM {view}") == []


def test_calls_that_are_taken_out_are_counted_no_more(ledger: Ledger) -> None:
    emptied(ledger)
    ledger.insert("llm_calls", [call(1, cost_usd="5"), call(2, cost_usd="7")])
    ledger.count_again()
    ledger.remove("llm_calls", "call_id = {id:String}", {"id": f"{1:032x}"})
    ledger.count_again()
    equal(ledger)
    assert ledger.query("SELECT sum(cost_usd) AS usd FROM tollspan_hours") == [{"usd": "7"}]


def test_sums_that_outlive_their_calls_stay_when_calls_are_taken_out(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied(ledger)
    ledger.insert("llm_calls", [call(1, cost_usd="5"), call(2, cost_usd="7")])
    ledger.count_again()
    monkeypatch.setenv("TOLLSPAN_KEEP_CALLS_DAYS", "30")
    config.reload()
    ledger.remove("llm_calls", "call_id = {id:String}", {"id": f"{1:032x}"})
    ledger.count_again()
    assert ledger.query("SELECT sum(cost_usd) AS usd FROM tollspan_hours") == [{"usd": "12"}]


def test_nothing_is_counted_where_nothing_was_told(ledger: Ledger) -> None:
    emptied(ledger)
    ledger.insert("llm_calls", [call(1, cost_usd="5")])
    ledger.count_again()
    before = ledger.query("SELECT max(gen) AS gen FROM calls_by_hour")
    ledger.count_again()
    assert ledger.query("SELECT max(gen) AS gen FROM calls_by_hour") == before


def test_a_server_refreshes_by_itself_what_we_refresh(ledger: Ledger) -> None:
    emptied(ledger)
    ledger.insert("llm_calls", [call(n, tenant=f"t{n % 3}", cost_usd="0.1") for n in range(9)])
    made = statements(REFRESH)
    assert len(made) == len(rollups.TABLES)
    for statement in made:
        ledger.recall(statement, {})
    try:
        for table in rollups.TABLES:
            ledger.recall(f"SYSTEM REFRESH VIEW refresh_{table}", {})
            ledger.recall(f"SYSTEM WAIT VIEW refresh_{table}", {})
        equal(ledger)
    finally:
        for table in rollups.TABLES:
            ledger.recall(f"DROP VIEW refresh_{table}", {})


# --- keeping --------------------------------------------------------------------------------------


def kept(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, **days: int) -> None:
    for name, value in days.items():
        monkeypatch.setenv(f"TOLLSPAN_KEEP_{name.upper()}_DAYS", str(value))
    keeping.forget_after(ledger._writer, config.reload())


def test_rows_are_kept_for_the_days_that_are_set_and_for_good_without(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied(ledger)
    old = {"time": f"{datetime.now(UTC) - timedelta(days=40):%Y-%m-%d %H:%M:%S}"}
    new = {"time": f"{datetime.now(UTC) - timedelta(days=5):%Y-%m-%d %H:%M:%S}"}
    ledger.insert("llm_calls", [call(1) | old, call(2) | new])
    ledger.insert(
        "spans", [{"span_id": "a", "version": 1} | old, {"span_id": "b", "version": 1} | new]
    )
    count = "SELECT (SELECT count() FROM llm_calls) AS calls, (SELECT count() FROM spans) AS spans"
    try:
        kept(ledger, monkeypatch, spans=0, calls=0)
        assert ledger.query(count) == [{"calls": 2, "spans": 2}]
        kept(ledger, monkeypatch, spans=30, calls=100, rollups=400)
        ledger.recall("OPTIMIZE TABLE spans FINAL", {})
        assert ledger.query(count) == [{"calls": 2, "spans": 1}]
        assert "toIntervalDay(400)" in table_text(ledger, "calls_by_hour")
        before = table_text(ledger, "spans")
        kept(ledger, monkeypatch, spans=30)
        assert table_text(ledger, "spans") == before
        kept(ledger, monkeypatch, spans=0, calls=0, rollups=0)
        for table in ("spans", "span_links", "llm_calls", "llm_hops", *VIEWS):
            assert "TTL" not in table_text(ledger, table)
    finally:
        monkeypatch.undo()
        config.reload()
        ledger.recall("TRUNCATE TABLE spans", {})


def table_text(ledger: Ledger, table: str) -> str:
    return str(ledger.query(f"SHOW CREATE TABLE {table}")[0]["statement"])
