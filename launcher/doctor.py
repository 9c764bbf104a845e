"""`tollspan doctor`: what is patched and by whom, exported or lost, doubled, sampled away, unpriced.

As a command it examines the environment: packages, variables, the collector. Inside a process
`report()` adds what has happened there; with `TOLLSPAN_DOCTOR` a process writes that at its exit.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tollspan import __version__, config, ended
from tollspan.guard import quietly

from . import checkup, live

__all__ = ["Examination", "as_json", "as_table", "examination", "report", "write"]

OK, WARN, BAD = checkup.OK, checkup.WARN, checkup.BAD


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that was looked at. A check's `state` is `ok`, `warn` or `bad`."""

    versions: dict[str, str]
    checks: tuple[checkup.Check, ...]


def examination() -> Examination:
    """Examine the environment of this interpreter; asks the collector, takes two seconds at most
    for each endpoint."""
    return _examined(checkup.of_environment())


def report() -> dict[str, Any]:
    """What has happened in this process so far, as a JSON object: `versions`, `checks` and
    `process` (`pid`, `deliveries`, `faults`, `unpriced`, `calls`). Sends nothing."""
    ended.settle_all()
    found = _examined(live.of_process())
    return {**asdict(found), "process": live.numbers()}


def _examined(checks: Iterator[checkup.Check]) -> Examination:
    found: list[checkup.Check] = []
    with quietly:  # one check that fails must not hide the others' findings so far
        found.extend(checks)
    versions = {
        "tollspan": __version__,
        "python": platform.python_version(),
        **checkup.versions(),
    }
    return Examination(versions, tuple(found))


_MARKS = {OK: "✓ ok", WARN: "⚠ warn", BAD: "✗ bad"}


def as_table(found: Examination) -> str:
    from .screen import harmless

    names = max((len(check.name) for check in found.checks), default=0)
    lines = [", ".join(f"{name} {version}" for name, version in found.versions.items()), ""]
    for check in found.checks:
        first, *more = map(harmless, check.text.split("\n"))  # names of models are what others sent
        lines.append(f"{_MARKS[check.state]:<7} {check.name:<{names}}  {first}")
        lines += [f"{'':<7} {'':<{names}}  {line}" for line in more]
    return "\n".join(lines)


def as_json(found: Examination) -> str:
    return json.dumps(asdict(found), ensure_ascii=False)


def write() -> None:
    """Write this process's report to where `TOLLSPAN_DOCTOR` says: a line of JSON, or a table."""
    target = config.settings().doctor
    if not target:
        return
    with quietly:
        if target == "-":
            print(as_table(_examined(live.of_process())), file=sys.stderr)
            return
        # One write of one line: workers that end together share the file.
        line = json.dumps({**report(), "argv": sys.argv[:1]}, ensure_ascii=False) + "\n"
        descriptor = os.open(
            Path(target).expanduser(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600
        )
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
