"""`tollspan demo`: a shop, a gateway and a provider that misbehaves, all on this machine.

The sample application (`demo_app`) runs under `opentelemetry-instrument` with the real SDKs; a real
LiteLLM proxy stands between it and the chaos provider; the local stack takes the spans. Nothing
leaves the machine and nothing is kept.
"""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from json import dumps, loads
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from tollspan.chaos import Chaos
from tollspan.config import settings

from . import _demo_provider, _demo_report
from ._litellm import GatewayFailed, LiteLLM, end_process_group, found, private_environment

if TYPE_CHECKING:
    from tollspan.local.server import LocalStack

__all__ = ["demo"]

NEEDED = ("litellm", "fastapi", "openai", "anthropic", "chdb", "grpc")
"""Modules of the extra `demo`, one of each package that brings something of its own."""

INGESTED_WITHIN_S = 30.0
QUIET_S = 1.0


class DemoFailed(RuntimeError):
    """The demo cannot show what it is for. The message says why."""


def demo(once: bool = False, json: bool = False) -> int:
    """Run it. With `once` it ends by itself, with `json` it prints one JSON object on stdout.

    Returns 0; 1 when something failed on the way or the ledger disagrees with the provider; 2 when
    the extra `demo` is not installed.
    """
    if missing := _missing():
        print(
            f"tollspan: the demo needs {', '.join(missing)}: pip install 'tollspan[demo]'",
            file=sys.stderr,
        )
        return 2
    previous = signal.signal(signal.SIGTERM, _interrupt)
    progress = _Progress(sys.stderr)
    try:
        with tempfile.TemporaryDirectory(prefix="tollspan-demo-") as folder, ExitStack() as opened:
            stack, report = _shown(Path(folder), opened, progress)
            progress.clear()
            print(_demo_report.table(report), file=sys.stderr)
            if json:
                print(dumps(report.as_json()), flush=True)
            if not once:
                _stay(stack.page_url)
            return 0 if report.agrees else 1
    except (DemoFailed, GatewayFailed) as error:
        progress.clear()
        print(f"tollspan: the demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        progress.clear()
        return 130
    finally:
        signal.signal(signal.SIGTERM, previous)


def _missing() -> list[str]:
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    programs = ("litellm", "opentelemetry-instrument")
    return absent or [name for name in programs if found(name) is None]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _shown(
    folder: Path, opened: ExitStack, progress: _Progress
) -> tuple[LocalStack, _demo_report.Report]:
    """Start everything, let the application work, read the ledger; `opened` ends what was started."""
    progress.say("starting the provider, the gateway and the local stack")
    chaos = opened.enter_context(Chaos())
    _demo_provider.write_script(chaos)
    stack = _local_stack()
    opened.callback(stack.stop)
    models = _demo_provider.gateway_models(chaos)
    gateway = opened.enter_context(
        LiteLLM(models, _demo_provider.FALLBACKS, folder, stack.http_endpoint)
    )
    application = _Application(chaos, gateway, stack, folder)
    opened.callback(application.end)
    waiting = threading.Thread(target=application.end_if_fails, args=(gateway,), daemon=True)
    waiting.start()
    made = application.work(progress)
    waiting.join()
    if not chaos.wait(10):
        raise DemoFailed("the provider is still answering a call that nobody waits for")
    progress.say("waiting for the last spans")
    _ingested(stack, made)
    return stack, _demo_report.report(stack.page_url, chaos.log)


def _local_stack() -> LocalStack:
    """On the usual port of the page if it is free; its ledger goes when it ends."""
    from tollspan.local.server import LocalStack, PortTaken

    try:
        return LocalStack(ui_port=settings().ui_port).start()
    except PortTaken:
        return LocalStack().start()


def _ingested(stack: LocalStack, calls: int) -> None:
    """Until the ledger has all calls that the application made, and no more spans come.

    Raises:
        DemoFailed: it has not, in time, or it has more than were made.
    """
    deadline = time.monotonic() + INGESTED_WITHIN_S
    while (arrived := len(_demo_report.calls_in_ledger(stack.page_url))) < calls:
        if time.monotonic() > deadline:
            raise DemoFailed(f"{calls} calls were made and {arrived} arrived in the ledger")
        time.sleep(0.1)
    # The gateway sends its spans on its own time; they change no figure but that of restated spans.
    before, quiet_since = -1, time.monotonic()
    while time.monotonic() < min(deadline, quiet_since + QUIET_S):
        received = stack.status()["spans_received"]
        if received != before:
            before, quiet_since = received, time.monotonic()
        time.sleep(0.1)
    stack.flush()
    arrived = len(_demo_report.calls_in_ledger(stack.page_url))
    if arrived > calls:
        raise DemoFailed(f"{calls} calls were made and the ledger counts {arrived}")


def _stay(url: str) -> None:
    print(f"  The page is at {url}; Ctrl-C ends it.", file=sys.stderr, flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print(file=sys.stderr)


class _Application:
    """The sample application's process."""

    def __init__(self, chaos: Chaos, gateway: LiteLLM, stack: LocalStack, folder: Path) -> None:
        environ = {
            **private_environment(),
            "OPENAI_API_KEY": gateway.key,  # the provider takes any key, the gateway this one
            "ANTHROPIC_API_KEY": gateway.key,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=demo",
            "OTEL_EXPORTER_OTLP_ENDPOINT": stack.http_endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_BSP_SCHEDULE_DELAY": "250",  # the page shall move while one looks at it
            "TOLLSPAN_DATA_MODE": "test",
        }
        self._log = folder / "application.log"
        self._failure = ""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    found("opentelemetry-instrument") or "opentelemetry-instrument",
                    *(sys.executable, "-m", "tollspan.launcher.demo_app"),
                    *("--provider", chaos.url, "--gateway", gateway.url),
                ],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def work(self, progress: _Progress) -> int:
        """Follow it to its end; returns how many calls it made.

        Raises:
            DemoFailed: it stopped before its last call.
        """
        assert self._process.stdout is not None
        total = done = 0
        for line in self._process.stdout:
            said = loads(line)
            total = said.get("total", total)
            done += "done" in said
            progress.show(done, total, said.get("done", "the shop opens"))
        code = self._process.wait()
        if self._failure:
            raise GatewayFailed(self._failure)
        if code != 0 or done != total:
            raise DemoFailed(f"the sample application ended with {code}: {self._last_words()}")
        return done

    def end_if_fails(self, gateway: LiteLLM) -> None:
        """Wait for the gateway, and end the application where waiting is of no use."""
        try:
            gateway.wait_until_ready()
        except GatewayFailed as error:
            self._failure = str(error)
            self.end()

    def end(self) -> None:
        if self._process.poll() is None:
            end_process_group(self._process)

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it wrote nothing"


class _Progress:
    """One line that is written over on a terminal, and a few lines elsewhere."""

    WIDTH = 30

    def __init__(self, out: TextIO) -> None:
        self._out, self._on_terminal = out, out.isatty()
        self._tenth = -1

    def say(self, sentence: str) -> None:
        self._write(f"  {sentence} ...")

    def show(self, done: int, total: int, doing: str) -> None:
        filled = self.WIDTH * done // max(1, total)
        bar = "█" * filled + "░" * (self.WIDTH - filled)
        tenth = 10 * done // max(1, total)
        if self._on_terminal or tenth != self._tenth:
            self._write(f"  {bar} {done:>3}/{total} calls  {doing}")
        self._tenth = tenth

    def clear(self) -> None:
        if self._on_terminal:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def _write(self, text: str) -> None:
        encoding = self._out.encoding or "ascii"
        text = text.encode(encoding, "replace").decode(encoding)
        self._out.write(f"\r\x1b[K{text}" if self._on_terminal else f"{text}\n")
        self._out.flush()
