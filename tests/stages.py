"""Stages to test: one in this process, and real processes of `tollspan stage`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from tollspan.collector.destination import destination
from tollspan.collector.otlp_grpc import TRACES
from tollspan.config import Settings
from tollspan.exporter import OtlpExporter
from tollspan.launcher.stage_process import Ports, StageProcess


@contextmanager
def stage(
    url: str, exporter: OtlpExporter | None = None, **settings: Any
) -> Iterator[StageProcess]:
    """A stage in this process that sends on to `url`; `settings` as in `Settings`."""
    given = Settings(**{"forward_timeout_s": 5, **settings})
    to = destination(url, "")
    with StageProcess(
        to, given, exporter or OtlpExporter(), host="127.0.0.1", ports=Ports(0, 0, 0), name="test"
    ) as made:
        yield made


AS_IN_ITS_IMAGE = """
import sys
sys.modules.update(dict.fromkeys(("chdb", "numpy", "pyarrow")))
from tollspan.launcher.command import main
sys.exit(main())
"""
"""It is installed as `tollspan[collector]`, without what only the embedded ledger needs."""


class Running:
    """A real `tollspan stage`."""

    def __init__(self, url: str, *options: str, **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", AS_IN_ITS_IMAGE, "stage"]
            + ["--forward-to", url, "--grpc-port", "0", "--http-port", "0", "--admin-port", "0"]
            + list(options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if "/metrics" in line:
                break
        else:
            raise AssertionError(self.process.communicate()[1])
        self.grpc, self.http, self.admin = re.findall(r"http://(127\.0\.0\.1:\d+)", self.said)

    def end(self, number: int = signal.SIGTERM) -> str:
        """Send a signal; what it said on its way out, whose exit code is then in `code`."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self, timeout_s: float = 60) -> str:
        said, self.complained = self.process.communicate(timeout=timeout_s)
        self.code = self.process.returncode
        return said

    def get(self, path: str, token: str = "") -> tuple[int, str]:
        return get(f"http://{self.admin}{path}", token)

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        return metric(self.get("/metrics")[1], name)


@contextmanager
def running(url: str, *options: str, **variables: str) -> Iterator[Running]:
    made = Running(url, *options, **variables)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
        made.process.communicate(timeout=60)


def get(url: str, token: str = "") -> tuple[int, str]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as it:
            return it.status, it.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def metric(text: str, name: str) -> float:
    found = re.findall(rf"^tollspan_stage_{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, found))


def send(address: str, body: bytes, method: str = TRACES, **metadata: str) -> bytes:
    """One request over gRPC; the answer."""
    with grpc.insecure_channel(address, OPTIONS) as channel:
        return channel.unary_unary(method)(body, timeout=60, metadata=tuple(metadata.items()))


OPTIONS = [("grpc.max_send_message_length", -1)]


def post(
    address: str, body: bytes, *, path: str = "/v1/traces", **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    """One request over HTTP; status, body and headers of the answer."""
    given = {"content-type": "application/x-protobuf"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"http://{address}{path}", body, given, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def until(true: Any, timeout_s: float = 30.0) -> None:
    """Wait, looking often, until `true()` holds."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
