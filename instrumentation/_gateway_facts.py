"""What the bodies of gateways show of them: answers, errors, and the config that asked for them.

OpenRouter: https://openrouter.ai/docs/guides/routing/routers/router-metadata
Foundry: https://learn.microsoft.com/azure/foundry/openai/how-to/model-router
TensorZero: https://www.tensorzero.com/docs/gateway/api-reference/inference-openai-compatible
Portkey: https://portkey.ai/docs/product/guardrails
LiteLLM's sentences: `litellm/router_utils/common_utils.py`, `litellm/exceptions.py` of 1.106.2
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tollspan import semconv

from ._read import get, items, members, text

__all__ = ["SHOWN_BY", "failure", "filtered", "strategy", "tell"]

_MOST = 999
_LONGEST = 65_536
"""Characters of a message or a config that are looked at."""


def _openrouter(found: dict[str, Any], value: Any) -> None:
    found[semconv.GATEWAY_STATED] = "openrouter"
    metadata = members(value)
    attempts = len(items(metadata.get("attempts"))) or metadata.get("attempt")
    if type(attempts) is int and 0 < attempts <= _MOST:
        found[semconv.GATEWAY_ATTEMPTS] = attempts
    if (chosen := text(metadata.get("strategy"))) is not None and len(chosen) <= 40:
        found[semconv.GATEWAY_STRATEGY] = chosen


def _foundry(found: dict[str, Any], value: Any) -> None:
    found[semconv.GATEWAY_STATED] = "foundry-model-router"
    details = members(members(value).get("model_router_details") or value)
    attempts = sum(
        len(items(members(each).get("attempts"))) for each in items(details, "routing_trace")[:32]
    )
    if 0 < attempts <= _MOST:
        found[semconv.GATEWAY_ATTEMPTS] = attempts


def _tensorzero(found: dict[str, Any], value: Any) -> None:
    if text(value) is not None:
        found[semconv.GATEWAY_STATED] = "tensorzero"


def _hooks(found: dict[str, Any], value: Any) -> None:
    """Of an answer that came all the same."""
    verdicts = [
        members(hook).get("verdict")
        for place in ("before_request_hooks", "after_request_hooks")
        for hook in items(members(value).get(place))[:64]
    ]
    if verdicts:
        found[semconv.GATEWAY_STATED] = "portkey"
        found[semconv.GUARDRAIL] = "warned" if False in verdicts else "passed"


_SHOWN: Mapping[str, Callable[[dict[str, Any], Any], None]] = {
    "episode_id": _tensorzero,
    "hook_results": _hooks,
    "model_selection_details": _foundry,
    "openrouter_metadata": _openrouter,
}
SHOWN_BY = frozenset(_SHOWN)
"""Keys of a body that `tell` reads."""


def tell(found: dict[str, Any], body: Mapping[str, Any]) -> None:
    """Add to `found` what the body of an answer, or a chunk of one, shows of a gateway."""
    if SHOWN_BY.isdisjoint(body):
        return
    for key, read in _SHOWN.items():
        if (value := body.get(key)) is not None:
            read(found, value)


# --- errors ---------------------------------------------------------------------------------------

_LITELLM_TYPES = frozenset(
    {
        "agent_model_access_denied",
        "budget_exceeded",
        "customer_model_access_denied",
        "key_model_access_denied",
        "no_db_connection",
        "org_model_access_denied",
        "project_model_access_denied",
        "team_model_access_denied",
        "token_not_found_in_db",
        "user_model_access_denied",
    }
)
"""`ProxyErrorTypes` that nobody else has: the proxy refuses before it knows its own headers."""

_INTERACTIVE_TYPES = frozenset({"BackendError", "RateLimitExceededError", "RoutingError"})
_TENSORZERO = ("All variants failed with errors", "All model providers failed to infer")
_RETRIED = r"LiteLLM Retried: (\d{1,2}) times, LiteLLM Max Retries: (\d{1,2})\Z"
_CUT_OFF = (
    r"litellm\.\w{1,40}: (?:\w{1,40}: )?\w{1,40} - (?:Connection error\.|Cannot connect to host )"
)
_STATUS_BEHIND = r": Error (\d{3}) [A-Z][A-Za-z ]{1,40} from \w{1,40} (?:client|server): "
_FAILED_BEHIND = r": Error from \w{1,40} server: "


def failure(error: BaseException) -> dict[str, Any]:
    """What the error of an SDK shows of a gateway: which one, and how often it says that it asked."""
    body = get(error, "body")
    said = get(body, "error") or body  # the openai SDK keeps the inner part, anthropic's all of it
    found: dict[str, Any] = {}
    kind, message = text(said, "type"), get(said, "message")
    message = message[:_LONGEST] if isinstance(message, str) else ""
    if kind in _LITELLM_TYPES or "LiteLLM: model group '" in message or _is_refused(kind, message):
        _of_litellm(found, message)
    elif message.startswith(_TENSORZERO):
        _of_tensorzero(found, message)
    elif str(get(body, "html-message")).startswith("Message: fetch failed"):
        found[semconv.GATEWAY_STATED] = "portkey"
        found[semconv.GATEWAY_CUT_OFF] = True
    elif get(body, "status") == "failure" and message.startswith(("Invalid config", "Either x-p")):
        found[semconv.GATEWAY_STATED] = "portkey"
    elif text(body, "detail", "type") in _INTERACTIVE_TYPES:
        found[semconv.GATEWAY_STATED] = "llm-interactive-proxy"
    return found


def _is_refused(kind: str | None, message: str) -> bool:
    """Whether LiteLLM refuses the application's own key."""
    return kind == "auth_error" and message.startswith("Authentication Error")


def _of_litellm(found: dict[str, Any], message: str) -> None:
    """Its last sentence counts the retries of the last group; a fallback group was asked besides.

    https://docs.litellm.ai/docs/routing
    """
    found[semconv.GATEWAY_STATED] = "litellm"
    if re.match(_CUT_OFF, message) is not None:
        found[semconv.GATEWAY_CUT_OFF] = True
    attempts = 1
    ending = message[message.rfind("\n\nLiteLLM: model group '") :]
    if " also failed: " in ending and "Fallback to " in ending:
        attempts += 1
    counted = re.search(_RETRIED, ending)
    if counted is not None and int(counted[1]) <= int(counted[2]):
        attempts += int(counted[1])
    if attempts > 1:
        found[semconv.GATEWAY_ATTEMPTS] = attempts


def _of_tensorzero(found: dict[str, Any], message: str) -> None:
    """It names every provider that it asked, with the id and the status of each answer."""
    found[semconv.GATEWAY_STATED] = "tensorzero"
    statuses = [int(each) for each in re.findall(_STATUS_BEHIND, message)]
    failed = len(re.findall(_FAILED_BEHIND, message))
    if 0 < len(statuses) + failed <= _MOST:
        found[semconv.GATEWAY_ATTEMPTS] = len(statuses) + failed
        found[semconv.GATEWAY_UPSTREAM_STATUS] = 500 if failed else statuses[-1]


_FILTERED = (
    r"litellm\.ContentPolicyViolationError"
    r"|The response was filtered due to the prompt triggering"
    r'|"code": ?"content_filter"'
)


def filtered(message: Any) -> bool:
    """Whether a gateway repeats in its own error that a model refused the prompt.

    LiteLLM and TensorZero put another code in the place of the provider's.
    """
    return (
        isinstance(message, str)
        and message.startswith(("litellm.", *_TENSORZERO))
        and re.search(_FILTERED, message[:_LONGEST]) is not None
    )


# --- what was asked for ---------------------------------------------------------------------------

_MODES = frozenset({"conditional", "fallback", "loadbalance", "single"})
_TARGET = r"\.targets\[(\d{1,3})\]"


def strategy(config: Any, index: str) -> str | None:
    """Portkey's modes on the way to the target `index`, outermost first: `fallback>loadbalance`.

    `config` is the request's own `x-portkey-config`, which holds keys: nothing else of it is read.
    None where it is the id of a saved config, or cannot be read.
    """
    if not isinstance(config, str) or not config.startswith("{") or len(config) > _LONGEST:
        return None
    try:
        level: Any = json.loads(config)
    except (ValueError, RecursionError):
        return None
    modes: list[str] = []
    for place in re.findall(_TARGET, index)[:4]:
        mode = text(level, "strategy", "mode")
        modes.append(mode if mode in _MODES else "unknown")
        targets = items(level, "targets")
        level = targets[int(place)] if int(place) < len(targets) else None
    return ">".join(modes) or None
