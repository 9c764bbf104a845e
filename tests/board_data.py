"""Data sets for the boards in one ledger, each at a time of its own, and how a panel asks it.

The embedded engine opens one folder in one process, so the sets lie half a year apart instead of in
folders of their own: no statement looks back further than its range twice, or 31 days.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import page_data
from page_data import Call

from tollspan.local import expand
from tollspan.local.ledger import READERS, Ledger, LedgerError

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # `grafana` is a folder of the project, not of the wheel

DAY = timedelta(days=1)
TEXTS = [
    "trace_id",
    "span_id",
    "service",
    "scope",
    "environment",
    "data_mode",
    "operation",
    "endpoint",
    "prompt",
    "prompt_version",
    "tenant",
    "user",
    "session",
    "provider",
    "server_address",
    "request_model",
    "response_model",
    "served_model",
    "route",
    "cost_grade",
    "cost_source",
    "waste_reason",
    "unpriced_reason",
    "service_tier",
    "price_version",
    "status",
    "error_type",
    "upstream_confidence",
    "blocked_by",
    "blame",
    "request_id",
    "api_key",
]
NUMBERS = [
    "streaming",
    "hop_count",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_usd",
    "reported_usd",
    "derived_usd",
    "avoided_usd",
    "wasted_usd",
    "time_to_first_chunk_s",
    "duration_s",
    "app_attempts",
    "upstream_attempts",
    "model_swapped",
    "fallback",
    "cache_hit",
    "cache_saved_usd",
    "limit_requests",
    "remaining_requests",
    "limit_tokens",
    "remaining_tokens",
]
OF_CALL = ("endpoint", "tenant", "route", "data_mode", "environment", "service")
"""Columns of a hop that it has from its call."""
EVERYTHING: dict[str, Any] = {
    name: ["$__all"]
    for name in [
        "environment",
        "data_mode",
        "tenant",
        "team",
        "endpoint",
        "provider",
        "model",
        "prompt_version",
    ]
} | {"user": "", "trace_id": ""}
"""Values of all variables as they are after a click on All; the text boxes are empty."""


@dataclass
class DataSet:
    """Calls, and the time range that shows them: the day before `end`."""

    name: str
    end: datetime
    calls: list[Call] = field(default_factory=list)
    overheads: dict[str, float] = field(default_factory=dict)

    @property
    def start(self) -> datetime:
        return self.end - DAY

    def shown(self, *, since: datetime | None = None) -> list[Call]:
        """Calls of the range, by the whole seconds that a time filter knows."""
        first = since or self.start
        return [
            each for each in self.calls if first <= datetime.fromisoformat(each["time"]) <= self.end
        ]


def demo(end: datetime) -> DataSet:
    """Nine days of a busy service: a new prompt version, a failing provider, a change of route."""
    rand = random.Random(11)
    found = DataSet("demo", end)
    ages = [n * 90 for n in range(1, 1900)] + [172_800 + n * 1200 for n in range(500)]
    endpoints = ["checkout.ai_summary", "chat.reply", "agent.plan", "search.rerank", "docs.digest"]
    for number, age_s in enumerate(sorted(ages, reverse=True), start=1):
        moment = end - timedelta(seconds=age_s, milliseconds=rand.randint(0, 999))
        endpoint = rand.choices(endpoints, weights=[40, 30, 12, 12, 6])[0]
        model = rand.choices(list(page_data.PRICES), weights=[60, 15, 20, 5])[0]
        written = rand.randint(200, 9000)
        gateway = "litellm" if endpoint == "chat.reply" and age_s < 40_000 else None
        new = endpoint == "checkout.ai_summary" and age_s < 30_000
        shape: Call = {
            "endpoint": endpoint,
            "tenant": rand.choice(["acme", "globex", "initech", "umbrella", None]),
            "user": f"u_{rand.randint(1, 60)}",
            "tags": {"team": rand.choice(["growth", "core"])},
            "prompt_version": "v4" if new else "v3",
            "model": model,
            "gateway": gateway,
            "tokens": (written * 2 if new else written, written // 2, rand.randint(10, 1800)),
            "duration_s": round(rand.lognormvariate(0.2, 0.8), 3),
        }
        made = _incident(rand, number, moment, shape)
        made["trace_id"] = f"{number // 3 + 7:032x}"
        if made["cost_usd"] is not None:
            made["cache_saved_usd"] = page_data.cache_saved(model, made["cache_read_tokens"])
        if made["provider"] == "openai" and made["status"] == "success":
            left = max(0, 480 - number % 500)
            made |= {"limit_requests": 500, "remaining_requests": left, "limit_tokens": 200_000}
            made |= {"remaining_tokens": left * 390, "api_key": f"k{number % 2}"}
        if rand.random() < 0.5 and made["status"] == "success":
            made |= {"streaming": True}
            made["time_to_first_chunk_s"] = round(made["duration_s"] * 0.3, 3)
        found.calls.append(made)
        if gateway:
            found.overheads[made["call_id"]] = round(rand.uniform(4, 60), 2)
    return found


def _incident(rand: random.Random, number: int, at: datetime, shape: Call) -> Call:
    """A call as it should be, or with one of the things that happen."""
    one = rand.random()
    if one < 0.03:
        return page_data.failed_call(number, at, **shape)
    made = page_data.call(number, at, **shape)
    if one < 0.05:
        made |= {"fallback": True, "model_swapped": True, "upstream_attempts": 3}
    elif one < 0.08:
        made |= {"app_attempts": 2, "upstream_attempts": 2, "wasted_usd": made["cost_usd"]}
        made |= {"waste_reason": "retry"}
    elif one < 0.09:
        made |= {"status": "blocked", "blocked_by": "proxy", "cost_usd": None, "cost_grade": None}
        made |= {"derived_usd": None, "cost_source": None, "blame": "app"}
        guard = {"role": "guardrail", "name": "presidio", "model": None, "evidence": "reported"}
        made["hops"] = [guard, *made["hops"]]
    elif one < 0.10:
        made |= {"finish_reasons": ["length"]}
    elif one < 0.12:
        made |= {"cost_usd": None, "cost_grade": "unpriced", "unpriced_reason": "unknown_model"}
        made |= {"derived_usd": None, "cost_source": None, "served_model": "house-7b"}
    elif one < 0.14:
        made |= {"cache_hit": True, "avoided_usd": made["cost_usd"], "cost_usd": "0"}
        made |= {"upstream_attempts": 0}
    elif one < 0.16:
        made |= {"cost_grade": "billed", "cost_source": "provider"}
        made |= {"reported_usd": made["cost_usd"]}
    elif one < 0.20:
        made |= {"data_mode": "test"}
    elif one < 0.22:
        made |= {"environment": "staging", "endpoint": None, "tenant": None}
    elif one < 0.23:
        made |= {"cost_grade": "lower_bound", "status": "abandoned"}
        made |= {"wasted_usd": made["cost_usd"], "waste_reason": "abandoned"}
    elif one < 0.25:
        made |= {"data_mode": None}  # another tracer's span: nobody says what it was for
    return made


def one_call(end: datetime) -> DataSet:
    return DataSet("one call", end, [page_data.call(90_001, end - timedelta(minutes=3))])


def all_failed(end: datetime) -> DataSet:
    """Forty calls, none of which ended well and of none of which the money is known."""
    calls = [
        page_data.failed_call(80_000 + n, end - timedelta(minutes=20 * n + 1), gateway="litellm")
        for n in range(40)
    ]
    return DataSet("everything failed", end, calls)


def one_endpoint(end: datetime) -> DataSet:
    """A hundred calls of one endpoint, all alike: nothing to compare with."""
    calls = [page_data.call(70_000 + n, end - timedelta(minutes=14 * n + 1)) for n in range(100)]
    return DataSet("one endpoint", end, calls)


def hostile(end: datetime) -> DataSet:
    """Calls whose texts were written by somebody who does not mean well, and two more of the kind."""
    at = end - timedelta(hours=1)
    made = [each for each in page_data.hostile(at) if each["cost_usd"] != "NaN"]
    for number, text in enumerate((BACKSLASH, QUOTES, DOLLARS, COMMAS), start=970):
        each = made[0] | {"call_id": f"call-{number:06d}", "span_id": f"{number:016x}"}
        each |= {"endpoint": text, "tenant": text, "prompt_version": text, "user": text}
        each |= {
            "provider": text,
            "served_model": text,
            "environment": text,
            "tags": {"team": text},
        }
        made.append(each | {"route": text, "trace_id": f"{number:032x}"})
    for number, each in enumerate(made):
        each["cost_usd"] = f"0.00000000000{number + 1}"
    return DataSet("hostile", end, made)


BACKSLASH = "\\') OR (1=1)) --"
QUOTES = "''\"\"``'; DROP VIEW tollspan_calls; --"
DOLLARS = "${tenant} $tenant $__all $1 $& %27 %2527 100%"
COMMAS = "a,b) OR (1=1&var-tenant=acme"


def data_sets() -> dict[str, DataSet]:
    """Those that every statement runs on, by name; `board_pictures` has more."""
    first = datetime(2026, 5, 21, 12, tzinfo=UTC)
    made = [
        build(first - timedelta(days=190 * place))
        for place, build in enumerate((demo, one_call, all_failed, hostile))
    ]
    empty = DataSet("empty", first - timedelta(days=190 * 10))
    return {each.name: each for each in (*made, empty)}


def rows(found: DataSet) -> Iterator[tuple[str, dict[str, Any]]]:
    """Table and row of everything in the data set, a span for each call."""
    for each in found.calls:
        row = {name: each[name] for name in TEXTS if each.get(name) is not None}
        row |= {name: each[name] for name in NUMBERS if each.get(name) is not None}
        row |= {"tags": each["tags"] or {}, "finish_reasons": each["finish_reasons"] or []}
        row |= {"call_id": each["call_id"], "time": _time(each), "role": "owner", "version": 1}
        yield "llm_calls", row
        for index, hop in enumerate(each["hops"] or []):
            made = {"hop_index": index, "owner": "owner", "version": 1, "time": _time(each)}
            made |= {name: row[name] for name in ("call_id", "trace_id")}
            made |= {name: row.get(name, "") for name in OF_CALL}
            made |= {"role": hop["role"], "name": hop["name"], "model": hop["model"] or ""}
            made |= {
                "evidence": hop["evidence"],
                "status": "error" if row["status"] == "error" else "ok",
            }
            if hop["role"] == "proxy" and each["call_id"] in found.overheads:
                made["overhead_ms"] = found.overheads[each["call_id"]]
            yield "llm_hops", made
        span = {name: row.get(name, "") for name in ("trace_id", "span_id", "service")}
        span |= {"name": f"chat {row.get('request_model', '')}", "status": "unset", "version": 1}
        span |= {"attributes": {"gen_ai.request.model": row.get("request_model", "")}}
        yield "spans", span | {"time": _time(each), "duration_ns": 5}


def _time(call: Call) -> str:
    return datetime.fromisoformat(call["time"]).strftime("%Y-%m-%d %H:%M:%S.%f")


def fill(ledger: Ledger, found: DataSet) -> None:
    by_table: dict[str, list[dict[str, Any]]] = {}
    for table, row in rows(found):
        by_table.setdefault(table, []).append(row)
    for table, lines in by_table.items():
        ledger.insert(table, lines)


BUDGETS = [
    {
        "name": "everything",
        "limit_usd": "20",
        "owner": "ann",
        "contact": "#finance",
        "action": "stop",
    },
    {"name": "acme", "filters": {"tenant": "acme"}, "limit_usd": "5", "period": "week"},
    {
        "name": "growth: chat",
        "filters": {"tag.team": "growth", "endpoint": "chat.reply"},
        "limit_usd": "0.5",
        "period": "day",
        "owner": "bob",
        "contact": "bob@example.com",
    },
    {"name": page_data.IMAGE, "filters": {"tenant": page_data.DROP}, "limit_usd": "1"},
]


def opened(folder: Path, sets: Iterable[DataSet]) -> Ledger:
    """A ledger with the data sets and four budgets."""
    made = Ledger(folder)
    for each in sets:
        fill(made, each)
    made.insert("budgets", BUDGETS)
    return made


def boards() -> dict[str, dict[str, Any]]:
    """The committed boards by uid."""
    files = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
    return {file.stem: json.loads(file.read_text("utf-8")) for file in files}


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows and panels, those of collapsed rows too."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels") or []


@dataclass(frozen=True)
class Statement:
    """One statement of a board: `format` is 0 for a time series, 1 for a table, 3 for traces."""

    where: str
    format: int
    sql: str
    panel: Mapping[str, Any] | None = None


def statements() -> list[Statement]:
    """Every statement of every board: panels, menus of variables, annotations."""
    found = []
    for uid, board in boards().items():
        for panel in panels(board):
            for target in panel.get("targets") or []:
                if "rawSql" in target:
                    name = f"{uid} | {panel['title']} | {target['refId']}"
                    found.append(Statement(name, target["format"], target["rawSql"], panel))
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                name = f"{uid} | ${variable['name']}"
                found.append(Statement(name, 1, variable["query"]["rawSql"]))
        for note in board["annotations"].get("list", []):
            name = f"{uid} | annotation {note['name']}"
            found.append(Statement(name, 1, note["target"]["rawSql"]))
    return found


def expanded(sql: str, found: DataSet, variables: Mapping[str, Any], bucket_s: int = 600) -> str:
    sent = expand.browser(sql, EVERYTHING | dict(variables))
    return expand.server(sent, int(found.start.timestamp()), int(found.end.timestamp()), bucket_s)


def ask(
    ledger: Ledger, sql: str, found: DataSet, variables: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    return ledger.query(expanded(sql, found, variables or {}))


def ask_all(
    ledger: Ledger, statements: Iterable[str], settings: str = ""
) -> list[list[dict[str, Any]] | LedgerError]:
    """Answers to many small statements, one thread each, as many at a time as there are readers."""
    tail = f"\nSETTINGS max_threads = 1{', ' if settings else ''}{settings}"

    def one(sql: str) -> list[dict[str, Any]] | LedgerError:
        try:
            return ledger.query(sql + tail)
        except LedgerError as error:
            return error

    with ThreadPoolExecutor(READERS) as threads:
        return list(threads.map(one, statements))


def statement(board: str, title: str, place: int = 0) -> str:
    """The statement of one panel."""
    for panel in panels(boards()[f"tollspan-{board}"]):
        if panel.get("title") == title and panel.get("targets"):
            sql: str = panel["targets"][place]["rawSql"]
            return sql
    raise LookupError(title)
