"""TensorZero's wire: the SDK's own answers in, attributes out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from tensorzero.types import parse_inference_chunk, parse_inference_response

from tollspan.instrumentation._tensorzero_inference import INFERENCE

IDS = {
    "inference_id": "01890000-0000-7000-8000-000000000001",
    "episode_id": "01890000-0000-7000-8000-000000000002",
    "variant_name": "cheap",
}
SAID = {
    "gen_ai.response.id": IDS["inference_id"],
    "gen_ai.conversation.id": IDS["episode_id"],
    "tollspan.model.deployment": "cheap",
}


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        ({"function_name": "f"}, "tensorzero::function_name::f"),
        (
            {"function_name": "f", "variant_name": "v"},
            "tensorzero::function_name::f::variant_name::v",
        ),
        ({"model_name": "openai::gpt-4o"}, "tensorzero::model_name::openai::gpt-4o"),
    ],
)
def test_a_request_is_named_as_the_gateway_would(asked: dict[str, Any], model: str) -> None:
    found = INFERENCE.request({"self": object(), "input": "secret", **asked})
    assert dict(found) == {
        "gen_ai.request.model": model,
        "tollspan.gateway.stated": "tensorzero",
    }


def test_an_episode_is_a_conversation_and_tools_are_counted() -> None:
    given = {
        "episode_id": UUID(IDS["episode_id"]),
        "output_schema": {},
        "additional_tools": [{"name": "weather", "description": "secret"}],
        "tags": {"secret": "secret"},
    }
    assert dict(INFERENCE.request(given)) == {
        "tollspan.gateway.stated": "tensorzero",
        "gen_ai.conversation.id": IDS["episode_id"],
        "gen_ai.output.type": "json",
        "tollspan.tools.sent": 1,
        "tollspan.tools.sent.names": ("weather",),
    }


def test_a_cost_that_is_not_configured_is_unknown() -> None:
    usage = {"input_tokens": 0, "output_tokens": 0, "cost": None}
    answer = parse_inference_response({**IDS, "output": {"raw": "secret"}, "usage": usage})
    assert dict(INFERENCE.response(answer)) == {**SAID, "gen_ai.usage.output_tokens": 0}


def test_the_provider_is_named_where_the_raw_usage_shows_only_one() -> None:
    def entry(name: str) -> dict[str, Any]:
        return {
            "model_inference_id": IDS["inference_id"],
            "provider_type": name,
            "api_type": "chat_completions",
        }

    plain = {**IDS, "content": [], "usage": {"input_tokens": 11, "output_tokens": 7}}
    for used, served in ((["openai"], "openai"), (["openai", "anthropic"], None)):
        raw = {**plain, "raw_usage": [entry(name) for name in used]}
        found = INFERENCE.response(parse_inference_response(raw))
        assert found.get("tollspan.response.provider") == served
        assert found["gen_ai.usage.input_tokens"] == 11


def test_a_call_of_a_tool_that_comes_in_pieces_is_one() -> None:
    assert INFERENCE.fold is not None
    fold = INFERENCE.fold()
    for name in ("", "weather", ""):
        piece = {"type": "tool_call", "id": "1", "raw_name": name, "raw_arguments": "{"}
        fold.add(parse_inference_chunk({**IDS, "content": [piece]}))
    assert dict(fold.attributes()) == {
        **SAID,
        "tollspan.tools.called": 1,
        "tollspan.tools.called.names": ("weather",),
    }
