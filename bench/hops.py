"""What the derivation of hops costs a call: through a gateway, and direct.

python -m bench.hops

In one process, with `timeit`, on attributes as the recorder leaves them: the headers of a captured
LiteLLM answer with everything that a provider and the proxy write, and those of a direct answer of
OpenAI's. What is timed is `path`, all of it; a direct call that was seen before does not even ask
it, but what `kind_of` looks for.
"""

from __future__ import annotations

import json
import sys
import time
import timeit
from collections.abc import Callable, Mapping
from typing import Any

from tollspan import semconv
from tollspan.processors.gateways import (
    FINGERPRINT_ATTRIBUTES,
    HINT_ATTRIBUTES,
    HOSTS,
    doubtful,
)
from tollspan.processors.hops import path

__all__ = ["GOALS_US", "measured"]

GOALS_US = {"gateway": 25.0, "direct": 3.0}
"""Most microseconds that hop derivation may add to a call."""

_H = semconv.RESPONSE_HEADER_PREFIX
_CALL = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "openai",
    semconv.SERVER_ADDRESS: "api.openai.com",
    semconv.SERVER_PORT: 443,
    semconv.REQUEST_MODEL: "gpt-4o-mini",
    semconv.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18",
    semconv.RESPONSE_ID: "chatcmpl-1",
    semconv.FINISH_REASONS: ("stop",),
    semconv.INPUT_TOKENS: 540,
    semconv.OUTPUT_TOKENS: 180,
    semconv.STATUS: "success",
    semconv.APP_ATTEMPTS: 1,
}
_ATTEMPT = {
    semconv.ATTEMPT: 1,
    semconv.HTTP_METHOD: "POST",
    semconv.HTTP_STATUS: 200,
    semconv.SERVER_PORT: 443,
}
_LIMITS = {
    "x-ratelimit-limit-requests": "5000",
    "x-ratelimit-remaining-requests": "4999",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "199990",
}
_PROVIDERS = {
    "x-request-id": "req_1",
    "openai-processing-ms": "12",
    "openai-version": "2020-10-01",
    **_LIMITS,
}
_LITELLM = {
    "x-litellm-call-id": "55835a2d-56f9-41c1-99e8-aeeed72d7314",
    "x-litellm-model-id": "dep-backup",
    "x-litellm-model-name": "openai/gpt-4.1-mini",
    "x-litellm-version": "1.106.2",
    "x-litellm-response-cost": "1.56e-05",
    "x-litellm-response-cost-original": "1.56e-05",
    "x-litellm-response-cost-discount-amount": "0.0",
    "x-litellm-response-cost-margin-amount": "0.0",
    "x-litellm-response-cost-margin-percent": "0.0",
    "x-litellm-response-cost-input": "4.4e-06",
    "x-litellm-response-cost-output": "1.12e-05",
    "x-litellm-response-cost-tool-usage": "0.0",
    "x-litellm-response-duration-ms": "9.933",
    "x-litellm-overhead-duration-ms": "7.6009",
    "request-id": "req_1",
    "x-litellm-model-group": "chat-backup",
    "x-litellm-attempted-retries": "0",
    "x-litellm-attempted-fallbacks": "1",
    **_LIMITS,
    **{f"llm_provider-{name}": value for name, value in _PROVIDERS.items()},
}


def _attempt(host: str, headers: Mapping[str, str]) -> dict[str, Any]:
    kept = {_H + name: value for name, value in headers.items()}
    return {**_ATTEMPT, semconv.SERVER_ADDRESS: host, **kept}


_DIRECT = _CALL, [_attempt("api.openai.com", _PROVIDERS)]
_THROUGH = (
    {
        **_CALL,
        semconv.SERVER_ADDRESS: "litellm.acme.internal",
        semconv.REQUEST_MODEL: "chat-main",
        semconv.RESPONSE_MODEL: "gpt-4.1-mini-2025-04-14",
    },
    [_attempt("litellm.acme.internal", _LITELLM)],
)


def _looked_for(call: Mapping[str, Any], attempt: Mapping[str, Any]) -> bool:
    """What a usual call is asked before what is known of its kind is taken."""
    host = call[semconv.SERVER_ADDRESS]
    return (
        FINGERPRINT_ATTRIBUTES.isdisjoint(attempt)
        and host not in HOSTS
        and not (doubtful(host, call) and not HINT_ATTRIBUTES.isdisjoint(attempt))
    )


def _us(statement: Callable[[], object], number: int, rounds: int) -> float:
    """Microseconds of one `statement`, the least of the rounds: the rest is the machine's."""
    statement()
    clock = time.process_time  # what others of the machine do meanwhile is none of ours
    times = [timeit.timeit(statement, timer=clock, number=number) for _ in range(rounds)]
    return round(min(times) / number * 1e6, 3)


def measured(number: int = 500, rounds: int = 60) -> dict[str, float]:
    """Microseconds by what was measured: `gateway`, `direct` (seen before), `direct_first`."""
    call, (attempt,) = _DIRECT
    return {
        "gateway": _us(lambda: path(*_THROUGH), number, rounds),
        "direct": _us(lambda: _looked_for(call, attempt), number * 20, rounds),
        "direct_first": _us(lambda: path(*_DIRECT), number, rounds),
        "empty_call": _us(lambda: None, number * 20, rounds),
    }


def main() -> int:
    found = measured()
    goals = {name: found[name] <= most for name, most in GOALS_US.items()}
    sys.stdout.write(json.dumps({"us": found, "goals_us": GOALS_US, "met": goals}) + "\n")
    return 0 if all(goals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
