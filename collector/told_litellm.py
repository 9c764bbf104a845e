"""LiteLLM's spend logs, and its standard logging payloads. (foreign names)

Rows of `/spend/logs` (`SpendLogsPayload`, https://docs.litellm.ai/docs/proxy/cost_tracking) and what its
callbacks send (`StandardLoggingPayload`, https://docs.litellm.ai/docs/proxy/logging_spec); both as of
LiteLLM 1.106. `spend` is LiteLLM's own reckoning: it counts where nothing better is known. Of a failed
call no tokens is not none. Messages and answers are never read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tollspan import semconv
from tollspan.attribution import cleaned
from tollspan.processors.models import provider_name

from .told import Told, told
from .told_events import Event, attribution, fingerprint

__all__ = ["read"]

SOURCE = "litellm"
SCOPE = "litellm.spend_logs"
MOST_TAGS = 32

_OPERATIONS = {
    "embedding": "embeddings",
    "text_completion": "text_completion",
    "rerank": "rerank",
    "image_generation": "image_generation",
    "image_edit": "image_generation",
    "transcription": "transcription",
    "speech": "speech",
    "moderation": "moderation",
    "ocr": "ocr",
}
"""By `call_type`, `a` in front for async left out; all else is a chat."""


def read(said: Any, now_ns: int) -> Told | None:
    """The call that a row or a payload tells of; None where it tells of no model.

    Raises:
        Untold: with what is wrong, by path.
    """
    event = Event(said, now_ns)
    is_row = event.at("request_id") is not None
    id_ = event.text("request_id" if is_row else "id")
    event.needs("request_id" if "spend" in _names(said) else "id", id_)
    call_id = event.text("litellm_call_id")
    begun = event.time("startTime", in_seconds=True)
    event.needs("startTime", begun)
    ended = event.time("endTime", in_seconds=True)
    if begun and ended and ended < begun:
        ended = None
    details = event.inside("metadata")
    attributes = _said(event, details, id_, call_id, is_row=is_row)
    _first_token(event, attributes, begun, ended)
    event.done()
    if semconv.REQUEST_MODEL not in attributes:
        return None
    return told(
        SOURCE,
        trace=call_id or id_ or "",
        key=id_ or "",
        attributes=attributes,
        resource={semconv.SERVICE_NAME: SOURCE},
        scope=SCOPE,
        start_ns=begun or 0,
        took_ns=ended - begun if ended and begun else None,
    )


def _names(said: Any) -> Mapping[str, Any]:
    return said if isinstance(said, Mapping) else {}


def _said(
    event: Event, details: Event, id_: str | None, call_id: str | None, *, is_row: bool
) -> dict[str, Any]:
    failed = event.text("status") == "failure"
    hit = event.flag("cache_hit") is True
    group, model = event.text("model_group"), event.text("model")
    maker = event.text("custom_llm_provider")
    key = event.text("api_key") if is_row else details.text("user_api_key_hash")
    user = event.text("user") if is_row else details.text("user_api_key_user_id")
    found: dict[str, Any] = {
        semconv.OPERATION: _operation(event.text("call_type") or ""),
        semconv.PROVIDER: provider_name(maker) if maker else None,
        semconv.REQUEST_MODEL: group or model,
        "litellm.model_group": group,
        "litellm.provider.model": _deployed(maker, model),
        "litellm.call_id": call_id,
        semconv.MODEL_DEPLOYMENT: event.text("model_id"),
        semconv.RESPONSE_ID: None if failed or hit or id_ == call_id else id_,
        semconv.REQUEST_STREAM: event.flag("stream") or None,
        semconv.STATUS: "error" if failed else "success",
        semconv.GATEWAY_NAME: SOURCE,
        semconv.GATEWAY_REQUEST_ID: call_id,
        semconv.CACHE_HIT: True if hit else None,
        semconv.TENANT: event.text("organization_id") or details.text("user_api_key_org_id"),
        semconv.USER: event.text("end_user") or user,
        semconv.SESSION: event.text("session_id"),
        semconv.API_KEY_FINGERPRINT: fingerprint(SOURCE, key),
        semconv.DATA_MODE: "real",
        f"{semconv.TAG_PREFIX}team": details.text("user_api_key_team_alias")
        or event.text("team_id")
        or details.text("user_api_key_team_id"),
    }
    if failed:
        error = details if is_row else event
        found[semconv.ERROR_TYPE] = (
            error.text("error_information.error_class")
            or error.text("error_information.error_code")
            or "_OTHER"
        )
    else:
        _usage(event, details, found)
        found["litellm.cost.total"] = event.number("spend" if is_row else "response_cost")
    found |= _tags(event.at("request_tags"))
    return attribution({name: value for name, value in found.items() if value is not None})


def _operation(call_type: str) -> str:
    return _OPERATIONS.get(call_type) or _OPERATIONS.get(call_type.removeprefix("a")) or "chat"


def _deployed(maker: str | None, model: str | None) -> str | None:
    if not (maker and model):
        return model
    return model if model.startswith(f"{maker}/") else f"{maker}/{model}"


def _usage(event: Event, details: Event, found: dict[str, Any]) -> None:
    found[semconv.INPUT_TOKENS] = event.count("prompt_tokens")
    found[semconv.OUTPUT_TOKENS] = event.count("completion_tokens")
    used, more = "usage_object", "additional_usage_values"
    found[semconv.CACHE_READ_TOKENS] = _positive(
        details.count(f"{used}.prompt_tokens_details.cached_tokens"),
        details.count(f"{used}.cache_read_input_tokens"),
        details.count(f"{more}.cache_read_input_tokens"),
    )
    found[semconv.CACHE_WRITE_TOKENS] = _positive(
        details.count(f"{used}.cache_creation_input_tokens"),
        details.count(f"{more}.cache_creation_input_tokens"),
    )
    found[semconv.REASONING_TOKENS] = _positive(
        details.count(f"{used}.completion_tokens_details.reasoning_tokens"),
    )
    for path, name in _PARTS:
        found[name] = _positive(details.count(f"{used}.{path}"))
    found[semconv.WEB_SEARCHES] = _positive(
        details.count(f"{used}.server_tool_use.web_search_requests"),
        details.count(f"{used}.prompt_tokens_details.web_search_requests"),
    )
    # The tier that was reckoned by; payloads have the breakdown beside their metadata.
    found[semconv.SERVICE_TIER] = (
        details.text("cost_breakdown.service_tier")
        or event.text("cost_breakdown.service_tier")
        or details.text(f"{used}.service_tier")
    )


_PARTS = (
    ("prompt_tokens_details.audio_tokens", semconv.AUDIO_INPUT_TOKENS),
    ("prompt_tokens_details.image_tokens", semconv.IMAGE_INPUT_TOKENS),
    ("completion_tokens_details.audio_tokens", semconv.AUDIO_OUTPUT_TOKENS),
    ("completion_tokens_details.image_tokens", semconv.IMAGE_OUTPUT_TOKENS),
    (
        "prompt_tokens_details.cache_creation_token_details.ephemeral_5m_input_tokens",
        semconv.CACHE_WRITE_5M_TOKENS,
    ),
    (
        "prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
        semconv.CACHE_WRITE_1H_TOKENS,
    ),
)


def _positive(*counts: int | None) -> int | None:
    """The first that counts something: 0 is also what is written for what is not known."""
    return next((count for count in counts if count), None)


def _tags(stated: Any) -> dict[str, str]:
    """`["team:growth", "beta"]`, which rows hold as text; those that are no pairs are their own."""
    if isinstance(stated, str):
        with suppress(ValueError, RecursionError):
            stated = json.loads(stated)
    found: dict[str, str] = {}
    for each in stated[:MOST_TAGS] if isinstance(stated, list) else ():
        if isinstance(each, str) and (clean := cleaned("", each)):
            name, sign, value = clean.partition(":")
            if not (sign and name.strip() and value.strip()):
                name, value = clean, "true"
            found[semconv.TAG_PREFIX + name.strip()[:64]] = value.strip()
    return found


def _first_token(event: Event, found: dict[str, Any], begun: int | None, ended: int | None) -> None:
    first = event.time("completionStartTime", in_seconds=True)
    if first and begun and begun < first and (ended is None or first < ended):
        found[semconv.TIME_TO_FIRST_CHUNK] = (first - begun) / 1e9
