"""`GET /v1/health`: how the backends are, by probes and by the calls of the last minutes.

Errors are `{"error": sentence}`, times ISO-8601 in UTC, durations seconds; null is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tollspan.limits.circuits import Policy
from tollspan.limits.outcomes import ANSWERED, FAILURES, of_name
from tollspan.limits.probing import DOWN, UNKNOWN, UP, Standing

from .health_schema import operations
from .ledger import Busy, LedgerError
from .readable import Readable

__all__ = ["OPERATIONS", "health", "routes"]

USUAL_WINDOW_S = 300
USUAL_HISTORY_S = 86_400
MOST_S = 7 * 86_400
MOST_BACKENDS = 200
MOST_CHANGES = 1000
NO_STORE = {"cache-control": "no-store"}

COUNTED = """
SELECT provider, server_address AS address, server_port AS port, status, error_type, count() AS calls
FROM tollspan_calls
WHERE time > {since:DateTime64(3, 'UTC')} AND (provider != '' OR server_address != '')
  AND status IN ('success', 'error', 'blocked') AND NOT (status = 'blocked' AND blocked_by = 'app')
GROUP BY provider, address, port, status, error_type
"""
TIMED = """
SELECT provider, server_address AS address, server_port AS port, count() AS calls,
       formatDateTime(max(time), '%FT%T.%fZ', 'UTC') AS newest,
       quantileIf(0.5)(duration_s, status != 'error') AS p50,
       quantileIf(0.95)(duration_s, status != 'error') AS p95
FROM tollspan_calls
WHERE time > {since:DateTime64(3, 'UTC')} AND (provider != '' OR server_address != '')
  AND status IN ('success', 'error', 'blocked') AND NOT (status = 'blocked' AND blocked_by = 'app')
GROUP BY provider, address, port ORDER BY calls DESC, provider, address, port
LIMIT {most:UInt32}
"""
CHANGES = """
SELECT backend, formatDateTime(time, '%FT%T.%fZ', 'UTC') AS since, state, reason
FROM probes
WHERE changed AND time > {since:DateTime64(3, 'UTC')}
ORDER BY time DESC, backend LIMIT {most:UInt32}
"""

OPERATIONS = operations(USUAL_WINDOW_S, USUAL_HISTORY_S, MOST_S)

Key = tuple[str, str, int | None]
"""Provider, host, and port as far as the call says it."""
Standings = Callable[[], Sequence[Standing]]


def routes(ledger: Readable, standings: Standings, policy: Callable[[], Policy]) -> list[Route]:
    """The routes of this module. `standings` gives what the probes say now, nothing where none run;
    `policy` is what calls must do for a backend to be down."""

    async def answer(request: Request) -> Response:
        try:
            window_s = _seconds(request, "window_s", USUAL_WINDOW_S)
            history_s = _seconds(request, "history_s", USUAL_HISTORY_S)
            found = await run_in_threadpool(
                health, ledger, standings(), policy(), window_s, history_s
            )
        except ValueError as wrong:
            return _sentence(400, str(wrong))
        except Busy as busy:
            return _sentence(503, str(busy))
        except LedgerError as error:
            return _sentence(500, f"the ledger could not answer: {error}")
        return JSONResponse(found, headers=NO_STORE)

    return [Route("/v1/health", answer, methods=["GET"])]


def _sentence(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status, headers=NO_STORE)


def _seconds(request: Request, name: str, usual: int) -> int:
    asked = request.query_params.get(name)
    if asked is None:
        return usual
    if asked.isascii() and asked.isdigit() and 0 < len(asked) < 7 and 1 <= int(asked) <= MOST_S:
        return int(asked)
    raise ValueError(f"{name} is not a number of seconds from 1 to {MOST_S}")


def health(
    ledger: Readable, standings: Sequence[Standing], policy: Policy, window_s: int, history_s: int
) -> dict[str, Any]:
    """What `GET /v1/health` answers.

    Raises:
        Busy, LedgerError: the ledger did not answer.
    """
    now = datetime.now(UTC)
    since = {"since": _asked(now - timedelta(seconds=window_s))}
    by_calls = _by_calls(
        ledger.query(TIMED, since | {"most": MOST_BACKENDS}), ledger.query(COUNTED, since), policy
    )
    changes = ledger.query(
        CHANGES,
        {"since": _asked(now - timedelta(seconds=history_s)), "most": MOST_CHANGES},
    )
    backends = [_probed(each, by_calls, standings) for each in standings]
    backends += [_called(key, calls) for key, calls in by_calls.items()]
    for each in backends:
        each["history"] = [
            {name: change[name] for name in ("since", "state", "reason")}
            for change in reversed(changes)
            if change["backend"] == each["name"]
        ]
    states = {each["state"] for each in backends}
    return {
        "at": _told(now),
        "state": DOWN if DOWN in states else UP if states == {UP} else UNKNOWN,
        "window_s": window_s,
        "history_s": history_s,
        "backends": backends,
    }


def _by_calls(
    timed: list[dict[str, Any]], counted: list[dict[str, Any]], policy: Policy
) -> dict[Key, dict[str, Any]]:
    """What calls say, by whom they asked; most called first."""
    kinds: dict[Key, dict[str, int]] = {}
    for row in counted:
        kind = (of_name(row["error_type"]) or "other") if row["status"] == "error" else ANSWERED
        of_one = kinds.setdefault(_key(row), {})
        of_one[kind] = of_one.get(kind, 0) + row["calls"]
    found = {}
    for row in timed:
        key = _key(row)
        of_one = kinds.get(key, {})
        failed = sum(of_one.get(kind, 0) for kind in FAILURES)
        is_down = failed >= policy.failures and failed >= policy.failure_ratio * row["calls"]
        found[key] = {
            "state": DOWN if is_down else UP if row["calls"] > failed else UNKNOWN,
            "calls": row["calls"],
            "failed": failed,
            "outcomes": dict(sorted(of_one.items())),
            "latency_p50_s": row["p50"],
            "latency_p95_s": row["p95"],
            "newest": row["newest"],
        }
    return found


def _key(row: dict[str, Any]) -> Key:
    return row["provider"], row["address"], row["port"]


def _probed(
    standing: Standing,
    by_calls: dict[Key, dict[str, Any]],
    standings: Sequence[Standing],
) -> dict[str, Any]:
    """A backend of the file; what calls say of it is taken out of `by_calls`."""
    backend, where = standing.backend, standing.backend.where
    calls = None
    for key in list(by_calls):
        # Of several on one host nobody can say whose calls those were that state no port.
        alone = sum(_may_be(each, key) for each in standings) == 1
        same = _may_be(standing, key) and (alone or key[0] == where.provider)
        if calls is None and same and (where.provider in ("", key[0]) or alone):
            calls = by_calls.pop(key)
    states = [standing.state, calls["state"] if calls else UNKNOWN]
    state = DOWN if DOWN in states else UP if UP in states else UNKNOWN
    by_probes = standing.state == state
    return {
        "name": backend.name,
        "provider": where.provider or None,
        "server_address": where.address,
        "server_port": backend.port,
        "state": state,
        "since": _told(standing.since) if by_probes else None,
        "reason": standing.reason if by_probes else _of_calls(calls),
        "probes": {
            "state": standing.state,
            "since": _told(standing.since),
            "checks": [
                {
                    "kind": check.kind,
                    "request": f"{check.method} {check.path}".strip()
                    if check.kind == "http"
                    else None,
                    "decides": check.decides,
                    "state": counted.state,
                    "since": _told(counted.since),
                    "last": None if counted.last is None else _last(counted.last),
                }
                for check, counted in standing.checks.items()
            ],
        },
        "calls": calls,
    }


def _may_be(standing: Standing, key: Key) -> bool:
    """Whether calls to `key` may have been to this backend."""
    backend = standing.backend
    return key[1] == backend.where.address and key[2] in (None, backend.port)


def _last(result: Any) -> dict[str, Any]:
    ends = result.certificate_ends
    return {
        "at": _told(result.time),
        "ok": result.ok,
        "kind": result.kind,
        "status": result.status,
        "error": result.error or None,
        "duration_s": round(result.duration_s, 6),
        "certificate_ends": _told(ends),
    }


def _called(key: Key, calls: dict[str, Any]) -> dict[str, Any]:
    """A backend that only calls have shown."""
    return {
        "name": None,
        "provider": key[0] or None,
        "server_address": key[1] or None,
        "server_port": key[2],
        "state": calls["state"],
        "since": None,
        "reason": _of_calls(calls),
        "probes": None,
        "calls": calls,
    }


def _of_calls(calls: dict[str, Any] | None) -> str:
    return "" if calls is None else f"{calls['failed']} of {calls['calls']} calls failed"


def _told(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _asked(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"
