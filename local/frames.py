"""Answers of the ledger as the frames that Grafana's panels get from the ClickHouse plugin.

A frame is `{"refId", "name", "meta", "fields": [{"name", "type", "values", "labels"?}]}`; all fields of
one frame are equally long. `type` is `time` (milliseconds since the epoch), `number`, `string`,
`boolean` or `other` (lists and maps); null is no value. What the plugin does with an answer:
https://github.com/grafana/sqlds/blob/35ae7854f1120ebb14e57a5f3c56be1a4e9d7fb7/query.go (`getFrames`),
and with a time series that has texts: grafana-plugin-sdk-go data/time_series.go (`LongToWide`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["TIME_SERIES", "TRACES", "Field", "Frame", "frames", "interval_ms"]

Field = dict[str, Any]
Frame = dict[str, Any]

TIME_SERIES, TABLE, TRACES = 0, 1, 3
"""`format` of a query; others than these are no part of the boards."""
SHOWN_AS = {TIME_SERIES: "graph", TABLE: "table", TRACES: "trace"}

WRAPPED = re.compile(r"^(?:LowCardinality|Nullable)\((.*)\)$")
KINDS = (
    ("time", re.compile(r"Date")),
    ("number", re.compile(r"U?Int|Float|Decimal")),
    ("boolean", re.compile(r"Bool")),
    ("string", re.compile(r"String|FixedString|Enum|UUID")),
)


def frames(
    ref: str, form: int, types: Mapping[str, str], rows: Sequence[Sequence[Any]]
) -> list[Frame]:
    """Frames of one query: none for a time series without a row, else one.

    Args:
        types: ClickHouse's type of each column by its name, in order.
        rows: as `Ledger.table` gives them.
    """
    if form == TIME_SERIES and not rows:
        return []
    fields = [
        _field(name, kind, [row[place] for row in rows])
        for place, (name, kind) in enumerate(types.items())
    ]
    meta: dict[str, Any] = {"preferredVisualisationType": SHOWN_AS[form]}
    if form == TIME_SERIES and _is_long(fields):
        fields = _wide(fields)
        meta |= {"type": "timeseries-wide", "typeVersion": [0, 1]}
    return [{"refId": ref, "name": ref, "meta": meta, "fields": fields}]


def _field(name: str, kind: str, values: list[Any]) -> Field:
    while wrapped := WRAPPED.match(kind):
        kind = wrapped[1]
    known = next((known for known, pattern in KINDS if pattern.match(kind)), "other")
    read = READERS.get(known)
    if read:
        values = [None if value is None else read(value) for value in values]
    return {"name": name, "type": known, "values": values}


def _milliseconds(seconds: str) -> float:
    """Whole where it can be; spans need the fraction."""
    found = round(float(seconds) * 1000, 3)
    return int(found) if found.is_integer() else found


def _number(value: Any) -> Any:
    """Decimals come as texts; the plugin makes floats of them, too."""
    return float(value) if isinstance(value, str) else value


READERS: dict[str, Callable[[Any], Any]] = {"time": _milliseconds, "number": _number}


def _is_long(fields: Sequence[Field]) -> bool:
    kinds = [field["type"] for field in fields]
    texts = kinds.count("string") + kinds.count("boolean")
    return (
        kinds.count("time") == 1
        and texts > 0
        and "number" in kinds
        and kinds.count("number") + texts + 1 == len(kinds)
    )


def _wide(fields: Sequence[Field]) -> list[Field]:
    """One field for each number and each set of texts, which become its labels; null where none is.

    The rows come in order of time. Fields are sorted by name, then by labels.
    """
    (time,) = [field for field in fields if field["type"] == "time"]
    numbers = [field for field in fields if field["type"] == "number"]
    factors = [field for field in fields if field["type"] in ("string", "boolean")]
    moments = list(dict.fromkeys(time["values"]))
    place = {moment: at for at, moment in enumerate(moments)}
    found: dict[tuple[str, ...], Field] = {}
    for row, moment in enumerate(time["values"]):
        labels = {factor["name"]: _label(factor["values"][row]) for factor in factors}
        for number in numbers:
            key = (number["name"], *labels.values())
            if key not in found:
                values: list[Any] = [None] * len(moments)
                found[key] = {"name": number["name"], "type": "number", "labels": labels}
                found[key]["values"] = values
            found[key]["values"][place[moment]] = number["values"][row]
    return [time | {"values": moments}, *(found[key] for key in sorted(found, key=_by_bytes))]


def _label(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else value or ""


def _by_bytes(key: tuple[str, ...]) -> tuple[bytes, ...]:
    """Go compares strings by their bytes."""
    return tuple(part.encode("utf-8", "surrogatepass") for part in key)


# Up to this many milliseconds (excluded) by point, and the interval that is taken then:
# `rangeUtil.roundInterval` of @grafana/data 13.2.3.
ROUNDED = (
    *((10, 1), (15, 10), (35, 20), (75, 50), (150, 100), (350, 200), (750, 500), (1500, 1000)),
    *((3500, 2000), (7500, 5000), (12_500, 10_000), (17_500, 15_000), (25_000, 20_000)),
    *((45_000, 30_000), (90_000, 60_000), (210_000, 120_000), (450_000, 300_000)),
    *((750_000, 600_000), (1_050_000, 900_000), (1_500_000, 1_200_000), (2_700_000, 1_800_000)),
    *((5_400_000, 3_600_000), (9_000_000, 7_200_000), (16_200_000, 10_800_000)),
    *((32_400_000, 21_600_000), (86_400_000, 43_200_000), (604_800_000, 86_400_000)),
    *((1_814_400_000, 604_800_000), (3_628_800_000, 2_592_000_000)),
)
LONGEST_MS = 31_536_000_000


def interval_ms(range_ms: int, points: int) -> int:
    """How long a time bucket is when `points` of them shall fill the range, as Grafana rounds it."""
    exact = range_ms / points
    return next((rounded for below, rounded in ROUNDED if exact < below), LONGEST_MS)
