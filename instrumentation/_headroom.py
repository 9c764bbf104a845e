"""How much of a rate limit is left, from the headers of the last attempt.

https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
https://platform.claude.com/docs/en/api/rate-limits#response-headers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tollspan import semconv
from tollspan.remembered import Remembered

from ._read import values_of

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
    stating = _STATING[tuple(attempt)]
    if stating is None:
        return
    names, read = stating
    texts = read(attempt)
    if max(map(len, texts)) < _LONGEST and all(texts) and "".join(texts).isdecimal():
        found.update(zip(names, map(int, texts), strict=True))  # as nearly always
        return
    for name, value in zip(names, texts, strict=True):
        if value.isdecimal() and len(value) < _LONGEST:
            found[name] = int(value)


_LONGEST = 16
"""A number of so many digits is none."""


def _stating(
    known: tuple[str, ...],
) -> tuple[tuple[str, ...], Callable[[Mapping[str, Any]], tuple[str, ...]]] | None:
    """What an attempt with attributes of these names states, and where; None where it is nothing."""
    rows = [row for row in _HEADERS if row[0] in known]
    if not rows:
        return None
    return tuple(name for _, name in rows), values_of([header for header, _ in rows])


_STATING = Remembered(_stating, 256)
