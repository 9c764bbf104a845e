"""How much of a rate limit is left, from the headers of the last attempt.

https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
https://platform.claude.com/docs/en/api/rate-limits#response-headers
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv
from tollspan.remembered import Remembered

__all__ = ["headroom"]

_HEADERS: tuple[tuple[str, str], ...] = tuple(
    (semconv.RESPONSE_HEADER_PREFIX + header, attribute)
    for header, attribute in (
        ("x-ratelimit-remaining-requests", semconv.REMAINING_REQUESTS),
        ("x-ratelimit-remaining-tokens", semconv.REMAINING_TOKENS),
        ("x-ratelimit-limit-requests", semconv.LIMIT_REQUESTS),
        ("x-ratelimit-limit-tokens", semconv.LIMIT_TOKENS),
        # Mistral, by the size of the request or by tokens; Together; Cohere's trial keys
        ("ratelimitbysize-remaining", semconv.REMAINING_TOKENS),
        ("ratelimitbysize-limit", semconv.LIMIT_TOKENS),
        ("x-ratelimit-remaining-tokens-minute", semconv.REMAINING_TOKENS),
        ("x-ratelimit-limit-tokens-minute", semconv.LIMIT_TOKENS),
        ("x-ratelimit-remaining-req-minute", semconv.REMAINING_REQUESTS),
        ("x-ratelimit-limit-req-minute", semconv.LIMIT_REQUESTS),
        ("x-ratelimit-remaining", semconv.REMAINING_REQUESTS),
        ("x-ratelimit-limit", semconv.LIMIT_REQUESTS),
        ("x-tokenlimit-remaining", semconv.REMAINING_TOKENS),
        ("x-tokenlimit-limit", semconv.LIMIT_TOKENS),
        ("x-trial-endpoint-call-remaining", semconv.REMAINING_REQUESTS),
        ("x-trial-endpoint-call-limit", semconv.LIMIT_REQUESTS),
        ("anthropic-ratelimit-requests-remaining", semconv.REMAINING_REQUESTS),
        ("anthropic-ratelimit-tokens-remaining", semconv.REMAINING_TOKENS),
        ("anthropic-ratelimit-input-tokens-remaining", semconv.REMAINING_INPUT_TOKENS),
        ("anthropic-ratelimit-output-tokens-remaining", semconv.REMAINING_OUTPUT_TOKENS),
        ("anthropic-ratelimit-requests-limit", semconv.LIMIT_REQUESTS),
        ("anthropic-ratelimit-tokens-limit", semconv.LIMIT_TOKENS),
    )
)
"""A kept header and the attribute that it becomes; other providers' headers go here too."""


def headroom(found: dict[str, Any], attempt: Mapping[str, Any]) -> None:
    """Add to `found` what the kept headers among an attempt's attributes say of limits."""
    for header, name in _STATING[tuple(attempt)]:
        value = attempt[header]
        if value.isdecimal() and len(value) < 16:
            found[name] = int(value)


def _stating(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Those of `_HEADERS` that an attempt with attributes of these names has."""
    return tuple(row for row in _HEADERS if row[0] in names)


_STATING = Remembered(_stating, 256)
