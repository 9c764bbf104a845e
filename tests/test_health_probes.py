"""A probe finds out what is so, in the time that it has, whatever is at the other end; thresholds make
a state of it."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from needs import missing

from tollspan.limits.backends import Backend, Check
from tollspan.limits.probes import Result, probe
from tollspan.limits.probing import DOWN, UNKNOWN, UP, Standing, pause_s

HTTP = Check("http")
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def at(port: int, **more: object) -> Backend:
    return replace(Backend("b", f"http://127.0.0.1:{port}", timeout_s=20.0), **more)  # type: ignore[arg-type]


@asynccontextmanager
async def server(answer: Answer, secure: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    made = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=secure)
    try:
        yield made.sockets[0].getsockname()[1]
    finally:
        made.close()


def says(text: str) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text.encode("latin-1"))
        await writer.drain()

    return answer


def head(status: int, more: str = "") -> str:
    return f"HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n{more}\r\n"


# --- HTTP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expect", "ok"),
    [
        (200, HTTP.expect, True),
        (204, HTTP.expect, True),
        (301, HTTP.expect, True),
        (401, HTTP.expect, True),
        (429, HTTP.expect, True),
        (401, ("200",), False),
        (404, HTTP.expect, False),
        (404, ("4xx",), True),
        (500, HTTP.expect, False),
        (529, HTTP.expect, False),
    ],
)
async def test_a_status_is_well_where_it_is_expected(
    status: int, expect: tuple[str, ...], ok: bool
) -> None:
    async with server(says(head(status))) as port:
        found = await probe(at(port), replace(HTTP, expect=expect))

    assert (found.ok, found.status, found.kind) == (ok, status, "http")
    assert found.error == ("" if ok else f"answered {status}")
    assert 0 < found.duration_s < 2


async def test_what_is_asked_is_the_path_behind_the_backends_own_and_nothing_secret() -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(head(200).encode())

    async with server(answer) as port:
        backend = replace(at(port), url=f"http://127.0.0.1:{port}/v1")
        await probe(backend, replace(HTTP, method="HEAD", path="/models"))
    lines = asked[0].decode().split("\r\n")

    assert lines[0] == "HEAD /v1/models HTTP/1.1"
    assert f"host: 127.0.0.1:{port}" in lines
    names = {line.partition(":")[0] for line in lines[1:] if line}
    assert names == {"host", "user-agent", "accept", "connection"}


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    reached: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(b"")

    async with server(elsewhere) as other:
        there = head(302, f"location: http://127.0.0.1:{other}/\r\n")
        async with server(says(there)) as port:
            found = await probe(at(port), HTTP)

    assert found.status == 302
    assert reached == []


async def test_heads_before_the_head_are_passed_over() -> None:
    async with server(says("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + head(200))) as port:
        found = await probe(at(port), HTTP)

    assert found.status == 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 two\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" + "x: y\r\n" * 20_000,
        "HTTP/1.1 200 OK" + "x" * 200_000,
        "HTTP/1.1 200 OK\r\nx: " + "y" * 70_000 + "\r\n\r\n",
    ],
    ids=["nothing", "empty", "ssh", "letters", "http2", "many", "endless", "long"],
)
async def test_what_is_no_http_is_said_to_be_none(text: str) -> None:
    async with server(says(text)) as port:
        found = await probe(at(port), HTTP)

    assert not found.ok
    assert found.error.startswith(("no HTTP (", "connection broken"))


async def test_silence_ends_when_the_time_is_up() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(answer) as port:
        found = await probe(at(port, timeout_s=0.2), HTTP)

    assert found.error == "no answer in 0.2 s"
    assert 0.2 <= found.duration_s < 20


async def test_an_answer_that_drips_ends_when_the_time_is_up() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with server(answer) as port:
        found = await probe(at(port, timeout_s=0.3), HTTP)

    assert found.error == "no answer in 0.3 s"


async def test_a_port_where_nobody_listens_is_told_as_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        for check in (HTTP, Check("tcp")):
            found = await probe(at(port), check)
            assert (found.ok, found.error) == (False, "connection refused")


async def test_a_name_that_nobody_knows_is_told() -> None:
    found = await probe(Backend("b", "http://nobody.invalid", timeout_s=5), HTTP)

    assert not found.ok
    assert found.error in ("its name is not known", "no answer in 5 s")


async def test_a_connection_is_enough_for_tcp() -> None:
    async with server(says("")) as port:
        found = await probe(at(port), Check("tcp"))

    assert (found.ok, found.kind, found.status) == (True, "tcp", None)


# --- TLS ------------------------------------------------------------------------------------------


def certified(folder: Path, days: int, name: str = "localhost") -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate of its own that ends in so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=100))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "own.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return context, certificate


def secured(port: int, ca_file: Path | str) -> Backend:
    return Backend("b", f"https://localhost:{port}", timeout_s=20, ca_file=str(ca_file))


async def test_the_end_of_a_certificate_is_told(tmp_path: Path) -> None:
    context, ca_file = certified(tmp_path, days=9)
    async with server(says(head(200)), context) as port:
        found = await probe(secured(port, ca_file), HTTP)

    assert found.ok
    assert found.certificate_ends is not None
    assert 8.9 < (found.certificate_ends - datetime.now(UTC)) / timedelta(days=1) <= 9


@pytest.mark.parametrize(
    ("days", "name", "trusted", "said"),
    [
        (-1, "localhost", True, "TLS: certificate has expired"),
        (9, "localhost", False, "TLS: self-signed certificate"),
        (9, "other.example", True, "TLS: hostname mismatch"),
    ],
)
async def test_a_certificate_that_is_not_good_is_told(
    tmp_path: Path, days: int, name: str, trusted: bool, said: str
) -> None:
    context, ca_file = certified(tmp_path, days, name)
    async with server(says(head(200)), context) as port:
        found = await probe(secured(port, ca_file if trusted else ""), HTTP)

    assert not found.ok
    assert found.error.startswith(said)


async def test_a_server_that_speaks_no_tls_is_told() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head(400).encode())
        await reader.read()

    async with server(answer) as port:
        found = await probe(secured(port, ""), HTTP)

    assert not found.ok
    assert found.error.startswith("TLS: ")


# --- ping -----------------------------------------------------------------------------------------

PINGING = """
import asyncio, fcntl, json, socket, struct, sys
from tollspan.limits.backends import Backend, Check
from tollspan.limits.probes import probe

if sys.argv[1] == "permitted":
    with open("/proc/sys/net/ipv4/ping_group_range", "w") as file:
        file.write("0 0")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    SIOCSIFFLAGS, IFF_UP = 0x8914, 1
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
for host in ("127.0.0.1", "[::1]", "192.0.2.1"):
    backend = Backend("b", f"http://{host}:9", timeout_s=1)
    found = asyncio.run(probe(backend, Check("ping")))
    print(json.dumps([found.kind, found.ok, found.error]))
"""


def pinged(how: str) -> list[list[object]]:
    """What pings find in a network of their own, where unprivileged ones are permitted or not."""
    command = ["unshare", "--map-root-user", "--net", sys.executable, "-c", PINGING, how]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except FileNotFoundError:
        missing("unshare", "no util-linux here")
    except subprocess.CalledProcessError as error:
        if "unshare failed" in error.stderr or "Operation not permitted" in error.stderr:
            missing("unshare", f"no network of one's own here: {error.stderr.strip()[-100:]}")
        raise AssertionError(error.stderr) from error
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.slow
def test_a_ping_without_privileges_is_answered_over_ipv4_and_ipv6() -> None:
    four, six, nowhere = pinged("permitted")

    assert four == ["ping", True, ""]
    assert six == ["ping", True, ""]
    assert nowhere == ["ping", False, "network is unreachable"]


@pytest.mark.slow
def test_where_pings_are_not_permitted_a_connection_is_tried() -> None:
    four, six, _ = pinged("forbidden")

    assert four == ["tcp", False, "connection refused"]
    assert six == ["tcp", False, "connection refused"]


# --- thresholds -----------------------------------------------------------------------------------


def found(ok: bool, at_s: float = 0.0) -> Result:
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=at_s)
    return Result("http", ok, moment, 0.1, error="" if ok else "answered 500")


def states(oks: str, **more: int) -> str:
    """How a backend stands after each of `oks`, as `u`, `d` and `?`."""
    backend = Backend("b", "http://h", **more)  # type: ignore[arg-type]
    standing, told = Standing(backend), ""
    for number, letter in enumerate(oks):
        standing.add(backend.checks[0], found(letter == "+", number))
        told += {UP: "u", DOWN: "d", UNKNOWN: "?"}[standing.state]
    return told


@pytest.mark.parametrize(
    ("oks", "told"),
    [
        ("+", "u"),
        ("---", "??d"),
        ("-+", "?u"),
        ("+---", "uuud"),
        ("+--+--+--", "uuuuuuuuu"),
        ("+---+-++", "uuudddd" + "u"),
        ("---+-+-+-", "??ddddddd"),
    ],
)
def test_only_so_many_in_a_row_change_the_state(oks: str, told: str) -> None:
    assert states(oks, up_after=2, down_after=3) == told


@given(
    st.text(alphabet="+-", max_size=60),
    st.integers(min_value=1, max_value=5),
    st.integers(min_value=1, max_value=5),
)
def test_a_state_holds_until_enough_probes_in_a_row_say_otherwise(
    oks: str, up_after: int, down_after: int
) -> None:
    told = states(oks, up_after=up_after, down_after=down_after)
    for number in range(1, len(oks)):
        before, after = told[number - 1], told[number]
        if before != after:
            letter = "+" if after == "u" else "-"
            enough = down_after if after == "d" else 1 if before == "?" else up_after
            assert oks[: number + 1].endswith(letter * enough)
        elif oks[: number + 1].endswith("-" * down_after):
            assert after == "d"
        elif oks[: number + 1].endswith("+" * up_after):
            assert after == "u"


def test_chance_moves_a_probe_by_its_part_of_the_interval() -> None:
    backend = Backend("b", "http://h", interval_s=20, jitter=0.1)

    assert [pause_s(backend, chance) for chance in (0, 0.5, 1)] == [18, 20, 22]
    assert pause_s(replace(backend, jitter=0), 0.9) == 20


def test_a_backend_is_down_when_a_check_that_decides_is() -> None:
    decides, tells = Check("http"), Check("ping", decides=False)
    backend = Backend("b", "http://h", checks=(decides, tells), down_after=2)
    standing = Standing(backend)
    news = [standing.add(check, found(ok)) for check, ok in [(decides, True), (tells, False)] * 3]

    assert news == [True] + [False] * 5
    assert (standing.state, standing.checks[tells].state) == (UP, DOWN)
    assert not standing.add(decides, found(False))
    assert standing.add(decides, found(False, 9))
    assert standing.reason == "2 probes in a row failed: http GET: answered 500"
    assert standing.since == found(False, 9).time
