"""Attempts below boto3 and aiobotocore: each signed request of a model's endpoint, and no other."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import needs
import pytest
from needs import missing
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sdks import call_spans, settle

from tollspan import instrumentation, semconv
from tollspan.instrumentation import PROVIDERS, _open_calls

if (_why := PROVIDERS["bedrock"].missing()) is not None:
    missing("sdk-bedrock", _why)

import boto3
import botocore.endpoint
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from drivers.bedrock import (
    CONVERSE,
    CONVERSE_BODY,
    CONVERSE_EVENTS,
    AsyncClient,
    client,
    events,
)

CREDENTIALS = {
    "AccessKeyId": "AKIAOTHER",
    "SecretAccessKey": "other",
    "SessionToken": "token",
    "Expiration": "2099-01-01T00:00:00Z",
}
ASSUMED = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials>{}</Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>""".format(
    "".join(f"<{name}>{value}</{name}>" for name, value in CREDENTIALS.items())
)


METADATA = {
    "/latest/api/token": b"token",
    "/latest/meta-data/iam/security-credentials/": b"role",
    "/latest/meta-data/iam/security-credentials/role": json.dumps(
        {**CREDENTIALS, "Token": "t", "Code": "Success"}
    ).encode(),
}
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html"""


class Aws:
    """A service that answers each request for a model with the next status, and gives credentials."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.received: list[tuple[str, dict[str, str]]] = []
        aws = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = self.rfile.read(int(self.headers.get("content-length") or 0))
                aws.received.append((self.path, dict(self.headers.items())))
                kind, status, body = "application/json", 200, b"{}"
                if b"AssumeRole" in asked:
                    kind, body = "text/xml", ASSUMED.encode()
                elif self.path.endswith("converse-stream"):
                    kind = "application/vnd.amazon.eventstream"
                    body = b"".join(events(CONVERSE_EVENTS).pieces)
                elif self.path in METADATA:
                    kind, body = "text/plain", METADATA[self.path]
                elif self.path.startswith("/model"):
                    status = aws.statuses.pop(0) if aws.statuses else 200
                    answer = CONVERSE_BODY if status == 200 else {"message": "secret words"}
                    body = json.dumps(answer).encode()
                self.send_response_only(status)
                self.send_header("content-type", kind)
                self.send_header("x-amzn-RequestId", f"request-{len(aws.received)}")
                self.send_header("content-length", str(len(body)))
                if status == 429:
                    self.send_header("x-amzn-ErrorType", "ThrottlingException:http://x/")
                    self.send_header("retry-after", "3")
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # The SDK's back-off takes no time.
    monkeypatch.setattr(botocore.endpoint.time, "sleep", lambda _: None)
    running = Aws()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def watching(provider: TracerProvider) -> Iterator[None]:
    instrumentation.instrument(provider, ["bedrock"])
    yield
    instrumentation.uninstrument()
    settle()
    assert _open_calls.live == {}


@contextmanager
def made(url: str, **more: Any) -> Iterator[Any]:
    new = client(url, **more)
    try:
        yield new
    finally:
        new.close()


def attempts(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    return [
        each for each in exporter.get_finished_spans() if semconv.ATTEMPT in (each.attributes or {})
    ]


def _retrying(mode: str) -> Config:
    return Config(retries={"total_max_attempts": 3, "mode": mode})


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_each_retry_is_an_attempt_of_one_call(
    mode: str, aws: Aws, exporter: InMemorySpanExporter
) -> None:
    aws.statuses = [429, 503, 200]
    with made(aws.url, config=_retrying(mode)) as bedrock:
        answer = bedrock.converse(**CONVERSE)
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2

    (call,) = call_spans(exporter)
    assert (call.attributes or {})[semconv.APP_ATTEMPTS] == 3
    seen = [dict(each.attributes or {}) for each in attempts(exporter)]
    assert [each[semconv.HTTP_STATUS] for each in seen] == [429, 503, 200]
    assert [each[semconv.ATTEMPT] for each in seen] == [1, 2, 3]
    assert seen[0][semconv.RETRY_AFTER] == 3.0
    assert seen[2]["http.response.header.x-amzn-requestid"] == "request-3"
    for each in attempts(exporter):
        assert each.parent is not None
        assert each.parent.span_id == call.context.span_id


def test_retries_of_aiobotocore_are_attempts_too(aws: Aws, exporter: InMemorySpanExporter) -> None:
    aws.statuses = [503, 200]

    async def run() -> None:
        new = AsyncClient(aws.url, config=_retrying("standard"))
        try:
            await (await new.real()).converse(**CONVERSE)
        finally:
            await new.close()

    asyncio.run(run())
    seen = [dict(each.attributes or {}) for each in attempts(exporter)]
    assert [each[semconv.HTTP_STATUS] for each in seen] == [503, 200]


def test_a_call_that_fails_for_good_says_the_services_code(
    aws: Aws, exporter: InMemorySpanExporter
) -> None:
    aws.statuses = [429, 429, 429]
    with (
        made(aws.url, config=_retrying("standard")) as bedrock,
        pytest.raises(ClientError) as caught,
    ):
        bedrock.converse(**CONVERSE)
    assert type(caught.value) is bedrock.exceptions.ThrottlingException
    (call,) = call_spans(exporter)
    attributes = dict(call.attributes or {})
    assert attributes[semconv.ERROR_TYPE] == "ThrottlingException"
    assert attributes[semconv.STATUS] == "error"
    assert attributes[semconv.APP_ATTEMPTS] == 3
    assert "secret" not in call.to_json()


def test_an_attempt_that_reaches_nobody_is_an_error(exporter: InMemorySpanExporter) -> None:
    with made("http://127.0.0.1:9") as bedrock, pytest.raises(EndpointConnectionError):
        bedrock.converse(**CONVERSE)
    (attempt,) = attempts(exporter)
    assert (attempt.attributes or {})[semconv.ERROR_TYPE] == "EndpointConnectionError"


def test_the_attempt_of_a_stream_lasts_as_long_as_the_stream(
    aws: Aws, exporter: InMemorySpanExporter
) -> None:
    with made(aws.url) as bedrock:
        stream = bedrock.converse_stream(**CONVERSE)["stream"]
        assert attempts(exporter) == []
        assert list(stream)
    assert len(attempts(exporter)) == 1


def test_the_signature_is_not_touched_and_trace_context_goes_beside_it(
    aws: Aws, exporter: InMemorySpanExporter
) -> None:
    with made(aws.url) as bedrock:
        bedrock.converse(**CONVERSE)
    ((_, headers),) = aws.received
    (attempt,) = attempts(exporter)
    sent = {name.lower(): value for name, value in headers.items()}
    assert f"{attempt.context.span_id:016x}" in sent["traceparent"]
    signed = sent["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert not {"traceparent", "tracestate", "baggage"} & set(signed)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_fetching_credentials_is_no_attempt(
    is_async: bool,
    aws: Aws,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    """A role is assumed when the first request is signed, which is inside the call."""
    token = tmp_path / "token"
    token.write_text("a token")
    for name, value in {
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_ENDPOINT_URL_STS": aws.url,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)

    async def run() -> None:
        from aiobotocore.session import get_session

        async with get_session().create_client("bedrock-runtime", endpoint_url=aws.url) as bedrock:
            await bedrock.converse(**CONVERSE)

    if is_async:
        asyncio.run(run())
    else:
        bedrock = boto3.Session().client("bedrock-runtime", endpoint_url=aws.url)
        bedrock.converse(**CONVERSE)
        bedrock.close()
    paths = [path for path, _ in aws.received]
    if paths[0] != "/":
        needs.missing("botocore", "this botocore takes no endpoint for STS from the environment")
    assert paths[-1].endswith("/converse")
    (call,) = call_spans(exporter)
    (attempt,) = attempts(exporter)
    assert (call.attributes or {})[semconv.APP_ATTEMPTS] == 1
    assert (attempt.attributes or {})[semconv.HTTP_STATUS] == 200


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_asking_the_metadata_service_is_no_attempt(
    is_async: bool,
    aws: Aws,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    for name, value in {
        "AWS_EC2_METADATA_DISABLED": "false",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.url,
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    elsewhere = aws.url.replace("127.0.0.1", "localhost")

    async def run() -> None:
        from aiobotocore.session import get_session

        new = get_session().create_client("bedrock-runtime", endpoint_url=elsewhere)
        async with new as bedrock:
            await bedrock.converse(**CONVERSE)

    if is_async:
        asyncio.run(run())
    else:
        bedrock = boto3.Session().client("bedrock-runtime", endpoint_url=elsewhere)
        bedrock.converse(**CONVERSE)
        bedrock.close()
    assert [path for path, _ in aws.received[:-1]] == list(METADATA)
    (attempt,) = attempts(exporter)
    assert (attempt.attributes or {})[semconv.SERVER_ADDRESS] == "localhost"


def test_other_services_are_left_alone(aws: Aws, exporter: InMemorySpanExporter) -> None:
    given = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    sqs = boto3.client("sqs", endpoint_url=aws.url, **given)
    sqs.list_queues()
    sqs.close()
    with made(aws.url) as bedrock:  # no model is asked by this one
        if not hasattr(bedrock, "apply_guardrail"):
            needs.missing("botocore", "this botocore has no ApplyGuardrail")
        bedrock.apply_guardrail(
            guardrailIdentifier="g", guardrailVersion="1", source="INPUT",
            content=[{"text": {"text": "q"}}],
        )  # fmt: skip
    assert len(aws.received) == 2
    assert exporter.get_finished_spans() == ()
    for _, headers in aws.received:
        assert "traceparent" not in {name.lower() for name in headers}


def test_counting_tokens_is_a_call_that_used_none(aws: Aws, exporter: InMemorySpanExporter) -> None:
    with made(aws.url) as bedrock:
        if not hasattr(bedrock, "count_tokens"):
            needs.missing("botocore", "this botocore has no CountTokens")
        bedrock.count_tokens(modelId="m", input={"converse": {"messages": CONVERSE["messages"]}})
    (call,) = call_spans(exporter)
    attributes = dict(call.attributes or {})
    assert attributes[semconv.OPERATION] == "count_tokens"
    assert semconv.INPUT_TOKENS not in attributes


def test_uninstrumenting_gives_botocore_its_own_methods_back() -> None:
    def held() -> list[Any]:
        return [
            BaseClient.__dict__["_make_api_call"],
            botocore.endpoint.Endpoint.__dict__["_send"],
        ]

    watched = held()
    instrumentation.uninstrument()
    for ours, own in zip(watched, held(), strict=True):
        assert ours is not own
        assert ours.__wrapped__ is own
