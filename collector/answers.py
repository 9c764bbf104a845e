"""What a collector behind the stage answers, read before its word is taken for an acknowledgement.

A login page, an ingress without a backend and a static site answer 200, too: to whoever believes
them, spans are lost that nobody has taken.
https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
"""

from __future__ import annotations

from google.protobuf import json_format  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from .otlp_json import RESPONSES
from .receiver import Unavailable

__all__ = ["acknowledged"]

PROTOBUF = ("application/x-protobuf", "application/protobuf", "application/grpc")
PAGES = ("text/html", "application/xhtml+xml")


def acknowledged(signal: str, body: bytes, content_type: str = PROTOBUF[0]) -> bytes:
    """The answer to a request of `signal` that was taken, as protobuf.

    Some intakes answer with JSON to whatever they were sent, some with a word of their own, which
    says no more than its status.

    Raises:
        Unavailable: that is no answer of an OTLP receiver.
    """
    media = content_type.partition(";")[0].strip().lower()
    if media in PAGES or (not media and body.lstrip()[:1] == b"<"):
        raise _nobody("a web page")
    if media == "application/json":
        try:
            response = json_format.Parse(body or b"{}", RESPONSES[signal](), True)
        except (json_format.ParseError, ValueError) as error:
            raise _nobody("JSON that is no answer to it") from error
        return bytes(response.SerializeToString())
    try:
        RESPONSES[signal].FromString(body)
    except DecodeError as error:
        if media in PROTOBUF:
            raise _nobody("bytes that are no answer to it") from error
        return b""
    return body


def _nobody(what: str) -> Unavailable:
    return Unavailable(
        f"what stands where the stage sends on answered {what}, so nobody has taken the request: "
        "write the address of an OTLP receiver in TOLLSPAN_FORWARD_TO (or --forward-to)"
    )
