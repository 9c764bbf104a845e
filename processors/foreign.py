"""Spans of other instrumentations: their names for what the conventions name. (foreign names)

OpenInference: https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
OpenLLMetry: https://github.com/traceloop/openllmetry/tree/main/packages/opentelemetry-semantic-conventions-ai
LiteLLM: https://docs.litellm.ai/docs/observability/opentelemetry_integration
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from .usage import counts

__all__ = ["COSTS", "scope_is_genai", "standard", "states_usage"]

Attributes = Mapping[str, Any]

_ALIASES: Mapping[str, tuple[str, ...]] = {
    semconv.PROVIDER: ("gen_ai.system", "llm.provider", "llm.system"),
    semconv.REQUEST_MODEL: ("llm.request.model", "llm.model_name"),
    semconv.RESPONSE_MODEL: ("llm.response.model", "llm.model_name"),
    semconv.INPUT_TOKENS: (
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
    ),
    semconv.OUTPUT_TOKENS: (
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
    ),
    semconv.CACHE_READ_TOKENS: (
        "gen_ai.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read",
    ),
    semconv.CACHE_WRITE_TOKENS: (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    semconv.CACHE_WRITE_5M_TOKENS: ("anthropic.usage.cache_creation.ephemeral_5m_input_tokens",),
    semconv.CACHE_WRITE_1H_TOKENS: ("anthropic.usage.cache_creation.ephemeral_1h_input_tokens",),
    semconv.REASONING_TOKENS: (
        "gen_ai.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
    semconv.AUDIO_INPUT_TOKENS: ("llm.token_count.prompt_details.audio",),
    semconv.AUDIO_OUTPUT_TOKENS: ("llm.token_count.completion_details.audio",),
    semconv.SERVICE_TIER: (
        "gen_ai.openai.response.service_tier",
        "openai.response.service_tier",
        "anthropic.response.service_tier",
    ),
}

COSTS = (
    "gen_ai.usage.cost",
    "gen_ai.usage.total_cost",
    "gen_ai.cost.total_cost",
    "llm.cost.total",
    "litellm.cost.total",
    "operation.cost",
)
"""Where others write what they think that a call cost."""

_KINDS = {"LLM": "chat", "EMBEDDING": "embeddings", "RERANKER": "rerank"}
_OPERATIONS = {"completion": "text_completion", "embedding": "embeddings", "acompletion": "chat"}

_SCOPES = (
    "com.anthropic.",
    "litellm",
    "logfire.openai",
    "logfire.anthropic",
    "openinference.instrumentation",
    "openlit",
    "opentelemetry.instrumentation.anthropic",
    "opentelemetry.instrumentation.bedrock",
    "opentelemetry.instrumentation.cohere",
    "opentelemetry.instrumentation.genai",
    "opentelemetry.instrumentation.google_genai",
    "opentelemetry.instrumentation.google_generativeai",
    "opentelemetry.instrumentation.groq",
    "opentelemetry.instrumentation.langchain",
    "opentelemetry.instrumentation.mistralai",
    "opentelemetry.instrumentation.ollama",
    "opentelemetry.instrumentation.openai",
    "opentelemetry.instrumentation.together",
    "opentelemetry.instrumentation.vertexai",
    "opentelemetry.util.genai",
    "pydantic-ai",
)


def scope_is_genai(name: str) -> bool:
    """Whether spans of the instrumentation scope `name` describe LLM calls."""
    return name.startswith(_SCOPES)


def states_usage(attributes: Attributes) -> bool:
    """Whether a span states tokens, in any dialect. Asked of every span: it must be quick."""
    return (
        "gen_ai.usage.input_tokens" in attributes
        or "gen_ai.usage.output_tokens" in attributes
        or "llm.token_count.prompt" in attributes
        or "llm.token_count.completion" in attributes
        or "gen_ai.usage.prompt_tokens" in attributes
        or "gen_ai.usage.completion_tokens" in attributes
        or "llm.usage.prompt_tokens" in attributes
    )


def standard(attributes: Attributes) -> dict[str, Any]:
    """What a foreign span says under other names, under the conventions' names.

    Only what it does not say under those already.
    """
    found: dict[str, Any] = {}
    for name, others in _ALIASES.items():
        if name not in attributes:
            for other in others:
                if attributes.get(other) is not None:
                    found[name] = attributes[other]
                    break
    operation = attributes.get(semconv.OPERATION) or attributes.get("llm.request.type")
    if operation is None:
        operation = _KINDS.get(str(attributes.get("openinference.span.kind")), "chat")
    if isinstance(operation, str):
        operation = _OPERATIONS.get(operation, operation)
        if operation != attributes.get(semconv.OPERATION):
            found[semconv.OPERATION] = operation
    _include_cached(found, {**attributes, **found})
    return found


def _include_cached(found: dict[str, Any], attributes: Attributes) -> None:
    """Some leave cached tokens out of the input; where the parts exceed it, that is certain."""
    used = counts(attributes)
    total = used.get("input_tokens")
    if total is None:
        return
    cached = used.get("cache_read_tokens", 0) + used.get("cache_write_tokens", 0)
    if cached > total:
        found[semconv.INPUT_TOKENS] = int(total + cached)
        found[semconv.USAGE_UNTRUSTED] = True
