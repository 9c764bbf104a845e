"""Spans of other instrumentations: what they say, in the terms of the conventions. (foreign names)

OpenTelemetry, old and new: https://opentelemetry.io/docs/specs/semconv/gen-ai/
OpenInference: https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
OpenLLMetry: https://github.com/traceloop/openllmetry/tree/main/packages/opentelemetry-semantic-conventions-ai
Vercel AI SDK: https://ai-sdk.dev/docs/ai-sdk-core/telemetry
LangSmith: https://docs.langchain.com/langsmith/trace-with-opentelemetry
Langfuse: https://langfuse.com/integrations/native/opentelemetry
xAI: https://github.com/xai-org/xai-sdk-python/blob/main/src/xai_sdk/chat.py
Their names are in `dialect_names`, spans of gateways in `dialect_gateways`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from . import dialect_gateways
from .dialect_names import SOURCES, count
from .logfire import begins_stream
from .usage import counts

__all__ = ["COSTS", "operation", "scope_is_genai", "standard", "states_usage"]

Attributes = Mapping[str, Any]

COSTS = (
    "gen_ai.usage.cost",
    "gen_ai.usage.total_cost",
    "gen_ai.cost.total_cost",
    "llm.cost.total",
    "litellm.cost.total",
    "agw.ai.usage.cost.total",
    "tensorzero.cost_usd",
    "operation.cost",
)
"""Where others write what they think that a call cost."""

_WORDS = {
    "acompletion": "chat",
    "anthropic_messages": "chat",
    "aresponses": "chat",
    "atext_completion": "text_completion",
    "responses": "chat",
    "aembedding": "embeddings",
    "completion": "text_completion",
    "embedding": "embeddings",
}
_KINDS: tuple[tuple[str, Mapping[str, str]], ...] = (
    (
        "openinference.span.kind",
        {
            "LLM": "chat",
            "EMBEDDING": "embeddings",
            "RERANKER": "rerank",
            "AGENT": "invoke_agent",
            "TOOL": "execute_tool",
        },
    ),
    # The spans around these, without the second part, sum up what these state.
    (
        "ai.operationId",
        {
            "ai.generateText.doGenerate": "chat",
            "ai.streamText.doStream": "chat",
            "ai.generateObject.doGenerate": "chat",
            "ai.streamObject.doStream": "chat",
            "ai.embed.doEmbed": "embeddings",
            "ai.embedMany.doEmbed": "embeddings",
        },
    ),
    ("langsmith.span.kind", {"llm": "chat", "embedding": "embeddings"}),
    ("langfuse.observation.type", {"generation": "chat", "embedding": "embeddings"}),
)
"""Names that say what a span is about, and what their values mean; other values mean no call."""

_SCOPES = (
    "com.anthropic.",
    "litellm",
    "langfuse-sdk",
    "langsmith",
    "logfire.openai",
    "logfire.anthropic",
    "mistralai_sdk",
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
    "xai_sdk.",
)


def scope_is_genai(name: str) -> bool:
    """Whether spans of the instrumentation scope `name` describe LLM calls."""
    return name.startswith(_SCOPES)


def states_usage(attributes: Attributes) -> bool:
    """Whether a span states tokens, in any dialect of Python's instrumentations.

    Asked of every span: it must be quick.
    """
    return (
        "gen_ai.usage.input_tokens" in attributes
        or "gen_ai.usage.output_tokens" in attributes
        or "llm.token_count.prompt" in attributes
        or "llm.token_count.completion" in attributes
        or "gen_ai.usage.prompt_tokens" in attributes
        or "gen_ai.usage.completion_tokens" in attributes
        or "llm.usage.prompt_tokens" in attributes
        or "langfuse.observation.usage_details" in attributes
        or "model.token_count_prompt" in attributes
    )


def operation(attributes: Attributes) -> str | None:
    """`gen_ai.operation.name` of a span in any dialect; None where it is not about a model, or where
    another span tells what became of it."""
    if begins_stream(attributes) and not states_usage(attributes):
        return None
    for name in (semconv.OPERATION, "llm.request.type"):
        word = attributes.get(name)
        if isinstance(word, str) and word and word != "unknown":
            return _WORDS.get(word, word)
    for name, words in _KINDS:
        kind = attributes.get(name)
        if isinstance(kind, str):
            return words.get(kind)
    return "chat" if states_usage(attributes) else None


def standard(attributes: Attributes) -> dict[str, Any]:
    """`attributes`, and what they say in other dialects under the names of the conventions.

    What stands there already wins where it can be read; what cannot be read is left out.
    """
    found = dict(attributes)
    if _LANGFUSE_USAGE in attributes:
        _langfuse(attributes, found)
    dialect_gateways.read(attributes, found)
    attributes = dict(found)
    for name, read, sources in SOURCES:
        for source in sources:
            if source in attributes and (value := read(attributes[source])) is not None:
                found[name] = value
                break
        else:
            found.pop(name, None)
    if (stated := operation(attributes)) is not None:
        found[semconv.OPERATION] = stated
    else:
        found.pop(semconv.OPERATION, None)
    _include_cached(found)
    return found


_LANGFUSE_USAGE = "langfuse.observation.usage_details"
_LANGFUSE_COST = "langfuse.observation.cost_details"
_LANGFUSE_COUNTS = (
    (semconv.INPUT_TOKENS, ("input", "prompt_tokens", "input_tokens")),
    (semconv.OUTPUT_TOKENS, ("output", "completion_tokens", "output_tokens")),
    (
        semconv.CACHE_READ_TOKENS,
        ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens"),
    ),
)
_LANGFUSE_PARTS = (
    # As OpenAI's SDK has them: here cached tokens are part of the input.
    (semconv.CACHE_READ_TOKENS, ("prompt_tokens_details", "input_tokens_details"), "cached_tokens"),
    (
        semconv.REASONING_TOKENS,
        ("completion_tokens_details", "output_tokens_details"),
        "reasoning_tokens",
    ),
)


def _langfuse(attributes: Attributes, found: dict[str, Any]) -> None:
    """Langfuse writes counts and costs as JSON; cached tokens are left out of `input`."""
    said = _json(attributes[_LANGFUSE_USAGE])
    cached = 0
    for name, keys in _LANGFUSE_COUNTS:
        value = next((n for key in keys if (n := count(said.get(key))) is not None), None)
        if value is not None:
            found.setdefault(name, value)
            if name == semconv.CACHE_READ_TOKENS and "total" in said:
                cached = value
    for name, parts, key in _LANGFUSE_PARTS:
        for part in parts:
            held = said.get(part)
            if isinstance(held, dict) and (value := count(held.get(key))) is not None:
                found.setdefault(name, value)
    whole, out = count(said.get("total")), found.get(semconv.OUTPUT_TOKENS, 0)
    read = found.get(semconv.INPUT_TOKENS)
    if cached and whole is not None and read is not None and read + cached + out == whole:
        found[semconv.INPUT_TOKENS] = read + cached
    if (total := _json(attributes.get(_LANGFUSE_COST)).get("total")) is not None:
        found.setdefault("gen_ai.usage.cost", total)


def _json(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, str):
        return {}
    try:
        read = json.loads(value)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _include_cached(found: dict[str, Any]) -> None:
    """Some leave cached tokens out of the input; where the parts exceed it, that is certain."""
    used = counts(found)
    total = used.get("input_tokens")
    if total is None:
        return
    cached = used.get("cache_read_tokens", 0) + used.get("cache_write_tokens", 0)
    if cached > total:
        found[semconv.INPUT_TOKENS] = int(total + cached)
        found[semconv.USAGE_UNTRUSTED] = True
