"""What the spans of two LiteLLMs in a row prove: requests of the outer one reached no model."""

from __future__ import annotations

from typing import Any

import pytest

from tollspan import semconv
from tollspan.collector.evidence import proof


def hop(index: int, call_id: str | None, name: str | None = "litellm") -> dict[str, Any]:
    found = {
        semconv.HOP_INDEX: index,
        semconv.GATEWAY_NAME: name,
        semconv.GATEWAY_REQUEST_ID: call_id,
    }
    return {key: value for key, value in found.items() if value is not None}


def served(count: int, call_id: str, model: str) -> tuple[int, dict[str, Any]]:
    """A request that a LiteLLM served: how many it made of it, and what its span says."""
    said = {
        semconv.GATEWAY_NAME: "litellm",
        "litellm.call_id": call_id,
        "litellm.provider.model": model,
    }
    return count, said


HOPS = [hop(2, None, None), hop(1, "inner"), hop(0, "outer")]  # in any order
OUTER = served(1, "outer", "openai/main")
INNER = served(4, "inner", "openai/gpt-4.1-mini")
CALL = {semconv.APP_ATTEMPTS: 1}


@pytest.mark.parametrize("model", ["openai/main", "litellm_proxy/main"])
def test_both_seen_is_exact_however_the_outer_one_names_the_inner(model: str) -> None:
    found = proof(CALL, HOPS, {"a": served(1, "outer", model), "b": INNER})
    assert found is not None
    assert (found.attempts, found.exact) == (4, True)


def test_the_inner_one_alone_is_a_bound() -> None:
    """What else the outer one asked, it alone knows."""
    found = proof(CALL, HOPS, {"b": INNER})
    assert found is not None
    assert (found.attempts, found.exact) == (4, False)


def test_the_outer_one_alone_proves_no_request_of_a_model() -> None:
    found = proof(CALL, HOPS, {"a": OUTER})
    assert found is not None
    assert (found.attempts, found.exact) == (0, False)


def test_earlier_tries_of_the_sdk_went_the_same_way() -> None:
    tries = {
        "first": served(3, "lost", "openai/main"),
        "second": OUTER,
        **{str(n): served(6, f"inner{n}", "openai/gpt-4o") for n in range(3)},
        "last": INNER,
    }
    found = proof({semconv.APP_ATTEMPTS: 2}, HOPS, tries)
    assert found is not None
    assert (found.attempts, found.exact) == (22, True)


def test_one_litellm_counts_its_own_requests() -> None:
    found = proof(
        CALL, [hop(0, "outer"), hop(1, None, None)], {"a": served(4, "outer", "openai/x")}
    )
    assert found is not None
    assert (found.attempts, found.exact) == (4, True)
