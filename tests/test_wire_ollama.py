"""Ollama's wire: JSON in, attributes out."""

from __future__ import annotations

from typing import Any

import pytest

from tollspan.instrumentation._ollama_chat import CHAT, EMBEDDINGS, GENERATE, SYSTEM_ONE


def test_a_request_says_its_options() -> None:
    body: dict[str, Any] = {
        "model": "gpt-oss:120b-cloud",
        "messages": [{"role": "user", "content": "secret"}],
        "stream": True,
        "format": {"type": "object"},
        "think": "high",
        "options": {
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 40,
            "seed": 1,
            "num_predict": 64,
            "stop": ["END"],
            "num_ctx": 4096,
        },
        "tools": [{"type": "function", "function": {"name": "weather", "description": "secret"}}],
    }
    assert dict(CHAT.request(body)) == {
        "gen_ai.request.model": "gpt-oss:120b-cloud",
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "json",
        "gen_ai.request.reasoning.level": "high",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40.0,
        "gen_ai.request.seed": 1,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.stop_sequences": ["END"],
        "tollspan.tools.sent": 1,
        "tollspan.tools.sent.names": ("weather",),
    }


@pytest.mark.parametrize(
    "body",
    [
        {"model": "m", "think": True},
        {"model": "m", "options": {"num_predict": -1}},
        {"model": "m", "format": ""},
        {"model": "m", "options": "none"},
    ],
)
def test_what_sets_nothing_says_nothing(body: dict[str, Any]) -> None:
    assert dict(GENERATE.request(body)) == {"gen_ai.request.model": "m"}


def test_an_embedding_without_a_count_has_none() -> None:
    assert dict(EMBEDDINGS.response({"embedding": [0.5]})) == {}
    assert dict(EMBEDDINGS.response({"model": "m", "prompt_eval_count": 8})) == {
        "gen_ai.response.model": "m",
        "gen_ai.usage.input_tokens": 8,
    }


def test_a_prompt_of_no_tokens_is_one_that_was_cached() -> None:
    found = CHAT.response({"prompt_eval_count": 0, "eval_count": 0, "done": True})
    assert dict(found) == {"gen_ai.usage.output_tokens": 0}


def test_a_model_of_questions_states_its_usage() -> None:
    answer = {"model": "one", "answers": {}, "usage": {"input_tokens": 5, "output_tokens": 2}}
    assert dict(SYSTEM_ONE.response(answer)) == {
        "gen_ai.response.model": "one",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 2,
    }
