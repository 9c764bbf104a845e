"""A URL says where a stage sends on, in which protocol; certificates are looked at."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import needs
import pytest

from tollspan import config
from tollspan.collector.destination import BadDestination, destination
from tollspan.collector.forward import forwarder, refused_there
from tollspan.collector.receiver import Malformed, NotTaken, Overloaded, Unavailable
from tollspan.exporter import OtlpExporter


@pytest.mark.parametrize(
    ("url", "protocol", "told"),
    [
        ("grpc://x", "", ("x:4317", False, True, "")),
        ("grpcs://x:443", "", ("x:443", True, True, "")),
        ("http://x:4317", "", ("x:4317", False, True, "")),
        ("http://x:4317", "http/protobuf", ("x:4317", False, False, "")),
        ("http://x", "", ("x:4318", False, False, "")),
        ("http://x:9999", "grpc", ("x:9999", False, True, "")),
        ("https://x:443/otlp/", "", ("x:443", True, False, "/otlp")),
        ("http://[::1]:4318", "", ("[::1]:4318", False, False, "")),
    ],
)
def test_what_a_url_says(url: str, protocol: str, told: tuple[Any, ...]) -> None:
    to = destination(url, protocol)

    assert (to.address, to.is_secure, to.is_grpc, to.path) == told


@pytest.mark.parametrize(
    ("url", "protocol", "sentence"),
    [
        ("", "", "nowhere to send on to"),
        ("collector:4317", "", "not a URL of grpc"),
        ("http://", "", "not a URL of grpc"),
        ("http://x:99999", "", "not a URL"),
        ("http://[", "", "not a URL"),
        ("http://x?a=b", "", "has a query"),
        ("http://x", "http/json", "not spoken here"),
        ("grpc://u:hunter2@x", "", "OTEL_EXPORTER_OTLP_HEADERS"),
    ],
)
def test_what_cannot_be_sent_to_is_said_in_a_sentence(
    url: str, protocol: str, sentence: str
) -> None:
    with pytest.raises(BadDestination, match=sentence) as error:
        destination(url, protocol)
    assert "hunter2" not in str(error.value)
    assert "write" in str(error.value) or "put" in str(error.value)


@pytest.mark.parametrize(
    ("code", "kind", "wait_s", "waits_s"),
    [
        (3, Malformed, None, None),
        (12, NotTaken, None, None),
        (8, Overloaded, 5.0, 5.0),
        (8, Overloaded, 1e9, 60.0),
        (8, Overloaded, -1.0, 0.05),
        (14, Unavailable, None, 1.0),
        (16, Unavailable, None, 1.0),
        (2, Unavailable, 3.0, 3.0),
    ],
)
def test_what_a_refusal_behind_means_here(
    code: int, kind: type[Exception], wait_s: float | None, waits_s: float | None
) -> None:
    told = refused_there(code, "x" * 10_000, wait_s)

    assert type(told) is kind
    assert told.retry_after_s == waits_s
    assert len(str(told)) < 400


def test_the_standard_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20a%3D%3D, x-a=1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    told = config.otlp_exporter()

    assert told.headers == (("authorization", "Basic a=="), ("x-a", "1"))
    assert told.compression == "gzip"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "nonsense")
    with pytest.raises(config.ConfigError, match="OTEL_EXPORTER_OTLP_HEADERS"):
        config.otlp_exporter()


def test_a_compression_that_nobody_speaks() -> None:
    with pytest.raises(BadDestination, match="write gzip or none"):
        forwarder(destination("grpc://x"), OtlpExporter(compression="zstd"), 1)


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of a certificate for localhost, signed by itself, and of its key."""
    if shutil.which("openssl") is None:
        needs.missing("openssl", "no openssl here to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    paths = str(folder / "certificate.pem"), str(folder / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        + ["-out", paths[0], "-keyout", paths[1]],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return paths


@pytest.mark.parametrize("url", ["grpcs://x", "https://x"])
def test_a_certificate_that_is_none_is_told_before_the_first_request(
    url: str, certificate: tuple[str, str], tmp_path: Path
) -> None:
    """gRPC would say of each request that it failed to connect, and nothing more."""
    pem, key = certificate
    text, other = tmp_path / "text.pem", tmp_path / "other.pem"
    text.write_text("not a certificate")
    subprocess.run(["openssl", "genrsa", "-out", other], check=True, capture_output=True)
    for given, sentence in (
        ({"certificate": str(text)}, f"OTEL_EXPORTER_OTLP_CERTIFICATE={text} cannot be used"),
        ({"client_certificate": pem}, "go together: set both or neither"),
        ({"client_key": key}, "go together: set both or neither"),
        (
            {"client_certificate": pem, "client_key": str(other)},
            f"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE={pem} cannot be used",
        ),
    ):
        with pytest.raises(BadDestination) as said:
            forwarder(destination(url), OtlpExporter(**given), 1)
        assert sentence in str(said.value)
    forwarder(destination(url), OtlpExporter("", "", (), pem, pem, key), 1).close()


PARTIAL = b"\n\x02\x08\x05"
"""An answer that leaves out five spans; a request, too, since nobody reads it there."""


class _Echo(grpc.GenericRpcHandler):
    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(lambda body, context: body)


@pytest.fixture
def secure(certificate: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """URLs of a gRPC and an HTTP server behind TLS; both answer with what they are sent."""
    pem, key = (Path(path).read_bytes() for path in certificate)
    server = grpc.server(ThreadPoolExecutor(2), handlers=[_Echo()])
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(key, pem)]))
    server.start()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    http.socket = context.wrap_socket(http.socket, server_side=True)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    yield f"grpcs://localhost:{port}", f"https://localhost:{http.server_port}"
    server.stop(0).wait()
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.mark.parametrize("which", [0, 1], ids=["grpc", "http"])
def test_tls_with_a_certificate_of_our_own_and_never_without(
    secure: tuple[str, str], certificate: tuple[str, str], which: int
) -> None:
    to = destination(secure[which])
    known = forwarder(to, OtlpExporter(certificate=certificate[0]), 10)
    strange = forwarder(to, OtlpExporter(), 3)
    try:
        assert known.send("traces", PARTIAL).result(20) == PARTIAL
        with pytest.raises(Unavailable, match="set OTEL_EXPORTER_OTLP_CERTIFICATE"):
            strange.send("traces", PARTIAL).result(20)
    finally:
        known.close()
        strange.close()
    with pytest.raises(Unavailable, match="stopping"):
        known.send("traces", PARTIAL).result(20)
