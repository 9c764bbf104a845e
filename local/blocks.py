"""Spans and calls as blocks of the ledger's tables: the rows of `collector/rows.py`, column by column.

Most columns of a batch hold one value, or none: what nobody stated is left out, and the engine
fills it. `tests/test_ledger_blocks.py` holds both ways of making a row to the same result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import chain, repeat
from math import isfinite
from typing import Any

from tollspan import semconv
from tollspan.collector import rows
from tollspan.collector.call import Call
from tollspan.collector.span import Span
from tollspan.collector.values import count, flag, mapped, money, number, plain, text, texts
from tollspan.columns import TEXTS

from . import native

__all__ = ["as_json", "call_block", "hop_block", "link_block", "span_block", "steps"]

LOW = "LowCardinality(String)"
TIME = "DateTime64(9, 'UTC')"
MAP = "Map(LowCardinality(String), String)"
PLAIN = frozenset({"user", "session", "response_id", "request_id", "api_key"})
"""Columns of `llm_calls` in which nearly every value is another."""

COUNT_TYPES = {2**16: ("H", "UInt16"), 2**32: ("I", "UInt32"), 2**53: ("Q", "UInt64")}
ABSENT = frozenset({type(None)})
EXACT_BELOW = 2000.0
"""US dollars up to which a float of twelve decimals is found again by counting its steps."""

STEPS = 1e12
Found = list[tuple[str, str, bytes]]


def span_block(spans: Sequence[Span]) -> bytes:
    """A block of `spans`."""
    found: Found = [
        (name, "String", native.texts([getattr(span, name) for span in spans]))
        for name in ("trace_id", "span_id", "parent_id")
    ]
    for name in ("name", "kind", "scope", "scope_version", "status"):
        found.append((name, LOW, native.low([getattr(span, name) for span in spans])))
    _add_resources(found, spans)
    found.append(("time", TIME, native.numbers("q", [span.start_ns for span in spans])))
    ends = [span.duration_ns for span in spans]
    found.append(("duration_ns", "Nullable(UInt64)", native.optional("Q", ends)))
    found.append(("version", "UInt64", native.numbers("Q", [span.version for span in spans])))
    if any(said := [span.status_message for span in spans]):
        found.append(("status_message", "String", native.texts(said)))
    if any(span.events for span in spans):
        events = [rows.events(span) if span.events else "" for span in spans]
        found.append(("events", "String", native.texts(events)))
    resources = {id(span.resource): span.resource for span in spans}
    of_resource = {key: mapped(resource)[0] for key, resource in resources.items()}
    found.append(("resource", MAP, _maps([of_resource[id(span.resource)] for span in spans])))
    _add_attributes(found, [span.attributes for span in spans])
    return native.block(found, len(spans))


def _add_attributes(found: Found, saids: Sequence[Mapping[str, Any]]) -> None:
    typed = [[name for name, value in said.items() if type(value) is not str] for said in saids]
    values = list(chain.from_iterable(said.values() for said in saids))
    written = [value if type(value) is str else as_json(value) for value in values]
    found.append(("attributes", MAP, native.maps([*map(tuple, saids)], native.texts(written))))
    found.append(("typed", "Array(LowCardinality(String))", native.lows([*map(tuple, typed)])))


def as_json(value: Any) -> str:
    """A value that is no text, as a row of `spans` has it."""
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is float and isfinite(value):
        return repr(value)
    if kind is list and all(type(each) is str for each in value):
        return _list_of_texts(tuple(value))
    return json.dumps(plain(value))


@lru_cache(maxsize=4096)
def _list_of_texts(value: tuple[str, ...]) -> str:
    return json.dumps(value)


def _stated(saids: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    return [*map(dict.get, saids, repeat(key))]  # type: ignore[arg-type]


def call_block(calls: Sequence[Call], told_by: str = "") -> bytes:
    """A block of `llm_calls`."""
    spans = [call.span for call in calls]
    saids = [call.attributes for call in calls]
    found: Found = []
    for name, each in (
        ("call_id", [call.call_id for call in calls]),
        ("trace_id", [span.trace_id for span in spans]),
        ("span_id", [span.span_id for span in spans]),
        ("owner_span_id", [call.owner_span_id for call in calls]),
    ):
        found.append((name, "String", native.texts(each)))
    found.append(("time", TIME, native.numbers("q", [span.start_ns for span in spans])))
    found.append(("version", "UInt64", native.numbers("Q", [call.version for call in calls])))
    lasted = [call.lasted_s for call in calls]
    found.append(("duration_s", "Nullable(Float64)", native.optional("d", lasted)))
    _add_resources(found, spans)
    _add_low(found, "scope", [span.scope for span in spans])
    _add_low(found, "role", [call.role for call in calls])
    _add_low(found, "told_by", [told_by] * len(calls))
    _add_low(found, "status", [rows.status(call) for call in calls])
    for name, key in TEXTS.items():
        _add_texts(found, name, _stated(saids, key))
    for name, (key, below) in rows.COUNTS.items():
        _add_counts(found, name, _stated(saids, key), below)
    for name, key in rows.MONEY.items():
        _add_money(found, name, _stated(saids, key))
    for name, key in rows.FLAGS.items():
        flags = [flag(said.get(key)) for said in saids]
        _add_optional(found, name, "Nullable(Bool)", "B", flags)
    waited = [number(said.get(semconv.TIME_TO_FIRST_CHUNK)) for said in saids]
    _add_optional(found, "time_to_first_chunk_s", "Nullable(Float64)", "d", waited)
    saved = [None if usd is None else steps(Decimal(usd)) for usd in map(rows.cache_saving, calls)]
    _add_optional(found, "cache_saved_usd", "Nullable(Decimal(18, 12))", "q", saved)
    _add_grouped(found, saids)
    return native.block(found, len(calls))


def _add_resources(found: Found, spans: Sequence[Span]) -> None:
    """What the resources of spans say, of which a batch has few."""
    resources = {id(span.resource): span for span in spans}
    for name in ("service", "environment"):
        of = {key: getattr(span, name) for key, span in resources.items()}
        _add_low(found, name, [of[id(span.resource)] for span in spans])


def _add_grouped(found: Found, saids: Sequence[Mapping[str, Any]]) -> None:
    """Tags, other usage, finish reasons: columns of more than one value."""
    shapes: dict[tuple[str, ...], tuple[list[str], list[str]]] = {}
    ordered = [tuple(said) for said in saids]
    for shape in dict.fromkeys(ordered):
        tags = [key for key in shape if key.startswith(semconv.TAG_PREFIX)]
        shapes[shape] = tags, [key for key in rows.OTHER_USAGE if key in shape]
    if any(tags for tags, _ in shapes.values()):
        tagged = [rows.tags(said) for said in saids]
        found.append(("tags", MAP, _maps(tagged)))
    if any(used for _, used in shapes.values()):
        counted = [rows.usage(said) for said in saids]
        flat = [float(value) for each in counted for value in each.values()]
        data = native.maps([tuple(each) for each in counted], native.numbers("d", flat))
        found.append(("usage", "Map(LowCardinality(String), Float64)", data))
    reasons = [tuple(texts(said.get(semconv.FINISH_REASONS))) for said in saids]
    if any(reasons):
        found.append(("finish_reasons", "Array(LowCardinality(String))", native.lows(reasons)))


def hop_block(calls: Sequence[Call]) -> bytes:
    """A block of `llm_hops`; empty where `calls` have none."""
    of = [call for call in calls for _ in call.hops]
    hops = [hop for call in calls for hop in call.hops]
    gone = [(call, index) for call in calls for index in call.hops_gone]
    everyone = of + [call for call, _ in gone]
    if not everyone:
        return b""
    indexes = [hop.index for hop in hops] + [index for _, index in gone]
    spans = [call.span for call in everyone]
    found: Found = [
        ("call_id", "String", native.texts([call.call_id for call in everyone])),
        ("trace_id", "String", native.texts([span.trace_id for span in spans])),
        ("span_id", "String", native.texts([hop.span_id for hop in hops] + [""] * len(gone))),
        ("time", TIME, native.numbers("q", [span.start_ns for span in spans])),
        ("hop_index", "UInt16", native.numbers("H", indexes)),
        ("version", "UInt64", native.numbers("Q", [call.version for call in everyone])),
    ]
    _add_low(found, "owner", [call.role for call in of] + ["gone"] * len(gone))
    _add_low(found, "status", [hop.status for hop in hops] + [""] * len(gone))
    _add_resources(found, spans)
    for name, key in rows.OF_CALL.items():
        _add_texts(found, name, _stated([call.attributes for call in everyone], key))
    saids = [hop.attributes for hop in hops] + [{} for _ in gone]
    for name, key in rows.OF_HOP.items():
        _add_texts(found, name, _stated(saids, key))
    _add_low(found, "model", [text(rows.model_of(said)) for said in saids])
    overheads = [number(each) for each in _stated(saids, semconv.HOP_OVERHEAD)]
    _add_optional(found, "overhead_ms", "Nullable(Float64)", "d", overheads)
    return native.block(found, len(everyone))


def link_block(keys: Sequence[str], trace_ids: Sequence[str]) -> bytes:
    """A block of `span_links`: which traces have these keys; empty where there are none."""
    if not keys:
        return b""
    columns = [
        ("key", "String", native.texts(keys)),
        ("trace_id", "String", native.texts(trace_ids)),
    ]
    return native.block(columns, len(keys))


def _add_low(found: Found, name: str, values: Sequence[str]) -> None:
    if any(values):
        found.append((name, LOW, native.low(values)))


def _add_texts(found: Found, name: str, values: Sequence[Any]) -> None:
    kinds = set(map(type, values))
    if kinds == ABSENT:
        return
    if kinds != {str}:
        values = [value if type(value) is str else text(value) for value in values]
    if name in PLAIN:
        found.append((name, "String", native.texts(values)))
    else:
        _add_low(found, name, values)


def _add_counts(found: Found, name: str, values: Sequence[Any], below: int) -> None:
    kinds = set(map(type, values))
    if kinds == ABSENT:
        return
    if kinds != {int} or min(values) < 0 or max(values) >= below:
        values = [count(value, below) for value in values]
    code, type_ = COUNT_TYPES[below]
    _add_optional(found, name, f"Nullable({type_})", code, values)


def _add_money(found: Found, name: str, values: Sequence[Any]) -> None:
    if set(map(type, values)) != ABSENT:
        counted = [None if value is None else steps(value) for value in values]
        _add_optional(found, name, "Nullable(Decimal(18, 12))", "q", counted)


def steps(value: Any) -> int | None:
    """US dollars in steps of a row's money, exactly as the row would hold them."""
    if type(value) is float and 0.0 <= value < EXACT_BELOW:
        scaled = value * STEPS
        nearest = round(scaled)
        if -1e-3 < scaled - nearest < 1e-3:
            return nearest
    if type(value) is Decimal and value < 0:
        return int(value.scaleb(12))  # a saving that cost more than it saved
    usd = money(value)
    return None if usd is None else int(Decimal(usd).scaleb(12))


def _add_optional(found: Found, name: str, type_: str, code: str, values: Sequence[Any]) -> None:
    if any(value is not None for value in values):
        found.append((name, type_, native.optional(code, values)))


def _maps(values: Sequence[Mapping[str, str]]) -> bytes:
    flat = [each for value in values for each in value.values()]
    return native.maps([*map(tuple, values)], native.texts(flat))
