"""The mend of a stage: once, as a command, or again and again beside the step."""

from __future__ import annotations

import logging
import threading

from tollspan.collector.clickhouse import ClickHouse, ClickHouseError
from tollspan.collector.counters import Counters
from tollspan.collector.forward import Forwarder
from tollspan.collector.holding import Holding
from tollspan.collector.mend import Mend, Mended
from tollspan.collector.receiver import Refusal
from tollspan.config import Settings
from tollspan.guard import quietly

__all__ = ["Mending", "clickhouse_of", "mend_of"]

_logger = logging.getLogger("tollspan")

STOP_S = 3.0
LANDED_S = 20.0
"""After so long a span stands in ClickHouse: exporters gather for some seconds."""


def mend_of(settings: Settings, forwarder: Forwarder, told_by: str) -> Mend:
    """The mend that `settings` ask for.

    Raises:
        BadDestination: there is no ClickHouse to ask.
    """
    return Mend(
        clickhouse_of(settings),
        forwarder,
        told_by,
        minutes=settings.mend_minutes,
        timeout_s=settings.forward_timeout_s,
    )


def clickhouse_of(settings: Settings) -> ClickHouse:
    """The server that `settings` name.

    Raises:
        BadDestination: they name none.
    """
    return ClickHouse(
        settings.clickhouse_url, settings.clickhouse_user, settings.clickhouse_password
    )


class Mending:
    """Mends every so often, until `stop`. Whatever goes wrong waits for the next time."""

    def __init__(self, mend: Mend, holding: Holding, counters: Counters, every_s: float) -> None:
        self._mend = mend
        self._holding = holding
        self._counters = counters
        self._every_s = every_s
        self._stopping = threading.Event()
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="tollspan-mend", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End. A mend that waits for an answer is not waited for: the next one goes on."""
        self._stopping.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            with quietly:
                self._once()

    def _once(self) -> None:
        suspects = self._holding.take_suspects(LANDED_S)
        done = Mended()
        try:
            done = self._mend.run(suspects)
            if self._said:
                self._said = ""
                _logger.info("the mend goes on")
        except (ClickHouseError, Refusal, TimeoutError) as error:
            self._counters.add("mend_failures")
            for trace_id in suspects:
                self._holding.suspect(trace_id)
            if str(error) != self._said:  # said once, not every minute
                self._said = str(error)
                _logger.warning("the mend waits: %s", error)
        self._counters.add("mended_traces", done.traces)
        self._counters.add("records", done.records, "mended")
