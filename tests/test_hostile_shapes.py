"""Whatever a provider answers, the caller gets exactly what the bare SDK gives, and a span is made.

Each shape goes through the SDK twice, bare and watched, sync and async; the results, or the
exceptions with their arguments, causes and contexts, are compared. Faults of ours are loud here.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")

CHAT, CHUNKS = sdks.CHAT_BODY, sdks.CHAT_EVENTS
RESPONSE, EVENTS = sdks.RESPONSE_BODY, sdks.RESPONSE_EVENTS
MESSAGE, PIECES = sdks.MESSAGE_BODY, sdks.MESSAGE_EVENTS
EMBEDDING = sdks.EMBEDDING_BODY

HUGE = 10**30
DEEP: Any = "x"
for _ in range(60):
    DEEP = {"deeper": [DEEP]}
ODD: list[Any] = [None, "n/a", 7, -1, HUGE, True, 1.5, [], [None], {}, {"a": {"b": None}}, DEEP]


def at(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy of `document` with `value` at `path`; `...` takes the place out."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(document, list):
        copy: Any = list(document)
        copy[int(head)] = at(copy[int(head)], rest, value)
        return copy
    copy = dict(document)
    if not rest and value is ...:
        copy.pop(head, None)
    else:
        copy[head] = at(copy.get(head, {}), rest, value)
    return copy


def shapes(document: Any, paths: list[tuple[str | int, ...]]) -> list[tuple[str, Any]]:
    found = []
    for path in paths:
        place = ".".join(map(str, path))
        found.append((f"{place} missing", at(document, path, ...) if path else None))
        for value in ODD:
            text = json.dumps(value)
            found.append((f"{place} {text[:24]}", at(document, path, value)))
    return found


NINE = [
    ("choices null", {**CHAT, "choices": None}),
    ("usage is a string", {**CHAT, "usage": "n/a"}),
    ("message null", {**CHAT, "choices": [{"index": 0, "finish_reason": "stop", "message": None}]}),
    ("choices is list of null", {**CHAT, "choices": [None]}),
    (
        "usage tokens null",
        at(CHAT, ("usage",), dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"))),
    ),
]
NINE_STREAMED: list[tuple[str, list[Any]]] = [
    ("chunk choices null", [at(CHUNKS[0], ("choices",), None)]),
    ("chunk choice null", [at(CHUNKS[0], ("choices",), [None])]),
    ("chunk delta null", [at(CHUNKS[0], ("choices",), [{"index": 0, "delta": None}])]),
    (
        "chunk index null",
        [at(CHUNKS[0], ("choices",), [{"index": None, "delta": {"content": "a"}}])],
    ),
]

NAN = json.dumps(
    {**CHAT, "usage": {"prompt_tokens": float("nan"), "completion_tokens": float("inf")}}
)
EXTRA = {**CHAT, "unknown": DEEP, "usage": {**CHAT["usage"], "unknown": {"a": [None]}}}
DIGITS = json.dumps(CHAT).replace('"prompt_tokens": 11', '"prompt_tokens": ' + "1" * 5000)
NESTED = '{"choices":' + "[" * 5000 + "]" * 5000 + "}"
SURROGATE = json.dumps({**CHAT, "id": "\ud800", "model": "m" * 100_000, "service_tier": "\ud83d"})

ANSWERS: list[tuple[str, str, Any]] = [
    *(("chat", name, body) for name, body in NINE),
    *(
        ("chat", name, body)
        for name, body in (
            ("NaN and infinity", NAN),
            ("unknown fields", EXTRA),
            ("a number of 5000 digits", DIGITS),
            ("5000 levels deep", NESTED),
            ("half a surrogate pair, a huge name", SURROGATE),
            ("a list", []),
            ("null", None),
            ("a string", '"text"'),
            ("no JSON", "<html>"),
            ("nothing", ""),
        )
    ),
    *(
        ("chat", *shape)
        for shape in shapes(
            CHAT,
            [
                ("id",),
                ("model",),
                ("choices",),
                ("choices", 0),
                ("choices", 0, "finish_reason"),
                ("choices", 0, "message"),
                ("usage",),
                ("usage", "prompt_tokens"),
                ("usage", "completion_tokens"),
                ("usage", "prompt_tokens_details"),
                ("usage", "completion_tokens_details"),
                ("service_tier",),
            ],
        )
    ),
    *(
        ("responses", *shape)
        for shape in shapes(
            RESPONSE,
            [
                ("model",),
                ("status",),
                ("output",),
                ("output", 0),
                ("output", 0, "content"),
                ("usage",),
                ("usage", "input_tokens"),
                ("usage", "input_tokens_details"),
                ("usage", "output_tokens_details"),
            ],
        )
    ),
    *(
        ("embeddings", *shape)
        for shape in shapes(
            EMBEDDING, [("model",), ("data",), ("usage",), ("usage", "prompt_tokens")]
        )
    ),
    *(
        ("messages", *shape)
        for shape in shapes(
            MESSAGE,
            [
                ("id",),
                ("model",),
                ("content",),
                ("content", 0),
                ("stop_reason",),
                ("usage",),
                ("usage", "input_tokens"),
            ],
        )
    ),
]


def streams(events: list[Any], paths: list[tuple[int, tuple[str | int, ...]]]) -> list[Any]:
    found = []
    for index, path in paths:
        for name, event in shapes(events[index], [path]):
            found.append((f"chunk {index} {name}", [*events[:index], event, *events[index + 1 :]]))
    return found


STREAMED: list[tuple[str, str, list[Any]]] = [
    *(("chat", name, events) for name, events in NINE_STREAMED),
    *(
        ("chat", *shape)
        for shape in streams(
            CHUNKS,
            [
                (1, ()),
                (1, ("choices",)),
                (1, ("choices", 0)),
                (1, ("choices", 0, "delta")),
                (3, ("choices", 0, "finish_reason")),
                (4, ("usage",)),
                (4, ("usage", "prompt_tokens")),
            ],
        )
    ),
    ("chat", "not JSON in between", [CHUNKS[0], "data: {oops\n\n", CHUNKS[1]]),
    ("chat", "NaN", [CHUNKS[0], 'data: {"choices": [], "usage": {"prompt_tokens": NaN}}\n\n']),
    ("chat", "an error event", [CHUNKS[0], {"error": {"message": "m", "code": 500}}]),
    ("chat", "an odd error", [CHUNKS[0], {"error": ["m"]}]),
    *(
        ("responses", *shape)
        for shape in streams(
            EVENTS,
            [
                (0, ("type",)),
                (0, ("response",)),
                (3, ("delta",)),
                (4, ("response",)),
                (4, ("response", "usage")),
                (4, ("response", "output")),
            ],
        )
    ),
    *(
        ("messages", *shape)
        for shape in streams(
            PIECES,
            [
                (0, ("message",)),
                (0, ("message", "usage")),
                (2, ("delta",)),
                (4, ("delta",)),
                (4, ("usage",)),
                (4, ("usage", "output_tokens")),
            ],
        )
    ),
]


def test_there_are_many_shapes() -> None:
    assert len(ANSWERS) + len(STREAMED) >= 9 + 30
    assert {api for api, _, _ in ANSWERS} == {"chat", "responses", "embeddings", "messages"}
    assert {api for api, _, _ in STREAMED} == {"chat", "responses", "messages"}


def _server(api: str, streamed: bool, shape: Any) -> sdks.Server:
    return sdks.server_for(api, **({"events": shape} if streamed else {"body": shape}))


CASES = [
    *((False, *each) for each in ANSWERS),
    *((True, *each) for each in STREAMED),
]
IDS = [f"{api}: {name}" for _, api, name, _ in CASES]


@pytest.mark.parametrize(("streamed", "api", "name", "shape"), CASES, ids=IDS)
def test_the_caller_gets_what_the_bare_sdk_gives(
    streamed: bool,
    api: str,
    name: str,
    shape: Any,
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
) -> None:
    ways = ("stream", "raw stream") if streamed else ("create", "raw")

    def asked() -> list[Any]:
        found = []
        for way in ways:
            client = sdks.client_for(api, _server(api, streamed, shape))
            found.append(sdks.outcome(lambda: sdks.ALL[way][0](client, api)))  # noqa: B023
        return found

    bare = asked()
    with sdks.watched(provider):
        got = asked()

    assert got == bare
    assert len(sdks.call_spans(exporter)) == len(ways)


@pytest.mark.parametrize(("streamed", "api", "name", "shape"), CASES, ids=IDS)
async def test_async(
    streamed: bool,
    api: str,
    name: str,
    shape: Any,
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
) -> None:
    way = "stream" if streamed else "create"

    async def asked() -> Any:
        client = sdks.async_client_for(api, _server(api, streamed, shape))
        return await sdks.outcome_async(lambda: sdks.ALL[way][1](client, api))

    bare = await asked()
    with sdks.watched(provider):
        got = await asked()

    assert got == bare
    assert len(sdks.call_spans(exporter)) == 1
