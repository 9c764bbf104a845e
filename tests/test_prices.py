"""Prices: ours equal the book's to the last digit, the price file goes first, doubt is said."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage, data_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from tollspan import config, semconv
from tollspan.processors import book, prices
from tollspan.processors.models import book_provider, label, undated
from tollspan.processors.pricefile import PriceFileError, load
from tollspan.processors.prices import Asked, Prices
from tollspan.processors.settle import settle
from tollspan.processors.tariff import InconsistentUsage, rounded

NOW = 1_795_000_000_000_000_000
"""A day in November 2026."""
PROVIDERS = data_snapshot.get_snapshot().providers
MODELS = [(provider, model) for provider in PROVIDERS for model in provider.models]
CONTEXTS: list[dict[str, str]] = [
    {},
    {"service_tier": "flex"},
    {"service_tier": "priority"},
    {"service_tier": "fast", "speed": "fast"},
    {"processing": "batch"},
]
COUNTS = st.fixed_dictionaries(
    {"input_tokens": st.integers(0, 3_000_000), "output_tokens": st.integers(0, 300_000)},
    optional={
        "cache_read_tokens": st.integers(0, 900_000),
        "cache_write_tokens": st.integers(0, 500_000),
        "cache_write_1h_tokens": st.integers(0, 300_000),
        "output_reasoning_tokens": st.integers(0, 100_000),
        "input_audio_tokens": st.integers(0, 100_000),
        "output_audio_tokens": st.integers(0, 100_000),
        "cache_audio_read_tokens": st.integers(0, 10_000),
        "input_image_tokens": st.integers(0, 100_000),
        "cache_image_read_tokens": st.integers(0, 10_000),
        "web_searches": st.integers(0, 50),
        "audio_seconds": st.integers(0, 100_000),
        "input_audio_seconds": st.integers(0, 100_000),
        "input_characters": st.integers(0, 100_000),
        "input_document_pages": st.integers(0, 1_000),
    },
)


def theirs(
    provider: Any, model: Any, counts: dict[str, int], context: dict[str, str], start_ns: int
) -> Decimal | None:
    """What the book itself calculates; None where it refuses the usage."""
    when = datetime.fromtimestamp(start_ns / 1e9, tz=UTC)
    try:
        found = model.calc_price(
            Usage(**counts), provider, genai_request_timestamp=when, price_context=context or None
        )
    except ValueError:
        return None
    return Decimal(found.total_price)


def check(provider: Any, model: Any, counts: dict[str, int], context: Any, start_ns: int) -> bool:
    expected = theirs(provider, model, counts, context, start_ns)
    entry = book.priced(provider, model, context, start_ns)
    if entry is None:
        assert expected in (None, 0)
        return False
    try:
        amount = entry.tariff.amount(entry.at_least(dict(counts)))
    except InconsistentUsage:
        assert expected is None
        return False
    if expected is None:
        return False  # they refuse a split that is not stated; we call it a guess
    # Prices per hour do not divide evenly: there the book rounds to 28 digits at each step.
    assert rounded(amount) == rounded(expected)
    if not any("seconds" in unit for unit in counts):
        assert amount == expected
    return True


@settings(max_examples=400, deadline=None)
@given(
    which=st.integers(0, len(MODELS) - 1),
    counts=COUNTS,
    context=st.sampled_from(CONTEXTS),
    start_ns=st.integers(1_600_000_000, 1_850_000_000).map(lambda s: s * 10**9),
)
def test_our_amount_is_the_books_amount(
    which: int, counts: dict[str, int], context: dict[str, str], start_ns: int
) -> None:
    check(*MODELS[which], counts, context, start_ns)


PLAIN: list[dict[str, int]] = [
    {"input_tokens": 1_234, "output_tokens": 567},
    {"input_tokens": 250_001, "output_tokens": 89, "cache_read_tokens": 200_000},
    {
        "input_tokens": 300_000,
        "output_tokens": 7,
        "cache_read_tokens": 11,
        "cache_write_tokens": 5_000,
        "cache_write_1h_tokens": 4_000,
    },
]


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.id)
def test_every_model_of_the_book_is_priced_as_the_book_does(provider: Any) -> None:
    compared = 0
    for model in provider.models:
        for context in CONTEXTS if model.price_variants else CONTEXTS[:1]:
            for counts in PLAIN:
                compared += check(provider, model, counts, context, NOW)
    assert compared > 0 or provider.id == "elevenlabs"


def asked(provider: str, answered: str | None, **more: Any) -> Asked:
    return Asked(
        provider,
        more.get("served"),
        answered,
        more.get("requested", answered),
        more.get("tier"),
    )


THOUSAND = {"input_tokens": 1_000, "output_tokens": 100}


def amount(which: Asked, start_ns: int = NOW, counts: Any = None) -> Decimal | None:
    quote = Prices().quote(which, start_ns)
    return None if quote.tariff is None else quote.tariff.amount(counts or THOUSAND)


@pytest.mark.parametrize(
    ("which", "usd"),
    [
        (asked("openai", "gpt-4o-mini-2024-07-18"), "0.00021"),
        (asked("openai", "openai/gpt-4o-mini"), "0.00021"),
        (asked("unheard_of", None, served="openai/gpt-4o-mini"), "0.00021"),
        (asked("anthropic", "claude-sonnet-4-5"), "0.0045"),
        (asked("aws.bedrock", "us.anthropic.claude-3-5-sonnet-20240620-v1:0"), "0.0045"),
        (asked("gcp.vertex_ai", "claude-sonnet-4-5@20250929"), "0.0045"),
        (asked("openai", "anthropic/claude-sonnet-4-5"), "0.0045"),
        (asked("azure.ai.openai", "gpt-4o-2024-08-06", requested="our-deployment"), "0.0035"),
        (asked("openai", None, requested="gpt-4o-mini"), "0.00021"),
        (asked("openai", "gpt-4o-mini", tier="batch"), "0.000105"),
        (asked("openai", "chat-main"), None),
        (asked("my-openai-lookalike", "gpt-4o-mini"), None),
    ],
)
def test_models_are_found_under_the_names_that_people_and_gateways_use(
    which: Asked, usd: str | None
) -> None:
    found = amount(which)
    assert found == (None if usd is None else Decimal(usd))


@pytest.mark.parametrize(
    ("which", "doubt"),
    [
        (asked("openai", "gpt-4o-mini", tier="default"), None),
        (asked("openai", "gpt-4o-mini", tier="priority"), None),
        (asked("openai", "gpt-4o-mini", tier="flex"), "unknown_tier"),
        (asked("anthropic", "claude-sonnet-4-5", tier="standard"), None),
        (asked("anthropic", "claude-sonnet-4-5", tier="priority"), "unknown_tier"),
        (asked("azure.ai.openai", None, requested="gpt-4o"), "deployment_name"),
        (asked("openai", "gpt-4o-mini-2031-01-01"), None),
        (asked("openai", "brand-new", requested="gpt-4o-mini"), "other_model"),
    ],
)
def test_a_context_that_the_book_does_not_know_is_said(which: Asked, doubt: str | None) -> None:
    quote = Prices().quote(which, NOW)
    assert quote.tariff is not None
    assert quote.doubt == doubt


def test_a_price_by_the_time_of_day_follows_the_clock() -> None:
    day = 1_750_000_000 // 86_400 * 86_400 * 10**9  # June 2025
    hour = 3600 * 10**9
    which = asked("deepseek", "deepseek-chat")
    own = Prices()

    def at(start_ns: int) -> Decimal:
        tariff = own.quote(which, start_ns).tariff
        assert tariff is not None
        return tariff.amount(THOUSAND)

    night, noon = at(day + 20 * hour), at(day + 12 * hour)
    assert night != noon
    assert [at(day + 20 * hour), at(day + 12 * hour)] == [night, noon]  # and from the cache


def test_every_thread_waits_for_the_same_book(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    real = book._load

    def counted() -> Any:
        loads.append(1)
        return real()

    monkeypatch.setattr(book, "_book", None)
    monkeypatch.setattr(book, "_load", counted)
    found: list[Decimal | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(amount(asked("openai", "gpt-4o-mini"))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Decimal("0.00021")] * 8
    assert loads == [1]


# --- the price file -------------------------------------------------------------------------------


def write(folder: Path, text: str, name: str = "prices.toml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


FILE = """
[[prices]]
model = "gpt-4o-mini*"
provider = "openai"
from = 2026-01-01
input_usd_per_mtok = 0.1
output_usd_per_mtok = 0.2

[[prices]]
model = "gpt-4o-mini*"
provider = "openai"
from = 2026-12-01
input_usd_per_mtok = 0.01
output_usd_per_mtok = 0.02

[[prices]]
model = "gpt-4o-mini"
provider = "openai"
tier = "flex"
input_usd_per_mtok = 0.05
output_usd_per_mtok = 0.1

[[prices]]
model = "house-model"
input_usd_per_mtok = 1
request_usd = 0.25
"""


def test_the_file_goes_before_the_book_by_the_day_of_the_call(tmp_path: Path) -> None:
    file = load(write(tmp_path, FILE))
    own = Prices(file)

    def usd(which: Asked, day: str) -> Decimal:
        start = datetime.fromisoformat(day).replace(tzinfo=UTC)
        quote = own.quote(which, int(start.timestamp()) * 10**9)
        assert quote.tariff is not None
        return quote.tariff.amount(THOUSAND)

    mini = asked("openai", "gpt-4o-mini-2024-07-18")
    assert usd(mini, "2025-12-31") == Decimal("0.00021")  # the book
    assert usd(mini, "2026-01-01") == Decimal("0.00012")
    assert usd(mini, "2026-12-02") == Decimal("0.000012")
    assert usd(asked("openai", "gpt-4o-mini", tier="flex"), "2026-02-01") == Decimal("0.00006")
    assert usd(asked("anything", "house-model"), "2026-02-01") == Decimal("0.251")
    assert own.quote(mini, NOW).version == file.version
    assert file.version.startswith("file:prices.toml@")
    assert len(file.version) == len("file:prices.toml@") + 8


def test_json_and_toml_read_the_same(tmp_path: Path) -> None:
    text = '{"prices": [{"model": "m", "from": "2026-01-01", "input_usd_per_mtok": 0.1}]}'
    toml = '[[prices]]\nmodel = "m"\nfrom = 2026-01-01\ninput_usd_per_mtok = 0.1\n'
    one = load(write(tmp_path, text, "p.json")).entries
    other = load(write(tmp_path, toml)).entries
    assert one == other
    assert one[0].tariff.amount({"input_tokens": 3}) == Decimal("3E-7")


ENTRY = '[[prices]]\nmodel = "m"\ninput_usd_per_mtok = 1\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ENTRY + "ouput_usd_per_mtok = 1\n", "entry 1: unknown key 'ouput_usd_per_mtok': did you mean 'output_usd_per_mtok'?"),
        (ENTRY + ENTRY.replace("input", "imput"), "entry 2: unknown key 'imput_usd_per_mtok'"),
        (ENTRY + "output_usd_per_mtok = -1\n", "output_usd_per_mtok = -1 is no price"),
        (ENTRY + "output_usd_per_mtok = nan\n", "is no price"),
        (ENTRY + 'output_usd_per_mtok = "1"\n', "output_usd_per_mtok = '1' is not a number"),
        (ENTRY + "output_usd_per_mtok = true\n", "is not a number"),
        (ENTRY + 'from = "soon"\n', "from = 'soon' is not a day"),
        (ENTRY + "from = 2026-01-02\nuntil = 2026-01-01\n", "until is not after from"),
        (ENTRY + 'batch = "yes"\n', "is not a yes or no"),
        (ENTRY + ENTRY, "entry 2: overlaps entry 1"),
        (ENTRY + "until = 2026-03-01\n" + ENTRY + "from = 2026-02-01\n", "entry 2: overlaps"),
        ("[[prices]]\nmodel = 3\n", "model = 3 is not text"),
        ("[[prices]]\ninput_usd_per_mtok = 1\n", "has no model"),
        ('[[prices]]\nmodel = "m"\n', "has no price"),
        ("prices = 3\n", "has no list of entries"),
        ("prices = [3]\n", "entry 1: is not a table"),
        ("= what", "is not valid TOML"),
        (ENTRY + "[other]\n", "unknown key 'other': did you mean 'prices'?"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_clear_sentence(tmp_path: Path, text: str, says: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(PriceFileError) as caught:
        load(file)
    message = str(caught.value)
    assert message.startswith(str(file))
    assert says in message
    assert "\n" not in message


def test_a_file_that_is_not_there_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(PriceFileError, match="cannot be read"):
        load(tmp_path / "none.toml")


@pytest.fixture
def wrong_file(tmp_path: Path) -> Iterator[Path]:
    file = write(tmp_path, ENTRY + "nonsense = 1\n")
    config.reload({"TOLLSPAN_PRICES": str(file), "TOLLSPAN_RAISE": "1"})
    yield file


def test_the_application_lives_on_with_a_wrong_file(
    wrong_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = settle(
        {
            semconv.OPERATION: "chat",
            semconv.PROVIDER: "openai",
            semconv.RESPONSE_MODEL: "gpt-4o-mini",
            semconv.INPUT_TOKENS: 1_000,
            semconv.OUTPUT_TOKENS: 100,
        }
    ).attributes
    assert own[semconv.COST_AMOUNT] == 0.00021
    assert "unknown key 'nonsense'" in caplog.text
    assert prices.problem is not None
    assert str(wrong_file) in prices.problem


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "bare"),
    [
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
        ("claude-3-5-sonnet-20240620-v1:0", "claude-3-5-sonnet"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("chatgpt-4o-latest", "chatgpt-4o"),
        ("gpt-4.1", "gpt-4.1"),
        ("o3", "o3"),
    ],
)
def test_releases_of_one_model_share_a_name(model: str, bare: str) -> None:
    assert undated(model) == bare


@pytest.mark.parametrize(
    ("model", "short"),
    [
        ("ft:gpt-4o-mini-2024-07-18:acme::9xYz", "gpt-4o-mini"),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc", "other"),
        ("x" * 500, "other"),
        ("gpt\n4o", "other"),
        ("model-0123456789abcdef0123456789abcdef", "other"),
        ("c0ffee00-1111-2222-3333-444455556666", "other"),
        ("<script>", "other"),
        ("", "other"),
    ],
)
def test_a_hostile_model_name_does_not_become_a_route(model: str, short: str) -> None:
    assert label(model) == short


@given(st.text(max_size=400))
def test_a_label_is_always_short_and_plain(model: str) -> None:
    found = label(model)
    assert 0 < len(found) <= 80
    assert found.isprintable() and found.isascii()


def test_providers_are_known_by_name_not_by_resemblance() -> None:
    assert book_provider("azure.ai.openai") == "azure"
    assert book_provider("openai-compatible") is None


def test_seconds_of_audio_are_exact() -> None:
    quote = Prices().quote(asked("openai", "whisper-1"), NOW)
    assert quote.tariff is not None
    seconds = Fraction("12.3")
    counts: Any = {"audio_seconds": seconds, "input_audio_seconds": seconds}
    assert quote.tariff.amount(counts) == Decimal("0.36") / 3600 * Decimal("12.3")


def test_unpriced_models_are_counted_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "unpriced", prices.unpriced.__class__())
    for number in range(1_500):
        prices.count_unpriced("p", f"model-{number}")
    assert len(prices.unpriced) <= 1_001
    assert sum(prices.unpriced.values()) == 1_500
