"""Ids of Bedrock are priced where they run, and are the same model wherever that is."""

from __future__ import annotations

import pytest

from tollspan.processors.models import unplaced
from tollspan.processors.prices import Asked, Prices, same_model

BARE = "claude-sonnet-4-5-20250929"
REGIONAL = f"us.anthropic.{BARE}-v1:0"
GLOBAL = f"global.anthropic.{BARE}-v1:0"
OWN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"


@pytest.mark.parametrize(
    ("requested", "answered", "entry", "doubt"),
    [
        (GLOBAL, None, "global.", None),
        (REGIONAL, None, "regional.", None),
        # Claude's body names the model alone: what was asked for says where.
        (GLOBAL, BARE, "global.", None),
        (REGIONAL, BARE, "regional.", None),
        (f"arn:aws:bedrock:us-east-1:1:inference-profile/{GLOBAL}", BARE, "global.", None),
        (OWN, BARE, "regional.", "unknown_region"),
        (OWN, REGIONAL, "regional.", None),
    ],
)
def test_the_price_is_that_of_the_place(
    requested: str, answered: str | None, entry: str, doubt: str | None
) -> None:
    quote = Prices().quote(Asked("aws.bedrock", None, answered, requested, None))
    assert quote.entry is not None
    assert quote.entry.model == f"{entry}anthropic.{BARE}-v1:0"
    assert quote.doubt == doubt


def test_a_profile_that_nobody_knows_has_no_price() -> None:
    assert Prices().quote(Asked("aws.bedrock", None, None, OWN, None)).tariff is None


@pytest.mark.parametrize(
    "model",
    [
        "amazon.nova-lite-v1:0",
        "us.amazon.nova-pro-v1:0",
        "apac.amazon.nova-micro-v1:0",
        "amazon.titan-text-express-v1",
        "amazon.titan-embed-text-v2:0",
        "us.meta.llama3-3-70b-instruct-v1:0",
        "mistral.mistral-large-2402-v1:0",
        "eu.mistral.pixtral-large-2502-v1:0",
        "us.deepseek.r1-v1:0",
        "openai.gpt-oss-120b-1:0",
        "us-gov.anthropic.claude-3-5-sonnet-20240620-v1:0",
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
    ],
)
def test_ids_with_regions_versions_and_arns_have_a_price(model: str) -> None:
    quote = Prices().quote(Asked("aws.bedrock", None, None, model, None))
    assert quote.tariff is not None
    assert quote.doubt is None


@pytest.mark.parametrize("requested", [GLOBAL, REGIONAL, f"anthropic.{BARE}-v1:0", BARE])
def test_a_model_is_not_swapped_because_its_answer_leaves_the_place_out(requested: str) -> None:
    assert same_model("aws.bedrock", requested, BARE) is True
    assert same_model("aws.bedrock", requested, "claude-3-7-sonnet-20250219") is False
    assert same_model("aws.bedrock", OWN, BARE) is None  # nobody knows what it stands for


@pytest.mark.parametrize(
    ("model", "bare"),
    [
        (GLOBAL, f"{BARE}-v1:0"),
        ("us-gov.anthropic.claude-x", "claude-x"),
        ("openai.gpt-5.6-luna", "gpt-5.6-luna"),
        ("meta.llama3-3-70b-instruct-v1:0", "llama3-3-70b-instruct-v1:0"),
        (BARE, BARE),
    ],
)
def test_a_model_without_its_place(model: str, bare: str) -> None:
    assert unplaced(model) == bare
