"""ClickHouse's HTTP interface over the ledger, to read: for clickhouse-connect, DBeaver, a real Grafana.

https://clickhouse.com/docs/interfaces/http. Each request has a connection of its own (1.2 ms), so that
no session outlives it. What a client may set is a short list; everything else that clients send
along is ignored, and limits can only be lowered.

Two dialects of Native blocks: clients that state `client_protocol_version` expect a prefix before each
block. From 54454 on they expect more, so we present ourselves as revision 54453.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import chdb
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .clickhouse_answers import BLOCK_PREFIX, CONTENT_TYPES, Refused, engine_said, heading, hello
from .clickhouse_blocks import compressed
from .clickhouse_sql import Forbidden, Statement, reading
from .ledger import LIMITS

__all__ = ["clickhouse_http"]

MOST_STATEMENT_BYTES = 1_000_000
MOST_INSERT_BYTES = 256_000_000
MOST_AT_ONCE = 4
WAIT_S = 10.0
PARTITIONS = "max_partitions_per_insert_block"
"""Of those that insert, the one setting that they may state."""
HELLO = "SELECT displayName(), version(), revision(), timezone()"
OUR_DATABASES = ("", "default", "tollspan")
"""Names under which clients ask for the ledger: a server's is called `tollspan`, the engine's `default`."""

SETTABLE = frozenset(
    (
        "date_time_output_format",
        "join_use_nulls",
        "low_cardinality_allow_in_native_format",
        "output_format_binary_write_json_as_string",
        "output_format_json_quote_64bit_integers",
        "output_format_json_quote_decimals",
        "output_format_json_quote_denormals",
        "output_format_native_write_json_as_string",
        "session_timezone",
    )
)
LOWERABLE: dict[str, Any] = {
    **{name: value for name, value in LIMITS.items() if name.startswith("max_")},
    "max_result_bytes": 256_000_000,
}


def clickhouse_http(folder: Path, *, token: str = "", writable: bool = False) -> Starlette:
    """The application over the ledger that this process has open in `folder`.

    Args:
        token: what clients show as password; '' asks for none.
        writable: for tests only: INSERT ... FORMAT Native is taken, too.
    """
    door = _Door(folder, token, writable)

    async def asked(request: Request) -> Response:
        try:
            door.check(request)
            statement, data = await door.statement(request)
            async with door.place():
                response = await run_in_threadpool(
                    door.answer, statement, data, request.query_params
                )
        except Refused as refused:
            response = refused.response()
        if request.query_params.get("compress") == "1":
            return await run_in_threadpool(_compressed, response)
        return response

    async def alive(request: Request) -> Response:
        return Response("Ok.\n", media_type="text/plain")

    return Starlette(
        routes=[
            Route("/ping", alive),
            Route("/replicas_status", alive),
            Route("/", asked, methods=["GET", "POST"]),
        ]
    )


class _Door:
    def __init__(self, folder: Path, token: str, writable: bool) -> None:
        self._folder = str(folder)
        self._token = token
        self._writable = writable
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._table_functions: list[str] = []

    def check(self, request: Request) -> None:
        """Raises:
        Refused: the token is not the one; or a web page of somebody else asks.
        """
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refused(516, "pages of other sites may not ask")
        shown = _password(request)
        if self._token and not hmac.compare_digest(shown.encode(), self._token.encode()):
            raise Refused(516, "send the value of TOLLSPAN_TOKEN as the password, with any user")

    async def statement(self, request: Request) -> tuple[str, bytes]:
        """The statement, and the data that came with it.

        Raises:
            Refused: there is none, it is too long, or it is no text.
        """
        asked = request.query_params.get("query", "")
        if request.query_params.get("decompress") == "1":
            raise Refused(36, "compressed blocks are not read here: send gzip or none")
        most = MOST_INSERT_BYTES if self._writable else MOST_STATEMENT_BYTES
        body = await _body(request, most)
        if asked and body and not self._writable:
            asked, body = asked + "\n" + _text(body), b""
        elif not asked:
            asked, body = _text(body), b""
        if not asked.strip():
            raise Refused(62, "the statement is empty")
        return asked, body

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of few. Waited for here and not in a thread: the page needs those.

        Raises:
            Refused: all were taken for too long.
        """
        try:
            await asyncio.wait_for(self._places.acquire(), WAIT_S)
        except TimeoutError as error:
            raise Refused(
                202, f"{MOST_AT_ONCE} statements run at once here, and all do: try again"
            ) from error
        try:
            yield
        finally:
            self._places.release()

    def answer(self, sql: str, data: bytes, asked: Mapping[str, str]) -> Response:
        """What the engine says to `sql`.

        Raises:
            Refused: it may not be run, or it could not.
        """
        try:
            with closing(chdb.connect(self._folder)) as connection:
                if data:
                    return self._inserted(connection, sql, data, asked)
                return self._read(connection, sql, asked)
        except (chdb.ChdbError, RuntimeError) as error:
            raise engine_said(error) from error

    def _read(self, connection: Any, sql: str, asked: Mapping[str, str]) -> Response:
        protocol = _number(asked.get("client_protocol_version", ""))
        if protocol and " ".join(sql.split()) == HELLO:
            return _answer([hello(connection, protocol)], "Native")
        statement = self._reading(connection, sql)
        _prepare(connection, asked)
        form = statement.form or asked.get("default_format") or "TabSeparated"
        bound = {name[6:]: value for name, value in asked.items() if name.startswith("param_")}
        if form != "Native":
            body = bytes(connection.query(statement.sql, form, params=bound).bytes())
            return _answer([body], form)
        if statement.streams:
            found = connection.send_query(statement.sql, form, params=bound)
            blocks = [bytes(chunk.bytes()) for chunk in found]
            blocks = blocks or [heading(connection, statement.sql, bound)]
        else:
            blocks = [bytes(connection.query(statement.sql, form, params=bound).bytes())]
        prefix = BLOCK_PREFIX if protocol else b""
        return _answer((prefix + block for block in blocks if block), form)

    def _reading(self, connection: Any, sql: str) -> Statement:
        if not self._table_functions:
            names = connection.query("SELECT name FROM system.table_functions", "TSVRaw")
            self._table_functions = bytes(names.bytes()).decode().split()
        try:
            return reading(_canonical(connection, sql), self._table_functions)
        except Forbidden as error:
            raise Refused(164, f"this endpoint only reads: {error}") from error

    def _inserted(
        self, connection: Any, sql: str, data: bytes, asked: Mapping[str, str]
    ) -> Response:
        into = _canonical(connection, sql).strip()
        into, _, form = into.rpartition(" FORMAT ")
        if not into.startswith("INSERT INTO ") or form != "Native":
            raise Refused(164, "only INSERT INTO ... FORMAT Native takes data")
        if asked.get(PARTITIONS, "").isdigit():
            into += f" SETTINGS {PARTITIONS} = {int(asked[PARTITIONS])}"
        inserter = connection.send_insert(into, form)
        try:
            inserter.append(data)
        except RuntimeError:
            # A failed append leaves the connection busy until it is finished.
            with suppress(RuntimeError):
                inserter.finish()
            raise
        inserter.finish()
        return _answer([], form)


def _canonical(connection: Any, sql: str) -> str:
    escaped = sql.translate(_ESCAPES)
    written = connection.query(
        "SELECT formatQuerySingleLine({sql:String})", "TSVRaw", params={"sql": escaped}
    )
    return bytes(written.bytes()).decode()


_ESCAPES = {ord("\\"): "\\\\", ord("'"): "\\'", 9: "\\t", 10: "\\n", 13: "\\r", 0: "\\0"}


def _prepare(connection: Any, asked: Mapping[str, str]) -> None:
    """Our limits, the client's wishes as far as they go, and nothing can be set any more."""
    if (database := asked.get("database", "")) not in OUR_DATABASES:
        connection.query("USE `" + database.replace("\\", "\\\\").replace("`", "\\`") + "`")
    for name, most in LOWERABLE.items():
        wanted = _number(asked.get(name, ""))
        connection.query(f"SET {name} = {min(wanted, most) if wanted else most}")
    for name in SETTABLE & asked.keys():
        connection.query(f"SET {name} = '{asked[name].translate(_ESCAPES)}'")
    breaks = asked.get("result_overflow_mode") == "break"
    connection.query(f"SET result_overflow_mode = '{'break' if breaks else 'throw'}', readonly = 1")


def _answer(blocks: Iterable[bytes], form: str) -> Response:
    headers = {"x-clickhouse-format": form, "x-clickhouse-timezone": "UTC"}
    kind = CONTENT_TYPES.get(form, "application/octet-stream")
    return Response(b"".join(blocks), headers=headers, media_type=kind)


def _compressed(response: Response) -> Response:
    """For a client that will take the body for compressed blocks, errors too."""
    kept = {
        name: value for name, value in response.headers.items() if name.startswith("x-clickhouse")
    }
    body = compressed(bytes(response.body))
    return Response(body, response.status_code, kept, "application/octet-stream")


def _password(request: Request) -> str:
    for shown in (request.headers.get("x-clickhouse-key"), request.query_params.get("password")):
        if shown is not None:
            return shown
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        with suppress(binascii.Error, UnicodeDecodeError):
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
    return value if kind.lower() == "bearer" else ""


async def _body(request: Request, most: int) -> bytes:
    coding = request.headers.get("content-encoding", "identity").lower()
    if coding not in ("identity", "gzip", "deflate"):
        raise Refused(36, f"content-encoding {coding} is not read here: send gzip or none")
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32) if coding != "identity" else None
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += inflate.decompress(chunk, most + 1 - len(body)) if inflate else chunk
            if len(body) > most:
                raise Refused(307, f"the request is longer than {most} bytes")
    except zlib.error as error:
        raise Refused(36, f"the body is not {coding}") from error
    return bytes(body)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Refused(62, "the statement is not UTF-8") from error


def _number(text: str) -> int:
    """A whole number above 0, or 0."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
