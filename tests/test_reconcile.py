"""A bill and the ledger differ for reasons: each is named, counted, and together they are the difference."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import exports
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollspan.local.reconcile import Asked, reconcile
from tollspan.local.reconcile_ledger import Sum, as_json, from_json
from tollspan.local.reconcile_lines import BadExport, Line, Read
from tollspan.local.reconcile_read import read
from tollspan.local.reconcile_reasons import OPEN, REASONS
from tollspan.local.reconcile_sides import Matching

DAY, NEXT = date(2026, 11, 18), date(2026, 11, 19)
MODEL = "gpt-4o-mini-2024-07-18"
LATER = datetime(2027, 1, 1, tzinfo=UTC)
NEXT_START = exports.END


def told(**more: Any) -> Sum:
    """Ten calls of 1000 tokens in and 100 out: 0.0021 USD by the book."""
    tokens = {"input": 10_000, "output": 1_000, "cache_read": 0, "cache_write": 0}
    made: dict[str, Any] = {
        "day": DAY,
        "provider": "openai",
        "model": MODEL,
        "grade": "derived",
        "calls": 10,
        "usd": Decimal("0.0021"),
        "source": "local",
    }
    made["tokens"] = tokens | more.pop("tokens", {})
    return Sum(**(made | more))


def report(texts: Iterable[str], *sums: Sum, **asked: Any) -> dict[str, Any]:
    reads = read([(f"bill {at}", text.encode()) for at, text in enumerate(texts)])
    return reconcile(reads, lambda *_: sums, Asked(now=LATER, **asked))


def usage(**more: Any) -> str:
    return exports.page([exports.openai_usage(**more)])


def cost(*items: tuple[str, str], start: int = exports.START) -> str:
    return exports.page([exports.openai_cost(usd, item) for item, usd in items], start=start)


def both(usd_in: str, usd_out: str) -> str:
    return cost((f"{MODEL}, input", usd_in), (f"{MODEL}, output", usd_out))


def reasons(found: dict[str, Any]) -> dict[str, Decimal]:
    unit = found["unit"]
    return {each["reason"]: Decimal(str(each[unit])).normalize() for each in found["reasons"]}


def test_what_is_the_same_on_both_sides_needs_no_reason() -> None:
    found = report([usage(), both("0.0015", "0.0006")], told())

    assert found["unit"] == "usd"
    assert found["reasons"] == []
    assert found["total"]["within_tolerance"] is True
    (row,) = found["rows"]
    assert (row["model"], row["billed"]["calls"], row["ledger"]["calls"]) == (MODEL, 10, 10)
    assert Decimal(row["billed"]["usd"]) == Decimal(row["ledger"]["usd"]) == Decimal("0.0021")


def test_calls_that_nobody_instrumented_are_counted_and_stay_open() -> None:
    bill = [usage(input_tokens=12_000, output_tokens=1_200, num_model_requests=12)]
    found = report([*bill, both("0.0018", "0.00072")], told(), tolerance=Decimal(0))

    assert reasons(found) == {"not_seen": Decimal("0.00042")}
    assert found["reasons"][0]["calls"] == 2
    assert found["reasons"][0]["open"] is True
    none = report([usage(model="gpt-4o"), cost(("gpt-4o, input", "99"))])
    assert none["total"]["within_tolerance"] is False
    assert reasons(none) == {"not_seen": Decimal("0.035"), "dearer": Decimal("98.965")}


def test_calls_that_the_export_lacks_are_of_another_account() -> None:
    other = told(model="gpt-4o", usd=Decimal(5), tokens={"input": 2_000_000, "output": 0})
    found = report([usage(), both("0.0015", "0.0006")], told(), other)

    assert reasons(found) == {"not_billed": Decimal(-5)}
    assert found["total"]["within_tolerance"] is False
    assert [row["model"] for row in found["rows"]] == [MODEL, "gpt-4o"]


def test_a_cache_counted_otherwise_is_worth_what_the_book_says() -> None:
    found = report([usage(input_cached_tokens=4_000), both("0.0012", "0.0006")], told())

    assert reasons(found) == {"cache": Decimal("-0.0003")}
    assert found["total"]["within_tolerance"] is True


def test_batches_cost_half() -> None:
    found = report([usage(batch=True), both("0.00075", "0.0003")], told())

    assert reasons(found) == {"tier": Decimal("-0.00105")}
    same = report(
        [usage(batch=True), both("0.00075", "0.0003")], told(tier="batch", usd=Decimal("0.00105"))
    )
    assert reasons(same) == {}


def test_negotiated_prices_are_what_the_bill_has_less_than_the_book() -> None:
    found = report([usage(), both("0.0012", "0.00048")], told())

    assert reasons(found) == {"negotiated": Decimal("-0.00042")}
    assert found["total"]["open"] == "0"
    dear = report([usage(), both("0.15", "0.06")], told())
    assert reasons(dear) == {"dearer": Decimal("0.2079")}
    assert dear["total"]["within_tolerance"] is False


@pytest.mark.parametrize(
    ("billed", "counted", "open_usd", "left"),
    [
        # A region's surcharge: on the bill, and in the ledger, which knows the address.
        (("0.00165", "0.00066"), "0.00231", "0", {}),
        # In the ledger only half of it.
        (("0.00165", "0.00066"), "0.00221", "0.0001", {"dearer": "0.0001"}),
        # An agreed price: of the price file of then, on the bill of then.
        (("0.0012", "0.00048"), "0.00168", "0", {}),
        (("0.0012", "0.00048"), "0.00188", "0", {"negotiated": "-0.0002"}),
        # Dearer on the bill, cheaper in the ledger: nothing of that is the same.
        (("0.00165", "0.00066"), "0.0019", "0.00021", {"dearer": "0.00021", "own_price": "0.0002"}),
    ],
)
def test_what_both_sides_count_above_or_below_the_book_is_no_difference(
    billed: tuple[str, str], counted: str, open_usd: str, left: dict[str, str]
) -> None:
    found = report([usage(), both(*billed)], told(usd=Decimal(counted)))

    assert reasons(found) == {name: Decimal(usd) for name, usd in left.items()}
    assert Decimal(found["total"]["open"]) == Decimal(open_usd)


def test_cache_writes_of_an_hour_are_no_difference_where_both_count_them() -> None:
    use = exports.ANTHROPIC_USAGE | {"server_tool_use": {"web_search_requests": 0}}
    # 1500 fresh, 500 and 1000 written for five minutes and an hour, 200 read, 500 answered.
    usd = (
        Decimal("0.0045")
        + Decimal("0.001875")
        + Decimal("0.006")
        + Decimal("0.00006")
        + Decimal("0.0075")
    )
    bill = exports.ANTHROPIC_COST | {"amount": str(usd * 100)}
    tokens = {"input": 3_200, "output": 500, "cache_read": 200, "cache_write": 1_500}
    ledger = told(
        provider="anthropic", model="claude-sonnet-4-5-20250929", calls=1, usd=usd, tokens=tokens
    )
    found = report([exports.anthropic([use]), exports.anthropic([bill])], ledger)

    assert reasons(found) == {}
    assert found["total"]["within_tolerance"] is True


def test_calls_without_a_price_are_worth_what_the_provider_asks() -> None:
    unpriced = told(grade="unpriced", usd=Decimal(0), model="house-model-9")
    found = report(
        [
            usage(model="house-model-9"),
            cost(("house-model-9, input", "3"), ("house-model-9, output", "1")),
        ],
        unpriced,
    )

    assert reasons(found) == {"unpriced": Decimal(4)}
    assert found["total"]["within_tolerance"] is True


def test_calls_that_lost_something_take_no_more_than_their_like_cost() -> None:
    ten = told(grade="lower_bound", unsure=2)
    bill = [usage(input_tokens=11_000, output_tokens=1_100), both("0.00165", "0.00066")]
    found = report(bill, ten)
    much = report(
        [usage(input_tokens=110_000, output_tokens=11_000), both("0.0165", "0.0066")],
        ten,
    )

    assert reasons(found) == {"lower_bound": Decimal("0.00021")}
    assert reasons(much) == {"lower_bound": Decimal("0.00042"), "unexplained": Decimal("0.02058")}
    assert all(not each["certain"] for each in found["rows"][0]["reasons"])


def test_calls_that_state_no_usage_are_named_before_others_are_looked_for() -> None:
    silent = told(calls=12, silent=2)
    bill = [usage(input_tokens=12_000, output_tokens=1_200, num_model_requests=12)]
    found = report([*bill, both("0.0018", "0.00072")], silent)

    assert reasons(found) == {"silent": Decimal("0.00042")}


def test_calls_around_midnight_lie_on_another_day_for_the_provider() -> None:
    first = told(usd=Decimal("0.0021"), late_usd=Decimal("0.00042"))
    second = told(day=NEXT)
    days = [
        exports.page(
            [exports.openai_usage(input_tokens=8_000, output_tokens=800, num_model_requests=8)]
        ),
        exports.page(
            [exports.openai_usage(input_tokens=12_000, output_tokens=1_200, num_model_requests=12)],
            start=NEXT_START,
        ),
        cost((f"{MODEL}, input", "0.0012"), (f"{MODEL}, output", "0.00048")),
        cost((f"{MODEL}, input", "0.0018"), (f"{MODEL}, output", "0.00072"), start=NEXT_START),
    ]
    found = report(days, first, second)

    assert reasons(found) == {"boundary": Decimal(0)}
    assert [row["reasons"][0]["usd"] for row in found["rows"]] == ["-0.00042", "0.00042"]
    far = report(days, told(), second)
    assert "boundary" not in reasons(far)


def test_taxes_credits_and_other_charges_are_accounted_for() -> None:
    items = [(f"{MODEL}, input", "0.0015"), (f"{MODEL}, output", "0.0006")]
    found = report([usage(), cost(*items, ("web search tool calls", "0.25"))], told())

    assert reasons(found) == {"other_charge": Decimal("0.25")}
    cloud = report([exports.CUR_CSV], provider="aws")
    assert reasons(cloud)["credit"] == Decimal("-0.0088")
    assert reasons(cloud)["other_charge"] == Decimal(20)
    taxed = report([exports.FOCUS_CSV])
    assert reasons(taxed)["tax"] == Decimal("0.1")
    assert reasons(taxed)["discount"] == Decimal("-0.1")


def test_searches_on_a_line_of_their_own_are_not_counted_twice() -> None:
    searched = told(searches=10, usd=Decimal("0.1021"))
    items = [(f"{MODEL}, input", "0.0015"), (f"{MODEL}, output", "0.0006")]
    found = report([usage(), cost(*items, ("web search tool calls", "0.1"))], searched)

    assert reasons(found).get("tools") == Decimal("-0.1")
    assert reasons(found).get("other_charge") == Decimal("0.1")
    assert Decimal(found["total"]["difference"]) == 0


def test_what_the_export_rounds_away_is_rounding() -> None:
    found = report([usage(), both("0.00", "0.00")], told())

    assert reasons(found) == {"rounding": Decimal("-0.0021")}


def test_a_day_that_the_provider_is_still_counting_is_not_final() -> None:
    short = [usage(input_tokens=5_000, output_tokens=500, num_model_requests=5)]
    reads = read([("u", short[0].encode()), ("c", both("0.00075", "0.0003").encode())])
    today = Asked(now=datetime(2026, 11, 19, 12, tzinfo=UTC))
    found = reconcile(reads, lambda *_: [told()], today)

    assert reasons(found) == {"not_final": Decimal("-0.00105")}
    later = reconcile(reads, lambda *_: [told()], Asked(now=LATER))
    assert reasons(later) == {"not_billed": Decimal("-0.00105")}


def test_a_bill_that_tells_no_models_apart_is_compared_whole() -> None:
    bill = exports.page([exports.openai_cost("5.0021", None)])
    other = told(model="gpt-4o", usd=Decimal(5), tokens={"input": 2_000_000, "output": 0})
    found = report([bill], told(), other)

    assert [row["model"] for row in found["rows"]] == ["all models"]
    assert found["reasons"] == []
    counted = report([bill, usage()], told())
    assert Decimal(counted["total"]["difference"]) == 5
    assert reasons(counted) == {"dearer": Decimal(5)}


def test_usage_without_money_is_compared_in_tokens() -> None:
    found = report([usage(input_tokens=12_000, num_model_requests=12)], told())

    assert (found["unit"], found["total"]["difference"]) == ("tokens", 2_000)
    assert reasons(found) == {"not_seen": Decimal(2_000)}
    assert found["total"]["within_tolerance"] is False


def test_another_currency_needs_its_rate() -> None:
    with pytest.raises(BadExport, match=r"counts in EUR.*--rate EUR=1\.08"):
        report([exports.AZURE_CSV])
    with pytest.raises(BadExport, match="is no currency"):
        report([exports.AZURE_CSV.replace("EUR", "\x1b[2J")])
    found = report([exports.AZURE_CSV], matching=Matching({"EUR": Decimal(2)}))

    assert Decimal(found["total"]["billed"]) == Decimal("0.225325") * 2


def test_models_and_keys_that_only_the_user_can_match() -> None:
    lines = [
        exports.openai_usage(model="our-alias", api_key_id="key_1"),
        exports.openai_usage(model=MODEL, api_key_id="key_2"),
    ]
    money = [
        exports.openai_cost("0.0021", "our-alias, input", api_key_id="key_1"),
        exports.openai_cost("0.0021", f"{MODEL}, input", api_key_id="key_2"),
    ]
    matching = Matching(same={"our-alias": MODEL}, keys={"key_1": "h:one"})
    found = report(
        [exports.page(lines), exports.page(money)],
        told(key="h:one"),
        told(key="h:two"),
        matching=matching,
    )

    assert [(row["key"], row["model"]) for row in found["rows"]] == [
        (None, MODEL),
        ("h:one", MODEL),
    ]
    assert found["reasons"] == []


@pytest.mark.parametrize(
    ("texts", "asked", "says"),
    [
        ([usage(), exports.FOCUS_CSV], {}, "the exports are of azure and openai"),
        ([usage()], {"provider": "anthropic"}, "is of openai, not of anthropic"),
        ([exports.page([])], {}, "has no lines about models"),
        ([json.dumps({"data": [], "has_more": False})], {}, "does not say whose it is"),
        ([usage()], {"first": NEXT, "last": DAY}, "is no period"),
        (
            [usage()],
            {"first": date(2026, 10, 1), "last": date(2026, 10, 31)},
            "no line from 2026-10-01 to 2026-10-31: it is of 2026-11-18 to 2026-11-18",
        ),
        ([exports.GOOGLE_CSV], {"first": DAY, "last": DAY}, "across the edge of 2026-11-18"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_sentence(
    texts: list[str], asked: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadExport, match=says):
        report(texts, told(), **asked)


def test_a_month_of_the_console_is_compared_with_its_days() -> None:
    zones: list[str] = []

    def asked(provider: str, first: date, last: date, zone: str) -> list[Sum]:
        zones.append(zone)
        assert (provider, first.day, last.day) == ("google", 1, 30)
        tokens = {"input": 0, "output": 500_000}
        one = told(
            provider="gcp.gemini", model="gemini-2.5-flash", tokens=tokens, usd=Decimal("1.25")
        )
        return [one, told(**{**vars_of(one), "day": date(2026, 11, 30)})]

    found = reconcile(read([("google.csv", exports.GOOGLE_CSV.encode())]), asked, Asked(now=LATER))

    assert zones == ["America/Los_Angeles"]
    assert reasons(found) == {"tax": Decimal("0.38"), "credit": Decimal("-0.5")}


def vars_of(found: Sum) -> dict[str, Any]:
    return {name: getattr(found, name) for name in Sum.__slots__}  # type: ignore[attr-defined]


def test_sums_come_back_from_json_as_they_were() -> None:
    found = told(usd=Decimal("0.000000000001"), key="h:x", late_usd=Decimal("0.1"))

    assert from_json(json.loads(json.dumps(as_json(found)))) == found


TOKENS = st.integers(0, 3_000_000)
MONEY = st.decimals(0, 50, places=6)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            *(
                TOKENS,
                TOKENS,
                st.integers(0, 100),
                MONEY,
                st.sampled_from([MODEL, "house-9", "gpt-4o"]),
            ),
            *(st.sampled_from(["standard", "batch", "priority"]), st.integers(18, 20)),
        ),
        max_size=6,
    ),
    st.lists(
        st.tuples(
            *(
                TOKENS,
                TOKENS,
                st.integers(1, 100),
                MONEY,
                st.sampled_from([MODEL, "house-9", "gpt-4o"]),
            ),
            *(
                st.sampled_from(["derived", "unpriced", "lower_bound", "billed"]),
                st.integers(18, 20),
            ),
            *(st.integers(0, 3), MONEY),
        ),
        max_size=6,
    ),
)
def test_reasons_add_up_to_the_difference_whatever_both_sides_say(
    billed: list[Any], ledger: list[Any]
) -> None:
    lines = [
        Line(
            datetime(2026, 11, day, tzinfo=UTC),
            datetime(2026, 11, day + 1, tzinfo=UTC),
            model=model,
            tokens={"input": tokens, "output": out, "cache_read": tokens // 3},
            requests=calls,
            amount=usd,
            tier=tier,
        )
        for tokens, out, calls, usd, model, tier, day in billed
    ]
    sums = [
        told(
            day=date(2026, 11, day),
            model=model,
            tokens={"input": tokens, "output": out},
            calls=calls,
            silent=min(silent, calls),
            unsure=silent,
            grade=grade,
            usd=Decimal(0) if grade == "unpriced" else usd,
            late_usd=edge,
            early_usd=edge,
        )
        for tokens, out, calls, usd, model, grade, day, silent, edge in ledger
    ]
    reads = [Read("bill", "aws cost", "openai", lines)]
    span = {"first": date(2026, 11, 18), "last": date(2026, 11, 20)}
    found = reconcile(reads, lambda *_: sums, Asked(now=LATER, **span))

    unit = found["unit"]
    for row in found["rows"]:
        explained = sum((Decimal(str(each[unit])) for each in row["reasons"]), Decimal(0))
        assert abs(explained - Decimal(str(row["difference"]))) < Decimal("0.00000002")
        assert {each["reason"] for each in row["reasons"]} <= set(REASONS)
    left = sum((Decimal(str(row["open"])) for row in found["rows"]), Decimal(0))
    assert left == Decimal(str(found["total"]["open"]))
    assert set(OPEN) <= set(REASONS)
