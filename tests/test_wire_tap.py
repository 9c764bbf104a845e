"""A tap between a proxy and its upstream: what passes is untouched, what is kept is masked."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import openai
import pytest
from drivers.server import Answer, HttpServed, http
from gateway_processes import portkey, portkey_headers, target
from needs import missing
from opentelemetry.sdk.trace import TracerProvider

import tollspan
from tollspan import config, wirefile
from tollspan.chaos import Chaos, Tap
from tollspan.config import ConfigError
from tollspan.launcher.wire_prove import LEAKED, PROVED, prove
from tollspan.wirefile import Exchange

KEY = "sk-proj-plantedPLANTED0123456789"


class Upstream:
    """Answers with these bytes, request after request, and keeps what it was sent."""

    def __init__(
        self,
        *answers: bytes | Callable[[socket.socket], None],
        secured: ssl.SSLContext | None = None,
    ) -> None:
        self._secured = secured
        self._answers = list(answers)
        self.asked: list[bytes] = []
        self.connections = 0
        self.left = threading.Event()
        """A client has closed its connection."""
        self.closed = threading.Event()
        """A connection is closed."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while self._answers:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._secured is not None:
                    connection = self._secured.wrap_socket(connection, server_side=True)
            except ssl.SSLError:  # a client that does not trust it
                connection.close()
                continue
            self.connections += 1
            with connection:
                connection.settimeout(20)
                self._talk(connection)
            self.closed.set()

    def _talk(self, connection: socket.socket) -> None:
        while self._answers:
            request = read_message(connection)
            if not request:
                break
            self.asked.append(request)
            answer = self._answers.pop(0)
            if callable(answer):
                answer(connection)
                return
            connection.sendall(answer)
        self.left.set()


def read_message(connection: socket.socket) -> bytes:
    """A message as it came, with a body of the stated length, in chunks, or until the end."""
    found = b""
    while not _is_whole(found) and (piece := connection.recv(4096)):
        found += piece
    return found


def _is_whole(message: bytes) -> bool:
    head, gap, body = message.partition(b"\r\n\r\n")
    lower = head.lower()
    if not gap:
        return False
    if b"transfer-encoding: chunked" in lower:
        return body.endswith(b"0\r\n\r\n")
    if b"content-length: " in lower:
        stated = lower.partition(b"content-length: ")[2].split(b"\r\n")[0]
        return len(body) >= int(stated)
    return head.startswith(b"HTTP/1.1 204")


def sent(tap: Tap, *requests: bytes) -> list[bytes]:
    """What comes back for each of `requests` on one connection."""
    with socket.create_connection(("127.0.0.1", tap.port), timeout=20) as connection:
        found = []
        for request in requests:
            connection.sendall(request)
            found.append(read_message(connection))
        return found


def kept(folder: Path) -> list[Exchange]:
    return list(wirefile.exchanges(folder))


REQUEST = (
    b"POST /v1/chat?b=2&a=%C3%A9 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Odd-CASE:  two  \r\n"
    b"accept-encoding: br\r\nX-Twice: 1\r\nX-Twice: 2\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n"
    b"Content-Length: 5\r\n\r\n\x00a\xffb\n"
)
PASSED = (
    b"X-Odd-CASE: two  \r\naccept-encoding: br\r\nX-Twice: 1\r\nX-Twice: 2\r\n"
    b"Content-Length: 5\r\n\r\n\x00a\xffb\n"
)
PACKED = gzip.compress(b'{"a": "b"}')
HEAD = b"HTTP/1.1 299 As It Is\r\nX-a: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Encoding: gzip\r\n"


@pytest.mark.parametrize(
    ("answer", "comes"),
    [
        (HEAD + b"Content-Length: %d\r\n\r\n" % len(PACKED) + PACKED, None),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "chunks"),
        (HEAD + b"\r\n" + PACKED, "until it closes"),
        (b"HTTP/1.1 204 No Content\r\nX-a: 1\r\n\r\n", None),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 0\r\n\r\n", "late"),
    ],
)
def test_bytes_pass_as_they_are(answer: bytes, comes: str | None, tmp_path: Path) -> None:
    def once(connection: socket.socket) -> None:
        connection.sendall(answer)

    with Upstream(once) as upstream, Tap(f"{upstream.url}/base/", tmp_path / "wire") as tap:
        (got,) = sent(tap, REQUEST)

    host = upstream.url.removeprefix("http://").encode()
    line = b"POST /base/v1/chat?b=2&a=%C3%A9 HTTP/1.1\r\nhost: " + host + b"\r\n"
    assert upstream.asked == [line + PASSED]
    if comes is None:
        assert got == answer
    elif comes == "chunks":
        same = answer.replace(b"Transfer-Encoding", b"transfer-encoding")
        assert got == same
    elif comes == "late":
        assert got == HEAD + b"Content-Length: 0\r\n\r\n"
    else:
        framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(PACKED), PACKED)
        assert got == HEAD + b"transfer-encoding: chunked\r\n\r\n" + framed
    (exchange,) = kept(tmp_path / "wire")
    assert exchange.end["how"] == "complete"
    assert exchange.request["url"] == f"{upstream.url}/base/v1/chat?b=2&a=%C3%A9"


def test_a_stream_passes_piece_by_piece_in_both_directions(tmp_path: Path) -> None:
    go_on = threading.Event()

    def answered(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        assert go_on.wait(20)
        connection.sendall(b"6\r\nsecond\r\n0\r\n\r\n")

    with (
        Upstream(answered) as upstream,
        Tap(upstream.url, tmp_path / "wire") as tap,
        httpx.Client(trust_env=False, timeout=20) as client,
        client.stream("POST", tap.url, content=iter([b'{"model":', b' "m"}'])) as answer,
    ):
        got = []
        for piece in answer.iter_raw():
            got.append(piece)  # the second is not sent before the first is here
            go_on.set()

    assert got == [b"first", b"second"]
    assert upstream.asked[0].endswith(b'9\r\n{"model":\r\n5\r\n "m"}\r\n0\r\n\r\n')
    (exchange,) = kept(tmp_path / "wire")
    assert [chunk.get("text") for chunk in exchange.chunks] == ["first", "second"]
    assert exchange.chunks[0]["offset_s"] <= exchange.chunks[1]["offset_s"]
    assert exchange.request["body"] == '{"model": "m"}'
    assert exchange.head["model"] == "m"


@pytest.fixture
def served() -> Iterator[HttpServed]:
    with http() as running:
        yield running


def test_secrets_pass_and_never_reach_the_disk(served: HttpServed, tmp_path: Path) -> None:
    head = {"content-type": "text/event-stream", "set-cookie": "planted"}
    spelled = [
        {"choices": [{"index": 0, "delta": {"content": part}}]} for part in (KEY[:9], KEY[9:])
    ]
    events = "".join(f"data: {json.dumps(event)}\n\n" for event in spelled).encode()
    served.answer = Answer((events[:40], events[40:]), head)
    headers = {"authorization": f"Bearer {KEY}", "x-note": "ann.planted@example.com"}
    with Tap(served.url, tmp_path / "wire") as tap:
        answer = httpx.post(
            f"{tap.url}/v1?key=planted", headers=headers, json={"password": "planted"}
        )

    assert answer.content == events
    assert served.last == ("/v1?key=planted", b'{"password":"planted"}')
    raw = b"".join(wirefile._unpacked(file) for file in (tmp_path / "wire").iterdir())
    assert b"planted" not in raw.replace(b"PLANTED", b"planted")
    (exchange,) = kept(tmp_path / "wire")
    assert exchange.header("authorization", of_request=True) == "[redacted:header]"
    assert "[redacted:api_key]" in exchange.body


def test_a_client_that_leaves_takes_the_upstream_along(tmp_path: Path) -> None:
    left = threading.Event()

    def answered(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        if connection.recv(1) == b"":
            left.set()

    with Upstream(answered) as upstream, Tap(upstream.url, tmp_path / "wire") as tap:
        with (
            httpx.Client(trust_env=False) as client,
            client.stream("POST", tap.url, json={}) as answer,
        ):
            assert next(answer.iter_raw()) == b"first"
        assert left.wait(10)

    (exchange,) = kept(tmp_path / "wire")
    assert exchange.end["how"] == "closed"
    assert exchange.body == "first"


@pytest.mark.parametrize(
    ("answer", "how", "status"),
    [
        (b"", "failed", 502),
        (b"HTTP/1.1 nonsense\r\n\r\n", "failed", 502),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", "broken", None),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", "broken", None),
    ],
)
def test_what_breaks_off_breaks_off(
    answer: bytes, how: str, status: int | None, tmp_path: Path
) -> None:
    with (
        Upstream(lambda connection: connection.sendall(answer)) as upstream,
        Tap(upstream.url, tmp_path / "wire") as tap,
    ):
        if status:
            assert httpx.post(tap.url, json={}).status_code == status
        else:
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.post(tap.url, json={})

    (exchange,) = kept(tmp_path / "wire")
    assert exchange.end["how"] == how


def test_an_upstream_that_is_not_there_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with Tap(url, tmp_path / "wire") as tap:
        answer = httpx.post(tap.url, json={})

    assert answer.status_code == 502
    assert f"{url} gave no answer: ConnectionRefusedError" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET http://127.0.0.1/ HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: two\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n-5\r\nabcde\r\n0\r\n\r\n",
    ],
)
def test_requests_that_are_none_get_a_sentence(request_line: bytes, tmp_path: Path) -> None:
    with Upstream(b"") as upstream, Tap(upstream.url, tmp_path / "wire") as tap:
        (got,) = sent(tap, request_line)

    assert got.startswith(b"HTTP/1.1 400 ")
    assert b"tollspan wire tap: " in got


def test_a_connection_is_used_again_and_made_anew_when_the_upstream_has_closed_it(
    tmp_path: Path,
) -> None:
    one = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    with Upstream(one, one, one) as upstream, Tap(upstream.url, tmp_path / "wire") as tap:
        assert sent(tap, REQUEST, REQUEST) == [one, one]
        assert upstream.connections == 1
        assert upstream.left.wait(10)  # with its client

    def last(connection: socket.socket) -> None:
        connection.sendall(one)  # and closes, and does not say so

    with Upstream(last, last) as upstream, Tap(upstream.url, tmp_path / "wire") as tap:
        with socket.create_connection(("127.0.0.1", tap.port), timeout=20) as connection:
            for _ in range(2):
                connection.sendall(REQUEST)
                assert read_message(connection) == one
                assert upstream.closed.wait(10)  # before the next request is on its way
                upstream.closed.clear()
        assert upstream.connections == 2


def test_an_upstream_behind_tls_is_asked_if_it_can_be_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        missing("openssl", "no openssl here to make a certificate with")
    certificate, key = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        + ["-out", certificate, "-keyout", key],
        check=True,
        capture_output=True,
        timeout=60,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    one = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    with Upstream(one, one, secured=context) as upstream:
        url = upstream.url.replace("http://127.0.0.1", "https://localhost")
        with Tap(url, tmp_path / "wire") as tap:
            (refused,) = sent(tap, REQUEST)
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        with Tap(url, tmp_path / "wire") as tap:
            assert sent(tap, REQUEST, REQUEST) == [one, one]

    assert refused.startswith(b"HTTP/1.1 502 ")
    assert b"SSLCertVerificationError" in refused
    assert {exchange.end["how"] for exchange in kept(tmp_path / "wire")} == {"failed", "complete"}


@pytest.mark.parametrize(
    "to", ["api.openai.com", "ftp://h", "https://", "https://u:p@h", "http://h:x", "https://h?a=b"]
)
def test_an_upstream_that_is_no_address_is_refused(to: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no upstream: write https://HOST"):
        Tap(to, tmp_path / "wire")


@pytest.mark.slow
def test_the_command_taps_until_it_is_ended(chaos: Chaos, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tollspan.launcher.command", "wire", "tap", "--to", chaos.url]
    process = subprocess.Popen(
        [*command, "--folder", str(tmp_path / "wire")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        told: dict[str, Any] = json.loads(process.stdout.readline())
        with openai.OpenAI(base_url=told["openai_base_url"], api_key=KEY) as client:
            stream = client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}], stream=True
            )
            assert len(list(stream)) > 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()

    assert told["url"].startswith("http://127.0.0.1:")
    (exchange,) = kept(tmp_path / "wire")
    assert exchange.head["model"] == "gpt-4o-mini"
    assert (tmp_path / "wire").stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
@pytest.mark.parametrize("forward", [(), ("traceparent",)])
def test_what_a_real_gateway_sent_on_is_proved(
    forward: tuple[str, ...],
    chaos: Chaos,
    provider: TracerProvider,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Portkey's, in Node: it hands on no trace unless it is told to."""
    monkeypatch.setenv("TOLLSPAN_HASH_KEY", "shared")
    config.reload()
    sent_to, received = tmp_path / "sent", tmp_path / "received"
    messages: Any = [{"role": "user", "content": "I am ann@example.com"}]
    tollspan.instrument(tracer_provider=provider, providers=["openai"])
    try:
        with portkey(tmp_path / "portkey") as started, Tap(chaos.url, received) as tap:
            gateway = started.ready()
            more = {"forward_headers": list(forward)} if forward else {}
            to = target(None, tap.openai_base_url, **more)
            for headers in (portkey_headers(**to), portkey_headers(**_masking(to))):
                with (
                    openai.OpenAI(
                        base_url=f"{gateway.url}/v1",
                        api_key="k",
                        max_retries=0,
                        default_headers=headers,
                    ) as client,
                    tollspan.wire(sent_to),
                ):
                    client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    finally:
        tollspan.uninstrument()
    proofs = prove(kept(sent_to), kept(received))

    assert [proof.state for proof in proofs] == [LEAKED, PROVED]
    assert {proof.joined for proof in proofs} == {"trace" if forward else "time"}
    assert [fate.where for proof in proofs for fate in proof.fates] == ["there", "masked"]


def _masking(to: dict[str, Any]) -> dict[str, Any]:
    """A configuration that says something else in the place of what the client says."""
    instead = [{"role": "user", "content": "I am somebody"}]
    return {**to, "override_params": {"messages": instead}}
