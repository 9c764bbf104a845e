"""A month of the usage API: sums that Python counts as well, an end as on the board, days of a zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import board_data
import pytest
from usage_calls import HOUR_NS, Row, calls, grouped

from tollspan.local import LocalStack
from tollspan.local.queries import BadFilter
from tollspan.local.usage_month import month
from tollspan.local.usage_stats import stats
from tollspan.local.usage_zone import keeps_hours

END = datetime(2024, 11, 4, 15, 30, tzinfo=UTC)
"""Ten days of calls before it lie in two months, and Europe's clocks went back in them."""

ALL = ("data_mode", "all")
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"]


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack() as running:
        running.writer.offer(calls(400, int(END.timestamp()) * 10**9)).result(60)
        yield running


@pytest.fixture(scope="module")
def rows(stack: LocalStack) -> list[Row]:
    """Every call as the ledger has it, with the moment it began."""
    found = stack.ledger.query("SELECT *, toUnixTimestamp64Micro(time) AS us FROM tollspan_calls")
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return [row | {"at": epoch + timedelta(microseconds=row["us"])} for row in found]


def spent(rows: list[Row]) -> Decimal | None:
    priced = [Decimal(row["cost_usd"]) for row in rows if row["cost_usd"] is not None]
    return sum(priced, Decimal(0)) if priced or not rows else None


def usd(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


@pytest.mark.parametrize("tz", ZONES)
def test_a_month_stands_beside_the_one_before_it(
    stack: LocalStack, rows: list[Row], tz: str
) -> None:
    zone = ZoneInfo(tz)
    begin, last = (datetime(2024, each, 1, tzinfo=zone) for each in (11, 10))
    same = last.astimezone(UTC) + (END - begin.astimezone(UTC))
    asked = [ALL, ("by", "tenant,tag.team"), ("tz", tz), ("limit", "500")]

    found = month(stack.ledger, asked, now=END)

    wanted = grouped(rows, lambda row: (row["tenant"] or None, row["tags"].get("team") or None))
    lines = {(each["by"]["tenant"], each["by"]["tag.team"]): each for each in found["groups"]}
    assert lines.keys() == wanted.keys()
    for line, of in [(found["total"], rows), *((lines[key], wanted[key]) for key in wanted)]:
        now = [row for row in of if row["at"] >= begin]
        then = [row for row in of if last <= row["at"] < same]
        before = [row for row in of if last <= row["at"] < begin]
        assert line["calls"] == len(now)
        assert (line["before_calls"], line["last_month_calls"]) == (len(then), len(before))
        assert usd(line["cost_usd"]) == spent(now)
        assert usd(line["before_cost_usd"]) == spent(then)
        assert usd(line["last_month_cost_usd"]) == spent(before)
        assert line["unpriced_calls"] == sum(
            row["cost_usd"] is None and row["cost_grade"] == "unpriced" for row in now
        )
        if (a := spent(now)) is not None and (b := spent(then)) is not None:
            assert usd(line["change_usd"]) == a - b
    assert datetime.fromisoformat(found["from"]) == begin
    assert datetime.fromisoformat(found["to"]) == datetime(2024, 12, 1, tzinfo=zone)


def test_where_groups_end_adds_up_to_where_the_month_ends(
    stack: LocalStack, rows: list[Row]
) -> None:
    found = month(stack.ledger, [ALL, ("by", "endpoint"), ("limit", "500")], now=END)

    ends = [Decimal(each["projected_usd"]) for each in found["groups"] if each["projected_usd"]]
    total = Decimal(found["total"]["projected_usd"])
    assert sum(ends) == pytest.approx(total, abs=Decimal("1e-9"))
    of_week = [row for row in rows if row["at"] >= END - timedelta(days=7)]
    week = spent(of_week)
    assert min(row["at"] for row in rows) < END - timedelta(days=7), "a whole week is known"
    left = (datetime(2024, 12, 1, tzinfo=UTC) - END) / timedelta(days=7)
    so_far = Decimal(found["total"]["cost_usd"])
    assert week is not None
    assert float(total) == pytest.approx(float(so_far) + float(week) * left)


def test_the_month_ends_where_the_board_says(stack: LocalStack) -> None:
    sql = board_data.statement("overview", "Month end")
    data = board_data.DataSet("month", END)
    real = month(stack.ledger, [], now=END)["total"]
    (board,) = board_data.ask(stack.ledger, sql, data, {"data_mode": ["real"]})

    assert usd(real["cost_usd"]) == Decimal(board["so_far"])
    assert float(real["projected_usd"]) == pytest.approx(board["projected"], rel=1e-9)


@pytest.mark.parametrize("mode", ["real", "test"])
def test_each_team_ends_where_its_line_on_the_board_does(stack: LocalStack, mode: str) -> None:
    sql = board_data.statement("attribution", "Where does each team's month end?")
    data = board_data.DataSet("month", END)
    board = board_data.ask(stack.ledger, sql, data, {"data_mode": [mode]})
    # What nobody stated is real, here as there.
    modes = [] if mode == "real" else [("data_mode", mode)]
    found = month(stack.ledger, [*modes, ("by", "tag.team"), ("limit", "500")], now=END)["groups"]

    names = ("cost_usd", "before_cost_usd", "last_month_cost_usd", "change_usd")
    said = {each["by"]["tag.team"] or "-": each for each in found}
    assert said.keys() == {row["team"] for row in board} and len(said) > 2
    for row in board:
        if row["team"] == "-":
            continue  # some team is called so, and the board takes it for none
        line = said[row["team"]]
        shown = [row[name] for name in ("so_far", "then", "last_month", "change")]
        if shown == [None] * 4:  # of which nothing is priced: no zeros on a board
            assert {line[name] for name in names} <= {None, "0"}
            continue
        assert [usd(line[name]) for name in names] == [usd(each) for each in shown]
        assert line["calls"] == row["calls"]
        ends = None if line["projected_usd"] is None else float(line["projected_usd"])
        assert row["month_end"] == (None if ends is None else pytest.approx(ends, rel=1e-9))


def test_a_month_that_is_over_ends_at_what_it_cost(stack: LocalStack, rows: list[Row]) -> None:
    found = month(stack.ledger, [ALL, ("month", "2024-10")], now=END)["total"]
    of = [row for row in rows if row["at"] < datetime(2024, 11, 1, tzinfo=UTC)]

    assert usd(found["cost_usd"]) == usd(found["projected_usd"]) == spent(of)
    assert found["last_month_cost_usd"] == "0" and found["last_month_calls"] == 0


def test_pages_are_all_groups_once(stack: LocalStack) -> None:
    asked = [ALL, ("by", "user")]
    whole = month(stack.ledger, [*asked, ("limit", "500")], now=END)
    pages, offset = [], 0
    while offset is not None:
        page = month(stack.ledger, [*asked, ("limit", "4"), ("offset", str(offset))], now=END)
        pages += page["groups"]
        offset = page["next_offset"]

    assert pages == whole["groups"] and whole["next_offset"] is None
    assert len(pages) == whole["group_count"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([("month", "2026-13")], "month is none: write 2026-10"),
        ([("month", "October")], "month is none"),
        ([("month", "2024-12")], "month 2024-12 has not begun yet"),
        ([("last", "7d")], "last does not go with a month"),
        ([("from", "2024-11-01")], "from does not go with a month"),
        ([("tz", "Europe/Berlinn")], "is no time zone"),
        ([("tz", "../../etc/passwd")], "is no time zone"),
        ([("tz", "Europe")], "is no time zone"),
        ([("by", "tennant")], "'tennant' is nothing to group by"),
        ([("interval", "day")], "'interval' is no member of this query"),
    ],
)
def test_what_is_no_month_says_why(
    stack: LocalStack, asked: list[tuple[str, str]], said: str
) -> None:
    with pytest.raises(BadFilter, match=said):
        month(stack.ledger, asked, now=END)


@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize("interval", ["hour", "day", "week", "month"])
def test_buckets_begin_by_the_clocks_of_a_zone(
    stack: LocalStack, rows: list[Row], tz: str, interval: str
) -> None:
    zone = ZoneInfo(tz)
    asked = [ALL, ("last", "all"), ("interval", interval), ("tz", tz)]

    found = stats(stack.ledger, asked)["total"]["buckets"]

    def begin(row: Row) -> datetime:
        at: datetime = row["at"].astimezone(zone).replace(minute=0, second=0, microsecond=0)
        if interval == "hour":
            return at
        at = at.replace(hour=0, fold=0)
        back = {"day": 0, "week": at.weekday(), "month": at.day - 1}[interval]
        return at - timedelta(days=back)

    wanted = grouped(rows, lambda row: begin(row).isoformat(timespec="milliseconds"))
    said = {each["time"].replace("Z", "+00:00"): each for each in found}
    assert said.keys() == wanted.keys()
    for key, of in wanted.items():
        assert (said[key]["calls"], usd(said[key]["cost_usd"])) == (len(of), spent(of))


def test_a_day_without_an_offset_is_the_zones(stack: LocalStack, rows: list[Row]) -> None:
    asked = [ALL, ("from", "2024-11-03"), ("to", "2024-11-04"), ("tz", "America/New_York")]
    found = stats(stack.ledger, asked)

    zone = ZoneInfo("America/New_York")
    first, until = (datetime(2024, 11, each, tzinfo=zone).astimezone(UTC) for each in (3, 4))
    assert until - first == timedelta(hours=25), "their clocks went back that day"
    assert found["total"]["calls"] == sum(first <= row["at"] < until for row in rows)


def test_a_length_of_time_is_no_zones(stack: LocalStack) -> None:
    with pytest.raises(BadFilter, match="a length is no zone's"):
        stats(stack.ledger, [("interval", "1d"), ("tz", "Europe/Berlin")])


@pytest.mark.parametrize(
    ("tz", "keeps"),
    [("UTC", True), ("Europe/Berlin", True), ("Asia/Kolkata", False), ("Asia/Kathmandu", False)],
)
def test_hours_that_were_counted_serve_zones_of_whole_hours_alone(tz: str, keeps: bool) -> None:
    end_ns = int(END.timestamp()) * 10**9
    assert keeps_hours(ZoneInfo(tz), end_ns - 9000 * HOUR_NS, end_ns) is keeps
    # Half an hour of summer time is on in a part of the year only.
    assert not keeps_hours(ZoneInfo("Australia/Lord_Howe"), end_ns - 9000 * HOUR_NS, end_ns)
