"""Why a bill differs, of a month that somebody has to close: taxes, credits, images, days that nobody fetched."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import exports
import pytest

from tollspan.launcher.reconcile import _show
from tollspan.local.reconcile import Asked, reconcile
from tollspan.local.reconcile_ledger import Sum
from tollspan.local.reconcile_read import read
from tollspan.local.reconcile_reasons import NEXT, OPEN

DAY = date(2026, 11, 18)
MODEL = "gpt-4o-mini-2024-07-18"
LATER = datetime(2027, 1, 1, tzinfo=UTC)
TEXT = (f"{MODEL}, input", "0.0015"), (f"{MODEL}, output", "0.0006")
"""What ten calls of `told` cost by the book, as OpenAI bills them."""


def told(model: str = MODEL, **more: Any) -> Sum:
    """Ten calls of 1000 tokens in and 100 out: 0.0021 USD by the book."""
    tokens = {"input": 10_000, "output": 1_000, "cache_read": 0, "cache_write": 0}
    made: dict[str, Any] = {
        "day": DAY,
        "provider": "openai",
        "model": model,
        "grade": "derived",
        "calls": 10,
        "usd": Decimal("0.0021"),
        "source": "local",
        "tokens": tokens,
    }
    return Sum(**(made | more))


def unpriced(model: str, calls: int) -> Sum:
    none = dict.fromkeys(("input", "output", "cache_read", "cache_write"), 0)
    return told(model, grade="unpriced", calls=calls, usd=Decimal(0), tokens=none)


def bill(*items: tuple[str, str], start: int = exports.START) -> str:
    return exports.page([exports.openai_cost(usd, item) for item, usd in items], start=start)


def report(*texts: str, sums: tuple[Sum, ...], **asked: Any) -> dict[str, Any]:
    reads = read([(f"bill {at}", text.encode()) for at, text in enumerate(texts)])
    return reconcile(reads, lambda *_: sums, Asked(now=LATER, **asked))


def reasons(found: dict[str, Any]) -> dict[str, Decimal]:
    made = {each["reason"]: Decimal(each["usd"]) for each in found["reasons"]}
    assert sum(made.values(), Decimal(0)) == Decimal(found["total"]["difference"])
    return made


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("Sales tax", "tax"),
        ("VAT 19%", "tax"),
        ("Free credits", "credit"),
        ("committed use discount", "credit"),
        ("Refund of October", "credit"),
        ("file search storage", "other_charge"),
        ("web search tool calls", "other_charge"),
        ("taxonomy tool calls", "other_charge"),
    ],
)
def test_lines_for_no_model_go_by_what_they_say(item: str, reason: str) -> None:
    assert reasons(report(bill(*TEXT, (item, "0.5")), sums=(told(),))) == {reason: Decimal("0.5")}


@pytest.mark.parametrize("with_usage", [True, False])
@pytest.mark.parametrize(
    "item", ["dall-e-3, standard, 1024x1024", "tts-1-hd", "sora-2, 720p seconds", "whisper-1"]
)
def test_images_sound_and_films_that_nobody_told_of_stay_open(item: str, with_usage: bool) -> None:
    texts = [exports.page([exports.openai_usage()])] * with_usage
    found = report(*texts, bill(*TEXT, (item, "1.20")), sums=(told(),))

    assert reasons(found) == {"not_seen": Decimal("1.20")}
    assert found["total"]["within_tolerance"] is False
    (row,) = (row for row in found["rows"] if row["reasons"])
    assert row["model"] == item.partition(",")[0]


def test_images_that_the_ledger_has_no_price_for_are_worth_what_the_bill_says() -> None:
    texts = exports.page([exports.openai_usage()]), bill(*TEXT, ("dall-e-3, standard", "1.20"))
    found = report(*texts, sums=(told(), unpriced("dall-e-3", 30)))

    assert reasons(found) == {"unpriced": Decimal("1.20")}
    assert found["reasons"][0]["calls"] == 30
    assert found["total"]["within_tolerance"] is True


def test_training_a_model_is_no_use_of_it() -> None:
    found = report(bill(*TEXT, (f"{MODEL}, training", "3")), sums=(told(),))
    assert reasons(found) == {"other_charge": Decimal(3)}


GOOGLE = {
    "service": {"description": "Vertex AI"},
    "sku": {"description": "Imagen 4 Generation"},
    "usage_start_time": "2026-11-18 00:00:00 UTC",
    "usage_end_time": "2026-11-18 01:00:00 UTC",
    "cost": "0.4",
    "currency": "USD",
    "cost_type": "regular",
    "usage": {"amount": "10", "unit": "count"},
}
AZURE = "Date,MeterName,MeterSubCategory,Quantity,CostInUsd,ConsumedService\n" + (
    "11/18/2026,Dall-E-3 Standard Images,Azure OpenAI,10,0.4,Microsoft.CognitiveServices\n"
)
FOCUS = (
    "BilledCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceName,"
    "ServiceProviderName,SkuMeter\n"
    "0.4,USD,2026-11-18T00:00:00Z,2026-11-19T00:00:00Z,Usage,Azure OpenAI,Microsoft,"
    "Dall-E-3 Standard Images\n"
)


@pytest.mark.parametrize(
    ("text", "model", "provider"),
    [
        (json.dumps([GOOGLE]), "imagen-4.0-generate-001", "google"),
        (AZURE, "dall-e-3", "azure"),
        (FOCUS, "dall-e-3", "azure"),
    ],
)
def test_clouds_name_images_and_the_ledgers_calls_are_found(
    text: str, model: str, provider: str
) -> None:
    of = {"provider": provider}
    found = report(text, sums=(told(model, **of | vars_of(unpriced(model, 10))),))
    assert reasons(found) == {"unpriced": Decimal("0.4")}
    assert reasons(report(text, sums=())) == {"not_seen": Decimal("0.4")}


def vars_of(found: Sum) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ("grade", "calls", "usd", "tokens")}


def test_a_day_that_nobody_fetched_is_named_with_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    days = [exports.START, exports.START + 2 * 86_400]
    sums = tuple(told(day=DAY + timedelta(days=at)) for at in range(3))
    found = report(*(bill(*TEXT, start=start) for start in days), sums=sums)

    assert reasons(found) == {"no_lines": Decimal("-0.0021")}
    assert found["reasons"][0]["calls"] == 10
    assert [row["from"] for row in found["rows"] if row["reasons"]] == ["2026-11-19"]
    _show(found, by_day=False)
    shown = capsys.readouterr().out
    assert "no line of at all (10 calls), 2026-11-19\n" in shown
    assert NEXT["no_lines"] in shown


def test_a_day_of_usage_without_its_costs_is_a_day_that_nobody_fetched() -> None:
    following = exports.START + 86_400
    texts = [exports.page([exports.openai_usage()], start=at) for at in (exports.START, following)]
    sums = told(), told(day=DAY + timedelta(days=1))
    found = report(*texts, bill(*TEXT), sums=sums)

    assert reasons(found) == {"no_lines": Decimal("-0.0021")}


def test_whatever_stays_open_says_what_to_do() -> None:
    assert NEXT.keys() == {*OPEN, "own_price"}
    found = report(bill(*TEXT, ("tts-1", "9"), ("Sales tax", "1")), sums=(told(),))
    assert {each["reason"]: each["next"] for each in found["reasons"]} == {
        "tax": None,
        "not_seen": NEXT["not_seen"],
    }


def test_amounts_of_another_price_file_say_that_it_is_missing_here(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A negotiated price that the bill does not have, seen where nobody gave the price file."""
    cheaper = told(usd=Decimal("0.001848"))
    found = report(exports.page([exports.openai_usage()]), bill(*TEXT), sums=(cheaper,))

    assert reasons(found) == {"own_price": Decimal("0.000252")}
    _show(found, by_day=False)
    assert NEXT["own_price"] in capsys.readouterr().out


def test_a_refund_is_written_with_its_sign_before_the_dollar(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _show(report(bill(*TEXT, ("Free credits", "-4.2")), sums=(told(),)), by_day=False)
    shown = capsys.readouterr().out
    assert "-$4.20" in shown and "$-" not in shown
