"""Where an answer of the chat completions wire states what it is and what was used, in every spelling.

Shapes: https://github.com/openai/openai-python/blob/main/src/openai/types/completion_usage.py
"""

from __future__ import annotations

from typing import Any

from tollspan import semconv

from ._read import Rule, by_keys, count, members, some, take, text
from ._reported_cost import reported_cost

__all__ = [
    "ANSWER",
    "CACHE_WRITE",
    "INPUT",
    "OUTPUT",
    "TOOLS",
    "USAGE",
    "read_usage",
    "search_fee",
    "with_reasoning",
]

ANSWER: tuple[Rule, ...] = (
    ("id", semconv.RESPONSE_ID, text),
    ("model", semconv.RESPONSE_MODEL, text),
    ("service_tier", semconv.SERVICE_TIER, text),
    ("provider", semconv.RESPONSE_PROVIDER, text),
)

USAGE: tuple[Rule, ...] = (
    ("prompt_tokens", semconv.INPUT_TOKENS, count),
    ("completion_tokens", semconv.OUTPUT_TOKENS, count),
    # DeepSeek, and LiteLLM for models of Anthropic; both count them in `prompt_tokens`.
    ("prompt_cache_hit_tokens", semconv.CACHE_READ_TOKENS, count),
    ("cache_read_input_tokens", semconv.CACHE_READ_TOKENS, count),
    ("cache_creation_input_tokens", semconv.CACHE_WRITE_TOKENS, count),
    ("num_sources_used", semconv.OTHER_FEES, some),  # of xAI's searches, each has its fee
)

INPUT: tuple[Rule, ...] = (
    ("cached_tokens", semconv.CACHE_READ_TOKENS, count),
    ("cache_creation_tokens", semconv.CACHE_WRITE_TOKENS, count),
    ("cache_write_tokens", semconv.CACHE_WRITE_TOKENS, count),
    ("audio_tokens", semconv.AUDIO_INPUT_TOKENS, some),
    ("image_tokens", semconv.IMAGE_INPUT_TOKENS, some),
    ("text_tokens", semconv.TEXT_INPUT_TOKENS, some),
)

OUTPUT: tuple[Rule, ...] = (
    ("reasoning_tokens", semconv.REASONING_TOKENS, count),
    ("audio_tokens", semconv.AUDIO_OUTPUT_TOKENS, some),
    ("image_tokens", semconv.IMAGE_OUTPUT_TOKENS, some),
    ("text_tokens", semconv.TEXT_OUTPUT_TOKENS, some),
)

_used = by_keys(USAGE)
_input, _output = by_keys(INPUT), by_keys(OUTPUT)

# Anthropic's, and LiteLLM's for Anthropic.
TOOLS: tuple[Rule, ...] = (("web_search_requests", semconv.WEB_SEARCHES, count),)
CACHE_WRITE: tuple[Rule, ...] = (
    ("ephemeral_5m_input_tokens", semconv.CACHE_WRITE_5M_TOKENS, some),
    ("ephemeral_1h_input_tokens", semconv.CACHE_WRITE_1H_TOKENS, some),
)


def read_usage(found: dict[str, Any], usage: Any) -> None:
    """Token counts and the cost that the body states. `prompt_tokens` includes the cached ones."""
    stated = members(usage)
    take(found, stated, _used(tuple(stated)))
    search_fee(found)
    if (details := stated.get("prompt_tokens_details")) is not None:
        parts = members(details)
        take(found, parts, _input(tuple(parts)))
        if (written := parts.get("cache_creation_token_details")) is not None:
            take(found, members(written), CACHE_WRITE)
    if (details := stated.get("completion_tokens_details")) is not None:
        parts = members(details)
        take(found, parts, _output(tuple(parts)))
        with_reasoning(found, stated.get("total_tokens"))
    if (tools := stated.get("server_tool_use")) is not None:
        take(found, members(tools), TOOLS)
    if (cost := reported_cost(stated)) is not None:
        found[semconv.COST_REPORTED] = cost


def search_fee(found: dict[str, Any]) -> None:
    """Of each answer of gpt-…-search-preview and -api."""
    if "-search-" in found.get(semconv.RESPONSE_MODEL, ""):
        found[semconv.WEB_SEARCHES] = 1


def with_reasoning(found: dict[str, Any], total: Any) -> None:
    """xAI leaves reasoning out of `completion_tokens`; its own `total` tells."""
    reasoning = found.get(semconv.REASONING_TOKENS)
    asked, answered = found.get(semconv.INPUT_TOKENS), found.get(semconv.OUTPUT_TOKENS)
    if not reasoning or asked is None or answered is None:
        return
    if count(total) == asked + answered + reasoning:
        found[semconv.OUTPUT_TOKENS] = answered + reasoning
