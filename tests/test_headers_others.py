"""Rate limits as Mistral, Cohere, Groq and Together state them: kept, and read as headroom."""

from __future__ import annotations

import pytest

from tollspan import semconv
from tollspan.instrumentation._headers import kept
from tollspan.instrumentation._headroom import headroom

STATED = {
    "mistral": (
        {
            "x-ratelimit-limit-tokens-minute": "20000000",
            "x-ratelimit-remaining-tokens-minute": "19999990",
            "x-ratelimit-remaining-req-minute": "50",
            "x-ratelimit-tokens-query-cost": "10",
            "mistral-correlation-id": "019942a1",
        },
        {
            semconv.LIMIT_TOKENS: 20000000,
            semconv.REMAINING_TOKENS: 19999990,
            semconv.REMAINING_REQUESTS: 50,
        },
    ),
    "mistral by size": (
        {
            "ratelimitbysize-limit": "500000",
            "ratelimitbysize-remaining": "348385",
            "ratelimitbysize-reset": "23",
            "ratelimitbysize-query-cost": "32018",
            "x-ratelimitbysize-remaining-month": "997374950",
        },
        {semconv.LIMIT_TOKENS: 500000, semconv.REMAINING_TOKENS: 348385},
    ),
    "cohere": (
        {
            "x-endpoint-monthly-call-limit": "1000",
            "x-trial-endpoint-call-limit": "20",
            "x-trial-endpoint-call-remaining": "19",
            "x-debug-trace-id": "5bf14e94",
        },
        {semconv.LIMIT_REQUESTS: 20, semconv.REMAINING_REQUESTS: 19},
    ),
    "groq": (
        {
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-remaining-requests": "14399",
            "x-ratelimit-remaining-tokens": "5987",
            "x-ratelimit-reset-tokens": "130ms",
            "x-groq-region": "me-central-1",
        },
        {
            semconv.LIMIT_REQUESTS: 14400,
            semconv.REMAINING_REQUESTS: 14399,
            semconv.REMAINING_TOKENS: 5987,
        },
    ),
    "together": (
        {
            "x-ratelimit-limit": "10",
            "x-ratelimit-remaining": "9",
            "x-tokenlimit-limit": "3000",
            "x-tokenlimit-remaining": "2990",
        },
        {
            semconv.LIMIT_REQUESTS: 10,
            semconv.REMAINING_REQUESTS: 9,
            semconv.LIMIT_TOKENS: 3000,
            semconv.REMAINING_TOKENS: 2990,
        },
    ),
}


@pytest.mark.parametrize("name", STATED)
def test_limits_are_kept_and_read(name: str) -> None:
    headers, expected = STATED[name]
    found = kept([(each.encode(), value.encode()) for each, value in headers.items()])
    assert found == {f"http.response.header.{each}": value for each, value in headers.items()}
    read: dict[str, int] = {}
    headroom(read, found)
    assert read == expected


@pytest.mark.parametrize(
    "name", ["x-ratelimitbysize-token", "x-tokenlimit-key", "x-groq-api-key", "mistral-token"]
)
def test_nothing_else_is_let_in_by_their_names(name: str) -> None:
    assert kept([(name.encode(), b"1")]) == {}
