"""Where a model works is a part of its price: by host or as the answer says, in history too."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tollspan import semconv
from tollspan.collector.row_prices import derived
from tollspan.processors.places import ELSEWHERE, US, place_of, uplift
from tollspan.processors.pricefile import PriceFileError, load
from tollspan.processors.prices import Asked, Prices
from tollspan.processors.settle import settle

NOW_NS = 1_794_000_000 * 10**9
TOKENS = {"input_tokens": 1000, "output_tokens": 100}


@pytest.mark.parametrize(
    ("host", "geo", "place"),
    [
        ("api.openai.com", None, None),
        ("EU.api.openai.com.", None, "openai"),
        ("eu.api.openai.com.evil.example", None, None),
        ("aiplatform.googleapis.com", None, None),
        ("europe-west1-aiplatform.googleapis.com", None, "google"),
        ("aiplatform.eu.rep.googleapis.com", None, "google"),
        ("us-api.together.ai", None, "together"),
        ("api.anthropic.com", "us", US),
        ("api.anthropic.com", "not_available", None),
        ("api.anthropic.com", "moon", ELSEWHERE),
        (["api.anthropic.com"], ["us"], ELSEWHERE),
        (7, None, None),
    ],
)
def test_a_place_is_known_by_its_door_or_by_the_answer(host: Any, geo: Any, place: Any) -> None:
    assert place_of(host, geo) == place


@pytest.mark.parametrize(
    ("place", "seller", "model", "times"),
    [
        ("openai", "openai", "gpt-5.4-nano", "11/10"),
        ("openai", "openai", "gpt-6-sol", "11/10"),
        ("openai", "openai", "gpt-5.3-codex", "1"),
        ("openai", "openai", "gpt-4o", "1"),
        ("openai", "openai", "gpt-realtime-2", "1"),
        ("openai", "openai", "o3", "1"),
        ("openai", "azure", "gpt-5.4", "1"),
        ("google", "google", "claude-haiku-4-5", "11/10"),
        ("google", "google", "claude-opus-5", "11/10"),
        ("google", "google", "claude-opus-4-1", "1"),
        ("google", "google", "claude-opus-4-20250514", "1"),
        ("google", "google", "claude-3-7-sonnet", "1"),
        ("google", "google", "gemini-3.5-flash", "11/10"),
        ("google", "google", "gemini-2.5-pro", "1"),
        ("together", "together", "anything", "5/4"),
        (US, "anthropic", "claude-opus-4-8", "11/10"),
        (US, "aws", "regional.anthropic.claude-opus-4-8-v1:0", None),
        (ELSEWHERE, "anthropic", "claude-opus-4-8", None),
        (None, "openai", "gpt-5.4", "1"),
    ],
)
def test_what_it_costs_more(place: Any, seller: str, model: str, times: str | None) -> None:
    assert uplift(place, seller, model) == (None if times is None else Fraction(times))


def test_fees_of_tools_are_the_same_everywhere() -> None:
    counts = {**TOKENS, "web_searches": 2}
    quote = Prices().quote(Asked("openai", None, "gpt-5.4", "gpt-5.4", None, "openai"), NOW_NS)
    assert quote.tariff is not None
    assert quote.tariff.amount(counts) == Decimal("0.0044") + Decimal("0.02")


def test_an_unknown_place_is_an_estimate() -> None:
    call = {
        semconv.OPERATION: "chat", semconv.PROVIDER: "anthropic", semconv.RESPONSE_MODEL: "claude-opus-4-8",
        semconv.INPUT_TOKENS: 1000, semconv.OUTPUT_TOKENS: 100, semconv.INFERENCE_GEO: "moon",
        semconv.STATUS: "success",
    }  # fmt: skip
    own = settle(call, start_ns=NOW_NS).attributes
    assert (own[semconv.COST_GRADE], own[semconv.GRADE_REASON]) == ("estimated", "unknown_region")


def test_history_is_priced_by_place_too() -> None:
    said = {
        semconv.PROVIDER: "openai", semconv.RESPONSE_MODEL: "gpt-5.4", semconv.INPUT_TOKENS: 1000,
        semconv.OUTPUT_TOKENS: 100, semconv.SERVER_ADDRESS: "eu.api.openai.com",
    }  # fmt: skip
    found = derived(said, "", NOW_NS)
    assert found is not None
    assert found.amount == Decimal("0.0044")


LIST = """
[[prices]]
provider = "azure"
model = "*"
times = 0.88

[[prices]]
provider = "azure"
model = "*"
host = "acme-eu.*"
times = 0.968

[[prices]]
provider = "openai"
model = "gpt-5.4"
host = "eu.api.openai.com"
times = 1

[[prices]]
model = "gpt-4o"
provider = "openai"
input_usd_per_mtok = 2
output_usd_per_mtok = 8
code_run_usd = 0.03
other_fee_usd = 0.04

[[prices]]
model = "tts-*"
speech_usd_per_mchar = 12
"""


@pytest.fixture
def agreed(tmp_path: Path) -> Prices:
    path = tmp_path / "agreed.toml"
    path.write_text(LIST)
    return Prices(load(path))


@pytest.mark.parametrize(
    ("provider", "model", "host", "tier", "usd"),
    [
        ("azure.ai.openai", "gpt-4o-2024-11-20", "acme.openai.azure.com", None, "0.00308"),
        ("azure.ai.openai", "gpt-4o-2024-11-20", "Acme-EU.openai.azure.com", None, "0.003388"),
        ("azure.ai.openai", "gpt-4o-2024-11-20", None, None, "0.00308"),
        ("openai", "gpt-5.4", "eu.api.openai.com", None, "0.004"),
        ("openai", "gpt-5.4", "us.api.openai.com", None, "0.0044"),
        ("openai", "gpt-5.4", "eu.api.openai.com", "priority", "0.008"),
        ("openai", "gpt-4o", "api.openai.com", None, "0.0028"),
        ("openai", "gpt-4o", "api.openai.com", "priority", "0.00595"),
    ],
)
def test_a_discount_is_of_the_books_prices_and_may_be_of_one_address(
    agreed: Prices, provider: str, model: str, host: str | None, tier: str | None, usd: str
) -> None:
    quote = agreed.quote(
        Asked(provider, None, model, model, tier, place_of(host, None), host), NOW_NS
    )
    assert quote.tariff is not None
    assert quote.tariff.amount(TOKENS) == Decimal(usd)
    assert quote.doubt is None


def test_a_discount_is_of_fees_too_and_says_where_it_comes_from(agreed: Prices) -> None:
    which = Asked("azure.ai.openai", None, "gpt-4o", "gpt-4o", None)
    quote = agreed.quote(which, NOW_NS)
    assert quote.tariff is not None
    assert quote.tariff.amount({**TOKENS, "web_searches": 1}) == Decimal("0.00308") + Decimal(
        "0.0088"
    )
    file, book = quote.version.split("*")
    assert file.startswith("file:agreed.toml@")
    assert book.startswith("genai-prices/")


def test_fees_that_no_book_has_can_be_said(agreed: Prices) -> None:
    quote = agreed.quote(Asked("openai", None, "gpt-4o", "gpt-4o", None), NOW_NS)
    assert quote.tariff is not None
    used = {**TOKENS, "code_executions": 1, "other_fees": 2}
    assert quote.tariff.amount(used) == Decimal("0.0028") + Decimal("0.11")
    spoken = agreed.quote(Asked("openai", None, None, "tts-1", None), NOW_NS)
    assert spoken.tariff is not None
    assert spoken.tariff.amount({"input_characters": 1000}) == Decimal("0.012")


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ('model = "*"\ntimes = "0.9"', "entry 1: times = '0.9' is not a number"),
        ('model = "*"\ntimes = -1', "entry 1: times = -1 is no part of a price"),
        ('model = "*"\ntimes = nan', "entry 1: times = NaN is no part of a price"),
        ('model = "*"\ntimes = 0.9\ninput_usd_per_mtok = 1', "has times and prices of its own"),
        ('model = "*"\nhost = 7\ntimes = 0.9', "host = 7 is not text"),
        ('model = "*"\ntime = 0.9', "did you mean 'times'"),
        (
            'model = "*"\ntimes = 0.9\n[[prices]]\nmodel = "*"\ntimes = 0.8',
            "entry 2: overlaps entry 1",
        ),
    ],
)
def test_a_wrong_discount_is_one_clear_sentence(tmp_path: Path, entry: str, says: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(f"[[prices]]\n{entry}\n")
    with pytest.raises(PriceFileError) as told:
        load(path)
    assert says in str(told.value)
    assert "\n" not in str(told.value)


def test_a_price_of_ones_own_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(
        '[[prices]]\nmodel = "gpt-5.4"\ninput_usd_per_mtok = 1\noutput_usd_per_mtok = 1\n'
    )
    prices = Prices(load(path))
    quote = prices.quote(Asked("openai", None, "gpt-5.4", "gpt-5.4", None, "openai"), NOW_NS)
    assert quote.tariff is not None
    assert quote.tariff.amount(TOKENS) == Decimal("0.0011")
    assert quote.doubt is None
    # Anthropic's callers choose the place call by call, and a list of prices has one.
    chosen = prices.quote(Asked("anthropic", None, "gpt-5.4", None, None, US), NOW_NS)
    assert chosen.doubt == "unknown_region"
