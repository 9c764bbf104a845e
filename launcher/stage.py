"""`tollspan stage`: the OTLP stage as a process, between two collectors.

Any number of them run side by side behind a collector's `load_balancing` exporter, which sends all
spans of a trace to one of them.
"""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from tollspan import config

if TYPE_CHECKING:
    from tollspan.collector.destination import Destination
    from tollspan.exporter import OtlpExporter

    from .stage_process import StageProcess

__all__ = ["DESCRIPTION", "EPILOG", "add_options", "stage"]

_logger = logging.getLogger("tollspan")

DESCRIPTION = (
    "Take OTLP from a collector, put price and path on the spans of LLM calls, send them on to the "
    "collector behind, and tell it of each call as a log record for the ledger. A request is "
    "answered once the collector behind has acknowledged both. Records of calls and gateways' events "
    "are taken, too (POST /v1/ingest, on the port of OTLP/HTTP). Run any number, each with its own "
    "ports, behind a collector's load_balancing exporter."
)
EPILOG = (
    "SIGTERM (SIGINT and SIGHUP likewise) takes nothing more, finishes what is in flight, and ends with "
    "exit code 0. Settings and certificates are read once, at the start. "
    "Windows, memory, mend and the rest are settings: docs/settings.md."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tollspan stage` on `parser`; each goes before its variable."""
    parser.add_argument("--name", help="of this stage in its records (TOLLSPAN_STAGE_NAME)")
    parser.add_argument("--host", help="address to bind (TOLLSPAN_HOST, 127.0.0.1)")
    for option, what in (
        ("--grpc-port", "OTLP/gRPC (TOLLSPAN_GRPC_PORT, 4317)"),
        ("--http-port", "OTLP/HTTP (TOLLSPAN_HTTP_PORT, 4318)"),
        ("--admin-port", "metrics and health (TOLLSPAN_ADMIN_PORT, 4320)"),
    ):
        parser.add_argument(option, type=_port, metavar="PORT", help=f"of {what}; 0: a free one")
    parser.add_argument(
        "--forward-to",
        metavar="URL",
        help="where to send on (TOLLSPAN_FORWARD_TO): grpc://host:4317 or http://host:4318",
    )
    parser.add_argument(
        "--mend-once",
        action="store_true",
        help="fold again what two stages told of one trace (TOLLSPAN_CLICKHOUSE_URL), then end",
    )


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port: write a number from 0 to 65535")


def stage(asked: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; the exit code is 0 even where the collector behind was gone.

    Raises:
        Refused: it cannot start; the message is a sentence.
        BadDestination: likewise.
        ModuleNotFoundError: the extra `tollspan[collector]` is not installed.
    """
    from tollspan.collector.allocator import keep_pages, look_less_often
    from tollspan.collector.destination import destination

    from .log_lines import log_lines
    from .stage_process import Ports, StageProcess

    settings, exporter = config.settings(), config.otlp_exporter()
    url = asked.forward_to or settings.forward_to
    to = destination(
        url, exporter.protocol, named="--forward-to" if asked.forward_to else "TOLLSPAN_FORWARD_TO"
    )
    if asked.mend_once:
        return _mend_once(to, settings, exporter)
    keep_pages()
    look_less_often()
    ports = Ports(
        settings.grpc_port if asked.grpc_port is None else asked.grpc_port,
        settings.http_port if asked.http_port is None else asked.http_port,
        settings.admin_port if asked.admin_port is None else asked.admin_port,
    )
    running = StageProcess(
        to, settings, exporter, host=asked.host or settings.host, ports=ports, name=asked.name or ""
    )
    with log_lines():
        for sentence in config.misspelt():
            _logger.warning("%s", sentence)
        finished, left = _until_signalled(running)
    print(_farewell(running.name, finished, left), flush=True)
    return 0


def _until_signalled(running: StageProcess) -> tuple[int, int]:
    """How many requests were finished at its end, and how many were not."""
    ended = threading.Event()
    before = _on_signals(ended)
    try:
        running.start()
        print(_greeting(running), flush=True)
        why = running.why_not_ready()
        if why:
            _logger.warning("not ready yet: %s", why)
        while not ended.wait(1.0):  # in slices: a wait without end hides signals on some systems
            if why and not (why := running.why_not_ready()):
                _logger.info("ready: spans and records are taken where the stage sends on")
        return running.drain()
    finally:
        running.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def _mend_once(to: Destination, settings: config.Settings, exporter: OtlpExporter) -> int:
    """Mend, print what was done, end.

    Raises:
        ClickHouseError: the ledger cannot be asked.
        Refusal: the collector behind did not take the records.
    """
    from tollspan.collector.forward import forwarder

    from .stage_mend import mend_of

    send = forwarder(to, exporter, settings.forward_timeout_s)
    try:
        done = mend_of(settings, send, settings.stage_name or "once").run()
    finally:
        send.close()
    print(f"mended {done.traces} traces with {done.records} records")
    return 0


def _greeting(running: StageProcess) -> str:
    from tollspan import __version__

    host = f"[{running.host}]" if ":" in running.host else running.host
    to = running.to
    protocol = f"OTLP/{'gRPC' if to.is_grpc else 'HTTP'}{' with TLS' if to.is_secure else ''}"
    return "\n".join(
        [
            f"tollspan stage {running.name} sends on to {to.address} ({protocol}); {__version__}",
            f"  prices     {running.prices}",
            f"  mends      {_mends(running.mends_from)}",
            f"  OTLP/gRPC  http://{host}:{running.ports.grpc}",
            f"  OTLP/HTTP  http://{host}:{running.ports.http}  (also /v1/ingest)",
            f"  admin      http://{host}:{running.ports.admin}  (/status /metrics /healthz /readyz)",
        ]
    )


def _mends(asked: str) -> str:
    if asked:
        return f"what ClickHouse at {asked} has of traces that are no longer held"
    return "nothing: TOLLSPAN_CLICKHOUSE_URL names no ledger to look traces up in"


def _farewell(name: str, finished: int, left: int) -> str:
    unanswered = f", {left} were not answered in time and will be sent again" if left else ""
    return f"tollspan stage {name} stopped: {finished} requests in flight were finished{unanswered}"


Handler = Callable[[int, FrameType | None], object] | int | None


def _on_signals(ended: threading.Event) -> dict[int, Handler]:
    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    if threading.current_thread() is not threading.main_thread():
        return {}
    ends = [signal.SIGINT, signal.SIGTERM]
    # A terminal that closes, or a keeper that wants settings read again; whoever uses nohup wants neither.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ends.append(signal.SIGHUP)
    return {each: signal.signal(each, end) for each in ends}
