"""Bodies of InvokeModel: what each family of models is asked with and answers, read by their shape.

The model's name may be another one for it, so nothing here goes by names. Shapes:
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from ._chat_completions import CHAT
from ._converse import ROUTED, SETTINGS, add_answer
from ._guardrails import add_intervention
from ._messages import MESSAGES
from ._read import Rule, count, get, items, members, number, take, text, texts
from ._spec import Dials
from ._tools import add_sent

__all__ = ["METRICS", "add_asked", "add_body", "add_metrics", "dials_of"]

_ASKED: tuple[Rule, ...] = (
    ("max_tokens", semconv.REQUEST_MAX_TOKENS, count),
    ("max_tokens_to_sample", semconv.REQUEST_MAX_TOKENS, count),  # Claude 2
    ("max_gen_len", semconv.REQUEST_MAX_TOKENS, count),  # Llama
    ("max_completion_tokens", semconv.REQUEST_MAX_TOKENS, count),
    ("temperature", semconv.REQUEST_TEMPERATURE, number),
    ("top_p", semconv.REQUEST_TOP_P, number),
    ("p", semconv.REQUEST_TOP_P, number),  # Cohere
    ("top_k", semconv.REQUEST_TOP_K, number),
    ("k", semconv.REQUEST_TOP_K, number),
    ("stop_sequences", semconv.REQUEST_STOP_SEQUENCES, texts),
    ("stop", semconv.REQUEST_STOP_SEQUENCES, texts),  # Mistral
    ("reasoning_effort", semconv.REQUEST_REASONING_LEVEL, text),
    ("embedding_types", semconv.REQUEST_ENCODING_FORMATS, texts),
    ("embeddingTypes", semconv.REQUEST_ENCODING_FORMATS, texts),
)
_TITAN: tuple[Rule, ...] = (
    ("maxTokenCount", semconv.REQUEST_MAX_TOKENS, count),
    ("temperature", semconv.REQUEST_TEMPERATURE, number),
    ("topP", semconv.REQUEST_TOP_P, number),
    ("stopSequences", semconv.REQUEST_STOP_SEQUENCES, texts),
)
_NOVA: tuple[Rule, ...] = (
    ("max_new_tokens", semconv.REQUEST_MAX_TOKENS, count),
    ("temperature", semconv.REQUEST_TEMPERATURE, number),
    ("top_p", semconv.REQUEST_TOP_P, number),
    ("top_k", semconv.REQUEST_TOP_K, number),
    *SETTINGS,
)


def add_asked(found: dict[str, Any], body: Mapping[str, Any]) -> None:
    """Parameters and tools of a request."""
    take(found, body, _ASKED)
    take(found, members(body.get("textGenerationConfig")), _TITAN)
    take(found, members(body.get("inferenceConfig")), _NOVA)
    tools = items(body.get("tools")) or items(body.get("toolConfig"), "tools")
    add_sent(found, [members(each).get("toolSpec") or each for each in tools])


_LIMITS = (
    ("max_tokens",),
    ("max_completion_tokens",),
    ("max_tokens_to_sample",),
    ("max_gen_len",),
    ("inferenceConfig", "max_new_tokens"),
    ("inferenceConfig", "maxTokens"),
    ("textGenerationConfig", "maxTokenCount"),
)
_VENDOR = re.compile(
    r"(?:.*/)?(?:(?:us|us-gov|eu|apac|jp|au|ca|in|sa|me|global)\.)?(?P<vendor>[a-z0-9]+)\.[^/]+"
)
"""Of a model's id, which may stand behind a group of regions:
https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html"""


def dials_of(operation: str, body: Mapping[str, Any]) -> Dials | None:
    """Where a body, with its `modelId` in it, says what it may cost: by its shape, as for reading."""
    if operation not in ("chat", "text_completion"):
        return None
    if "anthropic_version" in body:
        return MESSAGES.dials and MESSAGES.dials._replace(model="modelId", fits=_of_one_vendor)
    stated = tuple(path for path in _LIMITS if get(body, *path) is not None)
    tools = ("toolConfig",) if "toolConfig" in body else ("tools", "tool_choice")
    return Dials(stated or _usual(body), "modelId", tools, fits=_of_one_vendor)


def _usual(body: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    """Where bodies like this one may state a limit; nowhere, where that is not certain."""
    if "inferenceConfig" in body or "schemaVersion" in body:
        return (("inferenceConfig", "maxTokens"),)
    if "inputText" in body:
        return (("textGenerationConfig", "maxTokenCount"),)
    if _vendor(body.get("modelId")) == "meta":
        return (("max_gen_len",),)
    return (("max_tokens",),) if "messages" in body else ()


def _vendor(model_id: Any) -> str | None:
    found = _VENDOR.fullmatch(text(model_id) or "")
    return found["vendor"] if found is not None else None


def _of_one_vendor(model_id: Any, another: str) -> bool:
    """Bodies of different vendors' models differ."""
    vendor = _vendor(another)
    return vendor is not None and vendor == _vendor(model_id)


_ANSWER: tuple[Rule, ...] = (
    ("inputTextTokenCount", semconv.INPUT_TOKENS, count),  # Titan
    ("totalOutputTextTokenCount", semconv.OUTPUT_TOKENS, count),
    ("completionReason", semconv.FINISH_REASONS, texts),
    ("prompt_token_count", semconv.INPUT_TOKENS, count),  # Llama
    ("generation_token_count", semconv.OUTPUT_TOKENS, count),
    ("stop_reason", semconv.FINISH_REASONS, texts),
    ("finish_reason", semconv.FINISH_REASONS, texts),  # Cohere
    ("generation_id", semconv.RESPONSE_ID, text),
    ("id", semconv.RESPONSE_ID, text),
)

_SEVERAL = (
    ("results", "completionReason"),  # Titan
    ("outputs", "stop_reason"),  # Mistral
    ("choices", "stop_reason"),
    ("generations", "finish_reason"),  # Cohere
)
"""Lists of answers, and where each has its reason."""

_BILLED: tuple[Rule, ...] = (
    ("input_tokens", semconv.INPUT_TOKENS, count),
    ("output_tokens", semconv.OUTPUT_TOKENS, count),
    ("search_units", semconv.SEARCH_UNITS, count),
)


def add_body(found: dict[str, Any], body: Mapping[str, Any]) -> None:
    """An answer of any family, or the last values of a stream of one."""
    take(found, body, _ANSWER)
    for name, key in _SEVERAL:
        if reasons := [
            reason for each in items(body.get(name))[:128] if (reason := text(each, key))
        ]:
            found[semconv.FINISH_REASONS] = reasons
    if (total := _summed(items(body.get("results"))[:128])) is not None:
        found[semconv.OUTPUT_TOKENS] = total
    take(found, members(members(body.get("meta")).get("billed_units")), _BILLED)
    usage = members(body.get("usage"))
    if "inputTokens" in usage or "stopReason" in body:  # Nova
        add_answer(found, body)
    elif "choices" in body:
        found.update(CHAT.response(body))
    elif "input_tokens" in usage:  # Claude
        found.update(MESSAGES.response(body))
    _add_trace(found, body)


def _summed(results: Any) -> int | None:
    """Tokens of several answers of Titan, where each states its own."""
    counts = [count(each, "tokenCount") for each in results]
    return count(sum(filter(None, counts))) if counts and None not in counts else None


def _add_trace(found: dict[str, Any], body: Mapping[str, Any]) -> None:
    trace = members(body.get("amazon-bedrock-trace"))
    take(found, trace, ROUTED)
    if body.get("amazon-bedrock-guardrailAction") == "INTERVENED":
        add_intervention(found, trace.get("guardrail"))


METRICS = "amazon-bedrock-invocationMetrics"
"""Where the last chunk of a stream has what Bedrock counted itself."""

_COUNTED: tuple[Rule, ...] = (
    ("outputTokenCount", semconv.OUTPUT_TOKENS, count),
    ("cacheReadInputTokenCount", semconv.CACHE_READ_TOKENS, count),
    ("cacheWriteInputTokenCount", semconv.CACHE_WRITE_TOKENS, count),
)


def add_metrics(found: dict[str, Any], metrics: Any) -> None:
    """Add what Bedrock counted of what the body left open. Cached tokens stand apart in it."""
    counted: dict[str, Any] = {}
    stated = members(metrics)
    take(counted, stated, _COUNTED)
    read = counted.get(semconv.CACHE_READ_TOKENS) or 0
    written = counted.get(semconv.CACHE_WRITE_TOKENS) or 0
    if semconv.INPUT_TOKENS in found:
        counted.pop(semconv.CACHE_READ_TOKENS, None)
        counted.pop(semconv.CACHE_WRITE_TOKENS, None)
    else:
        fresh = count(stated.get("inputTokenCount"))
        total = count(fresh + read + written) if fresh is not None else None
        if total is not None:
            counted[semconv.INPUT_TOKENS] = total
    for name, value in counted.items():
        found.setdefault(name, value)
