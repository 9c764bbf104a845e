"""Other names of standard attributes, and how their values are written. (foreign names)

Where they are documented: see `foreign`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tollspan import semconv

from .models import book_provider, provider_name

__all__ = ["SOURCES", "count"]

_MOST = 2**63 - 1


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _provider(value: Any) -> str | None:
    """The AI SDK appends its API: `openai.chat`."""
    if not isinstance(value, str) or not value:
        return None
    name = value.lower()
    maker = name.partition(".")[0]
    if book_provider(name) is None and book_provider(maker) is not None:
        name = maker
    return provider_name(name)


def count(value: Any) -> int | None:
    """Some write numbers as text. What is no count is not known."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MOST else None


def _reasons(value: Any) -> list[str] | None:
    """Some write only one. The AI SDK's have dashes: `content-filter`."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)  # LiteLLM writes the list as text
        except ValueError:
            return None
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, (list, tuple)):
        return None
    return [each.replace("-", "_") for each in several if isinstance(each, str) and each] or None


_ALIASES: Mapping[str, tuple[Callable[[Any], Any], tuple[str, ...]]] = {
    semconv.PROVIDER: (
        _provider,
        (
            "gen_ai.system",
            "llm.provider",
            "llm.system",
            "llm.vendor",
            "ai.model.provider",
            "gen_ai.model.provider",
            "langsmith.metadata.ls_provider",
        ),
    ),
    semconv.REQUEST_MODEL: (
        _text,
        (
            "llm.request.model",
            "llm.model_name",
            "embedding.model_name",
            "ai.model.id",
            "langfuse.observation.model.name",
            "langsmith.metadata.ls_model_name",
        ),
    ),
    semconv.RESPONSE_MODEL: (_text, ("llm.response.model", "ai.response.model")),
    semconv.RESPONSE_ID: (_text, ("ai.response.id",)),
    semconv.FINISH_REASONS: (
        _reasons,
        ("gen_ai.response.finish_reason", "ai.response.finishReason"),
    ),
    semconv.INPUT_TOKENS: (
        count,
        (
            "gen_ai.usage.prompt_tokens",
            "llm.token_count.prompt",
            "llm.usage.prompt_tokens",
            "ai.usage.inputTokens",
            "ai.usage.promptTokens",
        ),
    ),
    semconv.OUTPUT_TOKENS: (
        count,
        (
            "gen_ai.usage.completion_tokens",
            "llm.token_count.completion",
            "llm.usage.completion_tokens",
            "ai.usage.outputTokens",
            "ai.usage.completionTokens",
        ),
    ),
    semconv.CACHE_READ_TOKENS: (
        count,
        (
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.input_tokens.cached",
            "gen_ai.usage.cached_prompt_text_tokens",
            "gen_ai.usage.input_token_details.cache_read",
            "gen_ai.usage.details.cache_read_tokens",
            "llm.token_count.prompt_details.cache_read",
            "ai.usage.cachedInputTokens",
        ),
    ),
    semconv.CACHE_WRITE_TOKENS: (
        count,
        (
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
            "gen_ai.usage.input_tokens.cache_creation",
            "gen_ai.usage.details.cache_write_tokens",
            "llm.token_count.prompt_details.cache_write",
        ),
    ),
    semconv.CACHE_WRITE_5M_TOKENS: (
        count,
        ("anthropic.usage.cache_creation.ephemeral_5m_input_tokens",),
    ),
    semconv.CACHE_WRITE_1H_TOKENS: (
        count,
        ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",),
    ),
    semconv.REASONING_TOKENS: (
        count,
        (
            "gen_ai.usage.reasoning_tokens",
            "gen_ai.usage.output_tokens.reasoning",
            "gen_ai.usage.details.reasoning_tokens",
            "llm.usage.reasoning_tokens",
            "llm.token_count.completion_details.reasoning",
            "ai.usage.reasoningTokens",
        ),
    ),
    semconv.AUDIO_INPUT_TOKENS: (count, ("llm.token_count.prompt_details.audio",)),
    semconv.AUDIO_OUTPUT_TOKENS: (count, ("llm.token_count.completion_details.audio",)),
    semconv.SERVICE_TIER: (
        _text,
        (
            "gen_ai.openai.response.service_tier",
            "openai.response.service_tier",
            "anthropic.response.service_tier",
        ),
    ),
    semconv.USER: (_text, ("enduser.id",)),
}
"""How the value of a standard name is read, and its other names, the better source first."""

SOURCES = tuple((name, read, (name, *others)) for name, (read, others) in _ALIASES.items())
"""Standard name, reader, and every name to look under, the standard one first."""
