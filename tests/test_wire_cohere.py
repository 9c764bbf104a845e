"""Cohere's wires: JSON in, attributes out."""

from __future__ import annotations

from typing import Any

import pytest

from tollspan import semconv
from tollspan.instrumentation._cohere_chat import CHAT, CHAT_STREAM, GENERATE
from tollspan.instrumentation._cohere_usage import read_usage


def usage(stated: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    read_usage(found, stated)
    return found


def folded(*events: Any) -> dict[str, Any]:
    assert CHAT_STREAM.fold is not None
    fold = CHAT_STREAM.fold()
    for event in events:
        fold.add(event)
    return dict(fold.attributes())


def test_what_is_used_and_what_is_billed_are_both_kept() -> None:
    assert usage(
        {
            "billed_units": {"input_tokens": 62.0, "output_tokens": 28.0},
            "tokens": {"input_tokens": 968.0, "output_tokens": 83.0},
            "cached_tokens": 900.0,
        }
    ) == {
        semconv.BILLED_INPUT_TOKENS: 62,
        semconv.BILLED_OUTPUT_TOKENS: 28,
        semconv.INPUT_TOKENS: 968,
        semconv.OUTPUT_TOKENS: 83,
        semconv.CACHE_READ_TOKENS: 900,
    }


def test_where_only_the_billed_count_is_stated_it_is_what_was_used() -> None:
    assert usage({"billed_units": {"input_tokens": 208.0}}) == {
        semconv.BILLED_INPUT_TOKENS: 208,
        semconv.INPUT_TOKENS: 208,
    }


def test_search_units_are_no_tokens() -> None:
    assert usage({"billed_units": {"search_units": 3.0}}) == {semconv.SEARCH_UNITS: 3}


@pytest.mark.parametrize("odd", [1.5, -1.0, True, "7", float("nan"), float("inf"), 1e300, None, []])
def test_half_a_token_is_none(odd: Any) -> None:
    assert usage({"tokens": {"input_tokens": odd}, "billed_units": {"search_units": odd}}) == {}


@pytest.mark.parametrize("stated", [None, [], "n/a", {"tokens": None}, {"billed_units": []}])
def test_no_usage_is_not_zero(stated: Any) -> None:
    assert usage(stated) == {}


def test_a_request_in_cohere_words() -> None:
    asked = CHAT.request(
        {
            "model": "command-a-03-2025",
            "max_tokens": 64,
            "temperature": 0,
            "p": 0.75,
            "k": 5,
            "seed": 7,
            "stop_sequences": ["\n"],
            "response_format": {"type": "json_object"},
            "tools": [{"type": "function", "function": {"name": "get_time"}}],
            "message": "a question",
        }
    )
    assert asked == {
        semconv.REQUEST_MODEL: "command-a-03-2025",
        semconv.REQUEST_MAX_TOKENS: 64,
        semconv.REQUEST_TEMPERATURE: 0.0,
        semconv.REQUEST_TOP_P: 0.75,
        semconv.REQUEST_TOP_K: 5.0,
        semconv.REQUEST_SEED: 7,
        semconv.REQUEST_STOP_SEQUENCES: ["\n"],
        semconv.OUTPUT_TYPE: "json",
        semconv.TOOLS_SENT: 1,
        semconv.TOOLS_SENT_NAMES: ("get_time",),
    }


def test_defaults_that_the_sdk_leaves_out_are_not_read() -> None:
    assert CHAT.request({"model": ..., "p": ..., "tools": ..., "stop_sequences": ...}) == {}


def test_several_generations_have_a_reason_each() -> None:
    found = GENERATE.response(
        {"id": "g", "generations": [{"finish_reason": "COMPLETE"}, {"finish_reason": "MAX_TOKENS"}]}
    )
    assert found[semconv.FINISH_REASONS] == ["COMPLETE", "MAX_TOKENS"]


@pytest.mark.parametrize("reason", ["ERROR", "TIMEOUT"])
def test_an_answer_that_failed_is_an_error(reason: str) -> None:
    found = CHAT.response({"id": "c", "finish_reason": reason})
    assert found[semconv.ERROR_TYPE] == reason.lower()
    assert (
        folded({"type": "message-end", "delta": {"finish_reason": reason}})[semconv.ERROR_TYPE]
        == reason.lower()
    )


@pytest.mark.parametrize("reason", ["COMPLETE", "MAX_TOKENS", "TOOL_CALL", "STOP_SEQUENCE"])
def test_an_answer_that_ended_is_none(reason: str) -> None:
    assert semconv.ERROR_TYPE not in CHAT.response({"finish_reason": reason})


def test_the_first_version_ends_with_the_whole_answer() -> None:
    found = folded(
        {"event_type": "stream-start", "generation_id": "g-1"},
        {"event_type": "text-generation", "text": "a"},
        {
            "event_type": "stream-end",
            "finish_reason": "MAX_TOKENS",
            "response": {
                "finish_reason": None,
                "tool_calls": [{"name": "a"}, {"name": "b"}, {"name": "a"}],
                "meta": {"tokens": {"input_tokens": 3.0, "output_tokens": 4.0}},
            },
        },
    )
    assert found == {
        semconv.RESPONSE_ID: "g-1",
        semconv.FINISH_REASONS: ["MAX_TOKENS"],
        semconv.TOOLS_CALLED: 3,
        semconv.TOOLS_CALLED_NAMES: ("a", "b"),
        semconv.INPUT_TOKENS: 3,
        semconv.OUTPUT_TOKENS: 4,
    }


def test_a_stream_that_breaks_off_has_no_usage() -> None:
    assert folded({"type": "message-start", "id": "c-1"}, {"type": "content-delta"}) == {
        semconv.RESPONSE_ID: "c-1"
    }
