"""What a content filter kept from the caller: prompts that are refused, answers that are stopped."""

from __future__ import annotations

from typing import Any

from ._read import items, text

__all__ = ["refused", "stopped"]

_REASONS = frozenset({"content_filter", "refusal"})
"""OpenAI's and Azure's finish reason; Anthropic's stop reason of its streaming classifiers."""

_CODES = frozenset({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"})
"""Error codes of Azure and OpenAI: https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter"""

_PLACES = ((), ("body",), ("body", "innererror"), ("body", "error"))
"""Where the SDK's exceptions keep the code."""


def refused(error: BaseException) -> bool:
    """Whether a filter refused the request, by what OpenAI, Azure and LiteLLM put on errors."""
    if type(error).__name__ == "ContentPolicyViolationError":
        return True
    return any(text(error, *place, "code") in _CODES for place in _PLACES)


def stopped(reasons: Any) -> bool:
    """Whether a filter stopped every one of the answers."""
    given = items(reasons)
    return bool(given) and all(reason in _REASONS for reason in given)
