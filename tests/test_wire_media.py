"""Embeddings, images, audio, moderations: JSON in, attributes out, as dicts and SDK objects."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types import CreateEmbeddingResponse, ImagesResponse, ModerationCreateResponse
from openai.types.audio import Transcription, TranscriptionVerbose

from tollspan.instrumentation._audio import SPEECH, TRANSCRIPTION, TRANSLATION
from tollspan.instrumentation._embeddings import EMBEDDINGS
from tollspan.instrumentation._images import IMAGES
from tollspan.instrumentation._moderations import MODERATIONS


def _both(model: Any, json: dict[str, Any]) -> list[Any]:
    return [json, model.construct(**json)]


def test_embeddings() -> None:
    body = {"model": "text-embedding-3-small", "input": "secret", "encoding_format": "base64"}
    assert dict(EMBEDDINGS.request(body)) == {
        "gen_ai.request.model": "text-embedding-3-small",
        "gen_ai.request.encoding_formats": ["base64"],
    }
    answer = {
        "object": "list",
        "data": [],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 24, "total_tokens": 24},
    }
    for made in _both(CreateEmbeddingResponse, answer):
        assert dict(EMBEDDINGS.response(made)) == {
            "gen_ai.response.model": "text-embedding-3-small",
            "gen_ai.usage.input_tokens": 24,
        }


IMAGE_USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"image_tokens": 40, "text_tokens": 10},
    "output_tokens": 4160,
    "output_tokens_details": {"image_tokens": 4100, "text_tokens": 60},
    "total_tokens": 4210,
}
IMAGE_EXPECTED = {
    "gen_ai.usage.input_tokens": 50,
    "gen_ai.usage.output_tokens": 4160,
    "gen_ai.usage.image.input_tokens": 40,
    "gen_ai.usage.text.input_tokens": 10,
    "gen_ai.usage.image.output_tokens": 4100,
    "gen_ai.usage.text.output_tokens": 60,
}


def test_images() -> None:
    assert dict(IMAGES.request({"model": "gpt-image-1", "prompt": "secret", "n": 2})) == {
        "gen_ai.request.model": "gpt-image-1",
        "gen_ai.request.choice.count": 2,
        "gen_ai.output.type": "image",
    }
    for made in _both(ImagesResponse, {"created": 1, "data": [], "usage": IMAGE_USAGE}):
        assert dict(IMAGES.response(made)) == IMAGE_EXPECTED


def test_streamed_images_state_usage_at_the_end() -> None:
    fold = IMAGES.fold()
    fold.add({"type": "image_generation.partial_image", "b64_json": "…"})
    fold.add({"type": "image_generation.completed", "b64_json": "…", "usage": IMAGE_USAGE})
    assert dict(fold.attributes()) == IMAGE_EXPECTED


def test_speech_states_nothing_in_its_answer() -> None:
    body = {"model": "gpt-4o-mini-tts", "input": "secret", "voice": "alloy"}
    assert dict(SPEECH.request(body)) == {
        "gen_ai.request.model": "gpt-4o-mini-tts",
        "gen_ai.output.type": "speech",
    }
    assert dict(SPEECH.response(object())) == {}


TOKENS = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"audio_tokens": 13, "text_tokens": 1},
    "output_tokens": 45,
    "total_tokens": 59,
}
TOKENS_EXPECTED = {
    "gen_ai.usage.input_tokens": 14,
    "gen_ai.usage.output_tokens": 45,
    "gen_ai.usage.audio.input_tokens": 13,
    "gen_ai.usage.text.input_tokens": 1,
}


def test_a_transcription_billed_by_tokens() -> None:
    body = {"model": "gpt-4o-transcribe", "temperature": 0.1, "stream": True}
    assert dict(TRANSCRIPTION.request(body)) == {
        "gen_ai.request.model": "gpt-4o-transcribe",
        "gen_ai.request.temperature": 0.1,
        "gen_ai.request.stream": True,
    }
    for made in _both(Transcription, {"text": "secret", "usage": TOKENS}):
        assert dict(TRANSCRIPTION.response(made)) == TOKENS_EXPECTED
    fold = TRANSCRIPTION.fold()
    fold.add({"type": "transcript.text.delta", "delta": "sec"})
    fold.add({"type": "transcript.text.done", "text": "secret", "usage": TOKENS})
    assert dict(fold.attributes()) == TOKENS_EXPECTED


@pytest.mark.parametrize("duration", [9.5, "9.5"])
def test_a_transcription_billed_by_seconds(duration: Any) -> None:
    answer = {"text": "secret", "duration": duration, "usage": {"type": "duration", "seconds": 10}}
    for made in _both(TranscriptionVerbose, answer):
        assert dict(TRANSCRIPTION.response(made)) == {"tollspan.usage.audio.input_seconds": 10.0}
    del answer["usage"]
    for made in _both(TranscriptionVerbose, answer):
        assert dict(TRANSLATION.response(made)) == {"tollspan.usage.audio.input_seconds": 9.5}


def test_a_duration_beside_tokens_is_no_unit_of_the_bill() -> None:
    answer = {"text": "secret", "duration": 9.5, "usage": TOKENS}
    assert dict(TRANSCRIPTION.response(answer)) == TOKENS_EXPECTED


def test_a_transcript_as_plain_text_states_nothing() -> None:
    assert dict(TRANSCRIPTION.response("secret")) == {}


def test_moderations() -> None:
    assert MODERATIONS.operation == "moderation"
    body = {"model": "omni-moderation-latest", "input": "secret"}
    assert dict(MODERATIONS.request(body)) == {"gen_ai.request.model": "omni-moderation-latest"}
    answer = {"id": "modr-1", "model": "omni-moderation-2024-09-26", "results": []}
    for made in _both(ModerationCreateResponse, answer):
        assert dict(MODERATIONS.response(made)) == {
            "gen_ai.response.id": "modr-1",
            "gen_ai.response.model": "omni-moderation-2024-09-26",
        }
