"""A model's backend as a process of its own: `tollspan.chaos` at one port, to be killed and stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from typing import Any, Self

from pipeline_processes import free_port

__all__ = ["BackendProcess"]


class BackendProcess:
    """`with BackendProcess() as backend`: answers when it has started, again at the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.name = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.name}/v1"
        self._process: subprocess.Popen[str] | None = None

    def start(self, mix: str = "ok=1") -> None:
        """Answer by `mix`, as `python -m tollspan.chaos --mix` has it."""
        self.kill()
        command = [sys.executable, "-m", "tollspan.chaos", "--port", str(self.port), "--mix", mix]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("{")

    def kill(self) -> None:
        """With SIGKILL; nothing if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def hang(self) -> None:
        """SIGSTOP: the kernel goes on to take connections, nobody answers them."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def answered(self) -> int:
        """How many requests it has answered since it started."""
        with urllib.request.urlopen(f"http://{self.name}/__chaos__/log", timeout=30) as answer:
            log: dict[str, list[Any]] = json.load(answer)
        return len(log["log"])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()
