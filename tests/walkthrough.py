"""Walk-throughs of docs/operate run as a person types them, on a terminal of 100 columns.

A page is Markdown. Three kinds of fenced blocks are run, in the order of the page, in one shell and
one empty folder:

- ``console``: a line that begins with `$ ` is typed, lines with `> ` behind it belong to it (a here
  document, a line that goes on). What follows is what it prints: `…` within a line stands for any
  text, a line that is only `…` for any lines. A command without printed lines may print what it
  likes, and must succeed. Behind a command that ends with `&` stands what it has printed when it
  is ready; it goes on until the end of the page.
- ``python``, ``toml``, ``yaml``, ``json``, ``ini``, ``sh`` whose first line is a comment with a file
  name, `# app.py`: saved under that name. A ``python`` block without one must be Python.
- anything else is not run.

Ports 4317 to 4320 of the page become free ones, in what is typed and in what is printed. The home
folder is the page's own, `tollspan`, `python` and `curl` are found as usual, colours are off.

`python tests/walkthrough.py docs/operate/usage.md` runs a page and prints what each command printed.
"""

from __future__ import annotations

import ast
import codecs
import fcntl
import os
import pty
import random
import re
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

__all__ = ["Step", "Walk", "differences", "steps"]

OURS = ("4317", "4318", "4319", "4320")
NAMED = ("python", "toml", "yaml", "json", "ini", "sh", "jsonl", "text")
FENCE = re.compile(r"^( *)(`{3,})(\w*)[^\n]*\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"(?:#|//) ([\w./-]+\.\w+)")
ANY = "…"
END = "\x1e"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Of programs that know no NO_COLOR."""
COMMAND_S, READY_S = 90.0, 60.0
COLUMNS, LINES = 100, 50

LOOP = r"""
set +m
while IFS= read -r step <&3; do
  . "$step" </dev/null
  printf '\036%d\036' "$?"
done
"""


@dataclass
class Step:
    """One thing that the page has its reader do: a command, or a file to be saved."""

    line: int
    """Of the page."""
    command: str = ""
    expected: list[str] = field(default_factory=list)
    file: str = ""
    text: str = ""

    @property
    def background(self) -> bool:
        return self.command.rstrip().endswith("&") and not self.command.rstrip().endswith("&&")


def steps(page: str) -> Iterator[Step]:
    """What `page` has its reader do, in order."""
    for block in FENCE.finditer(page):
        language, body = block[3], block[4]
        line = page.count("\n", 0, block.start()) + 2
        if language == "console":
            yield from _typed(body, line)
        elif language in NAMED:
            first = FILE_NAME.fullmatch(body.partition("\n")[0].strip())
            if first:
                yield Step(line, file=first[1], text=body)
            elif language == "python":
                ast.parse(body)


def _typed(body: str, first_line: int) -> Iterator[Step]:
    step: Step | None = None
    for number, line in enumerate(body.splitlines(), start=first_line):
        if line.startswith("$ "):
            if step:
                yield step
            step = Step(number, line[2:])
        elif step is None:
            raise ValueError(f"line {number}: a console block begins with a command: `$ …`")
        elif line.startswith(("> ", ">")) and not step.expected and line[1:2] in ("", " "):
            step.command += "\n" + line[2:]
        else:
            step.expected.append(line.rstrip())
    if step:
        yield step


def differences(expected: list[str], printed: str) -> str:
    """What is wrong with `printed`; '' where it is as the page has it."""
    pattern = "".join(
        r"(?:[^\n]*\n)*"
        if line.strip() == ANY
        else ".*".join(re.escape(part) for part in line.split(ANY)) + r" *\n"
        for line in expected
    )
    said = "".join(f"{line.rstrip()}\n" for line in printed.splitlines()).lstrip("\n")
    wanted = "".join(f"{line}\n" for line in expected)
    if re.fullmatch(pattern.rstrip("\n") + r"\n*", said) or said.strip() == wanted.strip():
        return ""
    return f"--- the page ---\n{wanted}--- printed ---\n{said}"


class Walk:
    """`with Walk() as walk: walk.do(step)`: a shell of its own, ended with all that it started."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="walk-")
        self._base = Path(self._temporary.name)
        self.folder = self._base / "work"
        self.folder.mkdir()
        self._ports = dict(zip(OURS, _free_ports(len(OURS)), strict=True))
        self._mine, theirs = pty.openpty()
        _set_up(theirs)
        steps_out, self._steps = os.pipe()
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-c", f"exec 3<&{steps_out}\n{LOOP}"],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            pass_fds=(steps_out,),
            cwd=self.folder,
            env=self._environment(),
            start_new_session=True,
        )
        os.close(theirs)
        os.close(steps_out)
        self._written = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._number = 0

    def _environment(self) -> dict[str, str]:
        ours = ("TOLLSPAN_", "OTEL_", "VIRTUAL_ENV", "PYTHONPATH")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        home = self._base / "home"
        home.mkdir()
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / ".local/state"),
            "XDG_CACHE_HOME": str(home / ".cache"),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "TERM": "xterm-256color",
            "NO_COLOR": "1",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONIOENCODING": "utf-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TOLLSPAN_GRPC_PORT": self._ports["4317"],
            "TOLLSPAN_HTTP_PORT": self._ports["4318"],
            "TOLLSPAN_UI_PORT": self._ports["4319"],
            "TOLLSPAN_ADMIN_PORT": self._ports["4320"],
        }

    def do(self, step: Step) -> str:
        """Do it; what it printed, with the ports of the page.

        Raises:
            AssertionError: it printed something else, failed, or did not come to its end.
        """
        if step.file:
            path = self.folder / step.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._with_our_ports(step.text), "utf-8")
            return ""
        if step.background:
            return self._begun(step)
        printed, code = self._ran(step.command, COMMAND_S)
        if step.expected:
            wrong = differences(step.expected, printed)
            assert not wrong, f"line {step.line}: $ {step.command}\n{wrong}"
        else:
            assert code == 0, f"line {step.line}: $ {step.command}\nexit code {code}\n{printed}"
        return printed

    def _begun(self, step: Step) -> str:
        command = step.command.rstrip().removesuffix("&").rstrip()
        log = self._base / f"background-{self._number}.log"
        log.touch()
        into = "" if ">" in command else f" >{shlex.quote(str(log))} 2>&1"
        self._ran(f"{command}{into} &", COMMAND_S)
        deadline = time.monotonic() + READY_S
        while True:
            printed = self._as_on_the_page(log.read_text("utf-8", "replace")) if into else ""
            wrong = differences(step.expected, printed) if step.expected else ""
            if not wrong:
                return printed
            assert time.monotonic() < deadline, f"line {step.line}: $ {step.command}\n{wrong}"
            time.sleep(0.05)

    def _ran(self, command: str, within_s: float) -> tuple[str, int]:
        self._number += 1
        file = self._base / f"step-{self._number}.sh"
        file.write_text(self._with_our_ports(command) + "\n", "utf-8")
        os.write(self._steps, f"{file}\n".encode())
        deadline = time.monotonic() + within_s
        while self._written.count(END) < 2:
            left = deadline - time.monotonic()
            assert left > 0, f"$ {command}\ndid not end in {within_s:.0f} s: {self._written}"
            self._read(left)
        printed, code, self._written = self._written.split(END, 2)
        return self._as_on_the_page(printed), int(code)

    def _read(self, within_s: float) -> None:
        waiting = select.poll()  # `select.select` takes no descriptor beyond 1023
        waiting.register(self._mine, select.POLLIN | select.POLLHUP)
        if waiting.poll(min(within_s, 1.0) * 1000):
            with suppress(OSError):  # the shell is gone; the deadline tells
                self._written += self._decoder.decode(os.read(self._mine, 65536))

    def _with_our_ports(self, text: str) -> str:
        for theirs, ours in self._ports.items():
            text = re.sub(rf"\b{theirs}\b", ours, text)
        return text

    def _as_on_the_page(self, text: str) -> str:
        for theirs, ours in self._ports.items():
            text = re.sub(rf"\b{ours}\b", theirs, text)
        text = COLOURS.sub("", text)
        return text.replace(str(self._base / "home"), "~").replace(str(self.folder), ".")

    def close(self) -> None:
        """End the shell and everything that it started; idempotent."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._shell.pid, number)
            deadline = time.monotonic() + 10
            while _alive(self._shell) and time.monotonic() < deadline:
                self._shell.poll()
                time.sleep(0.02)
        self._shell.wait(10)
        for end in (self._mine, self._steps):
            with suppress(OSError):
                os.close(end)
        self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _alive(shell: subprocess.Popen[bytes]) -> bool:
    """Whether anything of the shell's process group is left."""
    shell.poll()
    try:
        os.killpg(shell.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _set_up(terminal: int) -> None:
    """A size, and line feeds as they are."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    found = termios.tcgetattr(terminal)
    found[1] &= ~termios.OPOST
    termios.tcsetattr(terminal, termios.TCSANOW, found)


def _free_ports(number: int) -> list[str]:
    """Free ports of four digits, so that nothing moves in what is printed."""
    found: list[str] = []
    while len(found) < number:
        port = random.randint(2000, 9999)
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            if str(port) not in found and str(port) not in OURS:
                found.append(str(port))
    return found


def main(pages: list[str]) -> None:
    """Run `pages` and print what each command printed, right or wrong."""
    for page in pages:
        with Walk() as walk:
            for step in steps(Path(page).read_text("utf-8")):
                print(f"{step.line}: {'$ ' + step.command if step.command else step.file}")
                try:
                    print(walk.do(step))
                except AssertionError as error:
                    print(f"*** {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
