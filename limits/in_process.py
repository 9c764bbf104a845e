"""What an application's own process does beside its calls: names of a file, probes, telling, metrics.

Everything runs in threads of its own; nothing here stands in the way of a call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from tollspan.config import settings

from .backends import Check
from .backends_file import BackendFileError, read
from .circuits import Change
from .follow import Following
from .health_metrics import CircuitMetrics, ProbeMetrics
from .probes import Result
from .probing import Prober, Standing
from .telling import Teller, Telling
from .watched import Known, Watched

__all__ = ["Beside"]

_logger = logging.getLogger("tollspan")


class Beside:
    """What runs beside the calls of one process, from `start` to `stop`."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._teller = Teller.of_settings()
        self._stopping: list[Callable[[], None]] = []
        self._metrics: ProbeMetrics | None = None

    def start(self) -> None:
        """Declare the backends of the settings' file, and do with them what the settings ask for. A
        file that cannot be used is logged: an application never fails because of it."""
        found = settings()
        if found.metrics:
            self._stopping.append(CircuitMetrics(self._known).stop)
        self._declare(found.backends, probes=found.probe)
        if found.health_url:
            try:
                following = Following(self._known, found.health_url)
            except ValueError as error:
                _logger.warning("%s", error)
            else:
                self._stopping.append(following.stop)
                following.start()

    def _declare(self, file: str, *, probes: bool) -> None:
        if not file:
            return
        try:
            declared = read(file)
        except BackendFileError as error:
            _logger.warning("%s No backend is declared.", error)
            return
        self._known.policy = declared.policy
        for each in declared.backends:
            self._known.declare(each.where, each.name, each.policy)
        if probes:
            prober = Prober(declared.backends, self._heard)
            self._metrics = ProbeMetrics(lambda: prober.standings)
            self._stopping += [self._metrics.stop, prober.stop]
            prober.start()

    def changed(self, watched: Watched, change: Change, moment: datetime) -> None:
        """A circuit changed."""
        self._teller.tell(
            Telling(
                str(watched),
                watched.where,
                "circuit",
                change.before,
                change.after,
                moment,
                change.reason,
            )
        )

    def _heard(self, standing: Standing, check: Check, result: Result, is_new: bool) -> None:
        if self._metrics is not None:
            self._metrics.add(standing, result)
        if is_new:
            watched = self._known.find(standing.backend.where)
            if watched is not None:
                watched.probed(standing.state, standing.reason)

    def stop(self) -> None:
        while self._stopping:
            self._stopping.pop()()
        self._teller.stop()
