"""A real LiteLLM proxy as a process of its own, between the demo's application and its provider.

Nothing of it leaves this machine: it listens on loopback, takes its prices from its own package,
reports nothing home, and gets none of the user's API keys.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tollspan.config import environment

__all__ = ["GatewayFailed", "LiteLLM", "end_process_group", "found", "private_environment"]

READY_WITHIN_S = 90.0
"""Its imports alone take ten seconds on two cores."""


class GatewayFailed(RuntimeError):
    """The proxy did not start. The message says where its log is and how it ends."""


def found(program: str) -> str | None:
    """Path of an installed command: beside the running Python first, then on the PATH."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(program, path=beside) or shutil.which(program)


def private_environment() -> dict[str, str]:
    """The process environment without keys, proxies, databases and other people's telemetry."""
    kept = {name: value for name, value in environment().items() if not _private(name.upper())}
    return {**kept, "NO_PROXY": "127.0.0.1,localhost", "PYTHONUNBUFFERED": "1"}


def _private(name: str) -> bool:
    return (
        name.startswith(
            ("OTEL_", "TOLLSPAN_", "LITELLM_", "OPENAI_", "ANTHROPIC_", "AZURE_", "AWS_")
        )
        or name.endswith(("_API_KEY", "_PROXY", "_TOKEN", "_SECRET", "_BASE_URL"))
        or name in ("DATABASE_URL", "REDIS_URL", "REDIS_HOST", "PORT", "PYTHONWARNINGS")
    )


class LiteLLM:
    """The proxy process. A context manager: started on entry, ended with its children on exit.

    Args:
        models: LiteLLM's `model_list`.
        fallbacks: model group to the groups that answer in its place.
        folder: where configuration and log are written; the caller removes it.
        otlp_endpoint: base URL of OTLP/HTTP, for its own spans; without message content.
    """

    def __init__(
        self,
        models: Sequence[Mapping[str, Any]],
        fallbacks: Mapping[str, Sequence[str]],
        folder: Path,
        otlp_endpoint: str,
    ) -> None:
        self._models, self._fallbacks, self._folder = models, fallbacks, folder
        self._otlp_endpoint = otlp_endpoint
        self._process: subprocess.Popen[bytes] | None = None
        self.key = f"sk-{secrets.token_hex(16)}"
        """The key that it asks for; made for this run."""
        self.url = ""
        """For the openai and anthropic SDKs; set on entry."""

    def __enter__(self) -> Self:
        program = found("litellm")
        if program is None:
            raise GatewayFailed("the command `litellm` is not installed")
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = self._folder / "litellm.yaml"  # JSON is YAML
        config.write_text(json.dumps(self._config(), indent=1))
        environ = {
            **private_environment(),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_MASTER_KEY": self.key,
            "LITELLM_LOG": "ERROR",
            "DISABLE_ADMIN_UI": "True",
            "LITELLM_OTEL_V2": "true",
            "OTEL_EXPORTER": "otlp_http",
            "OTEL_ENDPOINT": self._otlp_endpoint,
            "OTEL_SERVICE_NAME": "litellm",
            "OTEL_BSP_SCHEDULE_DELAY": "250",
        }
        command = [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=environ,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            end_process_group(self._process)

    @property
    def _log(self) -> Path:
        return self._folder / "litellm.log"

    def _config(self) -> dict[str, Any]:
        return {
            "model_list": list(self._models),
            "litellm_settings": {
                "telemetry": False,
                "request_timeout": 120,
                "turn_off_message_logging": True,
                "callbacks": ["otel"],
                # Only requests that ask for the cache use it, so that the rest reach the provider.
                "cache": True,
                "cache_params": {"type": "local", "mode": "default_off"},
            },
            "router_settings": {
                "num_retries": 1,
                "retry_after": 0,
                "cooldown_time": 1,
                "fallbacks": [{group: list(others)} for group, others in self._fallbacks.items()],
            },
        }

    def wait_until_ready(self, within_s: float = READY_WITHIN_S) -> None:
        """Until it answers.

        Raises:
            GatewayFailed: it has ended, or time is over.
        """
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise GatewayFailed(f"litellm ended by itself: {self._last_words()}")
            if _answers(f"{self.url}/health/liveliness"):
                return
            time.sleep(0.1)
        raise GatewayFailed(f"litellm was not ready after {within_s:.0f} s: {self._last_words()}")

    def _last_words(self) -> str:
        try:
            lines = self._log.read_text(errors="replace").strip().splitlines()
        except OSError:  # the demo was interrupted, and its folder is gone
            lines = []
        return lines[-1][:300] if lines else "it wrote nothing"


def end_process_group(process: subprocess.Popen[Any], within_s: float = 5.0) -> None:
    """End a process that was started with `start_new_session`, and its children with it."""
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        try:
            if hasattr(os, "killpg"):
                os.killpg(process.pid, number)
            else:
                process.terminate()
        except ProcessLookupError:
            break
        try:
            process.wait(within_s)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _free_port() -> int:
    """A free port of 127.0.0.1 below those that the system gives to connections (on Linux from 32768):
    none of them takes it in the seconds that the gateway needs to listen."""
    for port in (*random.sample(range(11_000, 32_000), 1_000), 0):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise GatewayFailed("no port of 127.0.0.1 is free")


def _answers(url: str) -> bool:
    # Not through a proxy that the environment names: this is a process of ours on loopback.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False
