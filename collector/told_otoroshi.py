"""Otoroshi's `LLMUsageAudit` events. (foreign names)

https://cloud-apim.github.io/otoroshi-llm-extension/docs/llm-gateway/observability and, for what stands in
an event, https://github.com/cloud-apim/otoroshi-llm-extension (`decorators/auditing.scala`).

Auditing wraps around fallback and load balancing, and what they ask is audited itself: one call has two
events or more, which state the same usage. The one whose `provider` (who answered) is also who reports
(`provider_details.id`) stands; the others are the same call again. What `costs` says is Otoroshi's own
reckoning: it counts where nothing better is known. Prompts and answers are never read.
"""

from __future__ import annotations

import json
from typing import Any

from tollspan import semconv
from tollspan.processors.models import provider_name

from .told import Told, told
from .told_events import Event, attribution, fingerprint

__all__ = ["read"]

SOURCE = "otoroshi"
AUDIT = "LLMUsageAudit"
NOBODYS = "default"
"""What Otoroshi calls the tenant of whoever has none."""

_OPERATIONS = {
    "embedding_model": "embeddings",
    "image_model": "image_generation",
    "video_model": "video_generation",
    "moderation_model": "moderation",
    "ocr_model": "ocr",
    "audio_model/stt": "transcription",
    "audio_model/translate": "translation",
    "audio_model/tts": "speech",
    "completion": "text_completion",
}
"""By how `consumed_using` begins; all else is a chat."""

_INPUT = ("usage.prompt_tokens", "usage.input_tokens")
_OUTPUT = ("usage.generation_tokens", "usage.completion_tokens", "usage.output_tokens")


def read(said: Any, now_ns: int) -> Told | None:
    """The call that an event tells of; None for events of other kinds, and for those that only tell
    again what another told.

    Raises:
        Untold: with what is wrong, by path.
    """
    event = Event(said, now_ns)
    if event.at("audit") != AUDIT:
        return None
    request, id_ = event.text("request_id"), event.text("@id")
    served, reports = event.text("provider"), event.text("provider_details.id")
    again = bool(served and reports and served != reports)
    if again and not request:
        return None  # nothing tells which event it repeats
    event.needs("@id", id_ or request)
    at_ns = event.time("@timestamp")
    event.needs("@timestamp", at_ns)
    took_ms = event.number("duration")
    attributes = _said(event, again)
    event.done()
    took_ns = round(took_ms * 1e6) if took_ms is not None else None
    resource = {semconv.SERVICE_NAME: SOURCE}
    if environment := event.text("@env"):
        resource[semconv.DEPLOYMENT_ENVIRONMENT] = environment
    if semconv.REQUEST_MODEL not in attributes:
        return None  # nobody was asked
    return told(
        SOURCE,
        trace=request or id_ or "",
        key=_identity(request, served, attributes, took_ms) or id_ or "",
        attributes=attributes,
        resource=resource,
        scope=SOURCE,
        start_ns=(at_ns or 0) - (took_ns or 0),
        took_ns=took_ns,
        revision=0 if again else 1,
    )


def _identity(
    request: str | None, served: str | None, said: dict[str, Any], took_ms: float | None
) -> str | None:
    """What the events of one answer have in common; None for those that stand for themselves."""
    if not (request and served):
        return None
    counts = (semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS, semconv.REASONING_TOKENS)
    parts = [request, served, took_ms, *(said.get(name) for name in counts)]
    return json.dumps(parts)


def _said(event: Event, again: bool) -> dict[str, Any]:
    failed = event.at("error") is not None
    used = event.text("consumed_using") or ""
    kind = event.text("provider_details.provider") or event.text("provider_kind")
    if again:
        kind = None  # it is that of whoever passed the call on
    model = event.text("model")
    if model in (None, "--"):
        model = event.text("provider_details.options.model")
    found: dict[str, Any] = {
        semconv.OPERATION: _operation(used),
        semconv.PROVIDER: provider_name(kind.lower()) if kind else None,
        semconv.REQUEST_MODEL: model,
        semconv.REQUEST_STREAM: True if used.endswith("/streaming") else None,
        semconv.STATUS: "error" if failed else "success",
        semconv.ERROR_TYPE: _error(event.at("error")) if failed else None,
        semconv.GATEWAY_NAME: SOURCE,
        semconv.GATEWAY_REQUEST_ID: event.text("request_id"),
        semconv.ENDPOINT_TAG: event.text("route.name"),
        semconv.USER: event.text("user.email") or event.text("user.name"),
        semconv.API_KEY_FINGERPRINT: fingerprint(SOURCE, event.text("apikey.clientId")),
        semconv.MODEL_DEPLOYMENT: event.text("provider"),
        semconv.LIMIT_REQUESTS: event.count("rate_limit.requests_limit"),
        semconv.REMAINING_REQUESTS: event.count("rate_limit.requests_remaining"),
        semconv.LIMIT_TOKENS: event.count("rate_limit.tokens_limit"),
        semconv.REMAINING_TOKENS: event.count("rate_limit.tokens_remaining"),
        semconv.DATA_MODE: "real",
        "otoroshi.consumed_using": used or None,
    }
    tenant = event.text("apikey._loc.tenant") or event.text("route._loc.tenant")
    if tenant != NOBODYS:
        found[semconv.TENANT] = tenant
    _usage(event, found)
    _costs(event, found)
    return attribution({name: value for name, value in found.items() if value is not None})


def _operation(used: str) -> str:
    named = (name for start, name in _OPERATIONS.items() if used.startswith(start))
    return next(named, "chat")


def _usage(event: Event, found: dict[str, Any]) -> None:
    """Embeddings and images state it in the answer, in the provider's own words."""
    source, output = event, event.at("output")
    if event.at("usage") is None and isinstance(output, dict):
        source = event.inside("output")
        found.setdefault(semconv.REQUEST_MODEL, None)
        found[semconv.REQUEST_MODEL] = found[semconv.REQUEST_MODEL] or source.text("model")
    used = _first(source, _INPUT)
    made = _first(source, _OUTPUT)
    thought = source.count("usage.reasoning_tokens")
    if thought and made is not None and thought > made:
        made += thought  # it is not a part of the others, then
        found[semconv.USAGE_UNTRUSTED] = True
    found[semconv.INPUT_TOKENS], found[semconv.OUTPUT_TOKENS] = used, made
    found[semconv.REASONING_TOKENS] = thought
    if isinstance(output, dict) and isinstance(metadata := output.get("metadata"), dict):
        cache = metadata.get("cache")
        if isinstance(cache, dict) and str(cache.get("status", "")).lower() == "hit":
            found[semconv.CACHE_HIT] = True


def _first(event: Event, paths: tuple[str, ...]) -> int | None:
    return next((found for path in paths if (found := event.count(path)) is not None), None)


def _costs(event: Event, found: dict[str, Any]) -> None:
    total, currency = event.number("costs.total_cost"), event.text("costs.currency")
    if total is not None and (currency or "usd").lower() in ("usd", "dollar", "dollars", "$"):
        found["gen_ai.usage.cost"] = total


def _error(error: Any) -> str:
    """A word for it: what a body says may quote the prompt."""
    if isinstance(error, dict):
        inner = error.get("error")
        for each in (error, inner if isinstance(inner, dict) else {}):
            for name in ("type", "code", "status"):
                word = each.get(name)
                word = str(word) if isinstance(word, (str, int)) else ""
                if 0 < len(word) <= 64 and word.isprintable() and " " not in word:
                    return word
        if "exception" in error:
            return "exception"
    return "_OTHER"
