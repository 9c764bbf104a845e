"""The probes of `tollspan up`: run beside the servers, written to the ledger, told when things change.

Rows are gathered for a moment, because each small insert is a small file; a change is written at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from tollspan.guard import quietly
from tollspan.limits.backends import Backend, Check
from tollspan.limits.health_metrics import ProbeMetrics
from tollspan.limits.probes import Result
from tollspan.limits.probing import UNKNOWN, Prober, Standing
from tollspan.limits.telling import Teller, Telling

from .ledger import Ledger

__all__ = ["Probing"]

GATHER_S = 5.0
MOST_WAITING = 10_000
"""Rows that wait for a ledger that cannot be written; older ones are dropped then."""


class Probing:
    """Probes `backends` from `start` to `stop`, and keeps what they find in `ledger`."""

    def __init__(self, ledger: Ledger, backends: Iterable[Backend]) -> None:
        self._ledger = ledger
        self._prober = Prober(backends, self._heard)
        self._teller = Teller.of_settings()
        self._before: dict[str, str] = {}
        self._rows: list[dict[str, Any]] = []
        self._woken = threading.Condition()
        self._is_urgent = self._is_over = False
        self._thread = threading.Thread(target=self._write, name="tollspan-probe-rows", daemon=True)

    @property
    def standings(self) -> list[Standing]:
        """How each backend stands, in the order of the file."""
        return self._prober.standings

    def start(self) -> None:
        self._metrics = ProbeMetrics(lambda: self._prober.standings)
        self._thread.start()
        self._prober.start()

    def stop(self) -> None:
        """Probe no more; what was found is written."""
        self._prober.stop()
        with self._woken:
            self._is_over = True
            self._woken.notify()
        self._thread.join()
        self._metrics.stop()
        self._teller.stop()

    def _heard(self, standing: Standing, check: Check, result: Result, is_new: bool) -> None:
        self._metrics.add(standing, result)
        with self._woken:
            self._rows.append(_row(standing, check, result, is_new))
            del self._rows[:-MOST_WAITING]
            self._is_urgent = self._is_urgent or is_new
            self._woken.notify()
        if is_new:
            backend = standing.backend
            before = self._before.get(backend.name, UNKNOWN)
            self._before[backend.name] = standing.state
            self._teller.tell(
                Telling(
                    backend=backend.name,
                    where=backend.where,
                    of="probe",
                    before=before,
                    after=standing.state,
                    at=result.time,
                    reason=standing.reason,
                )
            )

    def _write(self) -> None:
        while True:
            with self._woken:
                self._woken.wait_for(lambda: self._is_urgent or self._is_over, GATHER_S)
                rows, self._rows = self._rows, []
                self._is_urgent, is_over = False, self._is_over
            with quietly:
                self._ledger.insert("probes", rows)
            if is_over:
                return


def _row(standing: Standing, check: Check, result: Result, is_new: bool) -> dict[str, Any]:
    """As the table has it."""
    backend, where = standing.backend, standing.backend.where
    return {
        "time": _written(result.time),
        "backend": backend.name,
        "provider": where.provider,
        "server_address": where.address,
        "server_port": backend.port,
        "kind": result.kind,
        "request": f"{check.method} {check.path}".strip() if check.kind == "http" else "",
        "decides": check.decides,
        "ok": result.ok,
        "status": result.status,
        "error": result.error,
        "duration_s": result.duration_s,
        "certificate_ends": result.certificate_ends and _written(result.certificate_ends)[:19],
        "state": standing.state,
        "changed": is_new,
        "reason": standing.reason if is_new else "",
    }


def _written(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"
