"""Where a month leads: few calls are not read as many, and a range holds most of the months it is for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import board_data
import pytest
from spans import owner

from bench.month import hours, measured
from tollspan import semconv
from tollspan.collector.span import Span
from tollspan.local import LocalStack
from tollspan.local.usage_month import month
from tollspan.local.usage_pace import DAY_S, WEEK_S, off, pace_s

NOW = datetime(2024, 11, 3, 12, tzinfo=UTC)
AGES_H = {"growth": (50, 49, 3), "core": (26, 2)}
"""Hours before `NOW` at which a team called, at a dollar each: the ledger's first calls."""
LATER = NOW + timedelta(days=10)
QUIET_AGES_H = (9 * 24, 2, 1)
"""Hours before `LATER` at which a tenant called, after `NOW`."""
LEFT_DAYS = Decimal("27.5")


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    tag = f"{semconv.TAG_PREFIX}team"
    told = [(NOW, age, {tag: team}) for team, ages in AGES_H.items() for age in ages]
    told += [(LATER, age, {semconv.TENANT: "quiet"}) for age in QUIET_AGES_H]
    calls: list[Span] = []
    for number, (now, age, attributes) in enumerate(told, start=1):
        at_ns = int((now - timedelta(hours=age)).timestamp()) * 10**9
        calls.append(
            owner(
                number,
                cost=1.0,
                trace_id=f"{number:032x}",
                start_ns=at_ns,
                end_ns=at_ns + 10**9,
                attributes=attributes,
            )
        )
    with LocalStack() as running:
        running.writer.offer(calls).result(60)
        yield running


def test_the_first_days_of_a_ledger_go_by_a_pause_before_the_first_call(stack: LocalStack) -> None:
    found = month(stack.ledger, [("by", "tag.team")], now=NOW)
    days = Decimal(50) / 24 * 5 / 4  # five calls, four pauses between them

    ends = {each["by"]["tag.team"]: Decimal(each["projected_usd"]) for each in found["groups"]}
    for team, ages in AGES_H.items():
        wanted = len(ages) * (1 + LEFT_DAYS / days)
        assert ends[team] == pytest.approx(wanted, abs=Decimal("1e-11"))
    assert Decimal(found["total"]["projected_usd"]) == pytest.approx(
        sum(ends.values()), abs=Decimal("1e-11")
    )


def test_both_boards_go_by_the_same_pause(stack: LocalStack) -> None:
    data = board_data.DataSet("pace", NOW)
    found = month(stack.ledger, [("by", "tag.team")], now=NOW)

    sql = board_data.statement("overview", "Month end")
    (board,) = board_data.ask(stack.ledger, sql, data)
    assert board["projected"] == pytest.approx(float(found["total"]["projected_usd"]), rel=1e-9)
    sql = board_data.statement("attribution", "Where does each team's month end?")
    rows = board_data.ask(stack.ledger, sql, data)
    said = {each["by"]["tag.team"]: float(each["projected_usd"]) for each in found["groups"]}
    assert {row["team"]: row["month_end"] for row in rows} == pytest.approx(said, rel=1e-9)


def test_a_range_is_of_the_days_before_and_never_below_what_is_spent(stack: LocalStack) -> None:
    found = month(stack.ledger, [("by", "tag.team")], now=NOW)
    of_day = {"total": (2, 1), "growth": (1, 0), "core": (1, 1)}  # the last 24 hours, those before
    lines = {"total": found["total"], **{each["by"]["tag.team"]: each for each in found["groups"]}}

    for name, days in of_day.items():
        line = lines[name]
        around = off([*map(Decimal, days)], int(LEFT_DAYS * DAY_S), Decimal(50 * 3600) * 5 / 4)
        assert around is not None
        middle, spent = Decimal(line["projected_usd"]), Decimal(line["cost_usd"])
        low, high = (Decimal(line[f"projected_{each}_usd"]) for each in ("low", "high"))
        assert high == pytest.approx(middle + around, abs=Decimal("1e-11"))
        assert low == pytest.approx(max(spent, middle - around), abs=Decimal("1e-11"))


def test_before_two_days_nobody_says_a_range(stack: LocalStack) -> None:
    early = month(stack.ledger, [], now=NOW - timedelta(hours=20))["total"]

    assert early["projected_usd"] is not None
    assert early["projected_low_usd"] is early["projected_high_usd"] is None


def test_a_month_that_is_over_has_no_range(stack: LocalStack) -> None:
    asked = [("month", "2024-11"), ("tenant", "acme")]
    over = month(stack.ledger, asked, now=datetime(2025, 1, 5, tzinfo=UTC))["total"]

    ends = {over[f"projected_{each}usd"] for each in ("", "low_", "high_")}
    assert ends == {over["cost_usd"]} == {"5"}


def test_a_quiet_week_before_is_known_to_have_been_quiet(stack: LocalStack) -> None:
    """Calls of nine days ago say that the ledger is no beginner: a call of now is one of a week."""
    quiet = month(stack.ledger, [("tenant", "quiet")], now=LATER)["total"]
    left = Decimal("17.5") / 7
    assert Decimal(quiet["projected_usd"]) == pytest.approx(3 + 2 * left, abs=Decimal("1e-11"))


@pytest.mark.parametrize(
    ("since_s", "calls", "over_s"),
    [
        (3600, 1, WEEK_S),  # one call: one of a week
        (3600, 10, DAY_S),  # an hour is a day at least
        (2 * DAY_S, 3, 3 * DAY_S),  # one pause before the first of three
        (2 * DAY_S, 2001, Decimal("172886.4")),  # which is nothing where calls are many
        (6 * DAY_S, 2, WEEK_S),  # and no more than makes a week
        (9 * DAY_S, 400, WEEK_S),
        (9 * DAY_S, 0, WEEK_S),
    ],
)
def test_the_pace_is_of_a_week_or_what_there_is(
    since_s: int, calls: int, over_s: int | Decimal
) -> None:
    assert pace_s(since_s, calls) == over_s


def test_a_range_narrows_as_days_come_and_days_go() -> None:
    days = [Decimal(10 + day % 3) for day in range(28)]
    by_known = [off(days[:number], 10 * DAY_S, Decimal(WEEK_S)) for number in (3, 6, 12, 24)]
    by_left = [off(days, left * DAY_S, Decimal(WEEK_S)) for left in (25, 15, 5, 0)]

    for widths in (by_known, by_left):
        assert all(a is not None and b is not None and a > b for a, b in pairwise(widths))
    assert by_left[-1] == 0
    assert off([Decimal(3)] * 9, DAY_S, Decimal(WEEK_S)) == 0, "what never varied is sure"


def test_sparse_first_days_no_longer_run_high_and_ranges_hold_most_months() -> None:
    """Thirty months of each, known to their end; the seeds are fixed."""
    sparse = [hours("sparse", random.Random(f"sparse {number}")) for number in range(30)]
    on = measured(sparse, True, 4)
    assert on["plain_mean"] > 0.4 and abs(on["mean"]) < 0.25

    even = [hours("even", random.Random(f"even {number}")) for number in range(30)]
    for days in (2, 9, 23):
        found = measured(even, True, days)
        assert abs(found["mean"]) < 0.1 and found["inside"] >= 0.6
