"""GenAI spans that other instrumentations made, in standard names. (foreign names)

Read: OpenTelemetry GenAI conventions old and new (https://opentelemetry.io/docs/specs/semconv/gen-ai/),
OpenLLMetry (https://github.com/traceloop/openllmetry, `opentelemetry-semantic-conventions-ai`),
OpenInference (https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md),
Vercel AI SDK (https://ai-sdk.dev/docs/ai-sdk-core/telemetry). The standard name wins where a span
carries both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tollspan import semconv
from tollspan.guard import quietly
from tollspan.processors.models import provider_name
from tollspan.processors.settle import Settled, settle

from .span import Span

__all__ = ["normalised", "settled"]

NAMES: dict[str, str] = {
    "gen_ai.system": semconv.PROVIDER,
    "llm.provider": semconv.PROVIDER,
    "llm.system": semconv.PROVIDER,
    "llm.vendor": semconv.PROVIDER,
    "ai.model.provider": semconv.PROVIDER,
    "llm.request.model": semconv.REQUEST_MODEL,
    "llm.model_name": semconv.REQUEST_MODEL,
    "embedding.model_name": semconv.REQUEST_MODEL,
    "ai.model.id": semconv.REQUEST_MODEL,
    "llm.response.model": semconv.RESPONSE_MODEL,
    "ai.response.model": semconv.RESPONSE_MODEL,
    "ai.response.id": semconv.RESPONSE_ID,
    "gen_ai.usage.prompt_tokens": semconv.INPUT_TOKENS,
    "llm.usage.prompt_tokens": semconv.INPUT_TOKENS,
    "llm.token_count.prompt": semconv.INPUT_TOKENS,
    "ai.usage.promptTokens": semconv.INPUT_TOKENS,
    "gen_ai.usage.completion_tokens": semconv.OUTPUT_TOKENS,
    "llm.usage.completion_tokens": semconv.OUTPUT_TOKENS,
    "llm.token_count.completion": semconv.OUTPUT_TOKENS,
    "ai.usage.completionTokens": semconv.OUTPUT_TOKENS,
    "gen_ai.usage.cache_read_input_tokens": semconv.CACHE_READ_TOKENS,
    "gen_ai.usage.input_tokens.cached": semconv.CACHE_READ_TOKENS,
    "gen_ai.usage.details.cache_read_tokens": semconv.CACHE_READ_TOKENS,
    "llm.token_count.prompt_details.cache_read": semconv.CACHE_READ_TOKENS,
    "gen_ai.usage.cache_creation_input_tokens": semconv.CACHE_WRITE_TOKENS,
    "gen_ai.usage.cache_creation.input_tokens": semconv.CACHE_WRITE_TOKENS,
    "gen_ai.usage.details.cache_write_tokens": semconv.CACHE_WRITE_TOKENS,
    "llm.token_count.prompt_details.cache_write": semconv.CACHE_WRITE_TOKENS,
    "gen_ai.usage.reasoning_tokens": semconv.REASONING_TOKENS,
    "gen_ai.usage.details.reasoning_tokens": semconv.REASONING_TOKENS,
    "llm.usage.reasoning_tokens": semconv.REASONING_TOKENS,
    "llm.token_count.completion_details.reasoning": semconv.REASONING_TOKENS,
    "enduser.id": semconv.USER,
    "gen_ai.response.finish_reason": semconv.FINISH_REASONS,
    "ai.response.finishReason": semconv.FINISH_REASONS,
}
"""Foreign name to standard name, the better source first where several mean the same."""

OPERATIONS = {
    ("llm.request.type", "chat"): "chat",
    ("llm.request.type", "completion"): "text_completion",
    ("llm.request.type", "embedding"): "embeddings",
    ("openinference.span.kind", "LLM"): "chat",
    ("openinference.span.kind", "EMBEDDING"): "embeddings",
    ("ai.operationId", "ai.generateText.doGenerate"): "chat",
    ("ai.operationId", "ai.streamText.doStream"): "chat",
    ("ai.operationId", "ai.generateObject.doGenerate"): "chat",
    ("ai.operationId", "ai.streamObject.doStream"): "chat",
    ("ai.operationId", "ai.embed.doEmbed"): "embeddings",
    ("ai.operationId", "ai.embedMany.doEmbed"): "embeddings",
}
COUNTS = (
    semconv.INPUT_TOKENS,
    semconv.OUTPUT_TOKENS,
    semconv.CACHE_READ_TOKENS,
    semconv.CACHE_WRITE_TOKENS,
    semconv.REASONING_TOKENS,
)
TEXTS = (semconv.OPERATION, semconv.PROVIDER, semconv.REQUEST_MODEL, semconv.RESPONSE_MODEL)


def normalised(span: Span) -> dict[str, Any] | None:
    """Attributes of `span` in standard names; None where it is not about GenAI, or is settled."""
    said = span.attributes
    if semconv.COST_ROLE in said or semconv.HOP_ROLE in said:
        return None
    operation = said.get(semconv.OPERATION) or _operation(said)
    if not isinstance(operation, str) or not operation:
        return None
    own = {NAMES.get(name, name): value for name, value in said.items() if name in NAMES}
    found = {name: value for name, value in said.items() if name not in NAMES}
    found = {**own, **found, semconv.OPERATION: operation}
    for name in TEXTS:
        if not isinstance(found.get(name), str):
            found.pop(name, None)
    for name in COUNTS:
        _make_count(found, name)
    if semconv.PROVIDER in found:
        # `openai.chat` is how the AI SDK spells its provider and API.
        found[semconv.PROVIDER] = provider_name(str(found[semconv.PROVIDER]).lower())
    _include_cached(found)
    return found


def _operation(said: Mapping[str, Any]) -> str | None:
    return next(
        (word for (name, value), word in OPERATIONS.items() if said.get(name) == value), None
    )


def _make_count(found: dict[str, Any], name: str) -> None:
    """Some write numbers as text. What is no count is not known."""
    value = found.get(name)
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdigit()
        and len(value) < 16
        or isinstance(value, float)
        and value.is_integer()
        and value >= 0
    ):
        found[name] = int(value)
    elif isinstance(value, bool) or not isinstance(value, int) or value < 0:
        found.pop(name, None)


def _include_cached(found: dict[str, Any]) -> None:
    """Input counts the cached tokens; some pass Anthropic's count on, which leaves them out.

    Told apart only where the parts are more than the whole.
    """
    cached = found.get(semconv.CACHE_READ_TOKENS, 0) + found.get(semconv.CACHE_WRITE_TOKENS, 0)
    if semconv.INPUT_TOKENS in found and cached > found[semconv.INPUT_TOKENS]:
        found[semconv.INPUT_TOKENS] += cached


def settled(
    call: Mapping[str, Any], attempts: Sequence[Mapping[str, Any]], start_ns: int
) -> Settled:
    """Cost and path of a foreign call. A fault of ours leaves it as it came, unpriced."""
    found = Settled({semconv.COST_GRADE: "unpriced"})
    with quietly:
        found = settle(call, attempts, start_ns=start_ns)
    return found
