"""A gRPC provider on 127.0.0.1 that answers as told, whatever method it is asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from drivers.server import Answer

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
}


class GrpcServed:
    """As `Served`, over gRPC: each piece of an answer is one message, as bytes.

    `streams` are the methods, by the end of their names, that answer with several.
    """

    def __init__(self, streams: tuple[str, ...]) -> None:
        self.answer = Answer(())
        self.asked = 0
        self.last = "", b""
        self.waiting = threading.Event()
        self._release = threading.Event()
        served = self

        class Handler(grpc.GenericRpcHandler):
            def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
                if details.method.endswith(streams):
                    return grpc.unary_stream_rpc_method_handler(served.reply)
                return grpc.unary_unary_rpc_method_handler(served.reply_once)

        self._server = grpc.server(ThreadPoolExecutor(4), handlers=(Handler(),))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.url = f"http://127.0.0.1:{port}"

    def reply(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self.asked += 1
        self.last = "", request
        answer = self.answer
        if answer.status >= 400:
            context.abort(CODES[answer.status], "m")
        if answer.ends == "silent":
            self._hang()
        yield from answer.pieces
        if answer.ends == "hangs":
            self._hang()
        if answer.ends != "whole":
            context.abort(grpc.StatusCode.DATA_LOSS, "broken off")

    def reply_once(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        return next(self.reply(request, context), b"")

    def _hang(self) -> None:
        self.waiting.set()
        self._release.wait(30)

    def stop(self) -> None:
        self._release.set()
        self._server.stop(None).wait()


def grpc_serving(*streams: str) -> Any:
    """A context manager that serves; `streams` as in `GrpcServed`."""

    @contextmanager
    def serving() -> Iterator[GrpcServed]:
        served = GrpcServed(streams)
        try:
            yield served
        finally:
            served.stop()

    return serving
