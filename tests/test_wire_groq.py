"""What Groq and Together add to the chat completions wire: JSON in, attributes out."""

from __future__ import annotations

from typing import Any

from tollspan import semconv
from tollspan.instrumentation._groq_chat import CHAT
from tollspan.instrumentation._rerank import RERANK
from tollspan.instrumentation._spec import Surface
from tollspan.instrumentation._together_chat import CHAT as TOGETHER

USAGE = {"prompt_tokens": 18, "completion_tokens": 73, "queue_time": 0.25}


def folded(surface: Surface, *chunks: Any) -> dict[str, Any]:
    assert surface.fold is not None
    fold = surface.fold()
    for chunk in chunks:
        fold.add(chunk)
    return dict(fold.attributes())


def test_cache_statistics_of_the_hardware_are_no_usage() -> None:
    found = CHAT.response({"id": "c", "x_groq": {"usage": {"dram_cached_tokens": 900}}})
    assert found == {semconv.RESPONSE_ID: "c"}


def test_a_stream_states_its_usage_in_the_last_chunk() -> None:
    found = folded(
        CHAT,
        {"id": "c", "choices": [{"index": 0, "delta": {}}], "x_groq": {"id": "req_1"}},
        {"choices": [{"index": 0, "finish_reason": "stop"}], "x_groq": {"usage": USAGE}},
    )
    assert found == {
        semconv.RESPONSE_ID: "c",
        semconv.FINISH_REASONS: ["stop"],
        semconv.INPUT_TOKENS: 18,
        semconv.OUTPUT_TOKENS: 73,
        semconv.QUEUE_TIME: 0.25,
    }


def test_why_a_stream_was_stopped_is_an_error_without_its_words() -> None:
    found = folded(CHAT, {"id": "c", "x_groq": {"error": "over capacity: tell me a joke"}})
    assert found == {semconv.RESPONSE_ID: "c", semconv.ERROR_TYPE: "stream_error"}


def test_a_compound_model_names_the_models_that_it_used() -> None:
    used = [{"model": "b", "usage": USAGE}, {"model": "a", "usage": USAGE}, {"model": "b"}]
    for found in (
        CHAT.response({"usage": USAGE, "usage_breakdown": {"models": used}}),
        folded(CHAT, {"x_groq": {"usage": USAGE, "usage_breakdown": {"models": used}}}),
    ):
        assert found[semconv.MODELS_USED] == ["a", "b"]
        assert found[semconv.INPUT_TOKENS] == 18


def test_a_tool_that_a_stream_tells_of_twice_ran_once() -> None:
    def ran(output: Any) -> Any:
        tool = {"index": 0, "type": "search", "arguments": "", "output": output}
        return {"choices": [{"index": 0, "delta": {"executed_tools": [tool]}}]}

    assert folded(CHAT, ran(None), ran("found"))[semconv.WEB_SEARCHES] == 1


def test_together_states_cached_tokens_beside_the_others() -> None:
    usage = {"prompt_tokens": 41, "completion_tokens": 15, "cached_tokens": 32}
    for found in (TOGETHER.response({"usage": usage}), folded(TOGETHER, {"usage": usage})):
        assert found == {
            semconv.INPUT_TOKENS: 41,
            semconv.OUTPUT_TOKENS: 15,
            semconv.CACHE_READ_TOKENS: 32,
        }


def test_a_rerank_may_state_tokens_or_nothing() -> None:
    assert RERANK.request({"model": "m", "query": "q"}) == {semconv.REQUEST_MODEL: "m"}
    assert RERANK.response({"id": "r", "model": "m", "results": []}) == {
        semconv.RESPONSE_ID: "r",
        semconv.RESPONSE_MODEL: "m",
    }
