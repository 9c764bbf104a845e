"""Recorded traffic of Bedrock, replayed through boto3 and aiobotocore: the span says what it stated.

What is expected is read from the recordings here, with parsers of JSON and of event streams that
are not tollspan's.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import needs
import pytest
import yaml
from needs import missing, recordings
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from replay import Exchange, Replay

from tollspan.instrumentation import PROVIDERS

if (_why := PROVIDERS["bedrock"].missing()) is not None:
    missing("sdk-bedrock", _why)

from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import ClientError
from drivers.bedrock import AsyncClient, client
from test_providers import watched

METHODS = {
    "converse": "converse",
    "converse-stream": "converse_stream",
    "invoke-with-response-stream": "invoke_model_with_response_stream",
}


class Recorded(Exchange):
    """An answer that may be binary."""

    @property
    def streamed(self) -> bool:
        return False


def _exchange(number: int) -> Exchange:
    """The one exchange of a recording. Its answer may be binary, and so may its headers be."""
    (file,) = recordings().glob(f"{number}-bedrock-*.yaml")
    (each,) = yaml.safe_load(file.read_text())["interactions"]
    body = each["response"]["body"]["string"]
    headers = [
        (name, value if isinstance(value, str) else value[0])
        for name, value in each["response"]["headers"].items()
        if name.lower() not in ("connection", "transfer-encoding", "content-length", "date")
    ]
    return Recorded(
        url=each["request"]["uri"],
        asked=json.loads(each["request"]["body"]),
        status=each["response"]["status"]["code"],
        headers=headers,
        body=body.encode() if isinstance(body, str) else body,
    )


def _events(exchange: Exchange) -> list[tuple[str, Any]]:
    buffer = EventStreamBuffer()
    buffer.add_data(exchange.body)
    return [(each.headers[":event-type"], json.loads(each.payload)) for each in buffer]


def _stated(exchange: Exchange) -> dict[str, Any]:
    """What the recorded answer says, by span attribute."""
    kind = exchange.path.rpartition("/")[2]
    if exchange.status >= 400:
        return {"error.type": "ValidationException"}
    if kind == "invoke-with-response-stream":
        chunks = [json.loads(base64.b64decode(held["bytes"])) for _, held in _events(exchange)]
        message = chunks[0]["message"]
        (delta,) = (each for each in chunks if each["type"] == "message_delta")
        counted = chunks[-1]["amazon-bedrock-invocationMetrics"]
        assert delta["usage"]["output_tokens"] == counted["outputTokenCount"]
        return {
            "gen_ai.response.id": message["id"],
            "gen_ai.response.model": message["model"],
            "gen_ai.response.finish_reasons": (delta["delta"]["stop_reason"],),
            "gen_ai.usage.input_tokens": counted["inputTokenCount"],
            "gen_ai.usage.output_tokens": counted["outputTokenCount"],
        }
    if kind == "converse-stream":
        held = dict(_events(exchange))
        usage, reason = held["metadata"]["usage"], held["messageStop"]["stopReason"]
    else:
        answer = json.loads(exchange.body)
        usage, reason = answer["usage"], answer["stopReason"]
    read, written = usage.get("cacheReadInputTokens"), usage.get("cacheWriteInputTokens")
    return {
        "gen_ai.response.finish_reasons": (reason,),
        "gen_ai.usage.input_tokens": usage["inputTokens"] + (read or 0) + (written or 0),
        "gen_ai.usage.output_tokens": usage["outputTokens"],
        "gen_ai.usage.cache_read.input_tokens": read,
        "gen_ai.usage.cache_write.input_tokens": written,
    }


ALSO: dict[int, dict[str, Any]] = {
    36: {"gen_ai.request.model": "amazon.titan-text-lite-v1", "gen_ai.request.max_tokens": 10},
    37: {"gen_ai.request.model": "anthropic.claude-v2", "gen_ai.request.stop_sequences": ("|",)},
    38: {"gen_ai.request.model": "does-not-exist", "tollspan.status": "error"},
    # The guardrail masked names in the answer, which came.
    39: {"tollspan.status": "success", "tollspan.blocked_by": None},
    40: {"gen_ai.request.model": "us.anthropic.claude-3-7-sonnet-20250219-v1:0"},
}


def _arguments(exchange: Exchange) -> tuple[str, dict[str, Any]]:
    *_, model, kind = exchange.path.split("/")
    asked: dict[str, Any] = {"modelId": unquote(model)}
    if kind.startswith("invoke"):
        return METHODS[kind], {**asked, "body": json.dumps(exchange.asked)}
    return METHODS[kind], {**asked, **exchange.asked}


def _known(exchange: Exchange) -> set[str]:
    """What the SDK can be asked with."""
    if "invoke" in exchange.path:
        return set(exchange.asked)
    model = client("http://127.0.0.1:9").meta.service_model
    return set(model.operation_model("Converse").input_shape.members)


def _ask(server: Replay, exchange: Exchange) -> Any:
    method, asked = _arguments(exchange)
    made = client(server.origin)
    try:
        answer = getattr(made, method)(**asked)
        for key in ("stream", "body"):
            if key in answer:
                return list(answer[key])
        return answer
    except ClientError as error:
        return error.response["Error"]
    finally:
        made.close()


async def _ask_async(server: Replay, exchange: Exchange) -> Any:
    method, asked = _arguments(exchange)
    made = AsyncClient(server.origin)
    try:
        answer = await getattr(await made.real(), method)(**asked)
        for key in ("stream", "body"):
            if key in answer:
                return [each async for each in answer[key]]
        return answer
    except ClientError as error:
        return error.response["Error"]
    finally:
        await made.close()


@pytest.fixture(autouse=True)
def no_profile(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    yield


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("number", ALSO)
def test_the_span_says_what_bedrock_stated(
    number: int, is_async: bool, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    exchange = _exchange(number)
    if unknown := exchange.asked.keys() - _known(exchange):
        needs.missing("botocore", f"this botocore has no {', '.join(unknown)}")

    def ask() -> Any:
        with Replay([exchange]) as server:
            if is_async:
                return asyncio.run(_ask_async(server, exchange))
            return _ask(server, exchange)

    bare = ask()
    with watched(provider, "bedrock"):
        got = ask()

    assert got == bare
    span, *others = [
        each
        for each in exporter.get_finished_spans()
        if "gen_ai.operation.name" in (each.attributes or {})
    ]
    assert others == []
    attributes = dict(span.attributes or {})
    for name, value in (_stated(exchange) | ALSO[number]).items():
        assert attributes.get(name) == value, name
    assert attributes["gen_ai.provider.name"] == "aws.bedrock"
    (attempt,) = (
        each
        for each in exporter.get_finished_spans()
        if "tollspan.attempt" in (each.attributes or {})
    )
    request_id = {name.lower(): value for name, value in exchange.headers}["x-amzn-requestid"]
    assert (attempt.attributes or {})["http.response.header.x-amzn-requestid"] == request_id
