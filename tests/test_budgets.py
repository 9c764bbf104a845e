"""Budgets: the file is read strictly, the table is what the file says, and what is spent is exact."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.trace import INVALID_SPAN

from tollspan import semconv
from tollspan.columns import TEXTS
from tollspan.limits.budgets_match import REAL, Matcher
from tollspan.local.budgets import FILTERS, Budget, BudgetFileError, keep, read
from tollspan.local.ledger import Ledger
from tollspan.local.migrations import statements

FOLDER = resources.files("tollspan.local.clickhouse")
SQL = (FOLDER / "0018_budget_modes.sql").read_text("utf-8")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = Ledger(tmp_path_factory.mktemp("ledger"))
    yield made
    made.close()


@pytest.fixture
def empty(ledger: Ledger) -> Ledger:
    for table in ("llm_calls", "budgets"):
        ledger.recall(f"TRUNCATE TABLE {table}", {})
    return ledger


def at(ledger: Ledger, moment: datetime) -> dict[str, dict[str, Any]]:
    """Where the budgets stand at `moment`, by the view's own text with another clock."""
    view = next(each for each in statements(SQL) if "VIEW tollspan_budgets" in each)
    assert "now('UTC') AS moment" in view
    literal = f"toDateTime('{moment:%Y-%m-%d %H:%M:%S}', 'UTC') AS moment"
    select = view.split(" AS\n", 1)[1].replace("now('UTC') AS moment", literal)
    return {row["name"]: row for row in ledger.query(select)}


def call(number: int, moment: datetime, usd: str | None = "1", **more: Any) -> dict[str, Any]:
    nanoseconds = f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond:06d}000"
    made = {"call_id": f"{number:032x}", "time": nanoseconds, "role": "owner", "version": 1}
    return {**made, "cost_usd": usd, "data_mode": "real", **more}


# --- periods --------------------------------------------------------------------------------------

EDGES = [
    # A Sunday that ends a month, a Monday that begins one, a leap day, a year's end.
    datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2026, 6, 1, tzinfo=UTC),
    datetime(2028, 2, 29, 12, tzinfo=UTC),
    datetime(2028, 3, 1, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2027, 1, 1, tzinfo=UTC),
]


def period(name: str, moment: datetime) -> tuple[datetime, datetime]:
    """Begin and end of a period, by Python."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if name == "day":
        return day, day + timedelta(days=1)
    if name == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


@pytest.mark.parametrize("moment", EDGES, ids=lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}")
def test_a_call_counts_in_the_period_that_it_starts_in_to_the_microsecond(
    empty: Ledger, moment: datetime
) -> None:
    keep(empty, [Budget(name, Decimal(10), period=name) for name in ("day", "week", "month")])
    expected = {}
    number = 0
    for name in ("day", "week", "month"):
        begin, end = period(name, moment)
        inside, outside = 0, 0
        for edge in (begin, end):
            for offset_us in (-1, 0):
                number += 1
                started = edge + timedelta(microseconds=offset_us)
                empty.insert("llm_calls", [call(number, started, endpoint=name)])
                inside += begin <= started < end
                outside += not begin <= started < end
        assert (inside, outside) == (2, 2)
        expected[name] = (begin, end)
    keep(
        empty,
        [Budget(name, Decimal(10), {"endpoint": name}, period=name) for name in expected],
    )

    found = at(empty, moment)
    for name, (begin, end) in expected.items():
        row = found[name]
        assert (row["period_start"], row["period_end"]) == (
            f"{begin:%Y-%m-%d %H:%M:%S}",
            f"{end:%Y-%m-%d %H:%M:%S}",
        )
        assert (row["calls"], row["spent_usd"]) == (2, "2"), name


# --- what counts ----------------------------------------------------------------------------------

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
amounts = st.none() | st.decimals(0, 100, places=12).map(lambda usd: format(usd, "f"))
calls = st.lists(
    st.fixed_dictionaries(
        {
            "usd": amounts,
            "tenant": st.sampled_from(["acme", "globex", ""]),
            "endpoint": st.sampled_from(["a", "b"]),
            "served_model": st.sampled_from(["gpt", ""]),
            "request_model": st.just("asked"),
            "data_mode": st.sampled_from(["real", "", "test", "replay", "shadow"]),
            "tags": st.sampled_from([{}, {"team": "growth"}, {"team": "core", "x": "1"}]),
            "role": st.sampled_from(["owner", "owner", "restated", "gone"]),
        }
    ),
    max_size=12,
)
filters = st.dictionaries(
    st.sampled_from(["tenant", "endpoint", "model", "tag.team", "tag.nobody", "data_mode"]),
    st.sampled_from(["acme", "a", "gpt", "asked", "growth", "", "test", "real"]),
    max_size=2,
)


def counts(each: dict[str, Any], wanted: dict[str, str]) -> bool:
    said = {**each, "model": each["served_model"] or each["request_model"]}
    said |= {f"tag.{key}": value for key, value in each["tags"].items()}
    return (
        each["role"] == "owner"
        and (each["data_mode"] in ("real", "") or "data_mode" in wanted)
        and all(said.get(key, "") == value for key, value in wanted.items())
    )


def counts_in_process(each: dict[str, Any], wanted: dict[str, str]) -> bool:
    """As the application decides, from the attributes of a call that has ended."""
    known = {TEXTS[name]: value for name, value in each.items() if value and name in TEXTS}
    known |= {semconv.TAG_PREFIX + key: value for key, value in each["tags"].items()}
    matcher = Matcher(wanted)
    is_meant = matcher.any_mode or known.get(semconv.DATA_MODE, "") in REAL
    return each["role"] == "owner" and is_meant and matcher.after(known, INVALID_SPAN)


@given(calls, st.lists(filters, min_size=1, max_size=3))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_spent_is_exact_whatever_the_filters(
    ledger: Ledger, made: list[dict[str, Any]], wanted: list[dict[str, str]]
) -> None:
    for table in ("llm_calls", "budgets"):
        ledger.recall(f"TRUNCATE TABLE {table}", {})
    ledger.insert("llm_calls", (call(n, NOW, **each) for n, each in enumerate(made)))
    keep(ledger, [Budget(str(n), Decimal("99.5"), each) for n, each in enumerate(wanted)])

    found = at(ledger, NOW)
    for number, each in enumerate(wanted):
        mine = [one for one in made if counts(one, each)]
        assert mine == [one for one in made if counts_in_process(one, each)]
        usd = sum((Decimal(one["usd"]) for one in mine if one["usd"]), Decimal(0))
        row = found[str(number)]
        assert Decimal(row["spent_usd"]) == usd
        assert row["calls"] == len(mine)
        assert row["state"] == (
            "hard" if usd >= Decimal("99.5") else "soft" if usd >= Decimal("79.6") else "ok"
        )


def test_a_limit_is_reached_at_the_last_of_twelve_digits(empty: Ledger) -> None:
    keep(empty, [Budget("b", Decimal("0.7"), soft_ratio=0.7)])
    for spent, state in (
        ("0.489999999999", "ok"),
        ("0.49", "soft"),
        ("0.699999999999", "soft"),
        ("0.7", "hard"),
    ):
        empty.insert("llm_calls", [call(1, NOW, spent, version=int(Decimal(spent) * 10**12))])
        (row,) = at(empty, NOW).values()
        assert (row["spent_usd"], row["soft_usd"], row["state"]) == (spent, "0.49", state)


def test_calls_without_a_price_are_told_apart_and_a_pace_is_carried_to_the_end(
    empty: Ledger,
) -> None:
    keep(empty, [Budget("b", Decimal(100), period="day")])
    unpriced = call(2, NOW, None, cost_grade="unpriced")
    empty.insert("llm_calls", [call(1, NOW - timedelta(hours=1), "3"), unpriced])

    (row,) = at(empty, NOW).values()  # noon
    assert (row["calls"], row["unpriced_calls"], row["spent_usd"]) == (2, 1, "3")
    assert (row["projected_usd"], row["ratio"]) == ("6", 0.03)


def test_every_filter_is_a_column_of_the_calls_and_the_table_takes_it(empty: Ledger) -> None:
    columns = {row["name"] for row in empty.query("DESCRIBE TABLE tollspan_calls")}
    assert set(FILTERS) - {"model"} <= columns

    keep(empty, [Budget(name, Decimal(1), {name: "x"}) for name in FILTERS])
    said = {name: "x" for name in FILTERS if name not in ("model", "data_mode")}
    empty.insert("llm_calls", [call(1, NOW, **said), call(2, NOW, data_mode="x")])
    assert {name: row["calls"] for name, row in at(empty, NOW).items()} == dict.fromkeys(FILTERS, 1)


# --- the file -------------------------------------------------------------------------------------

GOOD = """
[[budgets]]
name = "growth"
limit_usd = 500.25
soft_ratio = 0.5
period = "week"
owner = "ada@example.com"
filters = { "tag.team" = "growth", endpoint = "checkout" }

[[budgets]]
name = "all"
limit_usd = 1000
"""


def test_a_file_is_the_whole_truth_about_budgets(empty: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "budgets.toml"
    file.write_text(GOOD)
    keep(empty, read(file))
    first = empty.query("SELECT * FROM budgets FINAL ORDER BY name")
    assert [(row["name"], row["limit_usd"], row["period"]) for row in first] == [
        ("all", "1000", "month"),
        ("growth", "500.25", "week"),
    ]
    assert first[1]["filters"] == {"tag.team": "growth", "endpoint": "checkout"}

    keep(empty, read(file))
    assert empty.query("SELECT * FROM budgets FINAL ORDER BY name") == first, "untouched"

    file.write_text(GOOD.replace("1000", "2000").replace('"growth"\nlimit', '"other"\nlimit'))
    keep(empty, read(file))
    rows = empty.query("SELECT name, limit_usd, enabled FROM budgets FINAL ORDER BY name")
    assert [tuple(row.values()) for row in rows] == [
        ("all", "2000", True),
        ("growth", "500.25", False),
        ("other", "500.25", True),
    ]
    assert [
        row["name"] for row in empty.query("SELECT name FROM tollspan_budgets ORDER BY name")
    ] == [
        "all",
        "other",
    ]
    file.write_text(GOOD)
    keep(empty, read(file))
    assert empty.query("SELECT count() AS n FROM tollspan_budgets") == [{"n": 2}], "back again"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('name = "b"\nlimit = 5', "unknown key 'limit': write limit_usd"),
        ('name = "b"', "no limit: write limit_usd = 500"),
        ("limit_usd = 5", "no name"),
        ('name = ""\nlimit_usd = 5', "no name"),
        ("name = 7\nlimit_usd = 5", "name = 7: write name as a string"),
        ('name = "b"\nlimit_usd = "5"', "limit_usd = '5': write a number"),
        ('name = "b"\nlimit_usd = true', "limit_usd = True"),
        ('name = "b"\nlimit_usd = 0', "above 0"),
        ('name = "b"\nlimit_usd = -1.5', "above 0"),
        ('name = "b"\nlimit_usd = nan', "limit_usd = NaN"),
        ('name = "b"\nlimit_usd = inf', "limit_usd = Infinity"),
        ('name = "b"\nlimit_usd = 0.0000001', "six decimals"),
        ('name = "b"\nlimit_usd = 5\nperiod = "year"', "period = 'year': write day, week or month"),
        ('name = "b"\nlimit_usd = 5\nperiod = 7', "period = 7"),
        ('name = "b"\nlimit_usd = 5\nsoft_ratio = 80', "soft_ratio = 80"),
        ('name = "b"\nlimit_usd = 5\nsoft_ratio = 0', "soft_ratio = 0"),
        ('name = "b"\nlimit_usd = 5\nenabled = "no"', "enabled = 'no': write true or false"),
        ('name = "b"\nlimit_usd = 5\nowner = 3', "owner = 3"),
        ('name = "b"\nlimit_usd = 5\nfilters = "x"', "filters = 'x'"),
        ('name = "b"\nlimit_usd = 5\nfilters = { tennant = "x" }', "'tennant': write tenant"),
        ('name = "b"\nlimit_usd = 5\nfilters = { tenant = 5 }', 'tenant = 5: write a string'),
        ('name = "b"\nlimit_usd = 5\nfilters = { tag.team = "x" }', "the unknown filter 'tag'"),
        ('name = "b"\nlimit_usd = 5\nfilters = { "tag." = "x" }', "the unknown filter 'tag.'"),
        (
            'name = "b"\nlimit_usd = 5\n[[budgets]]\nname = "b"\nlimit_usd = 6',
            "Entry 2 of the budget file",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_that_says_where_and_what_to_write(
    tmp_path: Path, entry: str, said: str
) -> None:
    file = tmp_path / "budgets.toml"
    file.write_text(f"[[budgets]]\n{entry}\n")

    with pytest.raises(BudgetFileError) as refused:
        read(file)
    sentence = str(refused.value)
    assert said in sentence
    assert sentence.startswith("Entry ") and str(file) in sentence
    assert "\n" not in sentence and sentence.endswith(".")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[[budget]]\nname = 'b'\n", "has 'budget' at its top"),
        (b"budgets = 5\n", "has 'budgets' at its top"),
        (b"[[budgets]\n", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"budgets = [1]\n", "Entry 1"),
    ],
)
def test_a_file_that_is_none_is_said_so(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "budgets.toml"
    file.write_bytes(content)
    with pytest.raises(BudgetFileError, match=said):
        read(file)
    with pytest.raises(BudgetFileError, match="cannot be read"):
        read(tmp_path / "absent.toml")
    assert read(_written(tmp_path / "none.toml", "")) == []


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
