"""Where teams' months end is read from counted hours, and is to the last digit what the calls say."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import board_data
import pytest
from counted import counted

from grafana.sql import LAST, START, calls
from tollspan.local.ledger import Ledger

ENDS = [
    datetime(2024, 3, 20, 15, 30, 7, tzinfo=UTC),
    datetime(2024, 3, 5, 10, tzinfo=UTC),  # the week reaches into the month before
    datetime(2024, 3, 1, tzinfo=UTC),  # of its month there is but this moment
    datetime(2024, 3, 31, 23, 59, 59, tzinfo=UTC),  # February has no such day
]
TEAMS = ["growth", "", "-", None, *(getattr(board_data, each) for each in ("BACKSLASH", "QUOTES"))]
TEAMS += [board_data.DOLLARS, board_data.COMMAS]
NEW = "new"
"""An environment whose first call is not three days old at the first of the ends."""

STATES: list[dict[str, Any]] = [
    {"data_mode": ["real"]},
    {"environment": [NEW]},
    {"team": [board_data.BACKSLASH, board_data.COMMAS, "-"], "data_mode": ["real", "test"]},
    {"tenant": [board_data.QUOTES]},
    {"user": "u_1", "team": ["growth", "-"]},
]
BOARD = board_data.statement("attribution", "Where does each team's month end?")
NOW = "toDateTime($__toTime, 'UTC')"
SAME = f"least({LAST} + dateDiff('second', {START}, {NOW}), {START})"


def spent(when: str) -> str:
    none = f"countIf({when}) = 0 AND countIf(cost_usd IS NOT NULL) > 0"
    return f"if({none}, toDecimal128(0, 12), sumIf(cost_usd, {when}))"


OF_CALLS = calls(
    f"""
, pace AS (
  SELECT if(n < 2, 7, least(7, greatest(1, since * n / (n - 1)))) AS days
  FROM (
    SELECT dateDiff('second', min(at), $__toTime) / 86400 AS since,
           countIf(at >= {NOW} - 604800) AS n
    FROM calls WHERE at >= least({START}, {NOW} - 1209600)
  )
)
SELECT team, {spent(f"at >= {LAST} AND at < {START}")} AS last_month,
       {spent(f"at >= {LAST} AND at < {SAME}")} AS then, {spent(f"at >= {START}")} AS so_far,
       so_far - then AS change, sumIf(cost_usd, at >= {NOW} - 604800) AS week,
       if(so_far IS NULL AND week IS NULL, NULL,
          coalesce(toFloat64(so_far), 0) + coalesce(toFloat64(week), 0) / (SELECT days FROM pace)
              * dateDiff('second', {NOW}, addMonths({START}, 1)) / 86400) AS month_end,
       countIf(at >= {START}) AS calls
FROM calls GROUP BY team
ORDER BY so_far DESC NULLS LAST, last_month DESC NULLS LAST, team LIMIT 50
""",
    "months",
)
"""The same without any counted hour."""


def moments() -> Iterator[int]:
    """Nanoseconds since 1970: every boundary of every end with what lies beside it, and days between."""
    for end in ENDS:
        begin = end.replace(day=1, hour=0, minute=0, second=0)
        last = (begin - timedelta(days=1)).replace(day=1)
        weeks = (end - timedelta(days=7), end - timedelta(days=14))
        for edge in (end, *weeks, begin, last, min(last + (end - begin), begin)):
            for beside_ns in (-1, 0, 1):
                yield int(edge.timestamp()) * 10**9 + beside_ns
    drawn = random.Random(20)
    first = int(datetime(2024, 1, 28, tzinfo=UTC).timestamp())
    for _ in range(700):
        yield (first + drawn.randrange(64 * 86_400)) * 10**9 + drawn.randrange(10**9)


def call(number: int, at_ns: int, **more: Any) -> dict[str, Any]:
    drawn = random.Random(number)
    team = drawn.choice(TEAMS)
    tags = {"app": "x'\\"} if number % 3 else {}
    recent = at_ns >= int((ENDS[0] - timedelta(hours=61, minutes=17)).timestamp()) * 10**9
    made = {
        "call_id": f"{at_ns:016x}{number:016x}",
        "time": f"{datetime.fromtimestamp(at_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S}.{at_ns % 10**9:09d}",
        "version": 1,
        "role": "owner",
        "data_mode": drawn.choice(["real", "", "test"]),
        "environment": NEW if recent and number % 2 else drawn.choice(["", "production"]),
        "tenant": drawn.choice(["acme", "", board_data.QUOTES]),
        "user": drawn.choice(["u_1", ""]),
        "tags": tags if team is None else tags | {"team": team},
        "cost_usd": None if team == "-" else drawn.choice([None, f"0.{number:012d}", "1"]),
        "cost_grade": drawn.choice(["derived", "unpriced", "billed"]),
        "status": drawn.choice(["success", "error"]),
    }
    return made | more


MADE = [call(number, at_ns) for number, at_ns in enumerate(moments(), start=1)]


def later() -> Iterator[dict[str, Any]]:
    """What is told after hours were counted: some again as they were, some of another amount, team or
    role, and some for the first time, the first call of the new environment among them."""
    for number, each in enumerate(MADE):
        if number % 23 == 0:
            yield each
        if number % 41 == 0:
            yield each | {"version": 2, "cost_usd": "0.000000000007"}
        if number % 43 == 0:
            yield each | {"version": 2, "tags": {"team": "moved"}}
        if number % 47 == 0:
            yield each | {"version": 2, "role": "gone"}
    newest = [each for each in MADE if each["environment"] == NEW]
    yield min(newest, key=lambda each: each["time"]) | {"version": 3, "role": "gone"}
    for number, at_ns in enumerate(list(moments())[:300:11], start=5000):
        yield call(number, at_ns, tags={"team": "late"})


def told_before(ledger: Ledger) -> None:
    """Every call of the ledger was told an hour ago."""
    column = "ALTER TABLE llm_calls MODIFY COLUMN told_at DateTime('UTC') MATERIALIZED now('UTC')"
    ledger.recall(f"{column} - 3600", {})
    materialised = "ALTER TABLE llm_calls MATERIALIZE COLUMN told_at SETTINGS mutations_sync = 2"
    ledger.recall(materialised, {})
    ledger.recall(column, {})


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Hours were counted, and then more was told."""
    made = Ledger(tmp_path_factory.mktemp("months"))
    made.insert("llm_calls", MADE)
    assert equal(both(made, ENDS[0], {})), "every call is read where nobody has counted"
    with counted("usage_by_tags_hour"):
        made.count_again()
    told_before(made)
    made.insert("llm_calls", list(later()))
    yield made
    made.close()


def both(
    ledger: Ledger, end: datetime, state: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines of the board, and those that the calls give."""
    found = board_data.DataSet("months", end)
    return tuple(board_data.ask(ledger, sql, found, state) for sql in (BOARD, OF_CALLS))  # type: ignore[return-value]


def equal(lines: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> bool:
    """And there are some."""
    return lines[0] == lines[1] and len(lines[0]) > 1


@pytest.mark.parametrize(
    ("end", "state"),
    [(ENDS[0], state) for state in STATES]
    + [(end, STATES[place]) for place, end in enumerate(ENDS[1:], start=2)]
    + [(end, {}) for end in (*ENDS, datetime(2021, 5, 1, tzinfo=UTC))],
)
def test_each_line_is_what_the_calls_say(
    ledger: Ledger, end: datetime, state: dict[str, Any]
) -> None:
    shown, wanted = both(ledger, end, state)

    assert shown == wanted
    assert bool(shown) is (end in ENDS)


def test_it_is_where_everything_was_counted_again(ledger: Ledger) -> None:
    before = both(ledger, ENDS[0], {})
    with counted("usage_by_tags_hour"):
        ledger.count_again()
    told_before(ledger)

    # A server as it comes prefers aliases to columns.
    otherwise = f"{BOARD}\nSETTINGS prefer_column_name_to_alias = 0"
    on_a_server = board_data.ask(ledger, otherwise, board_data.DataSet("months", ENDS[0]))
    assert [*both(ledger, ENDS[0], {}), before[1], on_a_server] == [before[0]] * 4


def test_hours_are_read_as_they_were_counted_and_the_calls_where_more_is_chosen(
    ledger: Ledger,
) -> None:
    """Else every look at a month would read two months of calls."""
    name = "never called"
    ledger.insert(
        "usage_by_tags_hour",
        [
            {
                "bucket": f"2024-03-{day} 07:00:00",
                "data_mode": "real",
                "tag_keys": ["team"],
                "tag_values": [name],
                "calls": 1,
                "priced_calls": 1,
                "cost": "2.5",
                # As old as the others, so that what was told since is still known.
                "gen": gen,
            }
            for day in ("02", "17")
            for gen in [ledger.query("SELECT max(gen) AS gen FROM usage_by_tags_hour")[0]["gen"]]
        ],
    )
    shown = {
        str(more): named(both(ledger, ENDS[0], more)[0], name)
        for more in ({}, {"tenant": ["acme"]}, {"user": "u_1"}, {"data_mode": ["test"]})
    }
    gone = f"ALTER TABLE usage_by_tags_hour DELETE WHERE has(tag_values, '{name}')"
    ledger.recall(f"{gone} SETTINGS mutations_sync = 2", {})

    ((line,), *others) = shown.values()
    assert (line["calls"], line["so_far"], line["then"], line["week"]) == (2, "5", "0", "2.5")
    assert others == [[], [], []]


def named(lines: list[dict[str, Any]], team: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["team"] == team]
