"""Calls as log records: how a stage tells the ledger, in plain OTLP.

One record for each version of a call, scope `LEDGER_SCOPE`, event `LEDGER_EVENT`; its body is a
string of JSON: `{"call": row of llm_calls, "hops": [rows of llm_hops], "told_by": instance}`. What
is not known is not written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tollspan import __version__, semconv
from tollspan.columns import TEXTS

from .call import Call
from .rows import (
    COUNTS,
    FLAGS,
    MONEY,
    cache_saving,
    hop_rows,
    status,
    tags,
    usage,
)
from .values import count, flag, money, number, text, texts, timestamp

__all__ = ["known_row", "requests_of"]

REQUEST_BYTES = 2_000_000
"""After so many a further request begins: a collector takes 4 MiB at once unless told otherwise."""

LONG_BYTES = 65_536
"""Of one record; one that is longer is shortened."""

MOST_TAGS = 64
LONGEST_TEXT = 512
SEVERITY_INFO = 9


def requests_of(calls: Iterable[Call], told_by: str, now_ns: int) -> Iterator[tuple[bytes, int]]:
    """ExportLogsServiceRequests that tell of `calls`, each with the number of its records."""
    request, records, size = _request(told_by)
    for call in calls:
        body = _body(call, told_by)
        record = records.log_records.add(
            time_unix_nano=call.span.start_ns,
            observed_time_unix_nano=now_ns,
            severity_number=SEVERITY_INFO,
            event_name=semconv.LEDGER_EVENT,
            body=AnyValue(string_value=body),
        )
        record.trace_id = bytes.fromhex(call.span.trace_id)
        record.span_id = bytes.fromhex(call.span.span_id)
        size += len(body)
        if size > REQUEST_BYTES:
            yield bytes(request.SerializeToString()), len(records.log_records)
            request, records, size = _request(told_by)
    if records.log_records:
        yield bytes(request.SerializeToString()), len(records.log_records)


def _request(told_by: str) -> tuple[Any, Any, int]:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    for name, value in ((semconv.SERVICE_NAME, "tollspan-stage"), ("service.instance.id", told_by)):
        resource.resource.attributes.append(KeyValue(key=name, value=AnyValue(string_value=value)))
    records = resource.scope_logs.add()
    records.scope.name, records.scope.version = semconv.LEDGER_SCOPE, __version__
    return request, records, 0


def _body(call: Call, told_by: str) -> str:
    row, hops = known_row(call), [_known(hop) for hop in hop_rows(call)]
    body = _encoded(row, hops, told_by)
    if len(body) > LONG_BYTES:
        row["tags"] = dict(sorted(row.get("tags", {}).items())[:MOST_TAGS])
        body = _encoded(_shortened(row), _shortened(hops[:MOST_TAGS]), told_by)
    return body


def known_row(call: Call) -> dict[str, Any]:
    """What `call_row` makes, without what is not known.

    Of its sixty columns most are not known of a call, so this goes by what the call says.
    """
    span, said = call.span, call.attributes
    row: dict[str, Any] = {}
    tagged = False
    for name, value in said.items():
        if (columns := _COLUMNS.get(name)) is not None:
            for column, read in columns:
                row[column] = value if read is text and type(value) is str else read(value)
        elif name.startswith(semconv.TAG_PREFIX):
            tagged = True
    row |= {
        "call_id": call.call_id,
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "time": timestamp(span.start_ns),
        "role": call.role,
        "owner_span_id": call.owner_span_id,
        "service": span.service,
        "environment": span.environment,
        "scope": span.scope,
        "tags": tags(said) if tagged else None,
        "usage": usage(said),
        "cache_saved_usd": cache_saving(call),
        "duration_s": call.lasted_s,
        "status": status(call),
        "version": call.version,
    }
    return _known(row)


Read = Callable[[Any], Any]


def _columns() -> dict[str, list[tuple[str, Read]]]:
    """Columns of `llm_calls` that hold one attribute, by its name."""
    found: dict[str, list[tuple[str, Read]]] = {}
    readers: list[tuple[Mapping[str, str], Read]] = [(TEXTS, text), (MONEY, money), (FLAGS, flag)]
    for table, read in readers:
        for column, name in table.items():
            found.setdefault(name, []).append((column, read))
    for column, (name, below) in COUNTS.items():
        found.setdefault(name, []).append((column, partial(count, below=below)))
    found.setdefault(semconv.TIME_TO_FIRST_CHUNK, []).append(("time_to_first_chunk_s", number))
    found.setdefault(semconv.FINISH_REASONS, []).append(("finish_reasons", texts))
    return found


_COLUMNS = _columns()


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in row.items()
        if value or (value is not None and value not in ("", [], {}))
    }


def _encoded(row: Mapping[str, Any], hops: Sequence[Mapping[str, Any]], told_by: str) -> str:
    return _JSON.encode({"call": row, "hops": hops, "told_by": told_by})


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return value[:LONGEST_TEXT]
    if isinstance(value, list):
        return [_shortened(each) for each in value[:MOST_TAGS]]
    if isinstance(value, dict):
        return {_shortened(key): _shortened(each) for key, each in value.items()}
    return value


_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
