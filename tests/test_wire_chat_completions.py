"""The chat and text completions wires: JSON in, attributes out, as dicts and as the SDK's objects."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tollspan.instrumentation._chat_completions import CHAT
from tollspan.instrumentation._chat_glance import Plain
from tollspan.instrumentation._completions import COMPLETIONS
from tollspan.instrumentation._read import members

USAGE = {
    "prompt_tokens": 1370,
    "completion_tokens": 155,
    "total_tokens": 1525,
    "prompt_tokens_details": {"cached_tokens": 1280, "audio_tokens": 2, "image_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 9, "audio_tokens": 3},
}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "flex",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a"}},
        {"index": 1, "finish_reason": "length", "message": {"role": "assistant", "content": "b"}},
    ],
    "usage": USAGE,
}
EXPECTED = {
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.response.finish_reasons": ["stop", "length"],
    "tollspan.service_tier": "flex",
    "gen_ai.usage.input_tokens": 1370,
    "gen_ai.usage.output_tokens": 155,
    "gen_ai.usage.cache_read.input_tokens": 1280,
    "gen_ai.usage.audio.input_tokens": 2,
    "gen_ai.usage.audio.output_tokens": 3,
    "gen_ai.usage.reasoning.output_tokens": 9,
}


def _chunk(**parts: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1} | parts


def _delta(index: int, content: str | None = None, finish: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": {"content": content}, "finish_reason": finish}


CHUNKS = [
    _chunk(model="gpt-4o-mini-2024-07-18", choices=[_delta(0, "")], service_tier="default"),
    _chunk(model="gpt-4o-mini-2024-07-18", choices=[_delta(1, "b")]),
    _chunk(model="gpt-4o-mini-2024-07-18", choices=[_delta(1, finish="length")]),
    _chunk(model="gpt-4o-mini-2024-07-18", choices=[_delta(0, "a")]),
    _chunk(model="gpt-4o-mini-2024-07-18", choices=[_delta(0, finish="stop")]),
    _chunk(model="gpt-4o-mini-2024-07-18", choices=[], usage=USAGE, service_tier="flex"),
]


def _as_is(json: Any) -> Any:
    return json


def _answer(json: Any) -> Any:
    return ChatCompletion.construct(**json)


def _piece(json: Any) -> Any:
    return ChatCompletionChunk.construct(**json)


def _folded(chunks: list[Any]) -> dict[str, Any]:
    fold = CHAT.fold()
    for chunk in chunks:
        fold.add(chunk)
    return dict(fold.attributes())


@pytest.mark.parametrize("made", [_as_is, _answer])
def test_an_answer_reads_as_attributes(made: Any) -> None:
    assert dict(CHAT.response(made(ANSWER))) == EXPECTED


@pytest.mark.parametrize("made", [_as_is, _piece])
def test_a_stream_reads_as_the_plain_answer(made: Any) -> None:
    assert _folded([made(chunk) for chunk in CHUNKS]) == EXPECTED


CALLED = [
    {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": '{"of": "a"}'}},
    {"id": "2", "type": "custom", "custom": {"name": "run", "input": "b"}},
]
ONE = ANSWER | {"choices": ANSWER["choices"][:1]}
"""As nearly every answer is: what it states is taken in one go."""


def _using(**changes: Any) -> dict[str, Any]:
    return ONE | {"usage": USAGE | changes}


ODD: list[Any] = [
    ANSWER,
    ONE,
    ONE | {"model": "gpt-5-search-api", "id": None, "service_tier": 7, "provider": "p" * 600},
    ONE | {"choices": ({"finish_reason": "stop", "message": {"content": "a"}},)},
    ONE | {"choices": [{"finish_reason": None, "message": None}]},
    ONE | {"choices": [{"finish_reason": "tool_calls", "message": {"tool_calls": CALLED}}]},
    ONE | {"usage": {}, "model": "gpt-5-search-api"},
    ONE | {"error": None},
    ONE | {"error": {"code": "bad"}},
    ONE | {"hook_results": {"before_request_hooks": [{"verdict": False}]}},
    _using(prompt_tokens=True, completion_tokens="155", total_tokens=float("nan")),
    _using(prompt_tokens=-1, completion_tokens=2**70, prompt_tokens_details="none"),
    _using(total_tokens=1534),  # as xAI counts
    _using(prompt_tokens_details={"cached_tokens": None, "audio_tokens": 0}),
    _using(
        prompt_tokens_details={"cache_creation_token_details": {"ephemeral_5m_input_tokens": 7}}
    ),
    _using(completion_tokens_details=None, num_sources_used=3),
    _using(server_tool_use={"web_search_requests": 2}),
    _using(cost=0.25),
    _using(**{f"more_{n}": n for n in range(100)}),
    ANSWER | {"choices": [{"finish_reason": "tool_calls", "message": {"tool_calls": CALLED}}]},
    ANSWER | {"choices": [{"index": n, "finish_reason": "stop"} for n in range(300)]},
    ANSWER | {"usage": {"prompt_tokens": 5, "cost": 0.25, "prompt_tokens_details": None}},
    ANSWER | {"usage": {"prompt_tokens": 5, "prompt_tokens_details": [1], "cost": {"a": 1}}},
    ANSWER | {"usage": [1, 2], "choices": "none", "error": {"code": 502}},
    ANSWER | {"usage": None, "choices": [None, 3, {"message": "said", "finish_reason": 7}]},
    ANSWER | {"episode_id": "e", "choices": [{"message": {"tool_calls": "all"}}]},
    {},
    None,
]


@pytest.mark.parametrize("made", [_as_is, _answer])
@pytest.mark.parametrize("answer", ODD)
def test_a_glance_keeps_all_that_is_read_later_and_nothing_that_is_said(
    answer: Any, made: Any
) -> None:
    assert CHAT.glance is not None
    shown = copy.deepcopy(made(answer)) if isinstance(answer, dict) else answer
    read = CHAT.response(copy.deepcopy(shown))
    held = CHAT.glance(shown)
    assert CHAT.response(held) == read
    assert "content" not in str(held)
    assert "arguments" not in str(held)


@pytest.mark.parametrize("made", [_as_is, ChatCompletion.model_validate])
@pytest.mark.parametrize("told", [ANSWER, ONE], ids=["two choices", "one choice"])
def test_what_a_caller_makes_of_its_answer_changes_nothing(told: Any, made: Any) -> None:
    assert CHAT.glance is not None
    answer = made(copy.deepcopy(told))
    expected = CHAT.response(copy.deepcopy(told))
    held = CHAT.glance(answer)
    assert (type(held) is Plain) is (len(told["choices"]) == 1)
    usage = answer["usage"] if isinstance(answer, dict) else vars(answer)["usage"]
    for counted in (members(usage)["prompt_tokens_details"], usage):
        parts: Any = members(counted)
        for name in list(parts):
            parts[name] = None
    parts = members(answer)
    parts["choices"].clear()
    parts["model"] = parts["id"] = "another"
    assert CHAT.response(held) == expected


def test_the_last_usage_wins_and_running_totals_are_never_summed() -> None:
    running = [
        _piece(_chunk(model="m", choices=[_delta(0, "x")], usage={"prompt_tokens": 5} | total))
        for total in ({"completion_tokens": 1}, {"completion_tokens": 2}, {"completion_tokens": 3})
    ]
    found = _folded(running)
    assert found["gen_ai.usage.input_tokens"] == 5
    assert found["gen_ai.usage.output_tokens"] == 3


def test_the_first_id_and_model_stand_for_the_stream() -> None:
    chunks = [
        _chunk(model="m", choices=[_delta(0, "a")]),
        {"id": "other", "model": "other", "choices": [_delta(0, finish="stop")]},
        {"choices": [], "usage": USAGE},
    ]
    found = _folded(chunks)
    assert (found["gen_ai.response.id"], found["gen_ai.response.model"]) == ("chatcmpl-1", "m")


def test_a_stream_without_usage_states_none() -> None:
    assert not [name for name in _folded(CHUNKS[:-1]) if name.startswith("gen_ai.usage")]


def test_azure_opens_with_a_chunk_that_names_nothing() -> None:
    filters = {"prompt_filter_results": [{"prompt_index": 0}], "id": "", "model": "", "choices": []}
    found = _folded([_piece(filters), *map(_piece, CHUNKS)])
    assert found == EXPECTED


def test_groq_states_usage_under_a_name_of_its_own() -> None:
    last = _chunk(model="m", choices=[_delta(0, finish="stop")], x_groq={"id": "r", "usage": USAGE})
    found = _folded([_piece(_chunk(model="m", choices=[_delta(0, "a")])), _piece(last)])
    assert found["gen_ai.usage.input_tokens"] == 1370


def test_an_error_chunk_is_told() -> None:
    fold = CHAT.fold()
    fold.add(_chunk(model="m", choices=[_delta(0, "a")]))
    fold.add({"error": {"code": 502, "message": "gone"}, "choices": []})
    assert fold.error == "502"  # type: ignore[attr-defined]
    assert fold.attributes()["error.type"] == "502"


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        ({"code": 429, "message": "m"}, "429"),
        ({"code": "server_error"}, "server_error"),
        ({"type": "overloaded_error", "code": None}, "overloaded_error"),
        ("boom", "error"),
    ],
)
def test_an_error_inside_a_200_is_told(failure: Any, expected: str) -> None:
    found = CHAT.response(_answer({"id": "x", "choices": None, "error": failure}))
    assert found["error.type"] == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"cost": 5.37e-06, "is_byok": False}, 5.37e-06),
        ({"cost": 0.5}, 0.5),
        ({"cost": 0}, 0.0),
        # the caller's own provider key: the fee and the provider's bill
        (
            {"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}},
            0.21,
        ),
        # not: the upstream cost is what OpenRouter itself pays
        ({"cost": 0.3, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.2}}, 0.3),
        # the fee alone is not what the call cost
        ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, None),
        ({"cost": "0.5"}, None),
        ({"cost": -1}, None),
        ({"cost": float("nan")}, None),
        ({"cost": True}, None),
    ],
)
def test_the_cost_that_a_body_states(usage: dict[str, Any], expected: float | None) -> None:
    stated = {"prompt_tokens": 1, "completion_tokens": 1} | usage
    plain = CHAT.response(_answer(ANSWER | {"usage": stated}))
    streamed = _folded([_piece(_chunk(model="m", choices=[], usage=stated))])
    assert plain.get("tollspan.cost.reported_usd") == pytest.approx(expected)
    assert streamed.get("tollspan.cost.reported_usd") == pytest.approx(expected)


def test_openrouter_names_the_provider_that_answered() -> None:
    found = CHAT.response(_answer(ANSWER | {"provider": "DeepInfra"}))
    assert found["tollspan.response.provider"] == "DeepInfra"


def test_reasoning_that_the_total_has_and_the_output_has_not_is_counted_in() -> None:
    xai = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45}
    details = {"completion_tokens_details": {"reasoning_tokens": 30}}
    found = CHAT.response(ANSWER | {"usage": xai | details})
    assert found["gen_ai.usage.output_tokens"] == 35
    found = CHAT.response(ANSWER | {"usage": xai | details | {"total_tokens": 15}})
    assert found["gen_ai.usage.output_tokens"] == 5


@pytest.mark.parametrize(
    ("usage", "read", "written"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 3}}, 7, 3),
        ({"prompt_cache_hit_tokens": 7, "prompt_cache_miss_tokens": 3}, 7, None),
        ({"cache_read_input_tokens": 7, "cache_creation_input_tokens": 3}, 7, 3),
        ({"prompt_tokens_details": {"cached_tokens": 7, "cache_creation_tokens": 3}}, 7, 3),
    ],
)
def test_cached_tokens_in_every_spelling(
    usage: dict[str, Any], read: int | None, written: int | None
) -> None:
    found = CHAT.response(ANSWER | {"usage": {"prompt_tokens": 10} | usage})
    assert found["gen_ai.usage.input_tokens"] == 10
    assert found.get("gen_ai.usage.cache_read.input_tokens") == read
    assert found.get("gen_ai.usage.cache_write.input_tokens") == written


def test_cache_writes_by_duration() -> None:
    details = {"cache_creation_token_details": {"ephemeral_5m_input_tokens": 4}}
    found = CHAT.response(ANSWER | {"usage": {"prompt_tokens_details": details}})
    assert found["tollspan.usage.cache_write_5m.input_tokens"] == 4


def test_a_request_reads_as_attributes() -> None:
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "secret"}],
        "max_completion_tokens": 50,
        "max_tokens": 40,
        "temperature": 1,
        "top_p": 0.5,
        "top_k": 3,
        "frequency_penalty": -0.5,
        "presence_penalty": 0.25,
        "seed": -7,
        "n": 2,
        "stop": "END",
        "stream": True,
        "response_format": {"type": "json_schema", "json_schema": {}},
        "service_tier": "flex",
        "reasoning_effort": "low",
    }
    assert dict(CHAT.request(body)) == {
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.top_k": 3.0,
        "gen_ai.request.frequency_penalty": -0.5,
        "gen_ai.request.presence_penalty": 0.25,
        "gen_ai.request.seed": -7,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "json",
        "openai.request.service_tier": "flex",
        "gen_ai.request.reasoning.level": "low",
    }


def test_what_is_usual_or_unknown_is_not_written() -> None:
    body = {"model": "m", "n": 1, "stream": False, "stop": None, "seed": object(), "top_p": "x"}
    assert dict(CHAT.request(body)) == {"gen_ai.request.model": "m"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"response_format": {"type": "json_object"}}, "json"),
        ({"response_format": {"type": "text"}}, "text"),
        ({"modalities": ["text", "audio"]}, "speech"),
        ({"modalities": ["text"]}, None),
        ({"response_format": {"type": "grammar"}}, None),
    ],
)
def test_the_output_type_that_was_asked_for(body: dict[str, Any], expected: str | None) -> None:
    assert CHAT.request(body).get("gen_ai.output.type") == expected


def test_half_a_character_does_not_reach_the_exporter() -> None:
    found = CHAT.response(ANSWER | {"model": "m\ud800"})
    assert str(found["gen_ai.response.model"]).encode()  # would raise on a lone surrogate


def test_a_plain_piece_of_text_is_not_read_twice() -> None:
    class Piece:
        """Counts what is asked of it: the fold runs once per chunk of every stream."""

        usage = None
        asked = 0

        @property
        def choices(self) -> list[Any]:
            Piece.asked += 1
            return [Choice]

    class Choice:
        finish_reason = None

    fold = CHAT.fold()
    fold.add(_piece(CHUNKS[0]))
    fold.add(Piece())
    assert Piece.asked == 1
    assert fold.attributes()["gen_ai.response.id"] == "chatcmpl-1"


def test_text_completions_speak_the_same_wire() -> None:
    answer = {
        "id": "cmpl-1",
        "object": "text_completion",
        "model": "gpt-3.5-turbo-instruct",
        "choices": [{"index": 0, "text": "x", "finish_reason": "length"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    }
    expected = {
        "gen_ai.response.id": "cmpl-1",
        "gen_ai.response.model": "gpt-3.5-turbo-instruct",
        "gen_ai.response.finish_reasons": ["length"],
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 7,
    }
    assert COMPLETIONS.operation == "text_completion"
    assert dict(COMPLETIONS.response(answer)) == expected
    fold = COMPLETIONS.fold()
    fold.add(answer | {"usage": None})
    fold.add(answer | {"choices": []})
    assert dict(fold.attributes()) == expected
