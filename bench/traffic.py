"""OTLP requests like those of a busy house: made once, with unique ids, before anything is timed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from tollspan import semconv
from tollspan.processors.ownership import normalised, priced

from . import naive

__all__ = ["BATCH", "calls", "others", "ours", "strangers", "traces"]

BATCH = 512
START_NS = 1_780_000_000_000_000_000
MODELS = (
    ("openai", "api.openai.com", "gpt-4o-mini", "gpt-4o-mini-2024-07-18", "chatcmpl-"),
    ("openai", "api.openai.com", "gpt-4o", "gpt-4o-2024-08-06", "chatcmpl-"),
    ("openai", "api.openai.com", "gpt-4.1", "gpt-4.1-2025-04-14", "chatcmpl-"),
    ("anthropic", "api.anthropic.com", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "msg_"),
    ("anthropic", "api.anthropic.com", "claude-haiku-4-5", "claude-haiku-4-5-20251001", "msg_"),
    ("gcp.gemini", "generativelanguage.googleapis.com", "gemini-2.5-flash", "gemini-2.5-flash", ""),
    ("mistral_ai", "api.mistral.ai", "mistral-large-latest", "mistral-large-2411", ""),
    ("groq", "api.groq.com", "llama-3.3-70b-versatile", "llama-3.3-70b-versatile", "chatcmpl-"),
)
ENDPOINTS = tuple(
    f"{area}.{what}"
    for area in ("checkout", "search", "support", "admin", "batch")
    for what in ("summary", "answer", "classify", "rewrite", "extract", "plan")
)
TENANTS, USERS = 2_000, 20_000


class _House:
    """Draws spans; the same seed draws the same ones."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._tenants = self._zipf("tenant", TENANTS)
        self._users = self._zipf("user", USERS)
        self.number = 0

    def _zipf(self, what: str, count: int) -> list[str]:
        """Names, each as often as its rank says, to draw from."""
        weights = [1 / rank for rank in range(1, count + 1)]
        names = [f"{what}-{number:05}" for number in range(count)]
        return self._chance.choices(names, weights, k=100_000)

    def span(self, spans: ScopeSpans, kind: int) -> Span:
        self.number += 1
        start = START_NS + self.number * 1_000_003
        return spans.spans.add(
            trace_id=self._chance.randbytes(16),
            span_id=self._chance.randbytes(8),
            parent_span_id=self._chance.randbytes(8),
            flags=0x100,
            kind=kind,
            start_time_unix_nano=start,
            end_time_unix_nano=start + self._chance.randrange(10**8, 10**10),
        )

    def call(self, spans: ScopeSpans) -> Span:
        """A call of a model, 25 attributes, as the conventions' own instrumentations write it."""
        chance = self._chance
        provider, address, asked, answered, prefix = chance.choice(MODELS)
        endpoint = chance.choice(ENDPOINTS)
        made = self.span(spans, Span.SPAN_KIND_CLIENT)
        made.name = f"chat {asked}"
        tokens = min(int(chance.lognormvariate(6.5, 1.2)) + 1, 200_000)
        cached = int(tokens * chance.random()) if chance.random() < 0.3 else 0
        for key, value in (
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", provider),
            ("gen_ai.request.model", asked),
            ("gen_ai.request.temperature", chance.choice((0.0, 0.2, 0.7, 1.0))),
            ("gen_ai.request.max_tokens", chance.choice((256, 512, 1024, 4096))),
            ("gen_ai.request.top_p", chance.choice((0.9, 1.0))),
            ("server.address", address),
            ("server.port", 443),
            ("gen_ai.response.model", answered),
            ("gen_ai.response.id", f"{prefix}{chance.getrandbits(120):030x}"),
            ("gen_ai.response.finish_reasons", [chance.choice(("stop", "stop", "stop", "length"))]),
            ("gen_ai.usage.input_tokens", tokens),
            ("gen_ai.usage.output_tokens", int(chance.lognormvariate(5.2, 1.0)) + 1),
            ("gen_ai.usage.cache_read.input_tokens", cached),
            ("gen_ai.response.time_to_first_chunk", chance.uniform(0.05, 3.0)),
            ("gen_ai.conversation.id", f"conv_{chance.getrandbits(96):024x}"),
            ("tollspan.tenant", chance.choice(self._tenants)),
            ("tollspan.endpoint_tag", endpoint),
            ("gen_ai.prompt.name", endpoint.partition(".")[2]),
            ("gen_ai.prompt.version", f"v{chance.randrange(1, 5)}"),
            ("user.id", chance.choice(self._users)),
            ("session.id", f"{chance.getrandbits(128):032x}"),
            ("app.release", f"2026.11.{chance.randrange(20)}"),
            ("app.region", chance.choice(("eu-west-1", "eu-central-1", "us-east-1"))),
            ("thread.name", f"worker-{chance.randrange(16)}"),
        ):
            _put(made, key, value)
        return made

    def id(self) -> str:
        return f"{self._chance.getrandbits(128):032x}"

    def attempt(self, spans: ScopeSpans, call: Span) -> None:
        """The one HTTP request of a call, as tollspan's own instrumentation tells of it."""
        made = self.span(spans, Span.SPAN_KIND_CLIENT)
        made.name = "POST"
        made.trace_id, made.parent_span_id = call.trace_id, call.span_id
        made.status.SetInParent()
        said = {pair.key: pair.value.string_value for pair in call.attributes}
        for key, value in (
            (semconv.ATTEMPT, 1),
            (semconv.HTTP_METHOD, "POST"),
            (semconv.SERVER_ADDRESS, said[semconv.SERVER_ADDRESS]),
            ("server.port", 443),
            (semconv.HTTP_STATUS, 200),
        ):
            _put(made, key, value)

    def other(self, spans: ScopeSpans) -> Span:
        """A span of a database, a cache or a queue: what most spans are."""
        chance = self._chance
        made = self.span(spans, chance.choice((Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_INTERNAL)))
        table = chance.choice(("orders", "users", "carts", "prices", "stock", "events"))
        made.name = f"SELECT {table}"
        for key, value in (
            ("db.system.name", "postgresql"),
            ("db.namespace", "shop"),
            ("db.collection.name", table),
            ("db.operation.name", "SELECT"),
            ("db.query.text", f"SELECT * FROM {table} WHERE id = $1 AND tenant = $2 LIMIT 50"),
            ("db.response.returned_rows", chance.randrange(50)),
            ("server.address", f"db-{chance.randrange(4)}.internal"),
            ("server.port", 5432),
            ("user.id", chance.choice(self._users)),
            ("thread.name", f"worker-{chance.randrange(16)}"),
        ):
            _put(made, key, value)
        return made


def _put(span: Span, key: str, value: str | float | list[str]) -> None:
    into = span.attributes.add(key=key).value
    if isinstance(value, str):
        into.string_value = value
    elif isinstance(value, float):
        into.double_value = value
    elif isinstance(value, list):
        for each in value:
            into.array_value.values.add(string_value=each)
    else:
        into.int_value = value


def _request(scope: str) -> tuple[ExportTraceServiceRequest, ScopeSpans]:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    for key, value in (
        ("service.name", "shop"),
        ("service.instance.id", "6f1c7c52-9f0e-4f2e-a2f4-0a5a7e2c9d11"),
        ("deployment.environment.name", "production"),
        ("telemetry.sdk.language", "python"),
    ):
        resource.resource.attributes.add(key=key).value.string_value = value
    spans = resource.scope_spans.add()
    spans.scope.name, spans.scope.version = scope, "2.3.0"
    return request, spans


def calls(spans: int, seed: int = 1) -> Iterator[bytes]:
    """Requests of `BATCH` calls each, told by another instrumentation, that nobody has priced."""
    house = _House(seed)
    for _ in range(max(1, spans // BATCH)):
        request, scope = _request("opentelemetry.instrumentation.openai_v2")
        for _ in range(BATCH):
            house.call(scope)
        yield request.SerializeToString()


def others(spans: int, seed: int = 2) -> Iterator[bytes]:
    """Requests of `BATCH` spans each that have nothing to do with models."""
    house = _House(seed)
    for _ in range(max(1, spans // BATCH)):
        request, scope = _request("opentelemetry.instrumentation.psycopg")
        for _ in range(BATCH):
            house.other(scope)
        yield request.SerializeToString()


def strangers(spans: int, seed: int = 3) -> Iterator[bytes]:
    """Requests of `BATCH` calls each of which no two have a value in common, or a name of theirs."""
    house = _House(seed)
    for _ in range(max(1, spans // BATCH)):
        request, scope = _request("opentelemetry.instrumentation.openai_v2")
        for _ in range(BATCH):
            made = house.call(scope)
            for pair in made.attributes:
                if pair.value.WhichOneof("value") == "string_value":
                    pair.value.string_value += f" {house.number}"
            _put(made, f"app.number.{house.number}", house.number)
        yield request.SerializeToString()


def ours(spans: int, seed: int = 4, *, attempts: bool = False) -> Iterator[bytes]:
    """Requests of `BATCH` spans each, as applications with tollspan send them: the same calls with
    cost and path written; with `attempts` every second span is the attempt of a call."""
    house = _House(seed)
    for _ in range(max(1, spans // BATCH)):
        request, scope = _request(semconv.SCOPE)
        for _ in range(BATCH // 2 if attempts else BATCH):
            made = house.call(scope)
            made.status.SetInParent()
            _settle(made, house.id())
            if attempts:
                house.attempt(scope, made)
        yield request.SerializeToString()


def traces(spans: int, seed: int = 5) -> Iterator[bytes]:
    """`ours`, each call with its attempt."""
    return ours(spans, seed, attempts=True)


def _settle(span: Span, request_id: str) -> None:
    """What the application's processor writes on a call."""
    said = {pair.key: naive.value_of(pair.value) for pair in span.attributes}
    call = normalised(said, failed=False, scope=semconv.SCOPE)
    own = dict(priced(call, start_ns=span.start_time_unix_nano).attributes)
    own |= {
        semconv.REQUEST_ID: request_id,
        semconv.DATA_MODE: "real",
        semconv.APP_ATTEMPTS: 1,
        semconv.COST_ROLE: "owner",
    }
    for name, value in own.items():
        if name not in said:
            naive.write(span.attributes.add(key=name).value, value)
