"""Answers from counted hours are those of the calls themselves, whatever was told late, moved or removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from counted import counted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tollspan import config
from tollspan.local import rollups, usage_facts
from tollspan.local.ledger import Ledger, LedgerError
from tollspan.local.usage_facts import TABLES
from tollspan.local.usage_stats import stats
from tollspan.local.whole import Whole

NOW = datetime.now(UTC).replace(microsecond=0)
Asked = list[tuple[str, str]]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = Ledger(tmp_path_factory.mktemp("ledger"))
    with counted(*rollups.OF_USAGE):
        yield made
    made.close()


@pytest.fixture(scope="module")
def full(opened: Ledger) -> Ledger:
    """A ledger whose hours were counted, and nobody tells of calls any more."""
    opened.insert("llm_calls", many())
    aged(opened)
    opened.count_again()
    return opened


def emptied(ledger: Ledger) -> Ledger:
    for table in ("llm_calls", *(each.name for each in TABLES)):
        ledger.recall(f"TRUNCATE TABLE {table}", {})
    return ledger


def call(number: int, hours_ago: float = 0, **more: Any) -> dict[str, Any]:
    at = NOW - timedelta(hours=hours_ago)
    made = {
        "call_id": f"{number:032x}",
        "time": f"{at:%Y-%m-%d %H:%M:%S}.{number:09d}",
        "version": 1,
        "role": "owner",
        "data_mode": "real",
        "tenant": "acme",
        "request_model": "gpt",
        "tags": {"team": "growth"},
        "cost_usd": "0.5",
        "cost_grade": "derived",
        "status": "success",
    }
    return made | more


def many(number: int = 400) -> list[dict[str, Any]]:
    """Calls of the last hundred hours, of every kind."""
    return [
        call(
            n,
            (n * 37 % 6000) / 60,
            tenant=["acme", "globex", ""][n % 3],
            api_key=["", "k1"][n % 2],
            user=f"u{n % 40}",
            endpoint=["chat", "", "=1+1"][n % 3],
            provider=["openai", "anthropic"][n % 2],
            served_model=["", "gpt-mini"][n % 2],
            response_model=["", "gpt-2024"][n % 3 % 2],
            data_mode=["real", "", "test", "real"][n % 4],
            tags=[{"team": "growth"}, {"team": "core", "app": "x"}, {}, {"app": "y'\\"}][n % 4],
            cost_usd=[None, f"0.{n:012d}", "1"][n % 3],
            cost_grade=["unpriced", "derived", "billed", "odd"][n % 4],
            wasted_usd=[None, "0.000000000001"][n % 2],
            status=["success", "success", "error", "odd"][n % 4],
            error_type=["", "", "429", "timeout"][n % 4],
            input_tokens=[None, n][n % 2],
            output_tokens=[n * 3, None, 7][n % 3],
            usage=[{}, {"audio": n / 7}][n % 2],
            duration_s=[None, n / 13, 0.0][n % 3],
            time_to_first_chunk_s=[None, n / 1300][n % 2],
            app_attempts=[None, 1, 3][n % 3],
            tool_calls=[None, 2][n % 2],
            cache_hit=[None, True, False][n % 3],
            unpriced_reason=["", "no_usage"][n % 2],
        )
        for n in range(number)
    ]


def aged(ledger: Ledger) -> None:
    """Every call was told an hour ago, and what was counted was counted before: all of it long ago."""
    for each in TABLES:
        ledger.recall(f"CREATE TABLE moved AS {each.name}", {})
        moved = f"SELECT * REPLACE (gen - 7200000 AS gen) FROM {each.name}"
        ledger.recall(f"INSERT INTO moved {moved}", {})
        ledger.recall(f"TRUNCATE TABLE {each.name}", {})
        ledger.recall(f"INSERT INTO {each.name} SELECT * FROM moved", {})
        ledger.recall("DROP TABLE moved", {})
    column = "ALTER TABLE llm_calls MODIFY COLUMN told_at DateTime('UTC') MATERIALIZED now('UTC')"
    ledger.recall(f"{column} - 3600", {})
    ledger.recall(
        "ALTER TABLE llm_calls MATERIALIZE COLUMN told_at SETTINGS mutations_sync = 2", {}
    )
    ledger.recall(column, {})


def from_calls(ledger: Ledger, asked: Asked) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(usage_facts, "counted", lambda *_, **__: ())
        return stats(ledger, asked, now=NOW)


class Heard:
    """A ledger that notes what it is asked."""

    def __init__(self, ledger: Ledger, refuse: str = "") -> None:
        self.said: list[str] = []
        self._ledger = ledger
        self._refuse = refuse

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        self.said.append(sql)
        if self._refuse and self._refuse in sql:
            raise LedgerError(f"Unknown table {self._refuse}")
        return self._ledger.query(sql, parameters)

    written: Callable[..., bytes]
    file: Callable[..., Iterator[bytes]]


NAMES = st.lists(
    st.sampled_from(
        ["model", "provider", "endpoint", "status", "grade", "error_type", "tenant", "api_key"]
        + ["tag.team", "tag.app", "user", "data_mode", "requested_model"]
    ),
    max_size=2,
    unique=True,
)
FILTERS = st.lists(
    st.sampled_from(
        [("status", "error"), ("status", "success"), ("endpoint", "=1+1"), ("endpoint", "-")]
        + [("tenant", "acme"), ("tag.team", "core"), ("tag.app", "-"), ("model", "gpt-mini")]
        + [("data_mode", "all"), ("untagged", "true"), ("unpriced", "true"), ("user", "u1")]
    ),
    max_size=2,
    unique_by=lambda each: each[0],
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    by=NAMES,
    where=FILTERS,
    minutes=st.tuples(st.integers(0, 6100), st.integers(1, 6100)),
    ends=st.sampled_from([("from", "to"), ("from", "to"), ("from",), ("to",)]),
    interval=st.sampled_from(["", "", "hour", "day", "90m", "week", "month"]),
    sort=st.sampled_from(["cost", "calls", "each", "tokens", "error_rate", "last", "p95"]),
    limit=st.sampled_from(["2", "20"]),
)
def test_any_question_has_the_answer_that_the_calls_give(
    full: Ledger,
    by: list[str],
    where: Asked,
    minutes: tuple[int, int],
    ends: tuple[str, ...],
    interval: str,
    sort: str,
    limit: str,
) -> None:
    until = NOW - timedelta(minutes=min(minutes))
    since = NOW - timedelta(minutes=max(minutes) + 1)
    asked = [*where, ("by", ",".join(by)), ("interval", interval), ("sort", sort), ("limit", limit)]
    if "from" in ends:
        asked.append(("from", since.isoformat()))
    if "to" in ends:
        asked.append(("to", until.isoformat()))

    assert stats(full, asked, now=NOW) == from_calls(full, asked)


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("model", "tollspan_usage_hours"),
        ("tenant", "tollspan_usage_tenant_hours"),
        ("tag.team", "tollspan_usage_tags_hours"),
    ],
)
def test_counted_hours_are_what_is_read(full: Ledger, name: str, view: str) -> None:
    heard = Heard(full)
    stats(heard, [("last", "4d"), ("by", name), ("interval", "hour")], now=NOW)

    assert any(view in sql for sql in heard.said)
    sums = [sql for sql in heard.said if "sumMap" in sql]
    assert sums and all("tollspan_usage_" in sql for sql in sums), "no sum reads all of the calls"


def test_names_that_are_counted_nowhere_are_read_from_the_calls(full: Ledger) -> None:
    for asked in ([("user", "u1")], [("tenant", "acme"), ("by", "model")], [("last", "2h")]):
        heard = Heard(full)
        stats(heard, asked, now=NOW)
        assert not any("tollspan_usage_" in sql for sql in heard.said if "sumMap" in sql)


def test_a_server_whose_ledger_is_older_answers_from_its_calls(full: Ledger) -> None:
    asked = [("last", "4d"), ("by", "model")]

    assert stats(Heard(full, "usage_by_"), asked, now=NOW) == from_calls(full, asked)


def counted_by_hand(ledger: Ledger) -> dict[str, Any]:
    (row,) = ledger.query(
        "SELECT count() AS calls, countIf(cost_usd IS NOT NULL) AS priced_calls, "
        "countIf(cost_usd IS NULL AND cost_grade = 'unpriced') AS unpriced_calls, "
        "countIf(endpoint = '') AS untagged_calls FROM tollspan_calls"
    )
    return row


def test_the_whole_is_counted_with_its_models(full: Ledger) -> None:
    rows = full.query(
        "SELECT provider, coalesce(nullIf(response_model, ''), request_model) AS model, "
        "count() AS calls FROM tollspan_calls WHERE cost_usd IS NULL AND cost_grade = 'unpriced' "
        "AND unpriced_reason != 'no_usage' GROUP BY provider, model "
        "ORDER BY calls DESC, provider, model"
    )

    assert rows
    assert Whole(full).counts() == counted_by_hand(full) | {"unpriced_models": rows}


def test_the_whole_is_not_read_again_when_nothing_was_told(full: Ledger) -> None:
    whole = Whole(full)
    before = whole.counts()
    heard = Heard(full)
    heard.removals = full.removals  # type: ignore[attr-defined]
    whole._ledger = heard  # type: ignore[assignment]

    assert whole.counts() == before
    assert not any("FROM tollspan_calls" in sql for sql in heard.said)


# --- from here on the ledger is another one ---------------------------------------------------------

ONE = st.fixed_dictionaries(
    {
        "number": st.integers(0, 9),
        "tenant": st.sampled_from(["acme", "globex"]),
        "role": st.sampled_from(["owner", "owner", "restated", "gone"]),
        "data_mode": st.sampled_from(["real", "test"]),
        "tags": st.sampled_from([{}, {"team": "growth"}, {"team": "core"}]),
        "cost_usd": st.sampled_from([None, "0.25", "3"]),
        "cost_grade": st.sampled_from(["derived", "unpriced"]),
        "endpoint": st.sampled_from(["", "chat"]),
    }
)
STEPS = st.lists(
    st.one_of(
        st.lists(ONE, min_size=1, max_size=4),
        st.sampled_from(["count", "age and count", "age and count", "remove"]),
    ),
    min_size=3,
    max_size=5,
)
QUESTIONS: list[Asked] = [
    [("last", "3d"), ("by", "model"), ("interval", "hour"), ("limit", "9")],
    [("last", "all"), ("by", "tenant"), ("data_mode", "all")],
    [("last", "3d"), ("by", "tag.team")],
]


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_an_answer_is_exact_at_any_moment(opened: Ledger, done: list[Any]) -> None:
    """Calls come late, come again, move to another tenant, stop being anybody's, are taken out."""
    ledger = emptied(opened)
    # Hours in which nothing changes, and the first and the last.
    ledger.insert("llm_calls", [call(100 + n, 6 * n) for n in range(10)])
    aged(ledger)
    ledger.count_again()
    whole = Whole(ledger)
    for version, step in enumerate(done, start=2):
        if step == "remove":
            ledger.remove("llm_calls", "call_id = {id:String}", {"id": f"{0:032x}"})
        elif isinstance(step, str):
            if step == "age and count":
                aged(ledger)
            ledger.count_again()
        else:
            told = {each["number"]: each for each in step}  # the last of a call's that come at once
            rows = [call(hours_ago=5 * n, **one, version=version) for n, one in told.items()]
            ledger.insert("llm_calls", rows)
        asked = QUESTIONS[version % len(QUESTIONS)]
        assert stats(ledger, asked, now=NOW) == from_calls(ledger, asked), step
        assert whole.counts() == Whole(ledger).counts() | counted_by_hand(ledger), step


def test_hours_whose_calls_may_be_gone_are_read_from_the_calls(
    opened: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = emptied(opened)
    ledger.insert("llm_calls", [call(n, n) for n in range(72)])
    aged(ledger)
    ledger.count_again()
    heard = Heard(ledger)
    stats(heard, [("last", "3d")], now=NOW)
    monkeypatch.setenv("TOLLSPAN_KEEP_CALLS_DAYS", "2")
    config.reload()
    try:
        kept = Heard(ledger)
        stats(kept, [("last", "3d")], now=NOW)
    finally:
        monkeypatch.undo()
        config.reload()

    def first_hour(said: list[str]) -> int:
        (sql, *_) = [each for each in said if "bucket >=" in each]
        return int(sql.partition("bucket >= ")[2].partition(" ")[0])

    assert first_hour(kept.said) - first_hour(heard.said) >= 22 * 3600
    assert NOW.timestamp() - first_hour(kept.said) <= 2 * 86_400
