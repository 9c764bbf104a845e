"""What is planted in headers, addresses, bodies and chunks never reaches the disk, through any client."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
from drivers.server import Answer, HttpServed, http
from mirror import open_call, watching
from opentelemetry.sdk.trace import TracerProvider

import tollspan
from tollspan import config, wirefile
from tollspan.instrumentation import _wire_frames
from tollspan.wirefile import Exchange

KEY = "sk-proj-plantedPLANTED0123456789"
MAIL = "ann.planted@mail.example.com"
CARD = "4111 1111 1111 1111"
PEM = "-----BEGIN PRIVATE KEY-----\nplantedPLANTEDplanted0123\n-----END PRIVATE KEY-----"
PARTS = ("planted", "PLANTED", "1111 1111", "cGxhbnRlZ")
"""What no file may have: parts of the values, and of their base64."""

SENT = {
    "headers": {
        "authorization": f"Bearer {KEY}",
        "x-api-key": "plantedByName",
        "cookie": "session=planted",
        "x-amz-security-token": "planted",
        "x-note": f"mail {MAIL}",
    },
    "body": {
        "messages": [{"role": "user", "content": f"I am {MAIL}, card {CARD}\n{PEM}"}],
        "password": "plantedpassword",
        "arguments": json.dumps({"key": KEY, "pem": PEM}),
        "data": base64.b64encode(f"in here {KEY}".encode()).decode(),
    },
}
Send = Callable[[str], bytes]


def _sync(module: Any) -> Send:
    def send(url: str) -> bytes:
        with module.Client(trust_env=False) as client:
            answer = client.post(url, headers=SENT["headers"], json=SENT["body"])
            return bytes(answer.content)

    return send


def _async(module: Any) -> Send:
    async def sent(url: str) -> bytes:
        async with (
            module.AsyncClient(trust_env=False) as client,
            client.stream("POST", url, headers=SENT["headers"], json=SENT["body"]) as answer,
        ):
            return b"".join([part async for part in answer.aiter_bytes()])

    return lambda url: asyncio.run(sent(url))


def _requests(url: str) -> bytes:
    with requests.Session() as session:
        session.trust_env = False
        headers: Any = SENT["headers"]
        with session.post(url, headers=headers, json=SENT["body"], stream=True) as answer:
            return b"".join(answer.iter_content(64))


def _aiohttp(url: str) -> bytes:
    async def sent() -> bytes:
        headers: Any = SENT["headers"]
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, headers=headers, json=SENT["body"]) as answer,
        ):
            return b"".join([part async for part in answer.content.iter_any()])

    return asyncio.run(sent())


CLIENTS: dict[str, Send] = {
    "httpx": _sync(httpx),
    "httpx async": _async(httpx),
    "httpx2": _sync(httpx2),
    "httpx2 async": _async(httpx2),
    "requests": _requests,
    "aiohttp": _aiohttp,
}


@pytest.fixture
def served() -> Iterator[HttpServed]:
    with http() as running:
        yield running


def captured(
    provider: TracerProvider, folder: Path, send: Callable[[], object]
) -> tuple[list[Exchange], bytes]:
    """The exchanges of `send`, and everything that the folder holds, unpacked."""
    with watching(provider), tollspan.wire(folder), open_call(provider):
        send()
    raw = b"".join(wirefile._unpacked(file) for file in sorted(folder.iterdir()))
    return list(wirefile.exchanges(folder)), raw


def sse(*texts: str) -> bytes:
    events = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    return b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in events)


def split(content: bytes, size: int) -> tuple[bytes, ...]:
    return tuple(content[at : at + size] for at in range(0, len(content), size))


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("name", CLIENTS)
def test_secrets_never_reach_the_disk(
    name: str, size: int, served: HttpServed, provider: TracerProvider, tmp_path: Path
) -> None:
    content = json.dumps({"text": f"{KEY} {MAIL} {CARD}", "pem": PEM}).encode()
    served.answer = Answer(
        split(content, size),
        {"content-type": "application/json", "set-cookie": "a=planted", "x-said": f"to {MAIL}"},
    )
    url = f"{served.url}/v1/x?key=planted&X-Amz-Signature=planted&note={MAIL}&model=m"
    got: list[bytes] = []
    (exchange,), raw = captured(provider, tmp_path / "wire", lambda: got.append(CLIENTS[name](url)))

    assert got == [content]
    assert not [part for part in PARTS if part.encode() in raw]
    assert exchange.request["url"].endswith("&note=[redacted:email]&model=m")
    assert json.loads(exchange.body) == {
        "text": "[redacted:api_key] [redacted:email] [redacted:card]",
        "pem": "[redacted:private_key]",
    }
    kept = json.loads(exchange.request["body"])
    assert kept["messages"][0]["content"] == (
        "I am [redacted:email], card [redacted:card]\n[redacted:private_key]"
    )
    assert kept["password"] == "[redacted:named_secret]"
    assert exchange.end["masked"]["request_headers"] == {"email": 1, "header": 4}
    assert exchange.end["masked"]["response"] == {
        "api_key": 1,
        "card": 1,
        "email": 1,
        "private_key": 1,
    }


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
@pytest.mark.parametrize("name", CLIENTS)
def test_packed_answers_are_unpacked_before_they_are_looked_through(
    name: str, packing: str, served: HttpServed, provider: TracerProvider, tmp_path: Path
) -> None:
    content = sse("I know ", KEY, " and no more")
    packed = gzip.compress(content) if packing == "gzip" else zlib.compress(content)
    served.answer = Answer(
        split(packed, 11), {"content-type": "text/event-stream", "content-encoding": packing}
    )
    got: list[bytes] = []
    (exchange,), raw = captured(
        provider, tmp_path / "wire", lambda: got.append(CLIENTS[name](served.url))
    )

    assert got == [content]
    assert not [part for part in PARTS if part.encode() in raw]
    assert exchange.body == content.decode().replace(KEY, "[redacted:api_key]")


@pytest.mark.parametrize(
    "pieces",
    [
        ("here: sk-", "proj-", "planted", "PLANTED", "0123456789", "."),
        ("my mail is ann.", "planted", "@mail", ".example", ".com", " ok"),
        tuple(f"the card {CARD} is mine"),
        tuple(PEM),
    ],
    ids=["key", "mail", "card", "pem"],
)
@pytest.mark.parametrize("wire", ["sse", "ndjson", "array", "anthropic"])
def test_what_a_model_spells_out_over_several_events_is_masked(
    pieces: tuple[str, ...],
    wire: str,
    served: HttpServed,
    provider: TracerProvider,
    tmp_path: Path,
) -> None:
    kind = "application/json"
    if wire == "sse":
        content, kind = sse(*pieces) + b"data: [DONE]\n\n", "text/event-stream"
    elif wire == "anthropic":
        content, kind = b"", "text/event-stream"
        for piece in pieces:
            event = {"type": "content_block_delta", "index": 0, "delta": {"text": piece}}
            content += f"event: content_block_delta\ndata: {json.dumps(event)}\n\n".encode()
    elif wire == "ndjson":
        lines = [json.dumps({"message": {"role": "a", "content": each}}) for each in pieces]
        content, kind = "\n".join(lines).encode(), "application/x-ndjson"
    else:
        items = [
            {"candidates": [{"content": {"parts": [{"text": each}]}, "index": 0}]}
            for each in pieces
        ]
        content = json.dumps(items).encode()
    served.answer = Answer(split(content, 50), {"content-type": kind})
    (exchange,), _ = captured(provider, tmp_path / "wire", lambda: CLIENTS["httpx2"](served.url))
    said = "".join(_texts(exchange.body))

    assert "[redacted:" in said
    assert not [part for part in ("planted", "PLANTED", "1111", "BEGIN") if part in said]
    assert len(exchange.chunks) == len(served.answer.pieces)


def _texts(body: str) -> Iterator[str]:
    """The texts of a stream's events, put together: what a reader would read."""
    for line in body.splitlines():
        data = line.removeprefix("data: ")
        if data[:2] in ('{"', "[{"):
            found = json.loads(data)
            for event in found if isinstance(found, list) else [found]:
                yield from _leaves(event)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name in ("content", "text") and isinstance(each, str):
                yield each
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)


def test_messages_of_awss_event_stream_are_masked_and_stay_messages(
    served: HttpServed, provider: TracerProvider, tmp_path: Path
) -> None:
    spelled = ["so sk-", "proj-planted", "PLANTED0123", " it is"]
    plain = [
        {
            "headers": {":event-type": "contentBlockDelta"},
            "payload": json.dumps({"delta": {"text": t}}),
        }
        for t in spelled
    ]
    coded = [
        {
            "headers": {":event-type": "chunk"},
            "payload": json.dumps(
                {"bytes": base64.b64encode(json.dumps({"text": each}).encode()).decode()}
            ),
        }
        for each in (*spelled, f"and {MAIL}")
    ]
    for frames in (plain, coded):
        content = b"".join(map(_wire_frames.written, frames))
        served.answer = Answer(
            split(content, 60), {"content-type": "application/vnd.amazon.eventstream"}
        )
        folder = tmp_path / frames[0]["headers"][":event-type"]  # type: ignore[index]
        (exchange,), raw = captured(provider, folder, lambda: CLIENTS["httpx"](served.url))
        kept = [frame for chunk in exchange.chunks for frame in chunk["frames"]]
        again = _wire_frames.read([b"".join(map(_wire_frames.written, kept))])

        assert not [part for part in PARTS if part.encode() in raw]
        assert again is not None
        assert len(kept) == len(frames)
        assert "[redacted:api_key]" in "".join(
            str(frame.get("text") or frame["payload"]) for frame in kept
        )


def test_what_cannot_be_read_is_not_kept(
    served: HttpServed, provider: TracerProvider, tmp_path: Path
) -> None:
    hidden = gzip.compress(f"picture of {KEY}".encode() * 9)
    for number, headers in enumerate(
        (
            {"content-type": "image/png"},
            {"content-type": "application/json"},
            {"content-type": "text/event-stream"},
            {},
        )
    ):
        served.answer = Answer((hidden[:20], hidden[20:]), headers)
        got: list[bytes] = []
        (exchange,), raw = captured(
            provider,
            tmp_path / str(number),
            lambda: got.append(CLIENTS["httpx2"](served.url)),  # noqa: B023
        )

        assert got == [hidden]
        assert exchange.response is not None
        assert exchange.response["omitted"] == "no text"
        assert sum(chunk["omitted"] for chunk in exchange.chunks) == len(hidden)
        assert hidden[10:20] not in raw


def test_files_in_a_form_are_left_out_and_its_texts_are_masked(
    served: HttpServed, provider: TracerProvider, tmp_path: Path
) -> None:
    sound = bytes(range(128, 256)) * 9

    def send() -> None:
        with httpx2.Client(trust_env=False) as client:
            files = {"file": ("a.wav", sound, "audio/wav")}
            client.post(served.url, data={"prompt": f"of {MAIL}"}, files=files)

    (exchange,), _ = captured(provider, tmp_path / "wire", send)

    assert "of [redacted:email]" in exchange.request["body"]
    assert (
        f"[{len(sound)} bytes]" in exchange.request["body"] or "bytes]" in exchange.request["body"]
    )
    assert exchange.request["size"] > len(sound)


def test_a_secret_at_the_end_of_what_is_kept_is_masked_whole(
    served: HttpServed,
    provider: TracerProvider,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOLLSPAN_WIRE_EXCHANGE_KB", "1")
    config.reload()
    content = b"x " * 507 + KEY.encode() + b" and on" * 20_000
    served.answer = Answer(split(content, 100), {"content-type": "text/plain"})
    (exchange,), raw = captured(
        provider, tmp_path / "wire", lambda: CLIENTS["requests"](served.url)
    )

    assert exchange.response is not None
    assert exchange.response["truncated"] is True
    assert exchange.response["size"] == len(content)
    assert len(exchange.body) == 1024
    assert exchange.body.endswith("[redacted:")  # the mask itself is cut, not what it hides
    assert b"planted" not in raw


def test_rules_of_the_users_own_apply(
    served: HttpServed,
    provider: TracerProvider,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules = tmp_path / "redact.toml"
    rules.write_text("headers = ['x-note']\nwords = ['Nightingale']")
    monkeypatch.setenv("TOLLSPAN_REDACT", str(rules))
    config.reload()
    served.answer = Answer((b'{"a": "Night', b'ingale"}'))
    (exchange,), _ = captured(provider, tmp_path / "wire", lambda: CLIENTS["httpx"](served.url))

    assert exchange.body == '{"a": "[redacted:word]"}'
    assert exchange.header("x-note", of_request=True) == "[redacted:header]"
