"""Calls as the engine writes them, as lines of JSON and of CSV.

A ledger has millions of calls, and a file of them is made at the speed of the engine and not of Python.
"""

from __future__ import annotations

from tollspan.collector.rows import COUNTS, FLAGS, MONEY, OF_HOP
from tollspan.columns import TEXTS

from .usage_cells import csv_line, number_cell, text_cell
from .usage_line import FIELDS, WHOLE

__all__ = ["COLUMNS", "HOP", "HOP_TEXTS", "LINE", "ROW"]

COLUMNS = (
    *("call_id", "trace_id", "span_id", "service", "environment", "scope"),
    *TEXTS,
    *("tags", "streaming"),
    *COUNTS,
    *("usage", *MONEY, "cache_saved_usd", "time_to_first_chunk_s", "duration_s", "status"),
    *(name for name in FLAGS if name != "streaming"),
    "finish_reasons",
)
"""Columns of a call, as `tollspan_calls` has them; `time` goes before them."""

HEX = ("call_id", "trace_id", "span_id")
NEW_EACH_TIME = ("user", "session", "response_id", "request_id", "api_key")
"""Texts that are no LowCardinality."""

AMOUNTS = (*MONEY, "cache_saved_usd")
SECONDS = ("time_to_first_chunk_s", "duration_s")
COLLECTED = ("tags", "usage", "finish_reasons")
TIME = "concat(replaceOne(toString(time), ' ', 'T'), 'Z')"
HOP_TEXTS = ("span_id", *OF_HOP, "model", "status")


def _cell(name: str) -> str:
    if name in HEX:
        return name
    if name in FLAGS:
        return f"transform({name}, [true, false], ['True', 'False'], '')"
    if name in COLLECTED:
        written = f"concat('\"', replaceAll(toJSONString({name}), '\"', '\"\"'), '\"')"
        return f"if(empty({name}), '', {written})"
    if name in COUNTS or name in AMOUNTS or name in SECONDS:
        return number_cell(name)
    return text_cell(name, repeated=name not in NEW_EACH_TIME)


ROW = csv_line((TIME, *map(_cell, COLUMNS)))
"""A call as a line of CSV."""


def _text(name: str, text: str) -> str:
    """A member of an object, a comma behind it, or nothing where the text is empty."""
    return (
        f"replaceOne(concat('\"{name}\": ', toJSONString({text}), ', '), '\"{name}\": \"\", ', '')"
    )


def _number(name: str, number: str, quote: str = "") -> str:
    return f"ifNull(concat('\"{name}\": {quote}', toString({number}), '{quote}, '), '')"


def _member(name: str, column: str) -> str:
    """The member `name` with what `column` has, left out where that is not known."""
    if column in COLLECTED:
        return f"if(empty({column}), '', concat('\"{name}\": ', toJSONString({column}), ', '))"
    if column in COUNTS or column in FLAGS or column in SECONDS:
        return _number(name, column)
    if column in AMOUNTS:
        return _number(name, column, '"')
    return _text(name, column)


def _milliseconds(name: str, seconds: str) -> str:
    """To the nanosecond; whole ones divided, so that it is the number next to the true one."""
    whole = f"toInt64(round({seconds} * 1e9)) / 1e6"
    return _number(name, f"if({seconds} < 9e6, {whole}, {seconds} * 1000)")


REQUEST = "if(request_id = '', concat('call-', call_id), request_id)"
LINE = ", ".join(
    (
        f"concat('{{\"externalRequestId\": ', toJSONString({REQUEST}), ', '",
        f"'\"timestamp\": \"', {TIME}, '\", '",
        *(_member(name, column) for name, column in FIELDS.items()),
        _milliseconds("latencyMs", "duration_s"),
        _milliseconds("timeToFirstTokenMs", "time_to_first_chunk_s"),
        f"'\"{WHOLE}\": {{\"time_ns\": ', toString(toUnixTimestamp64Nano(time)), ', '",
        *(_member(column, column) for column in COLUMNS),
        "'\"hops\": [', hops, ']}}')",
    )
)
"""A call as a line of an export; `hops` are its `HOP`s, commas between."""

HOP = ", ".join(
    (
        "concat('{'",
        *(_text(name, name) for name in HOP_TEXTS),
        _number("overhead_ms", "overhead_ms"),
        "'\"hop_index\": ', toString(hop_index), '}')",
    )
)
"""A hop of a line."""
