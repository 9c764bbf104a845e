"""What was captured is served back as it was: to the same SDK, with the timing of then, breaking where
it broke."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from drivers.server import Answer, http
from exchanges import made
from mirror import open_call, watching
from opentelemetry.sdk.trace import TracerProvider

import tollspan
from tollspan import wirefile
from tollspan.chaos import Chaos, Replay, disconnect, ok, slow, status
from tollspan.chaos.replay import signature

MESSAGES: Any = [{"role": "user", "content": "write to ann@example.com"}]


def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="sk-planted-planted", max_retries=0)


@pytest.fixture
def watched(provider: TracerProvider) -> Iterator[None]:
    tollspan.instrument(tracer_provider=provider, providers=["openai"])
    yield
    tollspan.uninstrument()


def asked(url: str, text: str = "x", **more: Any) -> Any:
    messages: Any = [*MESSAGES, {"role": "user", "content": text}]
    with client(url) as sdk:
        found = sdk.chat.completions.create(model="gpt-4o-mini", messages=messages, **more)
        return list(found) if more else found


@pytest.mark.usefixtures("watched")
def test_the_same_questions_get_the_same_answers_in_any_order(
    chaos: Chaos, tmp_path: Path, wire_replay: Callable[..., Replay]
) -> None:
    with tollspan.wire(tmp_path / "wire") as folder:
        then = {text: asked(chaos.openai_base_url, text) for text in ("a", "b", "c")}
        streamed = asked(chaos.openai_base_url, "s", stream=True)
    replay = wire_replay(folder, fast=True)

    for text in ("c", "a", "b", "b"):
        assert asked(replay.openai_base_url, text) == then[text]
    assert asked(replay.openai_base_url, "s", stream=True) == streamed
    assert [each.by for each in replay.log] == ["body", "body", "body", "repeat", "body"]


@pytest.mark.usefixtures("watched")
def test_other_questions_get_the_answers_in_their_order(
    chaos: Chaos, tmp_path: Path, wire_replay: Callable[..., Replay]
) -> None:
    chaos.script(ok(), status(429, retry_after=0.01))
    with tollspan.wire(tmp_path / "wire") as folder:
        first = asked(chaos.openai_base_url, "a")
        with pytest.raises(openai.RateLimitError) as then:
            asked(chaos.openai_base_url, "b")
    replay = wire_replay(folder)

    assert asked(replay.openai_base_url, "new") == first
    with pytest.raises(openai.RateLimitError) as now:
        asked(replay.openai_base_url, "newer")
    assert now.value.body == then.value.body
    assert now.value.response.headers["retry-after"] == then.value.response.headers["retry-after"]
    refused = pytest.raises(openai.NotFoundError, match="no POST /v1/embeddings was captured")
    with client(replay.openai_base_url) as sdk, refused:
        sdk.embeddings.create(model="m", input="x")
    assert [each.by for each in replay.log] == ["order", "order", "nothing"]


@pytest.mark.usefixtures("watched")
def test_a_stream_comes_with_the_timing_of_then(
    chaos: Chaos, tmp_path: Path, wire_replay: Callable[..., Replay]
) -> None:
    chaos.script(slow(0.1, between_chunks=0.05, then=ok(text="one two three", chunks=3)))
    with tollspan.wire(tmp_path / "wire") as folder:
        asked(chaos.openai_base_url, stream=True)
    (exchange,) = wirefile.exchanges(folder)
    offsets = [chunk["offset_s"] for chunk in exchange.chunks]
    replay = wire_replay(folder)
    began = time.monotonic()
    came = []
    with httpx2.Client(trust_env=False) as plain:
        body = exchange.request["body"].encode()
        url = f"{replay.openai_base_url}/chat/completions"
        with plain.stream("POST", url, content=body) as response:
            for _ in response.iter_raw():
                came.append(time.monotonic() - began)

    assert offsets == sorted(offsets)
    assert offsets[-1] > 0.25
    # Never earlier than then: how much later is the machine's affair.
    assert len(came) <= len(offsets)
    assert came[-1] >= offsets[-1] - 0.02
    assert came[0] >= offsets[0] - 0.02
    replay = wire_replay(folder, fast=True)
    asked(replay.openai_base_url, stream=True)
    assert [each.by for each in replay.log] == ["body"]


@pytest.mark.usefixtures("watched")
def test_what_broke_off_breaks_off_again(
    chaos: Chaos, tmp_path: Path, wire_replay: Callable[..., Replay]
) -> None:
    chaos.script(disconnect(after_chunks=2), disconnect(after_chunks=0))

    def outcome(url: str) -> tuple[int, str]:
        seen = 0
        with client(url) as sdk:
            try:
                for _ in sdk.chat.completions.create(model="m", messages=MESSAGES, stream=True):
                    seen += 1
            except Exception as error:  # noqa: BLE001  (compared with what came then)
                return seen, type(error).__name__
        return seen, ""

    with tollspan.wire(tmp_path / "wire") as folder:
        then = [outcome(chaos.openai_base_url) for _ in range(2)]
    replay = wire_replay(folder, fast=True)

    assert [outcome(replay.openai_base_url) for _ in range(2)] == then
    assert all(error for _, error in then)


def test_every_piece_of_any_wire_comes_back_as_it_was(
    provider: TracerProvider, tmp_path: Path, wire_replay: Callable[..., Replay]
) -> None:
    from tollspan.instrumentation import _wire_frames

    frame = {"headers": {":event-type": "x"}, "payload": '{"a": "é"}'}
    answers = [
        Answer((b'{"a": "\xc3', b'\xa9"}'), {"content-type": "application/json"}),
        Answer((b"cut \xc3",), {"content-type": "text/plain"}),
        Answer(
            (_wire_frames.written(frame),) * 3,
            {"content-type": "application/vnd.amazon.eventstream"},
        ),
        Answer((), {"content-type": "text/plain", "x-kept": "yes"}, 404),
        Answer((b"\x89PNG\0\xff",), {"content-type": "image/png"}, 200),
    ]

    def ask(url: str, number: int) -> tuple[int, bytes, str]:
        with httpx2.Client(trust_env=False) as plain:
            found = plain.post(url, json={"n": number})
            return found.status_code, found.content, found.headers.get("x-kept", "")

    then = []
    with (
        http() as served,
        watching(provider),
        tollspan.wire(tmp_path / "wire") as folder,
        open_call(provider),
    ):
        for number, served.answer in enumerate(answers):
            then.append(ask(f"{served.url}/p?x=1", number))
    replay = wire_replay(folder, fast=True)

    assert [ask(f"{replay.url}/p", number) for number in range(4)] == then[:4]
    assert ask(f"{replay.url}/p", 4)[1] == bytes(6)  # zeros for what was not kept


def test_a_body_is_known_again_whatever_its_order_and_its_masks() -> None:
    assert signature('{"a": 1, "b": "[redacted:email#0123456789]"}') == signature(
        '{"b":"[redacted:email]","a":1}'
    )
    assert signature('{"a": 1}') != signature('{"a": 2}')
    assert signature("no json") != signature("no JSON")


def test_what_holds_no_capture_says_so(tmp_path: Path) -> None:
    with pytest.raises(wirefile.Unreadable, match="holds no captured exchange"):
        Replay(tmp_path)
    (tmp_path / "x.jsonl.gz").write_bytes(b"{}")
    with pytest.raises(wirefile.Unreadable, match="is no captured exchange"):
        Replay(tmp_path / "x.jsonl.gz")


def test_hostile_files_make_a_server_that_still_answers(
    wire_replay: Callable[..., Replay],
) -> None:
    odd = made(text="more than seven", body="{}", response={"headers": [["content-length", "7"]]})
    odd.chunks.append({"offset_s": 0, "omitted": 3})
    none = made(1, body="none", response=None, end={"how": "failed"})
    replay = wire_replay([odd, none], fast=True)
    with httpx2.Client(trust_env=False) as plain:
        assert (
            plain.post(f"{replay.openai_base_url}/chat/completions", content=b"{}").content
            == b"more than seven\0\0\0"
        )
        with pytest.raises(httpx2.RemoteProtocolError):
            plain.post(f"{replay.openai_base_url}/chat/completions", content=b"other")
        chunked = plain.post(f"{replay.url}/y", content=iter([json.dumps({}).encode()]))
        assert chunked.status_code == 404
