"""The page and its API on 127.0.0.1 over a list of calls in memory, for tests and pictures."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from page_data import Call, trace

PAGE = Path(__file__).resolve().parent.parent / "local" / "page"
# As the local stack sends it.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
FIELDS = {
    "endpoint": "endpoint",
    "tenant": "tenant",
    "model": "served_model",
    "provider": "provider",
    "status": "status",
    "route": "route",
    "prompt_version": "prompt_version",
    "data_mode": "data_mode",
}
"""What each filter of the API compares."""


SETTINGS = [
    {
        "variable": "TOLLSPAN_UI_PORT",
        "value": "5000",
        "default": "4319",
        "set": True,
        "doc": "Port.",
    },
    {
        "variable": "TOLLSPAN_TOKEN",
        "value": "",
        "default": "",
        "set": False,
        "doc": "Bearer token.",
    },
]
BOARDS = [
    {"uid": "tollspan-overview", "title": "Tollspan: Overview", "description": "What do we spend?"},
    {"uid": "tollspan-hops", "title": "Tollspan: Hops", "description": "Which way do calls go?"},
]


class Asked:
    """The query of a request."""

    def __init__(self, query: str) -> None:
        self._values = parse_qs(query)

    def names(self) -> list[str]:
        return list(self._values)

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def get(self, name: str, default: str = "") -> str:
        return self._values.get(name, [default])[0]


class PageApi:
    """The page and its API on a free port of 127.0.0.1, over a list of calls that tests change."""

    def __init__(self, calls: Sequence[Call] = ()) -> None:
        self.calls: list[Call] = list(calls)
        self.status: dict[str, Any] = {}
        self.traces: dict[str, dict[str, Any]] = {}
        self.budgets: list[dict[str, Any]] = []
        self.demo: list[Call] = []
        """What `POST /api/demo` adds and `DELETE /api/demo` takes away."""
        self.live = True
        self.down = False
        self.lists: threading.Semaphore | None = None
        """Where it is set, each list of calls waits for it, and says what is true then."""
        self.sums: threading.Semaphore | None = None
        """Where it is set, sums for which no data mode is asked wait for it."""
        self.asked: list[str] = []
        self._changed = threading.Condition()
        self._version = 0
        self._closed = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, *calls: Call) -> None:
        """Takes calls in, replaces those that have the same id, and tells the live feed."""
        with self._changed:
            new = {one["call_id"] for one in calls}
            self.calls = [one for one in self.calls if one["call_id"] not in new] + list(calls)
            self._version += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Stops the server."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what the API answers ---------------------------------------------------------------------
    def _matching(self, asked: Asked) -> list[Call]:
        found = self.calls
        for name, field in FIELDS.items():
            if wanted := asked.all(name):
                known = [None if value == "-" else value for value in wanted]
                found = [one for one in found if one[field] in known]
        for name in asked.names():
            if name.startswith("tag."):
                key = name.removeprefix("tag.")
                found = [one for one in found if (one["tags"] or {}).get(key) == asked.get(name)]
        if asked.get("unpriced"):
            found = [one for one in found if one["cost_grade"] == "unpriced"]
        if since := asked.get("since"):
            found = [one for one in found if one["time"] >= since]
        if until := asked.get("until"):
            found = [one for one in found if one["time"] < until]
        if text := asked.get("q", "").lower():
            found = [one for one in found if text in json.dumps(one, ensure_ascii=False).lower()]
        return sorted(found, key=lambda one: (one["time"], one["call_id"]), reverse=True)

    def _listed(self, asked: Asked) -> dict[str, Any]:
        found = self._matching(asked)
        if before := asked.get("before"):
            found = [one for one in found if f"{one['time']}|{one['call_id']}" < before]
        limit = int(asked.get("limit", "50"))
        last = found[limit - 1] if len(found) > limit else None
        return {"calls": found[:limit], "next": last and f"{last['time']}|{last['call_id']}"}

    def _summary(self, asked: Asked) -> dict[str, Any]:
        found = self._matching(asked)

        def total(field: str, calls: Sequence[Call]) -> str | None:
            known = [Decimal(c[field]) for c in calls if c[field] not in (None, "NaN")]
            return str(sum(known, Decimal(0))) if known else None

        def by(field: str) -> list[dict[str, Any]]:
            names = Counter(one[field] for one in found)
            lines = [
                {
                    "name": name,
                    "calls": count,
                    "cost_usd": total("cost_usd", [one for one in found if one[field] == name]),
                }
                for name, count in names.items()
            ]
            return sorted(lines, key=lambda line: Decimal(line["cost_usd"] or 0), reverse=True)[:10]

        times = sorted(one["duration_s"] for one in found)
        return {
            "calls": len(found),
            "cost_usd": total("cost_usd", found),
            "unpriced_calls": sum(one["cost_grade"] == "unpriced" for one in found),
            "lower_bound_calls": sum(one["cost_grade"] == "lower_bound" for one in found),
            "errors": sum(one["status"] == "error" for one in found),
            "untagged_calls": sum(one["endpoint"] is None for one in found),
            "input_tokens": sum(one["input_tokens"] or 0 for one in found),
            "output_tokens": sum(one["output_tokens"] or 0 for one in found),
            "avoided_usd": total("avoided_usd", found),
            "wasted_usd": total("wasted_usd", found),
            "p50_s": times[len(times) // 2] if times else None,
            "p95_s": times[len(times) * 95 // 100] if times else None,
            "by_endpoint": by("endpoint"),
            "by_model": by("served_model"),
            "by_tenant": by("tenant"),
            "by_route": by("route"),
        }

    def _filters(self) -> dict[str, list[str]]:
        return {
            name: sorted({one[field] for one in self.calls} - {None})
            for name, field in FIELDS.items()
        }

    def _status(self) -> dict[str, Any]:
        seen = len(self.calls)
        priced_calls = sum(one["cost_usd"] is not None for one in self.calls)
        models = Counter(
            (one["provider"], one["request_model"])
            for one in self.calls
            if one["cost_grade"] == "unpriced"
        )
        return {
            "version": "0.1.0",
            "grpc": "127.0.0.1:14317",
            "http": "http://127.0.0.1:14318",
            "page": self.url,
            "data_dir": "/home/ada/.local/share/tollspan",
            "started": "2026-11-21T08:59:00.000Z",
            "requests_received": seen,
            "spans_received": seen * 4,
            "spans_rejected": 0,
            "llm_spans": seen,
            "calls": seen,
            "priced_calls": priced_calls,
            "unpriced_models": [
                {"provider": provider, "model": model, "calls": count}
                for (provider, model), count in models.items()
            ],
            "untagged_calls": sum(one["endpoint"] is None for one in self.calls),
            "ledger_rows": seen,
            "ledger_bytes": seen * 700,
            "python_snippet": None,
            "refused": [],
            "demo_calls": self._demo_calls(),
        } | self.status

    def _demo_calls(self) -> int:
        return sum(one in self.demo for one in self.calls)

    def change(self, method: str, path: str) -> tuple[int, Any]:
        """Status and JSON of a request that changes something."""
        if path != "/api/demo" or self.down:
            return 405, {"error": "method not allowed"}
        if method == "POST":
            self.add(*self.demo)
        else:
            self.calls = [one for one in self.calls if one not in self.demo]
        return 200, {"calls": len(self.demo)}

    def answer(self, path: str, asked: Asked) -> tuple[int, Any]:
        """Status and JSON of one API request."""
        if self.down:
            return 503, {"error": "the ledger is closed"}
        if path == "/api/demo":
            return 200, {"calls": self._demo_calls()}
        if path == "/api/budgets":
            return 200, {"budgets": self.budgets}
        if path == "/api/settings":
            return 200, {"settings": SETTINGS}
        if path == "/api/boards":
            return 200, {"boards": BOARDS}
        if path == "/api/calls":
            if self.lists:
                self.lists.acquire()
            return 200, self._listed(asked)
        if path == "/api/summary":
            if self.sums and not asked.get("data_mode"):
                self.sums.acquire()
            return 200, self._summary(asked)
        if path == "/api/filters":
            return 200, self._filters()
        if path == "/api/status":
            return 200, self._status()
        kind, _, name = path.removeprefix("/api/").partition("/")
        for one in self.calls:
            if kind == "calls" and one["call_id"] == unquote(name):
                return 200, one
            if kind == "traces" and one["trace_id"] == unquote(name):
                return 200, self.traces.get(one["trace_id"]) or trace(one)
        return 404, {"error": f"no such {kind.rstrip('s')}"}

    def feed(self) -> Iterator[bytes]:
        """Server-sent events, one for each change."""
        yield b": hello\n\n"
        seen = self._version
        while True:
            with self._changed:
                if seen == self._version and not self._closed:
                    self._changed.wait(timeout=5)
                if self._closed:
                    return
                moved, seen = seen != self._version, self._version
                ids = [one["call_id"] for one in self.calls[-1:]]
            said = json.dumps({"ids": ids, "calls": len(self.calls)})
            yield f"event: calls\ndata: {said}\n\n".encode() if moved else b": beat\n\n"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                asked = urlsplit(self.path)
                api.asked.append(self.path)
                if asked.path == "/api/live":
                    return self.live()
                if asked.path.startswith("/api/"):
                    status, body = api.answer(asked.path, Asked(asked.query))
                    return self.send(status, "application/json", json.dumps(body).encode())
                file = PAGE / (asked.path.lstrip("/") or "index.html")
                if file.parent == PAGE and file.suffix in TYPES and file.is_file():
                    return self.send(200, TYPES[file.suffix], file.read_bytes())
                return self.send(404, "text/plain", b"not found")

            def do_POST(self) -> None:
                self._change()

            def do_DELETE(self) -> None:
                self._change()

            def _change(self) -> None:
                status, body = api.change(self.command, self.path)
                self.send(status, "application/json", json.dumps(body).encode())

            def send(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.send_header("content-security-policy", CSP)
                self.send_header("x-content-type-options", "nosniff")
                self.end_headers()
                self.wfile.write(body)

            def live(self) -> None:
                if not api.live or api.down:
                    return self.send(404, "text/plain", b"no feed")
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("cache-control", "no-store")
                self.send_header("connection", "close")
                self.end_headers()
                self.close_connection = True
                try:
                    for piece in api.feed():
                        self.wfile.write(piece)
                        self.wfile.flush()
                except (BrokenPipeError, ConnectionResetError):
                    return

            def handle(self) -> None:
                try:
                    super().handle()
                except (BrokenPipeError, ConnectionResetError):
                    return

            def log_message(self, format: str, *args: Any) -> None:
                """Silent: the tests read `asked`."""

        return Handler
