"""Every reader takes any JSON in any place: never raises, writes declared names and types only."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from openai._models import construct_type
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response
from opentelemetry.sdk.trace import TracerProvider

from tollspan import semconv
from tollspan.instrumentation._audio import SPEECH, TRANSCRIPTION, TRANSLATION
from tollspan.instrumentation._chat_completions import CHAT
from tollspan.instrumentation._cohere_chat import CHAT_STREAM as COHERE_CHAT
from tollspan.instrumentation._completions import COMPLETIONS
from tollspan.instrumentation._conversations import CONVERSATION
from tollspan.instrumentation._converse import CONVERSE_STREAM
from tollspan.instrumentation._embeddings import EMBEDDINGS
from tollspan.instrumentation._generate_content import GENERATE_CONTENT
from tollspan.instrumentation._google_predictions import EMBEDDINGS as GOOGLE_EMBEDDINGS
from tollspan.instrumentation._google_predictions import IMAGES as GOOGLE_IMAGES
from tollspan.instrumentation._google_predictions import VIDEOS
from tollspan.instrumentation._groq_chat import CHAT as GROQ_CHAT
from tollspan.instrumentation._huggingface_tasks import TASKS
from tollspan.instrumentation._images import IMAGES
from tollspan.instrumentation._interactions import FETCHED_INTERACTION, INTERACTIONS
from tollspan.instrumentation._invoke_model import surfaces
from tollspan.instrumentation._messages import COUNT_TOKENS, MESSAGES
from tollspan.instrumentation._mistral_audio import TRANSCRIPTION_STREAM as MISTRAL_TRANSCRIPTION
from tollspan.instrumentation._mistral_chat import CHAT_STREAM as MISTRAL_CHAT
from tollspan.instrumentation._moderations import MODERATIONS
from tollspan.instrumentation._ocr import OCR
from tollspan.instrumentation._ollama_chat import CHAT as OLLAMA_CHAT
from tollspan.instrumentation._responses import RESPONSES
from tollspan.instrumentation._tensorzero_inference import INFERENCE
from tollspan.instrumentation._together_chat import CHAT as TOGETHER_CHAT
from tollspan.instrumentation._xai_chat import IMAGES as XAI_IMAGES
from tollspan.instrumentation._xai_chat import STREAM as XAI_CHAT

SURFACES = {
    "chat": CHAT,
    "completions": COMPLETIONS,
    "embeddings": EMBEDDINGS,
    "images": IMAGES,
    "generate_content": GENERATE_CONTENT,
    "interactions": INTERACTIONS,
    "fetched_interaction": FETCHED_INTERACTION,
    "google_embeddings": GOOGLE_EMBEDDINGS,
    "google_images": GOOGLE_IMAGES,
    "videos": VIDEOS,
    "speech": SPEECH,
    "transcription": TRANSCRIPTION,
    "translation": TRANSLATION,
    "messages": MESSAGES,
    "count_tokens": COUNT_TOKENS,
    "moderations": MODERATIONS,
    "cohere": COHERE_CHAT,
    "conversations": CONVERSATION,
    "converse": CONVERSE_STREAM,
    "invoke model": surfaces("chat")[1],
    "groq": GROQ_CHAT,
    "mistral": MISTRAL_CHAT,
    "mistral transcription": MISTRAL_TRANSCRIPTION,
    "ocr": OCR,
    "together": TOGETHER_CHAT,
    "responses": RESPONSES,
    "huggingface chat": TASKS["conversational"],
    "huggingface text": TASKS["text-generation"],
    "ollama": OLLAMA_CHAT,
    "tensorzero": INFERENCE,
    "xai": XAI_CHAT,
    "xai images": XAI_IMAGES,
}

# Names that the readers look for, so that odd values land where they are read.
NAMES = [
    "id",
    "model",
    "choices",
    "finish_reason",
    "index",
    "usage",
    "error",
    "code",
    "type",
    "message",
    "delta",
    "event",
    "response",
    "status",
    "output",
    "action",
    "reason",
    "incomplete_details",
    "stop_reason",
    "provider",
    "service_tier",
    "x_groq",
    "cost",
    "is_byok",
    "cost_details",
    "upstream_inference_cost",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "input_tokens",
    "output_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
    "input_tokens_details",
    "output_tokens_details",
    "input_token_details",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "audio_tokens",
    "image_tokens",
    "text_tokens",
    "cache_creation",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "ephemeral_5m_input_tokens",
    "ephemeral_1h_input_tokens",
    "thinking_tokens",
    "server_tool_use",
    "web_search_requests",
    "iterations",
    "seconds",
    "duration",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "temperature",
    "top_p",
    "top_k",
    "n",
    "stop",
    "stop_sequences",
    "stream",
    "response_format",
    "modalities",
    "reasoning",
    "reasoning_effort",
    "effort",
    "text",
    "format",
    "output_config",
    "output_format",
    "seed",
    "encoding_format",
    # Cohere, Groq, Mistral
    "billed_units",
    "search_units",
    "meta",
    "tokens",
    "tool_calls",
    "function",
    "name",
    "generations",
    "event_type",
    "executed_tools",
    "usage_breakdown",
    "models",
    "queue_time",
    "data",
    "outputs",
    "connector_tokens",
    "connectors",
    "web_search",
    "completion_args",
    "prompt_audio_seconds",
    "usage_info",
    "pages_processed",
    "pages",
    "images",
    "document_annotation",
    # Bedrock
    "body",
    "api_params",
    "modelId",
    "inferenceConfig",
    "toolConfig",
    "tools",
    "content",
    "toolUse",
    "stopReason",
    "inputTokens",
    "outputTokens",
    "totalTokens",
    "cacheReadInputTokens",
    "cacheWriteInputTokens",
    "cacheDetails",
    "ttl",
    "trace",
    "guardrail",
    "inputAssessment",
    "promptRouter",
    "invokedModelId",
    "performanceConfig",
    "latency",
    "serviceTier",
    "ResponseMetadata",
    "RetryAttempts",
    "HTTPHeaders",
    "x-amzn-bedrock-input-token-count",
    "inputTextTokenCount",
    "results",
    "tokenCount",
    "prompt_token_count",
    "generation_token_count",
    "amazon-bedrock-guardrailAction",
    "amazon-bedrock-trace",
    "headers",
    ":event-type",
    ":exception-type",
    "payload",
    # Ollama, Hugging Face, xAI, TensorZero
    "_proto",
    "done",
    "done_reason",
    "eval_count",
    "prompt_eval_count",
    "total_duration",
    "think",
    "details",
    "generated_tokens",
    "input_length",
    "parameters",
    "json",
    "url",
    "bill_to",
    "server_side_tools_used",
    "cost_in_usd_ticks",
    "variant_name",
    "raw_usage",
    "provider_type",
    "raw_name",
    "params",
    "chat_completion",
    "function_name",
    # Google
    "candidates",
    "finishReason",
    "content",
    "parts",
    "functionCall",
    "functionDeclarations",
    "groundingMetadata",
    "webSearchQueries",
    "promptFeedback",
    "blockReason",
    "usageMetadata",
    "promptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "toolUsePromptTokenCount",
    "cachedContentTokenCount",
    "totalTokenCount",
    "promptTokensDetails",
    "modality",
    "tokenCount",
    "trafficType",
    "serviceTier",
    "generationConfig",
    "responseMimeType",
    "responseModalities",
    "thinkingConfig",
    "thinkingLevel",
    "tools",
    "body",
    "interaction",
    "step",
    "steps",
    "errors",
    "total_input_tokens",
    "total_output_tokens",
    "total_thought_tokens",
    "input_tokens_by_modality",
    "grounding_tool_count",
    "count",
    "predictions",
    "embeddings",
    "statistics",
    "token_count",
    "instances",
    "parameters",
    "sampleCount",
]
WORDS = [
    "message_start",
    "message_delta",
    "content_block_delta",
    "error",
    "completed",
    "failed",
    "incomplete",
    "response.completed",
    "response.failed",
    "response.created",
    "web_search_call",
    "search",
    "compaction",
    "message-end",
    "stream-end",
    "tool-call-start",
    "message.output",
    "function.call",
    "function.call.delta",
    "conversation.response.done",
    "conversation.response.error",
    "ERROR",
    "json_schema",
    "text",
    "audio",
    "guardrail_intervened",
    "INTERVENED",
    "BLOCKED",
    "5m",
    "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude",
    "metadata",
    "chunk",
    "12",
    '{"usage": {"inputTokens": 1}}',
]

_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, -1, 2**63 - 1, 2**63, 10**400])
    | st.floats()
    | st.text(alphabet=st.characters(), max_size=8)
    | st.sampled_from(["", "\ud800", "x" * 5000, "\x00", *WORDS])
)
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=8)
    ),
    max_leaves=40,
)


def _namespace(value: Any) -> Any:
    """The same JSON with attributes for keys, as a model of some SDK would have it."""
    if isinstance(value, dict):
        made = SimpleNamespace()
        for key, each in value.items():
            made.__dict__[key] = _namespace(each)
        return made
    return [_namespace(each) for each in value] if isinstance(value, list) else value


def _check(found: Any) -> None:
    for name, value in dict(found).items():
        declared = semconv.ATTRIBUTES[name].type
        match declared:
            case "string":
                assert type(value) is str and 0 < len(value) <= 512 and value.encode() is not None
            case "int":
                assert type(value) is int and -(2**63) <= value < 2**63
            case "double":
                assert type(value) is float and math.isfinite(value)
            case "boolean":
                assert type(value) is bool
            case "string[]":
                assert value and len(value) <= 128
                assert all(type(each) is str and len(each) <= 512 for each in value)
            case _:
                pytest.fail(f"{name} is declared as {declared}")


@settings(max_examples=400, deadline=None)
@given(value=_values, chunks=st.lists(_values, max_size=4))
def test_any_json_anywhere(value: Any, chunks: list[Any]) -> None:
    """Every surface reads each example: to think it up takes longer than all of them to read it."""
    for made in (lambda json: json, _namespace):
        asked, streamed = made(value), [made(chunk) for chunk in chunks]
        for name, surface in SURFACES.items():
            note(name)
            _check(surface.request(asked))
            _check(surface.response(asked))
            if surface.fold is not None:
                fold = surface.fold()
                for chunk in streamed:
                    fold.add(chunk)
                _check(fold.attributes())
                assert dict(fold.attributes()) == dict(fold.attributes())


@pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
def test_what_is_no_json_at_all(surface: Any) -> None:
    for odd in (None, 0, "", b"x", [], object(), Exception("x"), float("nan"), {1: 2}, type):
        _check(surface.request(odd))
        _check(surface.response(odd))
        if surface.fold is not None:
            fold = surface.fold()
            fold.add(odd)
            _check(fold.attributes())


@settings(max_examples=150, deadline=None)
@given(value=st.dictionaries(st.sampled_from(NAMES), _values, max_size=8))
def test_any_json_as_the_sdk_makes_it(value: Any) -> None:
    """The SDK builds its models without validation; whatever it accepts, the readers accept."""
    kinds = ((ChatCompletion, CHAT), (Response, RESPONSES))
    for kind, surface in kinds:
        _check(surface.response(construct_type(value=value, type_=kind)))
    fold = CHAT.fold()
    assert fold is not None
    fold.add(construct_type(value=value, type_=ChatCompletionChunk))
    fold.add(construct_type(value=value, type_=ChatCompletionChunk))
    _check(fold.attributes())


@pytest.mark.parametrize("odd", [2**63, 10**400, -1, True, "5", 5.0, [5], {}], ids=repr)
def test_a_count_that_is_none_is_not_written(odd: Any) -> None:
    chat = {
        "prompt_tokens": odd,
        "completion_tokens": odd,
        "prompt_tokens_details": {"cached_tokens": odd, "audio_tokens": odd},
    }
    other = {"input_tokens": odd, "output_tokens": odd, "cache_read_input_tokens": odd}
    assert dict(CHAT.response({"usage": chat})) == {}
    assert dict(MESSAGES.response({"usage": other})) == {}
    assert dict(RESPONSES.response({"usage": other})) == {}
    assert dict(CHAT.request({"max_tokens": odd, "n": odd})) == {}


def test_long_lists_and_strings_are_cut() -> None:
    choices = [{"finish_reason": "x" * 1000, "index": each} for each in range(1000)]
    fold = CHAT.fold()
    assert fold is not None
    for each in choices:
        fold.add({"choices": [each]})
    for found in (CHAT.response({"choices": choices}), fold.attributes()):
        assert found["gen_ai.response.finish_reasons"] == ["x" * 512] * 128
    asked = CHAT.request({"stop": ["x" * 1000] * 1000, "model": "m" * 1000})
    assert asked["gen_ai.request.stop_sequences"] == ["x" * 512] * 128
    assert asked["gen_ai.request.model"] == "m" * 512


@pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
def test_deep_nesting(surface: Any) -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = {"usage": deep}
    for place in ("usage", "choices", "error", "response", "message", "delta", "output"):
        body = {"id": "x", "type": "response.completed", place: deep}
        _check(surface.response(body))
        if surface.fold is not None:
            fold = surface.fold()
            fold.add(body)
            _check(fold.attributes())
    while isinstance(deep, dict):  # taken apart by hand: freeing it whole would recurse
        deep = deep.pop("usage")


def test_what_is_read_can_be_written_on_a_span() -> None:
    """NaN and infinity are JSON to Python's parser; neither they nor huge counts reach a span."""
    answer = json.loads(
        '{"id": "x", "usage": {"prompt_tokens": NaN, "completion_tokens": 1e999,'
        ' "cost": Infinity, "prompt_tokens_details": {"cached_tokens": 1e400}}}'
    )
    found = dict(CHAT.response(answer))
    assert found == {"gen_ai.response.id": "x"}
    span = TracerProvider().get_tracer("t").start_span("t", attributes=found)
    span.end()
