"""A small proxy, as teams write them: masks mail addresses in what it sends on, if it is told to.

    python redacting_proxy.py UPSTREAM mask|pass

Prints its address, and serves OpenAI's chat completions until it is ended. tollspan watches the SDK
with which it asks the upstream, as it would in any Python proxy.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai
from opentelemetry import propagate
from opentelemetry.context import attach, detach
from opentelemetry.sdk.trace import TracerProvider

import tollspan

MAIL = re.compile(r"[\w.+-]+@[\w.-]+\.\w+")


def main() -> None:
    upstream, mode = sys.argv[1:]
    tollspan.instrument(tracer_provider=TracerProvider(), providers=["openai"])
    client = openai.OpenAI(base_url=upstream, api_key="sk-of-the-proxy", max_retries=0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["content-length"])).decode()
            body: dict[str, Any] = json.loads(MAIL.sub("<mail>", text) if mode == "mask" else text)
            token = attach(propagate.extract(dict(self.headers.items())))
            try:
                answer = client.chat.completions.create(**body).model_dump_json().encode()
            finally:
                detach(token)
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None: ...

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
