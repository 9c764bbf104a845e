"""What whoever runs a stage can do where it cannot send on: one sentence behind what was said.

gRPC and urllib3 say what happened in the words of their libraries. Of the ways in which an address,
a protocol, a certificate or a token can be wrong, each leaves a mark in them.
"""

from __future__ import annotations

__all__ = ["WANTS_TLS", "advice", "advice_on_code", "advice_on_status"]

TO = "TOLLSPAN_FORWARD_TO (or --forward-to)"
CREDENTIALS = (
    "it wants other credentials: set OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20TOKEN"
)
NO_RECEIVER = (
    f"nothing there takes this signal: check the address and path in {TO}, and that a pipeline "
    "of that collector has this signal"
)
TOO_LARGE = (
    "it takes no request that large: raise max_recv_msg_size_mib (gRPC) or max_request_body_size "
    "(HTTP) of its receiver, or send smaller batches to the stage"
)
UNTRUSTED = (
    "its certificate is not trusted here: set OTEL_EXPORTER_OTLP_CERTIFICATE to the PEM file of "
    "whoever signed it, and send to a name that it is for"
)
WANTS_OURS = (
    "it wants a certificate from us: set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and _CLIENT_KEY"
)
WANTS_TLS = f"that port speaks TLS: write https:// (or grpcs://) in {TO}"
OTHER_PROTOCOL = (
    "if it goes on, that port speaks TLS (https://, grpcs://) or the other protocol (grpc:// instead "
    "of http://)"
)

_MARKS = (
    ("failed parsing http/2", f"that port speaks no gRPC, maybe OTLP/HTTP: write http:// in {TO}"),
    ("badstatusline", f"that port speaks no HTTP/1, maybe OTLP/gRPC: write grpc:// in {TO}"),
    ("wrong_version_number", f"that port speaks no TLS: write grpc:// or http:// in {TO}"),
    (
        "certificate_verify_failed",
        UNTRUSTED,
    ),
    ("certificate_required", WANTS_OURS),
    ("connection refused", f"nothing listens there: start it, or write another address in {TO}"),
    ("domain name not found", f"nobody knows that host: write another in {TO}"),
    ("nameresolutionerror", f"nobody knows that host: write another in {TO}"),
    ("errors resolving", f"nobody knows that host: write another in {TO}"),
    ("larger than max", TOO_LARGE),
    ("unwrap failed", WANTS_OURS),
    ("socket closed", OTHER_PROTOCOL),
    ("connection reset", OTHER_PROTOCOL),
    ("remotedisconnected", OTHER_PROTOCOL),
)
"""What stands in a library's words, in small letters, and what to do then; the first that does."""


def advice(said: str) -> str:
    """What to do about a failure described as `said`; empty where that does not show."""
    small = said.lower().replace(" ", "_")
    for mark, sentence in _MARKS:
        if mark.replace(" ", "_") in small:
            return sentence
    return ""


def advice_on_code(code: int) -> str:
    """The same for a code of google.rpc."""
    return {7: CREDENTIALS, 16: CREDENTIALS, 12: NO_RECEIVER}.get(code, "")


def advice_on_status(status: int) -> str:
    """The same for a status of HTTP."""
    if 300 <= status < 400:
        return f"it sends elsewhere, where the stage does not follow: write that address in {TO}"
    found = {401: CREDENTIALS, 403: CREDENTIALS, 407: CREDENTIALS, 413: TOO_LARGE}
    return found.get(status) or (NO_RECEIVER if status in (404, 405, 501) else "")
