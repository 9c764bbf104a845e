"""Hugging Face's tasks: what goes over the wire in, attributes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from huggingface_hub.inference._common import RequestParameters

from tollspan.instrumentation._huggingface_tasks import TASKS

CHAT, TEXT = TASKS["conversational"], TASKS["text-generation"]


def _parameters(**changes: Any) -> Any:
    given: dict[str, Any] = {
        "url": "https://router.huggingface.co/v1/chat/completions",
        "task": "conversational",
        "model": "Qwen/Qwen3-32B",
        "json": {"model": "Qwen/Qwen3-32B", "messages": ["secret"], "temperature": 0.5},
        "data": None,
        "headers": {"authorization": "Bearer hf_secret"},
    }
    return vars(RequestParameters(**{**given, **changes}))


ASKED = {"gen_ai.request.model": "Qwen/Qwen3-32B", "gen_ai.request.temperature": 0.5}


def test_the_router_that_chooses_itself_names_nobody() -> None:
    assert dict(CHAT.request(_parameters())) == ASKED


def test_the_routers_path_names_the_provider_and_a_header_who_pays() -> None:
    url = "https://router.huggingface.co/together/v1/chat/completions"
    found = CHAT.request(_parameters(url=url, headers={"x-hf-bill-to": "acme"}))
    assert dict(found) == {
        **ASKED,
        "tollspan.response.provider": "together",
        "tollspan.bill_to": "acme",
    }


@pytest.mark.parametrize("model", ["dummy", "http://127.0.0.1:8080", None])
def test_a_server_of_one_model_is_asked_for_none(model: str | None) -> None:
    parameters = _parameters(model=model, json={"model": model}, url="http://127.0.0.1:8080/v1")
    assert dict(CHAT.request(parameters)) == {}


def test_text_generation_says_its_parameters() -> None:
    asked = {"max_new_tokens": 64, "temperature": 0.5, "stop": ["END"], "details": True}
    body = {"inputs": "secret", "parameters": asked, "stream": True}
    assert dict(TEXT.request(_parameters(json=body))) == {
        **ASKED,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.stream": True,
    }


def test_without_details_nothing_is_known_of_the_tokens() -> None:
    assert dict(TEXT.response(b'[{"generated_text": "secret"}]')) == {}


def test_text_generation_of_other_providers_has_choices() -> None:
    answer = {
        "model": "m",
        "choices": [{"text": "secret", "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7},
    }
    assert dict(TEXT.response(json.dumps(answer).encode())) == {
        "gen_ai.response.model": "m",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
    }


def test_an_error_among_the_lines_is_an_error() -> None:
    for surface in (CHAT, TEXT):
        assert surface.fold is not None
        fold = surface.fold()
        for line in ("", ": comment", 'data: {"error": "m", "error_type": "overloaded"}'):
            fold.add(line)
        assert "error.type" in fold.attributes()


def test_lines_may_be_bytes() -> None:
    assert TEXT.fold is not None
    fold = TEXT.fold()
    fold.add(b'data: {"details": {"finish_reason": "length", "generated_tokens": 7}}')
    assert dict(fold.attributes()) == {
        "gen_ai.response.finish_reasons": ["length"],
        "gen_ai.usage.output_tokens": 7,
    }


ODD: list[Any] = [None, b"", b"{", b"[]", b"1", "data:", b"data: [", ["x"], "[" * 100_000]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
def test_what_is_no_document_says_nothing(odd: Any) -> None:
    for surface in TASKS.values():
        assert dict(surface.response(odd)) == {}
        if surface.fold is not None:
            fold = surface.fold()
            fold.add(odd)
            fold.add(f"data: {odd}")
            assert dict(fold.attributes()) == {}
