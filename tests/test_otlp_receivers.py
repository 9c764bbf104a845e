"""OTLP comes in whole, from real exporters and raw requests; what is not OTLP is told so."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind
from spans import START_NS, foreign, otlp_json, owner, protobuf, span

from tollspan import semconv
from tollspan.collector import otlp_http
from tollspan.collector.otlp_grpc import TRACES
from tollspan.collector.receiver import Overloaded
from tollspan.local import LocalStack


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack() as made:
        yield made


@pytest.fixture(autouse=True)
def empty(stack: LocalStack) -> None:
    for table in ("spans", "llm_calls", "llm_hops"):
        stack.ledger._writer.query(f"TRUNCATE TABLE {table}")
    stack.stage.forget(list(stack.stage._traces))


def post(
    stack: LocalStack, body: bytes, *, path: str = "/v1/traces", **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    given = {"content-type": "application/x-protobuf"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(stack.http_endpoint + path, body, given, method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def call(stack: LocalStack, body: bytes, method: str = TRACES, **metadata: str) -> Any:
    with grpc.insecure_channel(stack.grpc_endpoint.removeprefix("http://")) as channel:
        return channel.unary_unary(method)(body, timeout=20, metadata=tuple(metadata.items()))


def stored(stack: LocalStack) -> list[dict[str, Any]]:
    return stack.ledger.query("SELECT span_id, name FROM spans FINAL ORDER BY span_id")


def exporters(stack: LocalStack) -> dict[str, SpanExporter]:
    traces = stack.http_endpoint + "/v1/traces"
    return {
        "grpc": GrpcExporter(endpoint=stack.grpc_endpoint, insecure=True),
        "grpc, gzip": GrpcExporter(
            endpoint=stack.grpc_endpoint, insecure=True, compression=grpc.Compression.Gzip
        ),
        "http": HttpExporter(endpoint=traces),
        "http, gzip": HttpExporter(endpoint=traces, compression=Compression.Gzip),
    }


@pytest.mark.parametrize("way", ["grpc", "grpc, gzip", "http", "http, gzip"])
def test_a_real_exporter_fills_the_ledger(stack: LocalStack, way: str) -> None:
    resource = Resource({semconv.SERVICE_NAME: "shop", semconv.DEPLOYMENT_ENVIRONMENT: "prod"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(SimpleSpanProcessor(exporters(stack)[way]))
    tracer = provider.get_tracer(semconv.SCOPE)
    attributes = {**owner(1).attributes, semconv.FINISH_REASONS: ["stop"]}
    with (
        tracer.start_as_current_span("GET /", kind=SpanKind.SERVER),
        tracer.start_as_current_span("chat", kind=SpanKind.CLIENT, attributes=attributes),
    ):
        pass
    provider.shutdown()

    (row,) = stack.ledger.query("SELECT * FROM tollspan_calls")  # told safe means it stands there
    assert row["cost_usd"] == "0.000123"
    assert (row["service"], row["environment"]) == ("shop", "prod")
    assert (row["endpoint"], row["tenant"]) == ("checkout.ai_summary", "acme")
    assert row["finish_reasons"] == ["stop"]
    assert len(stored(stack)) == 2


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("is_json", [False, True])
def test_raw_http_in_every_spelling(stack: LocalStack, is_json: bool, packed: bool) -> None:
    sent = [span(1, attributes={"n": 7, "x": 0.5, "b": True, "l": [1, 2]}), owner(2, 1)]
    body = otlp_json(sent) if is_json else protobuf(sent)
    headers = {"content_type": "application/json; charset=utf-8"} if is_json else {}
    headers |= {"content_encoding": "gzip"} if packed else {}
    status, answer, told = post(stack, gzip.compress(body) if packed else body, **headers)

    assert status == 200
    assert answer == (b"{}" if is_json else b"")
    assert told["content-type"] == ("application/json" if is_json else "application/x-protobuf")
    assert len(stack.ledger.query("SELECT * FROM tollspan_calls")) == 1
    (row,) = stack.ledger.query("SELECT attributes, typed FROM spans WHERE name = 'span 1'")
    assert row["attributes"] == {"n": "7", "x": "0.5", "b": "true", "l": "[1, 2]"}
    assert set(row["typed"]) == {"n", "x", "b", "l"}


def test_protobuf_and_json_give_the_same_row(stack: LocalStack) -> None:
    post(stack, protobuf([foreign(1)]))
    first = stack.ledger.query("SELECT * FROM llm_calls")
    post(stack, otlp_json([foreign(1)]), content_type="application/json")

    assert stack.ledger.query("SELECT * FROM llm_calls FINAL") == first


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff\xff garbage", {}, 400),
        (protobuf([owner(1)])[:-3], {}, 400),
        (b"{", {"content_type": "application/json"}, 400),
        (b"[]", {"content_type": "application/json"}, 400),
        (b"[" * 100_000, {"content_type": "application/json"}, 400),
        (b"\xff{}", {"content_type": "application/json"}, 400),
        (b"not gzip", {"content_encoding": "gzip"}, 400),
        (gzip.compress(protobuf([owner(1)]))[:-9], {"content_encoding": "gzip"}, 400),
        (protobuf([owner(1)]), {"content_type": "text/plain"}, 415),
        (protobuf([owner(1)]), {"content_encoding": "br"}, 415),
    ],
)
def test_what_is_not_otlp_is_told_so(
    stack: LocalStack, body: bytes, headers: dict[str, str], status: int
) -> None:
    got, answer, _ = post(stack, body, **headers)

    assert got == status
    if headers.get("content_type") == "application/json":
        assert json.loads(answer)["message"]
    else:
        assert Status.FromString(answer).message
    assert stored(stack) == []


def test_other_methods_and_paths_are_refused(stack: LocalStack) -> None:
    assert post(stack, b"", path="/v1/unknown")[0] == 404
    connection = http.client.HTTPConnection(stack.http_endpoint.removeprefix("http://"))
    connection.request("GET", "/v1/traces")
    assert connection.getresponse().status == 405
    connection.close()


def test_a_small_body_that_unpacks_into_a_huge_one_is_refused(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_http, "MAX_BODY_BYTES", 1_000_000)
    bomb = gzip.compress(bytes(50_000_000))

    assert len(bomb) < 100_000
    assert post(stack, bomb, content_encoding="gzip")[0] == 413
    assert post(stack, bytes(1_000_001))[0] == 413


def test_a_gzip_of_several_is_read_whole_and_never_acknowledged_in_part(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (gzip.compress(protobuf([owner(n, trace_id=f"{n:032x}")])) for n in (1, 2))
    packed = {"content_encoding": "gzip"}

    assert post(stack, first + second + bytes(8), **packed)[0] == 200
    assert len(stack.ledger.query("SELECT * FROM tollspan_calls")) == 2
    assert post(stack, first + b"something else", **packed)[0] == 400
    assert post(stack, first + second[:-4], **packed)[0] == 400
    assert post(stack, gzip.compress(b"") * 1000, **packed)[0] == 400
    monkeypatch.setattr(otlp_http, "MAX_BODY_BYTES", 1_000_000)
    assert post(stack, gzip.compress(bytes(600_000)) * 2, **packed)[0] == 413


def test_grpc_refuses_a_bomb_and_garbage_and_lives_on(stack: LocalStack) -> None:
    with grpc.insecure_channel(stack.grpc_endpoint.removeprefix("http://")) as channel:
        export = channel.unary_unary(TRACES)
        with pytest.raises(grpc.RpcError) as garbage:
            export(b"\xff\xff\xff", timeout=20)
        with pytest.raises(grpc.RpcError) as bomb:
            export(bytes(70_000_000), timeout=20, compression=grpc.Compression.Gzip)
        assert export(protobuf([owner(1)]), timeout=20) == b""

    assert garbage.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert bomb.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(stored(stack)) == 1


def test_spans_that_cannot_be_kept_are_counted_and_the_others_kept(stack: LocalStack) -> None:
    zero = span(2, span_id="0" * 16)
    ancient = span(3, start_ns=5)
    future = span(4, end_ns=2**64 - 1)
    short = span(5, trace_id="ab")
    before = stack.received.rejected
    answer = call(stack, protobuf([span(1), zero, ancient, future, short]))

    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert partial.rejected_spans == 4
    assert partial.error_message
    assert [row["name"] for row in stored(stack)] == ["span 1"]
    assert stack.received.rejected - before == 4
    _, told, _ = post(stack, otlp_json([zero]), content_type="application/json")
    assert json.loads(told)["partialSuccess"]["rejectedSpans"] == "1"


def test_metrics_and_logs_are_accepted_and_counted(stack: LocalStack) -> None:
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{}, {}]}]}]}
    before = stack.received.logs
    json_type = "application/json"

    assert post(stack, json.dumps(logs).encode(), path="/v1/logs", content_type=json_type)[0] == 200
    assert post(stack, b"", path="/v1/metrics")[0] == 200
    assert call(stack, b"", TRACES.replace("trace", "metrics").replace("Trace", "Metrics")) == b""
    assert stack.received.logs - before == 2
    assert stored(stack) == []


def test_a_full_queue_says_when_to_come_again(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(decoded: object) -> Future[None]:
        raise Overloaded(2.5)

    monkeypatch.setattr(stack.writer, "take", full)
    status, _, headers = post(stack, protobuf([owner(1)]))
    with pytest.raises(grpc.RpcError) as refused:
        call(stack, protobuf([owner(1)]))

    assert (status, headers["retry-after"]) == (429, "3")
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    details = dict(refused.value.trailing_metadata())["grpc-status-details-bin"]
    retry = RetryInfo()
    Status.FromString(details).details[0].Unpack(retry)
    assert retry.retry_delay.ToTimedelta().total_seconds() == 2.5


def test_the_queue_fills_while_the_ledger_stands_still_and_nothing_taken_is_lost(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tollspan.local import writer

    monkeypatch.setattr(writer, "MOST_WAITING_SPANS", 10)
    taken, refused = [], 0
    with stack.ledger._writing:
        for number in range(1, 40):
            try:
                taken.append(stack.writer.offer([span(number)]))
            except Overloaded:
                refused += 1
    for each in taken:
        each.result(30)

    assert refused >= 20
    assert len(stored(stack)) == len(taken) == 39 - refused


def test_many_senders_at_once_lose_nothing(stack: LocalStack) -> None:
    def send(sender: int) -> None:
        for number in range(8):
            each = owner(1, trace_id=f"{sender + 1:032x}", span_id=f"{number + 1:016x}")
            body = protobuf([each])
            _ = call(stack, body) if sender % 2 else post(stack, body)

    senders = [threading.Thread(target=send, args=(each,)) for each in range(8)]
    for each in senders:
        each.start()
    for each in senders:
        each.join()

    (found,) = stack.ledger.query("SELECT count() AS n, sum(cost_usd) AS usd FROM tollspan_calls")
    assert (found["n"], found["usd"]) == (64, "0.007872")


def test_the_ledger_that_cannot_write_is_told_as_try_again(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tollspan.local.ledger import LedgerError

    def broken(table: str, rows: object) -> None:
        raise LedgerError("no space left")

    monkeypatch.setattr(stack.ledger, "append", broken)
    status, _, headers = post(stack, protobuf([owner(1)]))
    with pytest.raises(grpc.RpcError) as refused:
        call(stack, protobuf([owner(1)]))
    monkeypatch.undo()

    assert (status, headers["retry-after"]) == (503, "1")
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    post(stack, protobuf([owner(1)]))
    assert len(stack.ledger.query("SELECT 1 AS one FROM tollspan_calls")) == 1, "sent again"


def test_content_and_secrets_of_other_instrumentations_are_not_kept(stack: LocalStack) -> None:
    secret = "Tell me about my divorce"
    said = {
        "gen_ai.input.messages": secret,
        "gen_ai.prompt.0.content": secret,
        "gen_ai.completion.0.content": secret,
        "gen_ai.system_instructions": secret,
        "llm.input_messages.0.message.content": secret,
        "input.value": secret,
        "traceloop.entity.output": secret,
        "http.request.header.authorization": secret,
        "http.request.header.x-api-key": secret,
        "http.response.header.set-cookie": secret,
        "url.full": f"https://x/v1?key={secret}&alt=sse",
        semconv.PROMPT_NAME: "summary",
        semconv.PROMPT_VERSION: "v3",
        semconv.INPUT_TOKENS: 5,
        semconv.RESPONSE_HEADER_PREFIX + "x-ratelimit-remaining-tokens": "7",
    }
    post(stack, protobuf([foreign(1, attributes=said)]))

    (row,) = stack.ledger.query("SELECT * FROM spans")
    assert secret not in json.dumps(row)
    assert "alt=sse" in row["attributes"]["url.full"]
    kept = {semconv.PROMPT_NAME, semconv.PROMPT_VERSION, semconv.INPUT_TOKENS}
    assert kept | {semconv.RESPONSE_HEADER_PREFIX + "x-ratelimit-remaining-tokens"} <= set(
        row["attributes"]
    )


HOSTILE = [
    "'; DROP TABLE llm_calls; --",
    "a\nb\tc\\",
    "\x00\x1f",
    "\\N",
    "{x:String}",
    "𝕊\u202e",
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_data(stack: LocalStack, text: str) -> None:
    said = {
        semconv.REQUEST_MODEL: text,
        semconv.TENANT: text,
        semconv.ENDPOINT_TAG: text,
        semconv.TAG_PREFIX + "x": text,
        text: text,
    }
    post(stack, protobuf([owner(1, attributes=said, name=text)]))

    (row,) = stack.ledger.query(
        "SELECT request_model, tenant, endpoint, tags FROM tollspan_calls WHERE tenant = {t:String}",
        {"t": text},
    )
    assert (row["request_model"], row["tenant"], row["endpoint"]) == (text, text, text)
    assert row["tags"] == {"x": text}
    assert stored(stack)[0]["name"] == text


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), -1.0, 1e9, "12", True, [1.0]])
def test_an_amount_that_is_none_is_not_known(stack: LocalStack, amount: Any) -> None:
    said = {
        semconv.COST_AMOUNT: amount,
        semconv.INPUT_TOKENS: -5,
        semconv.OUTPUT_TOKENS: 2**62,
        semconv.HOP_COUNT: 10**6,
        semconv.REQUEST_STREAM: "yes",
        semconv.TIME_TO_FIRST_CHUNK: float("nan"),
    }
    status, *_ = post(stack, protobuf([owner(1, attributes=said)]))

    (row,) = stack.ledger.query("SELECT * FROM tollspan_calls")
    assert status == 200
    for name in ("cost_usd", "input_tokens", "output_tokens", "hop_count", "streaming"):
        assert row[name] is None


def test_a_span_that_ends_before_it_starts_has_no_duration(stack: LocalStack) -> None:
    post(stack, protobuf([owner(1, end_ns=START_NS)]))

    (row,) = stack.ledger.query("SELECT duration_s FROM tollspan_calls")
    assert row["duration_s"] is None


def test_a_page_of_somebody_else_cannot_send(stack: LocalStack) -> None:
    body = protobuf([owner(1)])

    assert post(stack, body, origin="http://evil.example")[0] == 403
    rebound = post(stack, body, host="evil.example:4318", origin="http://evil.example:4318")
    assert rebound[0] == 403
    assert stored(stack) == []


def test_a_container_can_send_under_its_own_name_for_this_machine(stack: LocalStack) -> None:
    assert post(stack, protobuf([owner(1)]), host="host.docker.internal:4318")[0] == 200
    assert len(stored(stack)) == 1
