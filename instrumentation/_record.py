"""`tollspan.record`: a call that nobody patches, told by the application itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from time import time_ns
from typing import Any

from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from tollspan import semconv, told
from tollspan.attribution import attribute
from tollspan.config import settings
from tollspan.guard import quietly

from ._call import Call
from ._patching import tracer
from ._spec import Surface

__all__ = ["record"]

_SURFACES: dict[str, Surface] = {}


def record(
    *,
    provider: str,
    model: str,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    latency_ms: float | None = None,
    operation: str = "chat",
    response_model: str | None = None,
    response_id: str | None = None,
    cache_read_tokens: int | None = None,
    cache_write_tokens: int | None = None,
    reasoning_tokens: int | None = None,
    service_tier: str | None = None,
    finish_reasons: Sequence[str] | None = None,
    time_to_first_chunk_ms: float | None = None,
    cost_usd: float | Decimal | None = None,
    status: str | None = None,
    error_type: str | None = None,
    server_address: str | None = None,
    endpoint: str | None = None,
    prompt: str | None = None,
    prompt_version: str | None = None,
    tenant: str | None = None,
    user: str | None = None,
    session: str | None = None,
    request_id: str | None = None,
    data_mode: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Record one finished LLM call: a span that ends now and began `latency_ms` ago.

    For calls that tollspan does not see by itself, such as those made with a plain HTTP client.
    Cost, metrics and attribution are those of any other call. What is not known is left out: no
    tokens is unknown, not zero.

    Args:
        provider: who was asked, as in `gen_ai.provider.name`: `openai`, `anthropic`, `aws.bedrock`.
        model: the model asked for; `response_model` is the one that the answer names.
        input_tokens: all of the input, `cache_read_tokens` and `cache_write_tokens` included.
        output_tokens: all of the output, `reasoning_tokens` included.
        latency_ms: how long the call took.
        operation: `chat`, `text_completion`, `embeddings`, … as in `gen_ai.operation.name`.
        service_tier: the tier that was served.
        time_to_first_chunk_ms: of a streamed answer.
        cost_usd: what the provider or a gateway says that it cost; it beats the derived cost.
        status: `success`, `error`, `cancelled`, `abandoned` or `blocked`; with an `error_type`
            and no status, `error`.
        error_type: class of the exception, or HTTP status.
        endpoint, prompt, prompt_version, tenant, user, session, request_id, data_mode, tags:
            as for `tollspan.attribute`; what is left out comes from the context.

    Raises:
        ValueError: an argument makes no sense, such as a negative count. This is the one place
            where tollspan raises at its caller, and it never depends on data of the call's answer
            other than what is given here.
    """
    found: dict[str, Any] = {
        semconv.INPUT_TOKENS: told.count("input_tokens", input_tokens),
        semconv.OUTPUT_TOKENS: told.count("output_tokens", output_tokens),
        semconv.CACHE_READ_TOKENS: told.count("cache_read_tokens", cache_read_tokens),
        semconv.CACHE_WRITE_TOKENS: told.count("cache_write_tokens", cache_write_tokens),
        semconv.REASONING_TOKENS: told.count("reasoning_tokens", reasoning_tokens),
        semconv.RESPONSE_MODEL: told.word("response_model", response_model),
        semconv.RESPONSE_ID: told.word("response_id", response_id),
        semconv.SERVICE_TIER: told.word("service_tier", service_tier),
        semconv.FINISH_REASONS: told.words("finish_reasons", finish_reasons),
        semconv.COST_REPORTED: told.amount("cost_usd", cost_usd),
        semconv.ERROR_TYPE: told.word("error_type", error_type),
    }
    told.included("input_tokens", input_tokens, cache_read_tokens, cache_write_tokens)
    told.included("output_tokens", output_tokens, reasoning_tokens)
    latency = told.milliseconds("latency_ms", latency_ms)
    first_chunk = told.milliseconds("time_to_first_chunk_ms", time_to_first_chunk_ms)
    if first_chunk is not None:
        if latency is not None and first_chunk > latency:
            raise told.WrongField(
                "time_to_first_chunk_ms",
                f"time_to_first_chunk_ms={first_chunk} is more than latency_ms={latency}",
            )
        found[semconv.TIME_TO_FIRST_CHUNK] = first_chunk / 1000
    ended = told.status("status", status, error_type)
    if ended == "error" and error_type is None:
        found[semconv.ERROR_TYPE] = "_OTHER"
    asked: dict[str, Any] = {
        semconv.PROVIDER: told.word("provider", provider, required=True),
        semconv.REQUEST_MODEL: told.word("model", model, required=True),
        semconv.SERVER_ADDRESS: told.word("server_address", server_address),
        semconv.REQUEST_STREAM: None if first_chunk is None else True,
    }
    surface = _surface(told.word("operation", operation, required=True) or "")
    block = attribute(
        endpoint=endpoint,
        prompt=prompt,
        prompt_version=prompt_version,
        tenant=tenant,
        user=user,
        session=session,
        request_id=request_id,
        data_mode=data_mode,
        tags=tags,
    )
    if settings().disabled or not is_instrumentation_enabled():
        return
    with quietly:
        start_ns = time_ns() - round((latency or 0) * 1e6)
        with block:
            call = Call.start(tracer(), surface, asked, start_ns=start_ns)
        call.end(ended, found, found[semconv.ERROR_TYPE])


def _surface(operation: str) -> Surface:
    known = _SURFACES.get(operation)
    if known is None:
        known = Surface(operation, request=_nothing, response=_nothing)
        if len(_SURFACES) < 64:
            _SURFACES[operation] = known
    return known


def _nothing(_: object) -> dict[str, Any]:
    """Nothing is read: everything was told."""
    return {}
