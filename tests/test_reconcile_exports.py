"""Exports of every provider are known by their content and read exactly; what is none is refused with
its place."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import exports
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollspan.local.reconcile_lines import BadExport, Line, Place, moment, number
from tollspan.local.reconcile_meters import identity, meter
from tollspan.local.reconcile_read import read


def one(text: str | bytes, name: str = "export") -> Any:
    data = text.encode() if isinstance(text, str) else text
    (found,) = read([(name, data)])
    return found


def shown(line: Line) -> tuple[Any, ...]:
    amount = None if line.amount is None else format(line.amount.normalize(), "f")
    return line.model, line.tokens, amount, line.category, line.tier


# --- shapes ---------------------------------------------------------------------------------------


def test_openai_usage_from_its_api_and_from_its_dashboard_say_the_same() -> None:
    of_api = one(exports.page([exports.openai_usage(api_key_id="key_1", project_id="proj_a")]))
    of_table = one(exports.OPENAI_USAGE_CSV)

    assert of_api.shape == of_table.shape == "openai usage"
    assert of_api.lines == of_table.lines
    (line,) = of_api.lines
    assert line.tokens == {"input": 10_000, "output": 1_000, "cache_read": 0}
    assert (line.requests, line.key, line.project) == (10, "key_1", "proj_a")
    assert (line.start, line.end) == (exports.DAY, datetime(2026, 11, 19, tzinfo=UTC))


def test_openai_costs_by_line_item_and_those_that_are_no_tokens() -> None:
    found = one(
        exports.page(
            [
                exports.openai_cost(0.0015, "gpt-4o-mini-2024-07-18, input"),
                exports.openai_cost("0.5", "priority | gpt-5.6-sol, output, long context"),
                exports.openai_cost(0.25, "web search tool calls"),
                exports.openai_cost(3, None),
            ]
        )
    )

    assert found.provider == "openai"
    assert [shown(line) for line in found.lines] == [
        ("gpt-4o-mini-2024-07-18", {}, "0.0015", "usage", "standard"),
        ("gpt-5.6-sol", {}, "0.5", "usage", "priority"),
        ("", {}, "0.25", "other", ""),
        ("", {}, "3", "usage", ""),
    ]
    table = one(exports.OPENAI_COST_CSV)
    assert [line.tokens for line in table.lines] == [{"input": 10_000}, {"output": 1_000}]
    assert sum(line.amount for line in table.lines) == Decimal("0.0021")


def test_anthropic_counts_input_apart_and_its_api_counts_cents() -> None:
    usage = one(exports.anthropic([exports.ANTHROPIC_USAGE])).lines[0]
    table = one(exports.ANTHROPIC_USAGE_CSV).lines[0]
    tokens = {"input": 3_200, "output": 500, "cache_read": 200, "cache_write": 1_500}

    assert usage.tokens == table.tokens == tokens
    (cost,) = one(exports.anthropic([exports.ANTHROPIC_COST])).lines
    assert cost.amount == Decimal("1.2378912")
    spent, search = one(exports.ANTHROPIC_COST_CSV).lines
    assert shown(spent) == ("Claude Sonnet 4.5", {}, "1.23", "usage", "batch")
    assert (search.category, search.what) == ("other", "web_search")


def test_azure_with_semicolons_commas_and_american_days() -> None:
    found = one(exports.AZURE_CSV)
    fresh, cached, tax = found.lines

    assert (found.provider, found.skipped) == ("azure", 1)
    assert shown(fresh) == ("gpt-4o-mini", {"input": 1_234_500}, "0.185175", "usage", "standard")
    assert cached.tokens == {"input": 2_000, "cache_read": 2_000}
    assert (tax.category, tax.amount, tax.currency) == ("tax", Decimal("0.04"), "EUR")
    assert {line.start for line in found.lines} == {exports.DAY}
    rest = {"value": [{"properties": {"meterName": "gpt-4o-mini-0718-Outp-glbl Tokens"}}]}
    rest["value"][0]["properties"] |= {
        "quantity": 1.5,
        "unitOfMeasure": "1M",
        "date": "2026-11-18T00:00:00Z",
        "costInUSD": 0.9,
        "chargeType": "Usage",  # type: ignore[dict-item]
    }
    assert shown(one(json.dumps(rest)).lines[0])[1:3] == ({"output": 1_500_000}, "0.9")


def test_bedrock_in_thousands_in_millions_discounted_and_provisioned() -> None:
    found = one(exports.CUR_CSV)

    assert (found.provider, found.skipped) == ("aws", 1)
    assert [shown(line) for line in found.lines] == [
        ("claude3-sonnet", {"input": 29_481}, "0.088443", "usage", "standard"),
        ("claude-haiku-4.5", {"output": 500_000}, "2.5", "usage", "standard"),
        ("claude3-sonnet", {}, "-0.0088", "credit", "standard"),
        ("", {}, "20", "other", ""),
    ]
    newer = exports.CUR_CSV.splitlines()
    for old, new in (
        ("lineItem/", "line_item_"),
        ("product/", "product_"),
        ("UsageType", "usage_type"),
    ):
        newer[0] = newer[0].replace(old, new)
    assert one("\n".join(newer)).lines == found.lines
    explored = one(json.dumps(exports.COST_EXPLORER))
    assert explored.skipped == 1
    assert shown(explored.lines[0])[:3] == ("nova2.0-lite", {"input": 10_000}, "0.1")
    assert explored.lines[0].provisional


def test_google_from_bigquery_and_from_the_console_whose_days_begin_in_california() -> None:
    line, credit = one(json.dumps(exports.BIGQUERY) + "\n" + " \n").lines
    assert shown(line) == ("gemini-2.5-flash", {"input": 4_000}, "0.0012", "usage", "standard")
    assert (credit.category, credit.amount, credit.model) == (
        *("credit", Decimal("-0.0012")),
        "gemini-2.5-flash",
    )
    found = one(exports.GOOGLE_CSV)
    used, promotion, tax = found.lines

    assert found.zone == "America/Los_Angeles"
    assert used.tokens == {"output": 1_000_000}
    assert (used.start.day, used.end.month, used.end.day) == (1, 12, 1)
    assert (promotion.category, promotion.amount) == ("credit", Decimal("-0.50"))
    assert (tax.category, tax.amount) == ("tax", Decimal("0.38"))


def test_focus_of_a_cloud_with_its_list_prices() -> None:
    found = one(exports.FOCUS_CSV)
    used, tax = found.lines

    assert (found.shape, found.provider, found.skipped) == ("focus", "azure", 1)
    assert shown(used) == ("gpt-4.1", {"input": 1_000_000}, "0.5", "usage", "standard")
    assert (used.list_amount, tax.category) == (Decimal("0.6"), "tax")


def test_tollspans_own_export_is_read_with_its_tokens() -> None:
    head = "BilledCost,BillingCurrency,ChargeCategory,ChargePeriodStart,ChargePeriodEnd,"
    head += "ServiceProviderName,ServiceCategory,x_Model,x_Calls,x_InputTokens,x_OutputTokens\n"
    row = "0.0021,USD,Usage,2026-11-18T00:00:00Z,2026-11-19T00:00:00Z,{},AI and Machine Learning,"
    (line,) = (found := one(head + row.format("openai") + "gpt-4o-mini,10,10000,1000\n")).lines

    assert found.provider == "openai"
    assert (line.model, line.requests) == ("gpt-4o-mini", 10)
    assert line.tokens == {"input": 10_000, "output": 1_000}
    evil = one(head + row.format("Evil\x1b[2J Corp") + "m,1,1,1\n")
    assert evil.provider == "evil_2j_corp"


@pytest.mark.parametrize(
    ("one_name", "other"),
    [
        ("Claude 3.5 Haiku", "anthropic.claude-3-5-haiku-20241022-v1:0"),
        ("claude-haiku-4.5", "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("claude3-sonnet", "claude-3-sonnet-20240229"),
        ("nova2.0-lite", "amazon.nova-2-lite-v1:0"),
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
        ("openai/gpt-4o", "gpt-4o-2024-11-20"),
        ("Gemini-2.5-flash", "gemini-2.5-flash"),
        ("ft-gpt-4o", "ft:gpt-4o-2024-08-06:shop::id"),
    ],
)
def test_one_model_by_two_names(one_name: str, other: str) -> None:
    assert identity(one_name) == identity(other)


@pytest.mark.parametrize(
    ("one_name", "other"),
    [
        ("gpt-4.5", "gpt-5.4"),
        ("gpt-4o", "gpt-4o-mini"),
        ("claude-sonnet-4", "claude-sonnet-4-5"),
        ("gpt-4o", "ft:gpt-4o:shop::id"),
        ("gemini-2.5-flash", "gemini-2.5-pro"),
    ],
)
def test_two_models_that_resemble_each_other(one_name: str, other: str) -> None:
    assert identity(one_name) != identity(other)


@pytest.mark.parametrize(
    ("name", "product", "model", "part", "tier"),
    [
        ("5.4 cd Inp Gl 1M Tokens", "Azure OpenAI GPT5", "gpt-5.4", "cache_read", "standard"),
        (
            "5.6 sol ShortCo Cd Wr Std Gl 1M Tokens",
            "GPT5",
            "gpt-5.6-sol",
            "cache_write",
            "standard",
        ),
        ("5.4 pp opt Gl 1M Tokens", "Azure OpenAI GPT5", "gpt-5.4", "output", "priority"),
        ("gpt-4o-mini-0718-Batch-Outp-glbl Tokens", "", "gpt-4o-mini", "output", "batch"),
        (
            "Gemini 2.5 Flash GA Thinking Text Output - Predictions",
            "",
            "gemini-2.5-flash",
            "output",
            "",
        ),
        ("Gemini 2.5 Flash GA Input Text Caching", "", "gemini-2.5-flash", "cache_read", ""),
        ("text-embedding-3-large-glbl Tokens", "", "text-embedding-3-large", "input", ""),
    ],
)
def test_meters_as_clouds_name_them(
    name: str, product: str, model: str, part: str, tier: str
) -> None:
    found = meter(name, product)

    assert identity(found.model) == identity(model)
    assert (found.part, found.tier) == (part, tier or "standard")


# --- hostile input --------------------------------------------------------------------------------


def test_a_bom_gzip_and_utf16_change_nothing() -> None:
    plain = one(exports.OPENAI_COST_CSV).lines
    text = exports.OPENAI_COST_CSV

    assert one(b"\xef\xbb\xbf" + text.encode()).lines == plain
    assert one(gzip.compress(text.encode())).lines == plain
    assert one(text.encode("utf-16")).lines == plain
    assert one(text.replace("\n", "\r\n")).lines == plain


@pytest.mark.parametrize(
    ("text", "number_"),
    [
        ("1234.5", "1234.5"),
        ("1,234.50", "1234.5"),
        ("1.234,50", "1234.5"),
        ("1 234,5", "1234.5"),
        ("1\u00a0234\u202f567", "1234567"),
        ("1'234.5", "1234.5"),
        ("1,234,567", "1234567"),
        ("0,5", "0.5"),
        ("(0.12)", "-0.12"),
        ("-$3.00", "-3"),
        ("$1,000", "1000"),
        ("\u22121.5", "-1.5"),
        ("1.2E-05", "0.000012"),
        ("€ 2,50", "2.5"),
        (7, "7"),
    ],
)
def test_numbers_as_exports_write_them(text: Any, number_: str) -> None:
    assert number(text, Place("x", "")) == Decimal(number_)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "1.2.3",
        "NaN",
        "Infinity",
        "1e999",
        "--1",
        "9" * 65,
        "0x10",
        True,
        None,
        [],
        "1 2 3 x",
    ],
)
def test_what_is_no_number_is_refused(text: Any) -> None:
    with pytest.raises(BadExport, match="is not a number"):
        number(text, Place("x", "line 3"))


@given(
    st.one_of(st.text(max_size=30), st.integers(), st.floats(), st.none(), st.binary(max_size=9))
)
def test_any_value_is_a_time_or_a_sentence(value: Any) -> None:
    try:
        found = moment(value, Place("x", "line 1"))
    except BadExport as error:
        assert str(error).startswith("x, line 1: ")
    else:
        assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty"),
        (b"PAR1\x00", "is Parquet"),
        (b"PK\x03\x04rest", "zip archive or a workbook"),
        (b"<!doctype html>", "is HTML"),
        (b"%PDF-1.7", "is a PDF"),
        (b"\x1f\x8bbroken", "gzip is broken"),
        (gzip.compress(b"a,b\n1,2\n" * 99)[:-9], "gzip ends too early"),
        (b'{"data": NaN}', "NaN is no number"),
        (b'{"data": [', "line 1, column 11: is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"a": ' + b"9" * 40 + b"}", "longer than 30 digits"),
        (b"a,b\n1,2\n", "these columns are of no export that is known: 'a, b'"),
        (b'{"x": 1}', "of no export that is known"),
        (b'"text"', "of no export that is known"),
        (b"usage_date_utc,model\n\xe9", "line 2: is not UTF-8"),
        (b'{"data": [1]}', "data[0]: is no bucket"),
        (
            b'{"data": [{"start_time": 1, "end_time": 2, "results": []}]}',
            "start_time: '1' is not a time",
        ),
    ],
)
def test_what_is_no_export_is_refused_in_one_sentence(data: bytes, says: str) -> None:
    with pytest.raises(BadExport) as refused:
        read([("bill", data)])

    assert says in str(refused.value)
    assert "bill" in str(refused.value)


@pytest.mark.parametrize(
    ("found", "put", "says"),
    [
        ("0.0015000000000000", "lots", "line 2, column amountvalue: 'lots' is not a number"),
        (",10000,", ",-5,", "line 2, column quantity: -5 is no count"),
        (
            "1794960000,1795046400",
            "1794960000,1794960000",
            "line 2: the period ends before it begins",
        ),
        ("1794960000,1795046400", "1794960000,1894960000", "lasts longer than 400 days"),
        (",org-x", "", "line 2: has 12 fields where the headings are 13"),
        ("amount_currency", "amount_value", "two columns are called 'amountvalue'"),
        ('"gpt-4o-mini-2024-07-18, input"', '"gpt', "is no CSV"),
    ],
)
def test_a_wrong_field_is_refused_with_its_line(found: str, put: str, says: str) -> None:
    with pytest.raises(BadExport) as refused:
        read([("bill.csv", exports.OPENAI_COST_CSV.replace(found, put, 1).encode())])

    message = str(refused.value)
    assert says in message or "of no export that is known" in message and put == "amount_value"
    assert len(message) < 500


def test_a_line_of_ten_megabytes_is_refused_and_not_shown() -> None:
    long = exports.OPENAI_COST_CSV.replace("org-x", "x" * 10_000_000, 1)
    in_json = exports.page([exports.openai_cost("9" * 10_000_000, None)])

    for text in (long, in_json):
        with pytest.raises(BadExport) as refused:
            read([("bill", text.encode())])
        assert len(str(refused.value)) < 500


def test_the_same_export_twice_and_a_page_without_its_others_are_refused() -> None:
    text = exports.OPENAI_COST_CSV.encode()
    with pytest.raises(BadExport, match=r"b\.csv is the same as a\.csv"):
        read([("a.csv", text), ("b.csv", text)])
    first = exports.page([exports.openai_usage()], has_more=True, next_page="x").encode()
    with pytest.raises(BadExport, match="more pages follow"):
        read([("a.json", first)])
    last = exports.page([exports.openai_usage(model="gpt-4o")]).encode()

    assert [len(each.lines) for each in read([("a.json", first), ("b.json", last)])] == [1, 1]


@settings(deadline=None)
@given(st.data())
def test_any_damage_ends_in_lines_or_in_a_sentence(data: st.DataObject) -> None:
    text = data.draw(
        st.sampled_from(
            [
                exports.OPENAI_COST_CSV,
                exports.AZURE_CSV,
                exports.CUR_CSV,
                exports.GOOGLE_CSV,
                exports.FOCUS_CSV,
                exports.ANTHROPIC_USAGE_CSV,
                exports.page([exports.openai_usage()]),
                exports.anthropic([exports.ANTHROPIC_COST]),
                json.dumps(exports.COST_EXPLORER),
                json.dumps(exports.BIGQUERY),
            ]
        )
    )
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 20))
    damage = data.draw(st.text(max_size=8))
    try:
        found = read([("bill", (text[:at] + damage + text[at + cut :]).encode("utf-8", "replace"))])
    except BadExport as error:
        assert str(error).startswith("bill")
    else:
        assert all(line.start < line.end for each in found for line in each.lines)
