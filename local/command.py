"""`tollspan up`: the local stack as a command."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from tollspan import config
from tollspan.limits.backends_file import BackendFileError
from tollspan.processors.pricefile import PriceFileError, load
from tollspan.settings import Settings

from .refused import Refused

__all__ = ["add_options", "serve", "up"]

USAGE = 2
NEEDED = "tollspan up needs packages that are not installed ({}): pip install 'tollspan[local]'"


def up(argv: Sequence[str] | None = None) -> int:
    """Run the local stack until SIGINT or SIGTERM; exit code 0, or 2 with one sentence on stderr.

    Args:
        argv: options as `add_options` declares them; None means none given.
    """
    parser = argparse.ArgumentParser(
        prog="tollspan up",
        description="Receive OpenTelemetry spans, keep what LLM calls cost, show it in a page.",
    )
    try:
        config.reload(strict=True)
        add_options(parser)
        return serve(parser.parse_args(list(argv or ())))
    except config.ConfigError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        return _fail(NEEDED.format(error.name))
    except (Refused, PriceFileError, BackendFileError) as error:
        return _fail(str(error))


def serve(asked: argparse.Namespace) -> int:
    """Run the local stack with parsed options until it is told to end; returns the exit code.

    Raises:
        Refused: it cannot start. The message is a sentence for whoever typed the command.
        PriceFileError: the price file of the settings cannot be used.
        BackendFileError: the file of backends cannot be used.
        ModuleNotFoundError: the extra `tollspan[local]` is not installed.
    """
    from tollspan.collector.allocator import keep_pages, look_less_often

    from .server import LocalStack

    keep_pages()
    look_less_often()
    settings = config.settings()
    if settings.prices:
        load(settings.prices)
    stack = LocalStack(
        asked.data_dir or settings.data_dir or config.state_home() / "ledger",
        host=asked.host or settings.host,
        ui_port=settings.ui_port if asked.port is None else asked.port,
        grpc_port=settings.grpc_port if asked.grpc_port is None else asked.grpc_port,
        http_port=settings.http_port if asked.http_port is None else asked.http_port,
        clickhouse_port=settings.clickhouse_port or None
        if asked.clickhouse_port is None
        else asked.clickhouse_port,
        token=settings.token,
    )
    ended = threading.Event()
    before = _on_signals(ended)
    try:
        stack.start()
        for line in _greeting(
            stack.urls, stack.data_dir, bool(settings.token), stack.clickhouse_url
        ):
            print(line)
        sys.stdout.flush()
        while not ended.wait(1.0):  # in slices: a wait without end hides signals on some systems
            pass
    finally:
        stack.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tollspan up` on `parser`; each goes before its variable."""
    parser.add_argument("--host", help="address to bind (TOLLSPAN_HOST, 127.0.0.1)")
    for names, what in (
        (("--port", "--ui-port"), "the page (TOLLSPAN_UI_PORT, 4319)"),
        (("--grpc-port",), "OTLP/gRPC (TOLLSPAN_GRPC_PORT, 4317)"),
        (("--http-port",), "OTLP/HTTP (TOLLSPAN_HTTP_PORT, 4318)"),
        (("--clickhouse-port",), "ClickHouse's HTTP, to read (TOLLSPAN_CLICKHOUSE_PORT, none)"),
    ):
        parser.add_argument(*names, type=_port, metavar="PORT", help=f"of {what}; 0: a free one")
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="FOLDER",
        help="of the ledger (TOLLSPAN_DATA_DIR, a folder in the state home)",
    )


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port: write a number from 0 to 65535")


def _greeting(
    urls: dict[str, str], data_dir: Path, with_token: bool, clickhouse: str = ""
) -> list[str]:
    asked = "/?token=…  (the value of TOLLSPAN_TOKEN)" if with_token else ""
    port = urls["http"].rpartition(":")[2]
    named = "" if int(port) == Settings().http_port else f"TOLLSPAN_HTTP_PORT={port} "
    bearer = '  export OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20$TOLLSPAN_TOKEN"'
    return [
        f"tollspan is up: {urls['page']}{asked}",
        f"  OTLP/gRPC  {urls['grpc']}",
        f"  OTLP/HTTP  {urls['http']}",
        *([f"  ClickHouse {clickhouse}  (to read only)"] if clickhouse else []),
        f"  data       {data_dir}",
        "",
        "Send it the calls of your program:",
        f"  {named}tollspan run -- python app.py",
        "or of one with OpenTelemetry of its own:",
        f"  export OTEL_EXPORTER_OTLP_ENDPOINT={urls['http']}",
        "  export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        *([bearer] if with_token else []),
        "  opentelemetry-instrument python app.py",
        "",
        "Ctrl-C stops it; the data stays.",
    ]


Handler = Callable[[int, FrameType | None], object] | int | None


def _on_signals(ended: threading.Event) -> dict[int, Handler]:
    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    if threading.current_thread() is not threading.main_thread():
        return {}
    return {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return USAGE
