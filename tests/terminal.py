"""A terminal for tests: a command on a pty of a known size, and what a person would then see on it."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from typing import Self

# A test run in the background of a shell inherits a SIGINT that is ignored.
COMMAND = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from tollspan.launcher.command import main; sys.exit(main())"
)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """`with Terminal("top", "--url", …) as terminal`: `tollspan top` runs on it until the end."""

    def __init__(
        self, *arguments: str, columns: int = 80, lines: int = 24, environ: Mapping[str, str] = {}
    ) -> None:
        self._mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.settings_before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **environ},
            start_new_session=True,
        )
        self.written = ""
        # A letter of several bytes may come in two pieces.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def until(self, pattern: str, within_s: float = 20.0) -> str:
        """Read until `pattern` stands in what was written; returns everything so far."""
        deadline = time.monotonic() + within_s
        while not re.search(pattern, self.written):
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} did not come: {self.written[-2000:]!r}"
            assert self._read(left) or re.search(pattern, self.written), self.written[-2000:]
        return self.written

    def _read(self, within_s: float) -> bool:
        if not self._is_ready(min(within_s, 0.2)):
            return self.process.poll() is None
        try:
            piece = os.read(self._mine, 65536)
        except OSError:  # Linux says so at the end of a pty
            return False
        self.written += self._decoder.decode(piece)
        return bool(piece)

    def _is_ready(self, within_s: float) -> bool:
        waiting = select.poll()  # `select.select` takes no descriptor beyond 1023
        waiting.register(self._mine, select.POLLIN)
        return bool(waiting.poll(within_s * 1000))

    def press(self, keys: str) -> None:
        os.write(self._mine, keys.encode())

    def settings(self) -> object:
        """How the terminal is set now, as before the command."""
        return termios.tcgetattr(self._theirs)

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self, within_s: float = 20.0) -> int:
        """Read the rest; the exit code."""
        deadline = time.monotonic() + within_s
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it did not end: {self.written[-2000:]!r}"
            self._read(0.2)
        while self._is_ready(0) and self._read(0):
            pass
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self._mine)
        os.close(self._theirs)


def plain(text: str) -> str:
    """`text` without the escape sequences that the command itself writes."""
    return ESCAPES.sub("", text)
