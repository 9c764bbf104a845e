"""The usage API counts as plain Python does, whatever is asked and whatever calls are called."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from usage_calls import HOSTILE, HOUR_NS, Row, calls, grouped, measured, model

from tollspan.local import LocalStack
from tollspan.local.queries import BadFilter
from tollspan.local.usage_recent import recent
from tollspan.local.usage_stats import stats
from tollspan.local.usage_views import KEYS, SESSIONS, view

END_NS = time.time_ns() // HOUR_NS * HOUR_NS
NOW = datetime.fromtimestamp(END_NS // 10**9, UTC)
COLUMNS: dict[str, Callable[[Row], str]] = {
    "model": model,
    "requested_model": lambda row: row["request_model"],
    "grade": lambda row: row["cost_grade"],
    "tag.team": lambda row: row["tags"].get("team", ""),
} | {
    name: lambda row, n=name: row[n]  # type: ignore[misc]
    for name in (
        "tenant",
        "endpoint",
        "user",
        "session",
        "api_key",
        "status",
        "error_type",
        "route",
    )
}
ALL = ("data_mode", "all")


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack() as running:
        running.writer.offer(calls(700, END_NS)).result(60)
        yield running


class Rows(list[Row]):
    """Not printed whole when something is wrong with one."""

    def __repr__(self) -> str:
        return f"{len(self)} rows"


@pytest.fixture(scope="module")
def rows(stack: LocalStack) -> Rows:
    """Every call as the ledger has it."""
    found = stack.ledger.query("SELECT *, toUnixTimestamp64Nano(time) AS ns FROM tollspan_calls")
    assert len(found) == 700
    return Rows(found)


def same(said: Row, rows: list[Row]) -> None:
    """What the API says of a set of calls is what they are."""
    wanted = measured(rows)
    for name, value in wanted.items():
        if name in ("duration_s", "time_to_first_chunk_s"):
            for level, seconds in value.items():
                near = None if seconds is None else pytest.approx(seconds, rel=1e-12)
                assert said[name][level] == near, name
        else:
            assert said[name] == value, name


def test_the_total_is_the_sum_of_the_calls(stack: LocalStack, rows: list[Row]) -> None:
    same(stats(stack.ledger, [ALL, ("last", "all")])["total"], rows)


def test_money_that_is_not_real_counts_only_when_asked_for(
    stack: LocalStack, rows: list[Row]
) -> None:
    real = [row for row in rows if row["data_mode"] in ("real", "")]
    tests = [row for row in rows if row["data_mode"] == "test"]
    assert real and tests

    same(stats(stack.ledger, [("last", "all")])["total"], real)
    same(stats(stack.ledger, [("last", "all"), ("data_mode", "test")])["total"], tests)


NAMES = st.lists(st.sampled_from(sorted(COLUMNS)), max_size=3, unique=True)
HOURS = st.one_of(st.none(), st.integers(1, 300))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(by=NAMES, where=NAMES, since_h=HOURS, until_h=HOURS, pick=st.randoms(use_true_random=False))
def test_any_question_has_the_answer_that_python_gives(
    stack: LocalStack,
    rows: list[Row],
    by: list[str],
    where: list[str],
    since_h: int | None,
    until_h: int | None,
    pick: Any,
) -> None:
    asked = [ALL]
    chosen = rows
    for name in where:
        values = {COLUMNS[name](pick.choice(rows)) for _ in range(2)} - {"-"}
        if not values or any(len(value) > 1000 for value in values):
            continue
        asked += [(name, value or "-") for value in values]
        chosen = [row for row in chosen if COLUMNS[name](row) in values]
    begin_ns = END_NS - (since_h or 400) * HOUR_NS
    end_ns = END_NS - ((until_h or 0) % (since_h or 400)) * HOUR_NS
    for name, time_ns in (("from", begin_ns), ("to", end_ns)):
        asked.append((name, datetime.fromtimestamp(time_ns // 10**9, UTC).isoformat()))
    chosen = [row for row in chosen if begin_ns <= row["ns"] < end_ns]

    found = stats(stack.ledger, [*asked, ("by", ",".join(by)), ("limit", "500")])

    same(found["total"], chosen)
    if by:
        wanted = grouped(chosen, lambda row: tuple(COLUMNS[name](row) or None for name in by))
        assert found["group_count"] == len(wanted)
        for group in found["groups"]:
            same(group, wanted[tuple(group["by"][name] for name in by)])


def test_buckets_of_time_hold_each_call_once(stack: LocalStack, rows: list[Row]) -> None:
    asked = [ALL, ("last", "12d"), ("by", "tenant"), ("interval", "day"), ("limit", "100")]
    found = stats(stack.ledger, asked, now=NOW)

    wanted = grouped(rows, lambda row: row["time"][:10])
    assert [each["time"][:10] for each in found["total"]["buckets"]] == sorted(wanted)
    for each in found["total"]["buckets"]:
        of_day = measured(wanted[each["time"][:10]])
        assert each["cost_usd"] == of_day["cost_usd"] and each["calls"] == of_day["calls"]
    for group in found["groups"]:
        assert sum(each["calls"] for each in group["buckets"]) == group["calls"]


@pytest.mark.parametrize("interval", ["week", "month", "7h"])
def test_weeks_begin_on_mondays_and_months_on_their_first(stack: LocalStack, interval: str) -> None:
    found = stats(stack.ledger, [ALL, ("last", "all"), ("interval", interval)])["total"]
    begins = [datetime.fromisoformat(each["time"]) for each in found["buckets"]]

    assert sum(each["calls"] for each in found["buckets"]) == 700
    if interval == "week":
        assert all(each.weekday() == 0 and each.hour == 0 for each in begins)
    elif interval == "month":
        assert all(each.day == 1 and each.hour == 0 for each in begins)
    else:
        assert all(each.timestamp() % (7 * 3600) == 0 for each in begins)


def test_pages_of_groups_are_all_groups_once(stack: LocalStack) -> None:
    asked = [ALL, ("last", "all"), ("by", "user,endpoint"), ("sort", "calls")]
    whole = stats(stack.ledger, [*asked, ("limit", "500")])
    seen, offset = [], 0
    while offset is not None:
        page = stats(stack.ledger, [*asked, ("limit", "7"), ("offset", str(offset))])
        seen += page["groups"]
        offset = page["next_offset"]

    assert seen == whole["groups"]
    assert [each["calls"] for each in seen] == sorted(
        (each["calls"] for each in seen), reverse=True
    )


def test_recent_calls_are_paged_without_a_gap(stack: LocalStack, rows: list[Row]) -> None:
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        asked = [ALL, ("last", "all"), ("limit", "150")]
        page = recent(stack.ledger, [*asked, *([("cursor", cursor)] if cursor else [])])
        seen += [each["call_id"] for each in page["calls"]]
        cursor = page["next_cursor"]

    assert seen == sorted((row["call_id"] for row in rows), reverse=True)


@pytest.mark.parametrize(("of", "column"), [(SESSIONS, "session"), (KEYS, "api_key")])
def test_sessions_and_keys_are_lines_with_what_their_calls_did(
    stack: LocalStack, rows: list[Row], of: Any, column: str
) -> None:
    found = view(stack.ledger, of, [ALL, ("last", "all"), ("limit", "500")])
    wanted = grouped(rows, lambda row: row[column])

    assert found["total"][f"calls_without_{column}"] == len(wanted.pop(""))
    assert {line[of.name] for line in found[of.plural]} == set(wanted)
    for line in found[of.plural]:
        of_line = wanted[line[of.name]]
        same(line, of_line)
        assert line["models"] == sorted({model(row) for row in of_line}, key=str.encode)[:20]
        first = min(row["ns"] for row in of_line)
        last = max(row["ns"] + round((row["duration_s"] or 0) * 1e9) for row in of_line)
        assert line["lasted_s"] == pytest.approx((last - first) / 1e9)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_values_and_nothing_else(
    stack: LocalStack, rows: list[Row], name: str
) -> None:
    asked = [ALL, ("last", "all"), ("tenant", name)]
    if len(name) > 1000:
        with pytest.raises(BadFilter):
            stats(stack.ledger, asked)
        return
    wanted = [row for row in rows if row["tenant"] == ("" if name == "-" else name)]
    assert wanted

    same(stats(stack.ledger, asked)["total"], wanted)
    tag = "" if name == "-" else name
    tagged = [row for row in rows if row["tags"].get(name[:50], "") == tag]
    same(stats(stack.ledger, [*asked[:2], (f"tag.{name[:50]}", name)])["total"], tagged)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ([("tennant", "acme")], "is no member of this query"),
        ([("by", "tenant,tenant")], "different names"),
        ([("by", "tenant,user,session,model,route")], "at most 4"),
        ([("by", "cost_usd")], "nothing to group by"),
        ([("by", "tag.")], "nothing to group by"),
        ([("sort", "beauty")], "sort is unknown"),
        ([("order", "up")], "asc or desc"),
        ([("limit", "0")], "limit is not a number from 1"),
        ([("limit", "٣")], "limit is not a number"),
        ([("limit", "5"), ("limit", "6")], "may stand once"),
        ([("offset", "-1")], "offset is not a number"),
        ([("last", "soon")], "no length of time"),
        ([("last", "1d"), ("from", "2026-01-01")], "neither from nor to"),
        ([("from", "yesterday")], "not ISO-8601"),
        ([("from", "2026-02-01"), ("to", "2026-01-01")], "from is not before to"),
        ([("interval", "second")], "interval is no length"),
        ([("interval", "1s"), ("last", "1d")], "more than 2000 buckets"),
        ([("interval", "1h"), ("by", "user"), ("limit", "500"), ("last", "14d")], "points"),
        ([("unpriced", "maybe")], "not a yes or no"),
        ([("tenant", "x")] * 51, "more than 50 values"),
        ([("tenant", "x" * 1001)], "longer than 1000"),
    ],
)
def test_a_question_that_cannot_be_understood_says_which_part(
    stack: LocalStack, asked: list[tuple[str, str]], says: str
) -> None:
    with pytest.raises(BadFilter, match=says):
        stats(stack.ledger, asked)
