"""The exporter of our own provider: made when it is needed, quiet while nobody listens."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tollspan.guard import quietly

from . import arrivals, background, exporters

__all__ = ["OnFirstUse", "prepare"]

_logger = logging.getLogger("tollspan")

_PATIENCE_S = 10.0
"""How long a batch waits for a collector that is not there, before it is given up for the next."""

_LOOK_S = 0.2
_CONNECT_S, _LAST_CONNECT_S = 2.0, 0.5


def prepare(name: str) -> None:
    """Import the exporter `name` ahead of its first use."""
    with suppress(LookupError):  # said when it is used
        exporters.load("opentelemetry_traces_exporter", name)


class OnFirstUse(SpanExporter):
    """An exporter that is imported and made when its first batch goes out, in that thread.

    Importing the OTLP exporter costs about 80 ms, which an application's start should not pay. One
    is made per process: connections do not survive a fork.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.endpoint = exporters.endpoint(name=name) if exporters.is_otlp(name) else ""
        self.closing = False
        self._real: SpanExporter | None = None
        self._pid = 0
        self._complained = False
        self.arrived = False
        arrivals.listen_to(self)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.endpoint and (self.closing or not self.arrived) and not self._awaited():
            return self._failed(SpanExportResult.FAILURE)
        real = self._made()
        if real is None:
            return SpanExportResult.FAILURE
        return self._failed(real.export(spans))

    def _awaited(self) -> bool:
        """Whether something listens, now or soon: as long as the exporter would try, which logs each
        of its tries. At exit that would hold the process for seconds, for nothing."""
        until = time.monotonic() + _PATIENCE_S
        while not exporters.may_listen(
            self.endpoint, _LAST_CONNECT_S if self.closing else _CONNECT_S
        ):
            self._failed(SpanExportResult.FAILURE)
            if self.closing or time.monotonic() > until:
                return False
            time.sleep(_LOOK_S)
        return True

    def ready(self) -> None:
        """Be made, while threads can still be started: importing the SDK's logs starts some."""
        with quietly:
            self._made()

    def _made(self) -> SpanExporter | None:
        if self._pid != os.getpid():
            # Who comes while another thread makes it waits: without it a batch would be lost.
            with background.importing, quietly:
                if self._pid != os.getpid():
                    self._real = self._of_this_process()
                    self._pid = os.getpid()
        return self._real

    def _of_this_process(self) -> SpanExporter | None:
        try:
            made: SpanExporter = exporters.load("opentelemetry_traces_exporter", self.name)(
                **exporters.place(self.name)
            )
        except LookupError as error:
            _logger.warning("tollspan's spans go nowhere: %s", error)
            return None
        return made

    def _failed(self, result: SpanExportResult) -> SpanExportResult:
        self.arrived = result is SpanExportResult.SUCCESS
        if result is not SpanExportResult.SUCCESS and not self._complained:
            self._complained = True
            _logger.warning(
                "tollspan's spans do not arrive%s: start `tollspan up`, or set OTEL_EXPORTER_OTLP_ENDPOINT; "
                "your calls are unaffected",
                f" at {self.endpoint}" if self.endpoint else "",
            )
        return result

    def shutdown(self) -> None:
        if self._real is not None and self._pid == os.getpid():
            self._real.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True
