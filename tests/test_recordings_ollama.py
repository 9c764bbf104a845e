"""Recorded traffic of Ollama, replayed through the real SDK: the span says what it stated.

What is expected is read from the recordings here, with a JSON parser and nothing of tollspan's.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import ollama
import pytest
from needs import recordings
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from replay import Exchange, Replay, recorded

from tollspan import instrumentation


def stated(exchange: Exchange) -> dict[str, Any]:
    """Model, finish reason, counts and durations of a recorded answer, by span attribute."""
    lines = [json.loads(line) for line in exchange.text.splitlines() if line]
    last = lines[-1]
    counts = {
        "gen_ai.response.model": last["model"],
        "gen_ai.usage.input_tokens": last.get("prompt_eval_count"),
        "gen_ai.usage.output_tokens": last.get("eval_count"),
        "tollspan.server_s": last["total_duration"] / 1e9,
        "tollspan.load_s": last["load_duration"] / 1e9,
        "tollspan.input_s": last["prompt_eval_duration"] / 1e9,
        "tollspan.output_s": last["eval_duration"] / 1e9,
        "gen_ai.response.finish_reasons": (last["done_reason"],) if "done_reason" in last else None,
    }
    return {name: value for name, value in counts.items() if value is not None}


async def _generated(url: str, asked: dict[str, Any]) -> None:
    client = ollama.AsyncClient(host=url)
    await client.generate(**asked)
    await client._client.aclose()


FOUND = (
    "gen_ai.response.",
    "gen_ai.usage.",
    "tollspan.server_s",
    "tollspan.load_s",
    "tollspan.input_s",
    "tollspan.output_s",
)


@pytest.mark.parametrize("name", ["34-ollama-stream", "35-ollama-async-prompt-eval-count-absent"])
def test_the_span_says_what_was_recorded(
    name: str, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    (exchange,) = recorded(Path(recordings()) / f"{name}.yaml")
    instrumentation.instrument(provider, ["ollama"])
    try:
        with Replay([exchange]) as server:
            asked = {key: value for key, value in exchange.asked.items() if value not in ("", None)}
            asked["stream"] = bool(asked.get("stream"))
            if exchange.path == "/api/chat":
                client = ollama.Client(host=server.origin)
                list(client.chat(**asked))
                client._client.close()
            else:
                asyncio.run(_generated(server.origin, asked))
    finally:
        instrumentation.uninstrument()

    (span,) = (each for each in exporter.get_finished_spans() if each.name != "POST")
    attributes = dict(span.attributes or {})
    attributes.pop("gen_ai.response.time_to_first_chunk", None)
    assert {key: value for key, value in attributes.items() if key.startswith(FOUND)} == stated(
        exchange
    )
    assert attributes["gen_ai.request.model"] == exchange.asked["model"]
    assert attributes["gen_ai.provider.name"] == "ollama"
    assert attributes["tollspan.status"] == "success"


def test_what_was_recorded_without_a_count_has_none() -> None:
    (exchange,) = recorded(Path(recordings()) / "35-ollama-async-prompt-eval-count-absent.yaml")
    assert "gen_ai.usage.input_tokens" not in stated(exchange)
    assert stated(exchange)["gen_ai.usage.output_tokens"] == 38
