"""The ledger asked over ClickHouse's HTTP interface. Reading only.

https://clickhouse.com/docs/interfaces/http. Parameters are bound by the server, never pasted in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import urllib3

from tollspan import semconv

from .destination import BadDestination
from .rows import span_of
from .span import Span
from .stage import Remembered
from .unjoined import UNJOINED, before

__all__ = ["MOST_SPANS", "AskedLedger", "ClickHouse", "ClickHouseError"]

TIMEOUT_S = 30.0

SPANS = """
SELECT trace_id, span_id, parent_id, name, kind, scope, scope_version, toUnixTimestamp64Nano(time)
       AS time_ns, duration_ns, status, status_message, resource, attributes, typed, events, version
FROM spans FINAL
WHERE trace_id IN {traces:Array(String)}
ORDER BY trace_id, span_id
LIMIT {most:UInt32}
"""
HOPS = """
SELECT call_id, hop_index FROM llm_hops FINAL
WHERE trace_id IN {traces:Array(String)} AND owner != 'gone'
"""
LINKED = """
SELECT DISTINCT trace_id FROM span_links WHERE key IN {keys:Array(String)} LIMIT 1000
"""
MOST_SPANS = 50_000
"""Of the traces of one question."""


class ClickHouseError(RuntimeError):
    """It did not answer, or refused; the message is its own first line, or says what failed."""


class ClickHouse:
    """A server. `password` never shows in anything that is printed.

    Raises:
        BadDestination: `url` is none of ClickHouse's.
    """

    def __init__(
        self, url: str, user: str, password: str, *, named: str = "TOLLSPAN_CLICKHOUSE_URL"
    ) -> None:
        example = f"write {named}=http://clickhouse:8123/tollspan"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise BadDestination(f"{named} is not a URL: {example}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadDestination(f"{named} is not a URL of http or https: {example}")
        if parts.username or parts.password:
            raise BadDestination(
                f"{named} holds a password: use TOLLSPAN_CLICKHOUSE_USER and "
                "TOLLSPAN_CLICKHOUSE_PASSWORD"
            )
        pool = (
            urllib3.HTTPSConnectionPool if parts.scheme == "https" else urllib3.HTTPConnectionPool
        )
        self._pool: Any = pool(parts.hostname, port, timeout=TIMEOUT_S, maxsize=2)
        self._database = unquote(parts.path.strip("/"))
        self.setting: Mapping[str, Any] = {}
        """Settings of ClickHouse that go with every statement."""
        self._headers = {"content-type": "text/plain; charset=utf-8"}
        if user or password:
            self._headers |= {"x-clickhouse-user": user or "default", "x-clickhouse-key": password}

    def rows(self, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows of a reading statement.

        Raises:
            ClickHouseError: there are none to be had.
        """
        answer = self._asked(f"{sql.strip()}\nFORMAT JSONEachRow", parameters, self.setting)
        try:
            return [json.loads(line) for line in answer.data.splitlines() if line]
        except ValueError as error:  # an exception in the middle of an answer
            raise ClickHouseError("ClickHouse broke off its answer") from error

    def pieces(
        self, sql: str, form: str, parameters: Mapping[str, Any], setting: Mapping[str, Any]
    ) -> Iterator[bytes]:
        """What a reading statement answers in the format `form`, as it comes, with these settings.

        Raises:
            ClickHouseError: there is no answer to be had, or it broke off.
        """
        body = f"{sql.strip()}\nFORMAT {form}"
        return self._streamed(self._asked(body, parameters, setting, whole=False))

    def _streamed(self, answer: Any) -> Iterator[bytes]:
        try:
            yield from answer.stream(1 << 18)
        except urllib3.exceptions.HTTPError as error:
            raise ClickHouseError("ClickHouse broke off its answer") from error
        finally:
            answer.close()

    def _asked(
        self,
        body: str,
        parameters: Mapping[str, Any],
        setting: Mapping[str, Any],
        *,
        whole: bool = True,
    ) -> Any:
        asked = {f"param_{name}": _written(value) for name, value in parameters.items()}
        asked |= {name: str(value) for name, value in setting.items()}
        if self._database:
            asked["database"] = self._database
        try:
            answer = self._pool.urlopen(
                "POST",
                f"/?{urlencode(asked)}",
                body=body.encode(),
                headers=self._headers,
                retries=False,
                redirect=False,
                preload_content=whole,
            )
        except urllib3.exceptions.HTTPError as error:
            raise ClickHouseError(self._why_not(error)) from error
        if answer.status != 200:
            said = answer.data[:300].decode("utf-8", "replace").strip().partition("\n")[0]
            if "in readonly mode" in said:
                said += ": limits go with each question, so the account needs readonly = 2, not 1"
            raise ClickHouseError(f"ClickHouse says: {said or answer.status}")
        return answer

    def _why_not(self, error: BaseException) -> str:
        """What urllib3 found, with the system's own words where it heard some."""
        why: BaseException | None = error
        while why is not None and not (isinstance(why, OSError) and why.strerror):
            why = why.__cause__ or why.__context__
        said = why.strerror if isinstance(why, OSError) else type(error).__name__
        host = f"[{self._pool.host}]" if ":" in self._pool.host else self._pool.host
        return (
            f"ClickHouse at {host}:{self._pool.port} cannot be reached ({said}): "
            "is it up, and is that its HTTP port (8123)?"
        )

    def close(self) -> None:
        self._pool.close()


def _written(value: Any) -> str:
    """`value` as the server reads it out of a URL."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(_quoted, value))}]"
    return str(value)


def _quoted(text: str) -> str:
    escaped = (
        text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\t", "\\t")
    )
    return f"'{escaped}'"


class AskedLedger:
    """What a fold recalls: callable with trace ids; `linked` with keys."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    def __call__(self, trace_ids: Sequence[str]) -> Remembered:
        return Remembered(self.spans(trace_ids), self.hops(trace_ids))

    def spans(self, trace_ids: Sequence[str]) -> list[Span]:
        """Spans of these traces as they came into the stage."""
        found = self._clickhouse.rows(SPANS, {"traces": trace_ids, "most": MOST_SPANS})
        return [_span(row) for row in found]

    def hops(self, trace_ids: Sequence[str]) -> dict[str, list[int]]:
        """Places of the hops that were told, by call id."""
        hops: dict[str, list[int]] = {}
        for row in self._clickhouse.rows(HOPS, {"traces": trace_ids}):
            hops.setdefault(row["call_id"], []).append(int(row["hop_index"]))
        return hops

    def linked(self, keys: Sequence[str]) -> list[str]:
        """Ids of the traces in which the ledger has one of `keys`."""
        if not keys:
            return []
        return [row["trace_id"] for row in self._clickhouse.rows(LINKED, {"keys": keys})]


def _span(row: Mapping[str, Any]) -> Span:
    """Servers write numbers of 64 bits as text unless told otherwise."""
    duration = row["duration_ns"]
    span = span_of(
        {
            **row,
            "time_ns": int(row["time_ns"]),
            "duration_ns": None if duration is None else int(duration),
            "version": int(row["version"]),
        }
    )
    if span.attributes.get(semconv.COST_ROLE) == UNJOINED:
        span.attributes = before(span.attributes)
    return span
