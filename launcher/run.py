"""`tollspan run -- python app.py`: start a program with everything patched, no line changed.

The same as `opentelemetry-instrument`, with defaults that fit `tollspan up`. Variables that are set
already win.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from opentelemetry.instrumentation import auto_instrumentation

from tollspan.config import environment, settings

from . import exporters

__all__ = ["CannotRun", "child_environment", "run"]


class CannotRun(ValueError):
    """The program cannot be started. The message says why."""


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` with our defaults, and the folder first on the path whose `sitecustomize` patches."""
    child = dict(environ)
    if not any(child.get(name) for name in _ENDPOINTS):
        child["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{settings().http_port}"
        child.setdefault("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        if token := settings().token:
            child.setdefault("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer%20{quote(token)}")
    child.setdefault("OTEL_EXPORTER_OTLP_PROTOCOL", exporters.protocol("traces", child))
    child.setdefault("OTEL_TRACES_EXPORTER", "otlp")
    child.setdefault("OTEL_METRICS_EXPORTER", "none")
    child.setdefault("OTEL_LOGS_EXPORTER", "none")
    child.setdefault("OTEL_BSP_SCHEDULE_DELAY", str(exporters.DELAY_MS))
    child.setdefault("OTEL_BSP_MAX_QUEUE_SIZE", str(exporters.MOST_WAITING))
    patching = str(Path(auto_instrumentation.__file__).parent)
    path = [part for part in child.get("PYTHONPATH", "").split(os.pathsep) if part]
    # opentelemetry-instrument adds the working directory too; applications rely on it.
    path = [part for part in path if part not in (patching, str(Path.cwd()))]
    child["PYTHONPATH"] = os.pathsep.join([patching, str(Path.cwd()), *path])
    return child


_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def run(command: Sequence[str], *, prints: bool = False) -> int:
    """Become `command`, so that its signals and its exit code are its own.

    Args:
        prints: its calls are printed, and sent only where something listens.

    Raises:
        CannotRun: there is no command, or it is not found.
    """
    if not command:
        raise CannotRun("say what to run, e.g. `tollspan run -- python app.py`")
    environ = environment()
    # `python` is the one that has tollspan, also where its environment is not activated.
    places = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    program = shutil.which(command[0], path=places)
    if program is None:
        raise CannotRun(f"{command[0]!r} is not a program on the PATH")
    child = child_environment(environ)
    if prints:
        child["TOLLSPAN_PRINT"] = "true"
    where = exporters.endpoint("traces", child)
    if exporters.names("traces", "otlp", child) and not exporters.reachable(where):
        if prints and not any(environ.get(name) for name in _ENDPOINTS):
            child["OTEL_TRACES_EXPORTER"] = "none"  # nobody asked for them to be sent
        else:
            print(
                f"tollspan: nothing listens at {where}; start `tollspan up` in another terminal, "
                "or see the calls here: tollspan run --print",
                file=sys.stderr,
                flush=True,
            )
    if os.name == "nt":  # exec would return to the shell before the program ends
        return subprocess.run([program, *command[1:]], env=child, check=False).returncode
    try:
        os.execve(program, [program, *command[1:]], child)
    except OSError as error:
        raise CannotRun(f"{command[0]!r} does not start: {error.strerror}") from None
