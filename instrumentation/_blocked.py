"""What a filter or guardrail kept from the caller: refused prompts, stopped and withheld answers."""

from __future__ import annotations

from typing import Any

from tollspan import semconv
from tollspan.calls import Refusal

from ._read import get, items, text
from ._spec import Attributes

__all__ = ["refusal", "stopped"]

_REASONS = frozenset({"content_filter", "refusal"})
"""OpenAI's and Azure's finish reason; Anthropic's stop reason of its streaming classifiers."""

_CODES = frozenset({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"})
"""Error codes of Azure and OpenAI: https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter"""

_PLACES = ((), ("body",), ("body", "innererror"), ("body", "error"))
"""Where the SDK's exceptions keep the code, and a guardrail what it says of itself."""

_STAGES = {
    "pre_call": "before",
    # Both leave an answer that was paid for: the second runs beside the model.
    "post_call": "after",
    "during_call": "after",
}
"""LiteLLM: https://docs.litellm.ai/docs/proxy/guardrails/quick_start"""

_HOOKS_FAILED = 446
"""Portkey: https://portkey.ai/docs/product/guardrails"""


def refusal(error: BaseException) -> Attributes | None:
    """Who blocked the call, and whether before or after the model ran, by what OpenAI, Azure,
    LiteLLM and Portkey put on errors; None where nobody did."""
    if isinstance(error, Refusal):
        return {**error.attributes, semconv.BLOCKED_BY: "app"}
    for place in _PLACES:
        guard = get(error, *place, "provider_specific_fields")
        if text(guard, "guardrail_name") is not None:
            return _by_proxy(_STAGES.get(text(guard, "guardrail_mode") or ""))
    if getattr(error, "status_code", None) == _HOOKS_FAILED:
        return _by_proxy(_portkey_stage(getattr(error, "response", None)))
    if type(error).__name__ == "ContentPolicyViolationError" or any(
        text(error, *place, "code") in _CODES for place in _PLACES
    ):
        return {semconv.BLOCKED_BY: "model"}
    from ._gateway_facts import filtered  # reads errors only, which most programs never see

    if any(filtered(get(error, *place, "message")) for place in _PLACES[1:]):
        return {semconv.BLOCKED_BY: "model"}
    return None


def _by_proxy(stage: str | None) -> Attributes:
    found = {semconv.BLOCKED_BY: "proxy", semconv.GUARDRAIL: "denied"}
    if stage is not None:
        found[semconv.BLOCKED_STAGE] = stage
    return found


def _portkey_stage(response: Any) -> str | None:
    """The hooks stand beside `error`, which is all that the SDK keeps of the body."""
    try:
        hooks = get(response.json(), "hook_results")
    except (AttributeError, RuntimeError, ValueError):  # no response, not read, no JSON
        return None
    for name, stage in (("before_request_hooks", "before"), ("after_request_hooks", "after")):
        if any(get(hook, "verdict") is False for hook in items(hooks, name)):
            return stage
    return None


def stopped(reasons: Any) -> bool:
    """Whether a filter stopped every one of the answers."""
    return isinstance(reasons, (list, tuple)) and bool(reasons) and _REASONS.issuperset(reasons)
