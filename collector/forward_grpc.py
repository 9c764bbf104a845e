"""OTLP/gRPC out: bodies as they are, many at once over one channel."""

from __future__ import annotations

import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from tollspan.exporter import OtlpExporter

from .answers import acknowledged
from .destination import Destination
from .forward import refused_there
from .otlp_grpc import LOGS, METRICS, TRACES
from .receiver import Refusal, Unavailable

__all__ = ["GrpcForwarder"]

METHODS = {"traces": TRACES, "metrics": METRICS, "logs": LOGS}
OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    # Our sender tries again: two that do so multiply.
    ("grpc.enable_retries", 0),
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_time_ms", 300_000),
]


class GrpcForwarder:
    """A `Forwarder` over gRPC. `exporter`: headers, certificates, compression."""

    def __init__(self, to: Destination, exporter: OtlpExporter, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._metadata = tuple(exporter.headers)
        compression = (
            grpc.Compression.Gzip
            if exporter.compression == "gzip"
            else grpc.Compression.NoCompression
        )
        if to.is_secure:
            self._channel = grpc.secure_channel(
                to.address, _credentials(exporter), OPTIONS, compression
            )
        else:
            self._channel = grpc.insecure_channel(to.address, OPTIONS, compression)
        self._calls = {
            signal: self._channel.unary_unary(method) for signal, method in METHODS.items()
        }

    def send(self, signal: str, body: bytes) -> Future[bytes]:
        answer: Future[bytes] = Future()

        def ended(call: Any) -> None:
            code = call.code()
            if code is grpc.StatusCode.OK:
                try:
                    answer.set_result(acknowledged(signal, call.result()))
                except Refusal as refusal:
                    answer.set_exception(refusal)
            else:
                answer.set_exception(
                    refused_there(code.value[0], call.details() or code.name, _retry_after_s(call))
                )

        try:
            call = self._calls[signal].future(
                body, timeout=self._timeout_s, metadata=self._metadata
            )
        except ValueError as error:  # what gRPC says of a channel that was closed
            answer.set_exception(Unavailable(f"the stage is stopping ({error})"))
        else:
            call.add_done_callback(ended)
        return answer

    def close(self) -> None:
        self._channel.close()


def _credentials(exporter: OtlpExporter) -> Any:
    def read(path: str) -> bytes | None:
        return Path(path).read_bytes() if path else None

    return grpc.ssl_channel_credentials(
        read(exporter.certificate), read(exporter.client_key), read(exporter.client_certificate)
    )


def _retry_after_s(call: Any) -> float | None:
    for name, value in call.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            for detail in Status.FromString(value).details:
                info = RetryInfo()
                if detail.Unpack(info):
                    return float(info.retry_delay.ToNanoseconds()) / 1e9
    return None
