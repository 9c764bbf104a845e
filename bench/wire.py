"""`python -m bench.wire`: what wire capture adds to a call, while on and while off.

The real openai SDK asks a server on this machine, once with capture off and once with it on, in
processes that take turns. For each call: the CPU of the calling thread (what the caller waits for), the
CPU of the whole process (masking, packing and writing included), and the wall-clock time, each as the
least of the rounds. What is off costs a few truth checks, timed alone. Results go to
`bench/results/wire.json`.

A chat has 500 letters each way or 32 kB each way; an agent asks with 32 kB of source code (whose quotation
marks and line ends JSON escapes) and is answered with 4 kB of it; a stream has 200 chunks, and calls follow
one another without a pause.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.__main__ import RESULTS, run

CALLS = {"chat": 300, "chat_32kB": 100, "agent_32kB": 100, "stream": 60}
SIZES = {
    "chat": (500, 500),
    "chat_32kB": (32_000, 32_000),
    "agent_32kB": (32_000, 4_000),
    "stream": (500, 500),
}
"""Letters asked and answered."""

CHUNKS = 200
GOAL_MS = 3.0


def text(scenario: str, length: int) -> str:
    """What is said: sentences, or the source code of this folder."""
    if scenario != "agent_32kB":
        return "It is a question. " * (length // 18)
    files = sorted(Path(__file__).parent.glob("*.py"))
    return "".join(file.read_text() for file in files)[:length]


def body(scenario: str) -> bytes:
    """What the server answers; a stream has `CHUNKS` events of about ten words."""
    usage = {"prompt_tokens": 540, "completion_tokens": 180, "total_tokens": 720}
    of_all = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o-mini-2024-07-18"}
    if scenario != "stream":
        said = text(scenario, SIZES[scenario][1])
        message = {"role": "assistant", "content": said}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return json.dumps(
            {**of_all, "object": "chat.completion", "choices": [choice], "usage": usage}
        ).encode()
    chunk = {**of_all, "object": "chat.completion.chunk"}
    events: list[Any] = [
        {
            **chunk,
            "choices": [{"index": 0, "delta": {"content": f"word {n} "}, "finish_reason": None}],
        }
        for n in range(CHUNKS)
    ]
    events.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events.append({**chunk, "choices": [], "usage": usage})
    return (
        b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)
        + b"data: [DONE]\n\n"
    )


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """The SDK stops at `[DONE]` and closes its connection, captured or not, before it has read that
        the body ends: its system then resets the connection, and that is no fault."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def serve(scenario: str) -> None:
    """Answer until the end of standard input, in a process of its own: its CPU is not the caller's."""
    whole = body(scenario)
    pieces = (
        [each + b"\n\n" for each in whole.split(b"\n\n") if each]
        if scenario == "stream"
        else [whole]
    )
    kind = "text/event-stream" if scenario == "stream" else "application/json"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response_only(200)
            self.send_header("content-type", kind)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for piece in pieces:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()

        def log_message(self, *_: Any) -> None: ...

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


def measured(scenario: str, port: str, folder: str) -> dict[str, float]:
    """Milliseconds per call in this process; `folder` is '' for capture off."""
    import openai
    from opentelemetry.sdk.trace import TracerProvider

    import tollspan
    from tollspan import config
    from tollspan.instrumentation import _wire

    config.reload({"TOLLSPAN_WIRE": folder})
    tollspan.instrument(tracer_provider=TracerProvider())
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-bench-bench-bench")
    said = f"I am ann@example.com. {text(scenario, SIZES[scenario][0])}"
    asked: Any = [{"role": "user", "content": said}]

    def call() -> None:
        found = client.chat.completions.create(
            model="gpt-4o-mini", messages=asked, stream=scenario == "stream"
        )
        if scenario == "stream":
            for _ in found:
                pass

    def settled() -> None:
        if _wire.writer is not None:
            _wire.writer.flush()

    count = CALLS[scenario]
    for _ in range(count // 5):
        call()
    settled()
    gc.collect()
    began = time.thread_time(), time.process_time(), time.perf_counter()
    for _ in range(count):
        call()
    waited = time.thread_time(), time.perf_counter()
    settled()
    used_s = time.process_time() - began[1]
    if _wire.writer is not None and folder:
        assert _wire.writer.written == count + count // 5, "some exchanges were not written"
    return {
        "caller_cpu_ms": (waited[0] - began[0]) / count * 1e3,
        "process_cpu_ms": used_s / count * 1e3,
        "wall_ms": (waited[1] - began[2]) / count * 1e3,
    }


def off_ns() -> float:
    """What a call pays for capture that is off: one slot set, four looked at, one module's name."""
    from tollspan.instrumentation import _attempts

    class Flight:
        __slots__ = ("wire",)

    flight = Flight()

    def checks() -> None:
        flight.wire = None
        if _attempts.wire is not None:
            raise SystemExit("capture is on")
        if flight.wire is not None or flight.wire is not None or flight.wire is not None:
            raise SystemExit("capture is on")

    def nothing() -> None: ...

    def least(function: Any) -> float:
        times = []
        for _ in range(20):
            began = time.perf_counter_ns()
            for _ in range(20_000):
                function()
            times.append((time.perf_counter_ns() - began) / 20_000)
        return min(times)

    return max(0.0, least(checks) - least(nothing))


def compared(scenario: str, rounds: int) -> dict[str, Any]:
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.wire", "--serve", scenario],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None and server.stdout is not None
    port = server.stdout.readline().strip()
    found: dict[str, list[dict[str, float]]] = {"off": [], "on": []}
    try:
        for _ in range(rounds):
            for subject, rows in found.items():
                with tempfile.TemporaryDirectory() as folder:
                    where = str(Path(folder) / "wire") if subject == "on" else ""
                    out = run("-m", "bench.wire", "--measure", scenario, port, where)
                rows.append(json.loads(out.splitlines()[-1]))
    finally:
        server.stdin.close()
        server.wait(10)
        server.stdout.close()
    least = {
        subject: {name: min(row[name] for row in rows) for name in rows[0]}
        for subject, rows in found.items()
    }
    added = {name: round(least["on"][name] - least["off"][name], 3) for name in least["on"]}
    return {
        "unit": "ms per call",
        **{
            subject: {name: round(value, 3) for name, value in row.items()}
            for subject, row in least.items()
        },
        "added": added,
        "goal_ms": GOAL_MS,
    }


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m bench.wire", description=__doc__)
    options.add_argument("--rounds", type=int, default=5, help="runs of each subject (5)")
    options.add_argument(
        "--measure", nargs=3, metavar=("SCENARIO", "PORT", "FOLDER"), help=argparse.SUPPRESS
    )
    options.add_argument("--serve", choices=CALLS, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.serve:
        serve(given.serve)
        return
    if given.measure:
        print(json.dumps(measured(*given.measure)))
        return
    found: dict[str, Any] = {"scenarios": {}}
    for scenario in CALLS:
        row = found["scenarios"][scenario] = compared(scenario, given.rounds)
        print(f"{scenario:10} adds {row['added']} ms (goal {GOAL_MS})", flush=True)
    found["off_ns"] = round(off_ns(), 1)
    print(f"off        {found['off_ns']} ns a call")
    found["machine"] = {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": platform.machine(),
        "measured": time.strftime("%Y-%m-%d"),
        **{package: version(package) for package in ("tollspan", "openai")},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "wire.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
