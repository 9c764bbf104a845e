"""Google's account of a call: tokens by kind, tier, what a filter stopped, searches that are billed.

Shapes: https://github.com/googleapis/python-genai/blob/v1.75.0/google/genai/types.py
(`GenerateContentResponseUsageMetadata`, `UsageMetadata`, `FinishReason`, `TrafficType`); numbers for
names: https://github.com/googleapis/googleapis/blob/master/google/cloud/aiplatform/v1/content.proto
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tollspan import semconv

from ._read import Rule, count, items, members, take, text

__all__ = ["add_searches", "filtered", "known", "read_usage", "reason"]

_HUGEST = 2**63 - 1

_CAMEL = {
    "prompt_token_count": "promptTokenCount",
    "candidates_token_count": "candidatesTokenCount",
    # What Live sessions call it; on Vertex they call it as everybody does.
    "response_token_count": "candidatesTokenCount",
    "responseTokenCount": "candidatesTokenCount",
    "cached_content_token_count": "cachedContentTokenCount",
    "thoughts_token_count": "thoughtsTokenCount",
    "tool_use_prompt_token_count": "toolUsePromptTokenCount",
    "total_token_count": "totalTokenCount",
    "prompt_tokens_details": "promptTokensDetails",
    "candidates_tokens_details": "candidatesTokensDetails",
    "response_tokens_details": "candidatesTokensDetails",
    "responseTokensDetails": "candidatesTokensDetails",
    "cache_tokens_details": "cacheTokensDetails",
    "tool_use_prompt_tokens_details": "toolUsePromptTokensDetails",
    "traffic_type": "trafficType",
    "service_tier": "serviceTier",
}
"""Names of the SDKs' objects as the names of the JSON."""


def known(usage: Any) -> dict[str, Any]:
    """What `usageMetadata` states, by the names of the JSON, be it JSON or an object of an SDK."""
    return {
        _CAMEL.get(key, key): value for key, value in members(usage).items() if value is not None
    }


def read_usage(found: dict[str, Any], usage: Mapping[str, Any]) -> None:
    """Token counts, of what `known` gives.

    Google leaves the results of its own tools out of the prompt, and thoughts out of the answer;
    the conventions count all. `cachedContentTokenCount` is a part of the prompt.
    """
    prompt, tools = (
        count(usage.get("promptTokenCount")),
        count(usage.get("toolUsePromptTokenCount")),
    )
    said, thought = count(usage.get("candidatesTokenCount")), count(usage.get("thoughtsTokenCount"))
    # Some models count thoughts as a part of the answer: there the total tells.
    whole = (prompt or 0) + (tools or 0) + (said or 0)
    inside = (
        bool(thought) and (said or 0) >= (thought or 0) and usage.get("totalTokenCount") == whole
    )
    _put(found, semconv.INPUT_TOKENS, (prompt, tools))
    _put(found, semconv.OUTPUT_TOKENS, (said, None if inside else thought))
    take(found, usage, _PARTS)
    for key, names in _MODALITIES:
        for modality, name in names.items():
            parts = (_of(modality, usage.get(each)) for each in key)
            _put(found, name, [part or None for part in parts])


_TIERS = {1: "on_demand", 2: "provisioned_throughput"}


def tier(value: Any) -> str | None:
    """The served tier, of `serviceTier` (Gemini API) or `trafficType` (Vertex AI), in the words that
    prices go by: what is on demand and not said to be more is the usual one."""
    stated = _TIERS.get(value) if type(value) is int else text(value)
    if stated is None:
        return None
    stated = stated.lower()
    if stated.endswith("unspecified"):
        return None
    return stated.removeprefix("on_demand_")


_PARTS: tuple[Rule, ...] = (
    ("cachedContentTokenCount", semconv.CACHE_READ_TOKENS, count),
    ("thoughtsTokenCount", semconv.REASONING_TOKENS, count),
    ("serviceTier", semconv.SERVICE_TIER, tier),
    ("trafficType", semconv.SERVICE_TIER, tier),
)
_MODALITIES: tuple[tuple[tuple[str, ...], Mapping[str, str]], ...] = (
    (
        ("promptTokensDetails", "toolUsePromptTokensDetails"),
        {
            "TEXT": semconv.TEXT_INPUT_TOKENS,
            "AUDIO": semconv.AUDIO_INPUT_TOKENS,
            "IMAGE": semconv.IMAGE_INPUT_TOKENS,
        },
    ),
    (
        ("candidatesTokensDetails",),
        {
            "TEXT": semconv.TEXT_OUTPUT_TOKENS,
            "AUDIO": semconv.AUDIO_OUTPUT_TOKENS,
            "IMAGE": semconv.IMAGE_OUTPUT_TOKENS,
        },
    ),
    (("cacheTokensDetails",), {"AUDIO": semconv.AUDIO_CACHE_READ_TOKENS}),
)
_COUNTS = ("tokenCount", "token_count", "tokens")
_MODALITY_NUMBERS = {1: "TEXT", 2: "IMAGE", 3: "VIDEO", 4: "AUDIO", 5: "DOCUMENT"}


def _put(found: dict[str, Any], name: str, parts: Iterable[int | None]) -> None:
    """Write the sum of `parts`, if any is known."""
    stated = [part for part in parts if part is not None]
    if stated and (total := sum(stated)) <= _HUGEST:
        found[name] = total


def _of(modality: str, details: Any) -> int:
    """Tokens of one modality (`TEXT`) in a list of `{modality, tokenCount}`."""
    total = 0
    for each in items(details)[:32]:
        entry = members(each)
        stated = entry.get("modality")
        named = _MODALITY_NUMBERS.get(stated) if type(stated) is int else text(stated)
        if named is not None and named.upper() == modality:
            total += next(filter(None, (count(entry.get(key)) for key in _COUNTS)), 0)
    return total


_REASON_NUMBERS = {
    1: "stop",
    2: "max_tokens",
    3: "safety",
    4: "recitation",
    5: "other",
    6: "blocklist",
    7: "prohibited_content",
    8: "spii",
    9: "malformed_function_call",
    10: "model_armor",
}
_FILTERS = frozenset(
    {
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "model_armor",
        "image_safety",
        "image_prohibited_content",
        "image_recitation",
    }
)


def reason(value: Any) -> str | None:
    """A finish reason, in lower case as the official instrumentation has it; None while there is
    none yet."""
    stated = _REASON_NUMBERS.get(value) if type(value) is int else text(value)
    if stated is None or stated.endswith("UNSPECIFIED"):
        return None
    return stated.lower()


def filtered(reasons: Iterable[str]) -> bool:
    """Whether a filter stopped every one of the answers."""
    given = list(reasons)
    return bool(given) and all(each in _FILTERS for each in given)


_OLD = re.compile(r"gemini-[12]\b")


def add_searches(found: dict[str, Any], queries: int) -> None:
    """Add to `found` how many searches of one answer are billed, of so many queries.

    Gemini 3 and newer pay each query, older models a grounded prompt, however many queries it took;
    an empty query is free: https://ai.google.dev/gemini-api/docs/google-search#pricing
    """
    if not 0 < queries <= _HUGEST:
        return
    model = found.get(semconv.RESPONSE_MODEL) or ""
    found[semconv.WEB_SEARCHES] = 1 if _OLD.match(model) else queries
