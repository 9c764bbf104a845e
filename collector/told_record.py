"""The no-proxy contract: a finished call as one JSON object, from any language.

Names are camelCase; the same in snake_case are read too, and those of `tollspan.record`. Validation is
strict: what is not known is an error that says where it stands, and what was probably meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

from tollspan import semconv
from tollspan import told as rules
from tollspan.attribution import cleaned
from tollspan.config import DATA_MODES
from tollspan.processors.models import provider_name, split

from .told import MOST_REVISIONS, Fault, NoTime, Told, Untold, nanoseconds, told

__all__ = ["FIELDS", "REQUIRED", "read"]

Rule = Callable[[str, Any], Any]
SOURCE = "record"
OF_AN_EXPORT = "tollspan"
"""Member of the lines of `/v1/usage/export`, for who restores a ledger from them."""
MOST_TAGS = 32
_MOST_ATTEMPTS = 10_000


def _id(field: str, value: Any) -> str:
    return rules.word(field, value, required=True) or ""


def _flag(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise rules.WrongField(field, f"{field}={rules.shown(value)} is neither true nor false")
    return value


def _cost(field: str, value: Any) -> float | None:
    """A decimal as text keeps all its digits on the way here."""
    if isinstance(value, str):
        try:
            value = Decimal(value)
        except InvalidOperation:
            raise rules.WrongField(field, f"{field}={rules.shown(value)} is not a number") from None
    found = rules.amount(field, value)
    if found is not None and found >= 1_000_000:
        raise rules.WrongField(field, f"{field} is a million dollars or more for one call")
    return found


def _number(most: int) -> Rule:
    def rule(field: str, value: Any) -> int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not 0 <= value < most:
            raise rules.WrongField(
                field, f"{field}={rules.shown(value)} is not a whole number from 0 to {most - 1}"
            )
        return int(value)

    return rule


def _mode(field: str, value: Any) -> str:
    if value not in DATA_MODES:
        raise rules.WrongField(
            field, f"{field}={rules.shown(value)} is unknown: write one of {', '.join(DATA_MODES)}"
        )
    return str(value)


def _tags(field: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise rules.WrongField(field, f"{field} is not an object of names and values")
    if len(value) > MOST_TAGS:
        raise rules.WrongField(field, f"{field} holds more than {MOST_TAGS} tags")
    found: dict[str, str] = {}
    for key, each in value.items():
        if isinstance(each, (Mapping, list)) or not key.strip():
            raise rules.WrongField(
                f"{field}.{key[:64]}", f"{field}.{key[:64]} is not a name with a plain value"
            )
        text = {True: "true", False: "false"}.get(each) if isinstance(each, bool) else each
        name, clean = cleaned("", key), cleaned("", text)
        if name is not None and clean is not None:
            found[semconv.TAG_PREFIX + name[:64]] = clean
    return found


def _any(field: str, value: Any) -> Any:
    """Looked at later, together with others."""
    return value


FIELDS: Mapping[str, tuple[str, Rule]] = {
    "externalRequestId": (semconv.REQUEST_ID, _id),
    "provider": (semconv.PROVIDER, _id),
    "model": (semconv.REQUEST_MODEL, _id),
    "operation": (semconv.OPERATION, _id),
    "responseModel": (semconv.RESPONSE_MODEL, rules.word),
    "responseId": (semconv.RESPONSE_ID, rules.word),
    "endpointTag": (semconv.ENDPOINT_TAG, rules.word),
    "promptName": (semconv.PROMPT_NAME, rules.word),
    "promptVersion": (semconv.PROMPT_VERSION, rules.word),
    "tenantId": (semconv.TENANT, rules.word),
    "userId": (semconv.USER, rules.word),
    "sessionId": (semconv.SESSION, rules.word),
    "tags": ("", _tags),
    "inputTokens": (semconv.INPUT_TOKENS, rules.count),
    "outputTokens": (semconv.OUTPUT_TOKENS, rules.count),
    "cacheReadTokens": (semconv.CACHE_READ_TOKENS, rules.count),
    "cacheWriteTokens": (semconv.CACHE_WRITE_TOKENS, rules.count),
    "reasoningTokens": (semconv.REASONING_TOKENS, rules.count),
    "costUsd": (semconv.COST_REPORTED, _cost),
    "serviceTier": (semconv.SERVICE_TIER, rules.word),
    "latencyMs": ("", rules.milliseconds),
    "timeToFirstTokenMs": ("", rules.milliseconds),
    "timestamp": ("", _any),
    "status": ("", _any),
    "errorType": (semconv.ERROR_TYPE, rules.word),
    "finishReasons": (semconv.FINISH_REASONS, rules.words),
    "streaming": (semconv.REQUEST_STREAM, _flag),
    "toolCalls": (semconv.TOOLS_CALLED, _number(2**31)),
    "attempts": (semconv.APP_ATTEMPTS, _number(_MOST_ATTEMPTS)),
    "cacheHit": (semconv.CACHE_HIT, _flag),
    "fallback": (semconv.FALLBACK, _flag),
    "serverAddress": (semconv.SERVER_ADDRESS, rules.word),
    "gateway": (semconv.GATEWAY_NAME, rules.word),
    "gatewayRequestId": (semconv.GATEWAY_REQUEST_ID, rules.word),
    "dataMode": (semconv.DATA_MODE, _mode),
    "environment": ("", rules.word),
    "service": ("", rules.word),
    "revision": ("", _number(MOST_REVISIONS)),
}
"""Each field: the attribute that it becomes, and what its value has to be."""

REQUIRED = {
    "externalRequestId": "without it a record that is sent twice would count twice",
    "provider": "write who was asked: openai, anthropic, aws.bedrock, …",
    "model": "write the model that was asked for",
}
_OTHER_NAMES = {
    "request_id": "externalRequestId",
    "endpoint": "endpointTag",
    "prompt": "promptName",
    "tenant": "tenantId",
    "user": "userId",
    "session": "sessionId",
    "time_to_first_chunk_ms": "timeToFirstTokenMs",
    "timeToFirstChunkMs": "timeToFirstTokenMs",
}
_BY_NAME = (
    {name: name for name in FIELDS}
    | {re.sub("([A-Z])", r"_\1", name).lower(): name for name in FIELDS}
    | _OTHER_NAMES
)


def read(record: Any, now_ns: int) -> Told:
    """The call that `record`, parsed JSON, tells of. `now_ns`: it can have been no later.

    Raises:
        Untold: with all that is wrong with it.
    """
    if not isinstance(record, Mapping):
        raise Untold([Fault("", "a record is a JSON object")])
    faults: list[Fault] = []
    values, spelled = _named(record, faults)
    found: dict[str, Any] = {}
    for name, value in values.items():
        _, rule = FIELDS[name]
        try:
            found[name] = rule(spelled[name], value)
        except rules.WrongField as wrong:
            faults.append(Fault(wrong.field, str(wrong)))
    _together(found, spelled, now_ns, faults)
    if faults:
        raise Untold(faults)
    return _told(found)


def _named(record: Mapping[Any, Any], faults: list[Fault]) -> tuple[dict[str, Any], dict[str, str]]:
    """Values by the names of `FIELDS`, null left out; and how each was spelled."""
    values: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    for given, value in record.items():
        name = _BY_NAME.get(given)
        if given == OF_AN_EXPORT:
            continue
        if name is None:
            faults.append(Fault(given[:64], _unknown(given[:64])))
        elif name in spelled:
            faults.append(Fault(given, f"{given} is {spelled[name]} again: write one of them"))
        else:
            spelled[name] = given
            if value is not None:
                values[name] = value
    for name, why in REQUIRED.items():
        if name not in values:
            faults.append(Fault(spelled.get(name, name), f"{name} is missing: {why}"))
    return values, spelled


def _unknown(given: str) -> str:
    near = get_close_matches(given, _BY_NAME, n=1, cutoff=0.6)
    meant = f"did you mean {near[0]}?" if near else "put what has no field under tags"
    return f"{given} is unknown: {meant}"


def _together(
    found: dict[str, Any], spelled: Mapping[str, str], now_ns: int, faults: list[Fault]
) -> None:
    """What fields say of one another, and the time."""
    try:
        at = spelled.get("inputTokens", "inputTokens")
        parts = found.get("cacheReadTokens"), found.get("cacheWriteTokens")
        rules.included(at, found.get("inputTokens"), *parts)
        at = spelled.get("outputTokens", "outputTokens")
        rules.included(at, found.get("outputTokens"), found.get("reasoningTokens"))
        first, latency = found.get("timeToFirstTokenMs"), found.get("latencyMs")
        if first is not None and latency is not None and first > latency:
            at = spelled["timeToFirstTokenMs"]
            raise rules.WrongField(at, f"{at}={first:g} is more than the latency, {latency:g}")
        at = spelled.get("status", "status")
        found["status"] = rules.status(at, found.get("status"), found.get("errorType"))
    except rules.WrongField as wrong:
        faults.append(Fault(wrong.field, str(wrong)))
    if "timestamp" in found:
        at = spelled["timestamp"]
        try:
            found["timestamp"] = nanoseconds(found["timestamp"], now_ns)
        except NoTime as wrong:
            faults.append(Fault(at, f"{at}={rules.shown(found['timestamp'])} {wrong}"))


def _told(found: Mapping[str, Any]) -> Told:
    said: dict[str, Any] = {
        attribute: found.get(name) for name, (attribute, _) in FIELDS.items() if attribute
    }
    said |= found.get("tags", {})
    said[semconv.PROVIDER], said[semconv.REQUEST_MODEL] = _asked(found["provider"], found["model"])
    for name in (semconv.ENDPOINT_TAG, semconv.PROMPT_NAME, semconv.PROMPT_VERSION):
        said[name] = cleaned(name, said[name])
    for name in (semconv.TENANT, semconv.USER, semconv.SESSION):
        said[name] = cleaned(name, said[name])
    said[semconv.OPERATION] = found.get("operation", "chat")
    said[semconv.DATA_MODE] = found.get("dataMode", "real")
    said[semconv.STATUS] = found["status"]
    if found["status"] == "error" and not said[semconv.ERROR_TYPE]:
        said[semconv.ERROR_TYPE] = "_OTHER"
    if (first_ms := found.get("timeToFirstTokenMs")) is not None:
        said[semconv.TIME_TO_FIRST_CHUNK] = first_ms / 1000
        said[semconv.REQUEST_STREAM] = True
    latency_ms = found.get("latencyMs")
    resource = {
        semconv.SERVICE_NAME: found.get("service"),
        semconv.DEPLOYMENT_ENVIRONMENT: found.get("environment"),
    }
    return told(
        SOURCE,
        trace=found["externalRequestId"],
        key=found["externalRequestId"],
        attributes=said,
        resource={name: value for name, value in resource.items() if value},
        scope=semconv.TOLD_SCOPE,
        start_ns=found.get("timestamp", 0),
        took_ns=round(latency_ms * 1e6) if latency_ms is not None else None,
        revision=found.get("revision", 0),
        identity="externalRequestId",
    )


def _asked(provider: str, model: str) -> tuple[str, str]:
    """Both as the conventions name them: `openai/gpt-4o` of `OpenAI` is `gpt-4o`.

    A gateway that names models by their makers keeps its names.
    """
    provider = provider_name(provider)
    maker, bare = split(model)
    return provider, bare if maker == provider else model
