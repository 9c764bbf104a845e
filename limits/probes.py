"""One probe of a backend: HTTP, TCP connect, or ping. What comes of it is a fact, never an exception.

HTTP is asked straight, without proxies and without following redirects, with no key and no cookie;
of the answer only the head is read.
"""

from __future__ import annotations

import asyncio
import errno
import http.client
import io
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from tollspan import __version__

from .backends import Backend, Check
from .ping import NotPermitted, ping

__all__ = ["Result", "probe"]

_MOST_HEAD_BYTES: Final = 65_536

_EYEBALLS_S: Final = 0.25
"""After so long the host's next address is tried, too: https://www.rfc-editor.org/rfc/rfc8305"""


@dataclass(frozen=True, slots=True)
class Result:
    """What one probe found."""

    kind: str
    """As asked, but `tcp` where a ping was not permitted."""
    ok: bool
    time: datetime
    duration_s: float
    status: int | None = None
    error: str = ""
    """A few words; '' where all is well."""
    certificate_ends: datetime | None = None
    """When the server's certificate is valid no more."""


@dataclass(slots=True)
class _Notes:
    """What a probe has found so far, also when it fails then."""

    kind: str
    status: int | None = None
    certificate_ends: datetime | None = None


async def probe(backend: Backend, check: Check) -> Result:
    """Probe `backend` by `check`; ends after the backend's timeout at the latest."""
    began, moment = time.perf_counter(), datetime.now(UTC)
    notes, error = _Notes(check.kind), ""
    try:
        async with asyncio.timeout(backend.timeout_s):
            error = await _ASKING[check.kind](backend, check, notes)
    except TimeoutError:
        error = f"no answer in {backend.timeout_s:g} s"
    except ssl.SSLError as failure:
        why = getattr(failure, "verify_message", "") or failure.reason or "failed"
        error = f"TLS: {why.lower().replace('_', ' ')}"
    except OSError as failure:
        error = _said(failure)
    except (ValueError, http.client.HTTPException, EOFError) as failure:
        error = f"no HTTP ({type(failure).__name__})"
    return Result(
        notes.kind,
        not error,
        moment,
        time.perf_counter() - began,
        notes.status,
        error,
        notes.certificate_ends,
    )


def _said(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if error.errno == errno.ECONNREFUSED:
        return "connection refused"
    if isinstance(error, ConnectionError):
        return "connection broken"
    return (error.strerror or type(error).__name__).lower()[:100]


async def _http(backend: Backend, check: Check, notes: _Notes) -> str:
    secure = _context(backend.ca_file) if backend.parts.scheme == "https" else None
    host = backend.parts.hostname or ""
    reader, writer = await asyncio.open_connection(
        host,
        backend.port,
        ssl=secure,
        limit=_MOST_HEAD_BYTES,
        happy_eyeballs_delay=_EYEBALLS_S,
    )
    try:
        notes.certificate_ends = _certificate_ends(writer)
        writer.write(_request(backend, check))
        status = await _status(reader)
        while status in (100, 102, 103):
            status = await _status(reader)
    finally:
        writer.transport.abort()  # whatever the other side still wants to say
    notes.status = status
    return "" if check.expects(status) else f"answered {status}"


def _request(backend: Backend, check: Check) -> bytes:
    parts = backend.parts
    host = parts.netloc
    target = f"{parts.path}{check.path}" or "/"
    lines = (
        f"{check.method} {target} HTTP/1.1",
        f"host: {host}",
        f"user-agent: tollspan/{__version__} (health)",
        "accept: */*",
        "connection: close",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


async def _status(reader: asyncio.StreamReader) -> int:
    """The status of the next head, which has been read to its end.

    Raises:
        ValueError, http.client.HTTPException, EOFError: what came is no head.
    """
    line = await reader.readline()
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/1.") or not code.isdigit() or len(code) != 3:
        raise http.client.BadStatusLine("")
    head = b""
    while (line := await reader.readline()) not in (b"\r\n", b"\n", b""):
        head += line
        if len(head) > _MOST_HEAD_BYTES:
            raise ValueError("too long a head")
    http.client.parse_headers(io.BytesIO(head + b"\r\n"))
    return int(code)


def _context(ca_file: str) -> ssl.SSLContext:
    made = ssl.create_default_context()
    if ca_file:
        made.load_verify_locations(ca_file)
    made.set_alpn_protocols(["http/1.1"])
    return made


def _certificate_ends(writer: asyncio.StreamWriter) -> datetime | None:
    secured = writer.get_extra_info("ssl_object")
    stated = (secured.getpeercert() or {}).get("notAfter") if secured is not None else None
    if not isinstance(stated, str):
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(stated), UTC)


async def _tcp(backend: Backend, check: Check, notes: _Notes) -> str:
    _, writer = await asyncio.open_connection(
        backend.parts.hostname, backend.port, happy_eyeballs_delay=_EYEBALLS_S
    )
    writer.transport.abort()
    return ""


async def _ping(backend: Backend, check: Check, notes: _Notes) -> str:
    loop = asyncio.get_running_loop()
    host = backend.parts.hostname
    places = await loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    family, *_, address = next(
        each for each in places if each[0] in (socket.AF_INET, socket.AF_INET6)
    )
    try:
        await ping(family, address)
    except NotPermitted:
        notes.kind = "tcp"
        return await _tcp(backend, check, notes)
    return ""


_ASKING: Final[dict[str, Callable[[Backend, Check, _Notes], Awaitable[str]]]] = {
    "http": _http,
    "tcp": _tcp,
    "ping": _ping,
}
"""What fails is raised, or said in a few words; '' is well."""
