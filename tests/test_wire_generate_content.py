"""Google's wires: JSON in, attributes out, in every spelling that the SDKs have for it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from google.genai import types

from tollspan.instrumentation._generate_content import COUNT_TOKENS, GENERATE_CONTENT
from tollspan.instrumentation._google_predictions import EMBEDDINGS, IMAGES, VIDEOS, predicts
from tollspan.instrumentation._google_usage import known, read_usage
from tollspan.instrumentation._interactions import FETCHED_INTERACTION, INTERACTIONS, is_begun

IN, OUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
THOUGHT, READ = "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.cache_read.input_tokens"
REASONS, BLOCKED = "gen_ai.response.finish_reasons", "tollspan.blocked_by"
TIER, SEARCHES = "tollspan.service_tier", "tollspan.usage.web_searches"

USAGE = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 60,
    "candidatesTokenCount": 20,
    "thoughtsTokenCount": 30,
    "toolUsePromptTokenCount": 50,
    "totalTokenCount": 200,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 70},
        {"modality": "AUDIO", "tokenCount": 20},
        {"modality": "IMAGE", "tokenCount": 10},
    ],
    "toolUsePromptTokensDetails": [{"modality": "TEXT", "tokenCount": 50}],
    "cacheTokensDetails": [
        {"modality": "TEXT", "tokenCount": 50},
        {"modality": "AUDIO", "tokenCount": 10},
    ],
    "candidatesTokensDetails": [
        {"modality": "TEXT", "tokenCount": 15},
        {"modality": "AUDIO", "tokenCount": 5},
    ],
}
COUNTED = {
    IN: 150,  # the prompt, cached part included, and what Google's tools brought in
    OUT: 50,
    THOUGHT: 30,
    READ: 60,
    "gen_ai.usage.text.input_tokens": 120,
    "gen_ai.usage.audio.input_tokens": 20,
    "gen_ai.usage.image.input_tokens": 10,
    "gen_ai.usage.audio.cache_read.input_tokens": 10,
    "gen_ai.usage.text.output_tokens": 15,
    "gen_ai.usage.audio.output_tokens": 5,
}


def answer(reason: str | int | None = "STOP", **more: Any) -> dict[str, Any]:
    return {
        "candidates": [{"index": 0, "content": {"parts": [{"text": "a"}]}, "finishReason": reason}],
        "usageMetadata": USAGE,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "answer-1",
        **more,
    }


def read(document: Any) -> dict[str, Any]:
    return dict(GENERATE_CONTENT.response(document))


def usage(stated: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    read_usage(found, known(stated))
    return found


# --- usage ----------------------------------------------------------------------------------------


def test_tools_results_are_input_and_thoughts_are_output() -> None:
    assert read(answer()) == {
        "gen_ai.response.id": "answer-1",
        "gen_ai.response.model": "gemini-2.5-flash",
        REASONS: ["stop"],
        **COUNTED,
    }


def test_thoughts_that_the_total_shows_to_be_counted_already_are_not_counted_again() -> None:
    stated = {"promptTokenCount": 10, "candidatesTokenCount": 20, "thoughtsTokenCount": 15}

    assert usage({**stated, "totalTokenCount": 30})[OUT] == 20
    assert usage({**stated, "totalTokenCount": 45})[OUT] == 35
    assert usage(stated)[OUT] == 35


def test_thoughts_alone_are_the_output_of_an_answer_that_was_cut_off() -> None:
    found = usage({"promptTokenCount": 10, "thoughtsTokenCount": 15, "totalTokenCount": 25})

    assert (found[IN], found[OUT], found[THOUGHT]) == (10, 15, 15)


def test_no_usage_is_not_zero() -> None:
    assert usage({}) == {}
    assert IN not in read({"candidates": []})
    assert OUT not in usage({"promptTokenCount": 10})


@pytest.mark.parametrize(
    "stated",
    [
        types.GenerateContentResponseUsageMetadata.model_validate(USAGE),
        types.UsageMetadata.model_validate(
            {
                {"candidatesTokenCount": "responseTokenCount"}.get(
                    key, key.replace("candidatesTokens", "responseTokens")
                ): value
                for key, value in USAGE.items()
            }
        ),
    ],
    ids=["model", "live"],
)
def test_the_sdks_objects_say_the_same_as_the_json(stated: Any) -> None:
    assert usage(stated) == COUNTED


def test_interactions_count_alike_under_other_names() -> None:
    stated = {
        "total_input_tokens": 100,
        "total_cached_tokens": 60,
        "total_output_tokens": 20,
        "total_thought_tokens": 30,
        "total_tool_use_tokens": 50,
        "total_tokens": 200,
        "input_tokens_by_modality": [
            {"modality": "text", "tokens": 70},
            {"modality": "audio", "tokens": 20},
            {"modality": "image", "tokens": 10},
        ],
        "tool_use_tokens_by_modality": [{"modality": "text", "tokens": 50}],
        "cached_tokens_by_modality": [{"modality": "audio", "tokens": 10}],
        "output_tokens_by_modality": [
            {"modality": "text", "tokens": 15},
            {"modality": "audio", "tokens": 5},
        ],
    }

    found = INTERACTIONS.response({"id": "i", "status": "completed", "usage": stated})

    assert found == {"gen_ai.response.id": "i", REASONS: ["stop"], **COUNTED}


@pytest.mark.parametrize(
    ("stated", "tier"),
    [
        ({"serviceTier": "standard"}, "standard"),
        ({"serviceTier": "FLEX"}, "flex"),
        ({"serviceTier": "unspecified"}, None),
        ({"trafficType": "ON_DEMAND"}, "on_demand"),
        ({"trafficType": "ON_DEMAND_PRIORITY"}, "priority"),
        ({"trafficType": "PROVISIONED_THROUGHPUT"}, "provisioned_throughput"),
        ({"trafficType": "TRAFFIC_TYPE_UNSPECIFIED"}, None),
        ({"trafficType": 1}, "on_demand"),
        ({"trafficType": 2}, "provisioned_throughput"),
    ],
)
def test_the_served_tier_in_the_words_that_prices_go_by(
    stated: dict[str, Any], tier: str | None
) -> None:
    assert usage(stated).get(TIER) == tier


def test_numbers_for_names_as_vertex_sends_them_to_its_own_sdk() -> None:
    found = usage({"promptTokensDetails": [{"modality": 4, "tokenCount": 9}]})

    assert found == {"gen_ai.usage.audio.input_tokens": 9}
    assert read(answer(1))[REASONS] == ["stop"]
    assert read(answer(3))[BLOCKED] == "model"


# --- why it ended ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "stated", "blocked"),
    [
        ("MAX_TOKENS", ["max_tokens"], None),
        ("SAFETY", ["safety"], "model"),
        ("PROHIBITED_CONTENT", ["prohibited_content"], "model"),
        ("MALFORMED_FUNCTION_CALL", ["malformed_function_call"], None),
        ("FINISH_REASON_UNSPECIFIED", None, None),
        (None, None, None),
    ],
)
def test_finish_reasons(reason: str | None, stated: Any, blocked: str | None) -> None:
    found = read(answer(reason))

    assert found.get(REASONS) == stated
    assert found.get(BLOCKED) == blocked


def test_one_of_two_candidates_that_a_filter_stopped_is_no_blocked_call() -> None:
    candidates = [{"finishReason": "SAFETY"}, {"finishReason": "STOP"}]

    found = read({"candidates": candidates})

    assert found[REASONS] == ["safety", "stop"]
    assert BLOCKED not in found


def test_a_prompt_that_was_blocked() -> None:
    found = read(
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}
    )

    assert found == {BLOCKED: "model", IN: 4}


def test_an_error_in_the_place_of_an_answer() -> None:
    failure = {"code": 503, "message": "a prompt", "status": "UNAVAILABLE"}

    assert read({"error": failure}) == {"error.type": "UNAVAILABLE"}


# --- what else ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "billed"), [("gemini-2.5-pro", 1), ("gemini-3-pro-preview", 2)])
def test_searches_are_billed_by_prompt_or_by_query(model: str, billed: int) -> None:
    grounded = {"finishReason": "STOP", "groundingMetadata": {"webSearchQueries": ["a", "", "b"]}}

    assert read({"candidates": [grounded], "modelVersion": model})[SEARCHES] == billed


def test_tools_sent_and_called_by_name_and_number() -> None:
    asked = GENERATE_CONTENT.request(
        {
            "model": "gemini-2.5-flash",
            "tools": [
                {"functionDeclarations": [{"name": "weather", "description": "secret"}]},
                {"googleSearch": {}},
            ],
        }
    )
    parts = [{"functionCall": {"name": "weather", "args": {"of": "secret"}}}, {"text": "a"}]
    found = read({"candidates": [{"content": {"parts": parts}}]})

    assert asked == {
        "gen_ai.request.model": "gemini-2.5-flash",
        "tollspan.tools.sent": 2,
        "tollspan.tools.sent.names": ("weather", "google_search"),
    }
    assert found == {"tollspan.tools.called": 1, "tollspan.tools.called.names": ("weather",)}


def test_request_parameters() -> None:
    asked = GENERATE_CONTENT.request(
        {
            "model": "gemini-2.5-flash",
            "contents": [{"parts": [{"text": "a prompt"}]}],
            "generationConfig": {
                "temperature": 0.5,
                "topP": 0.25,
                "topK": 40,
                "candidateCount": 2,
                "maxOutputTokens": 64,
                "stopSequences": ["end"],
                "seed": -7,
                "presencePenalty": 0.5,
                "frequencyPenalty": -0.5,
                "responseMimeType": "application/json",
                "thinkingConfig": {"thinkingLevel": "HIGH"},
            },
        }
    )

    assert asked == {
        "gen_ai.request.model": "gemini-2.5-flash",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.25,
        "gen_ai.request.top_k": 40.0,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.stop_sequences": ["end"],
        "gen_ai.request.seed": -7,
        "gen_ai.request.presence_penalty": 0.5,
        "gen_ai.request.frequency_penalty": -0.5,
        "gen_ai.output.type": "json",
        "gen_ai.request.reasoning.level": "high",
    }


# --- streams --------------------------------------------------------------------------------------


def test_the_running_total_of_a_stream_is_never_summed() -> None:
    assert GENERATE_CONTENT.fold is not None
    fold = GENERATE_CONTENT.fold()
    first = {"promptTokenCount": 100, "candidatesTokenCount": 5, "totalTokenCount": 105}
    fold.add(answer(None, usageMetadata=first))
    fold.add(answer(None, usageMetadata={**first, "cachedContentTokenCount": 60}))
    fold.add(answer("STOP"))

    assert fold.attributes() == read(answer())


def test_chunks_come_as_text_or_parsed() -> None:
    assert GENERATE_CONTENT.fold is not None
    fold = GENERATE_CONTENT.fold()
    fold.add(SimpleNamespace(headers={}, body=json.dumps(answer())))

    assert fold.attributes() == read(answer())


@pytest.mark.parametrize("body", ["", "{", "null", "[]", "[" * 100_000, '"a"'])
def test_a_body_that_is_no_object_says_nothing(body: str) -> None:
    assert read(SimpleNamespace(body=body)) == {}
    assert EMBEDDINGS.response(SimpleNamespace(body=body)) == {}


def test_an_interaction_that_streams() -> None:
    assert INTERACTIONS.fold is not None
    fold = INTERACTIONS.fold()
    begun = {"id": "int-1", "model": "gemini-3-flash", "status": "in_progress"}
    ended = {**begun, "status": "requires_action", "usage": {"total_input_tokens": 9}}
    fold.add({"event_type": "interaction.created", "interaction": begun})
    fold.add({"event_type": "step.start", "step": {"type": "function_call", "name": "weather"}})
    fold.add({"event_type": "step.delta", "delta": {"type": "text", "text": "a"}})
    assert is_begun("int-1")
    fold.add({"event_type": "interaction.completed", "interaction": ended})
    assert not is_begun("int-1")

    assert fold.attributes() == {
        "gen_ai.response.id": "int-1",
        "gen_ai.response.model": "gemini-3-flash",
        REASONS: ["tool_calls"],
        IN: 9,
        "tollspan.tools.called": 1,
        "tollspan.tools.called.names": ("weather",),
    }


def test_an_interaction_that_failed() -> None:
    assert INTERACTIONS.fold is not None
    fold = INTERACTIONS.fold()
    fold.add({"event_type": "error", "error": {"code": "deadline_exceeded", "message": "a prompt"}})

    assert fold.attributes() == {"error.type": "deadline_exceeded"}
    assert INTERACTIONS.response({"status": "failed"}) == {"error.type": "failed"}


def test_an_interaction_in_the_background_is_counted_by_the_first_that_fetches_it() -> None:
    ended = {"id": "int-2", "status": "completed", "usage": {"total_input_tokens": 9}}

    assert FETCHED_INTERACTION.response(ended) == {}  # not begun here: whoever did counts it
    INTERACTIONS.response({"id": "int-2", "status": "in_progress"})
    assert FETCHED_INTERACTION.response({"id": "int-2", "status": "in_progress"}) == {}
    assert FETCHED_INTERACTION.response(ended)[IN] == 9
    assert FETCHED_INTERACTION.response(ended) == {}


# --- the other wires ------------------------------------------------------------------------------


def test_embeddings_state_their_input_in_two_ways() -> None:
    gemini = {"embeddings": [{"values": [0.5]}], "usageMetadata": {"promptTokenCount": 9}}
    vertex = {
        "predictions": [
            {"embeddings": {"values": [0.5], "statistics": {"token_count": count}}}
            for count in (5, 7)
        ]
    }

    for document, tokens in ((gemini, 9), (vertex, 12), ({"embeddings": []}, None)):
        found = EMBEDDINGS.response(SimpleNamespace(body=json.dumps(document)))
        assert found == ({IN: tokens} if tokens else {})
        assert EMBEDDINGS.response(document) == found


def test_predict_serves_embeddings_and_images() -> None:
    assert predicts({"instances": [{"content": "a"}]}) is EMBEDDINGS
    assert predicts({"instances": [{"prompt": "a"}]}) is IMAGES
    assert predicts({}) is IMAGES


def test_what_is_not_priced_by_tokens_states_none() -> None:
    assert IMAGES.response({"predictions": [{"bytesBase64Encoded": "a"}]}) == {}
    assert VIDEOS.response({"name": "operations/1"}) == {}
    assert COUNT_TOKENS.response({"totalTokens": 11}) == {}
    assert VIDEOS.request({"model": "veo-3.1-generate-001"}) == {
        "gen_ai.request.model": "veo-3.1-generate-001",
        "tollspan.background": True,
    }
