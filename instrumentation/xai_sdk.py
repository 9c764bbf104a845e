"""xAI's own SDK, over gRPC: chat, images, videos. Tokenizing is free, and no call.

https://github.com/xai-org/xai-sdk-python/blob/v1.21.0/src/xai_sdk/sync/chat.py, .../aio/chat.py
The SDK makes a span of its own inside each call: it tells the same answer again, and owns no money.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

from ._read import get
from ._spec import Asked, Patch, Provider, Sent, Surface
from ._xai_chat import CHAT, COMPACT, IMAGES, STREAM, VIDEOS

__all__ = ["PROVIDER"]

_METHODS: Mapping[str, Surface] = {
    "chat.Chat.sample": CHAT,
    "chat.Chat.sample_batch": CHAT,
    "chat.Chat.stream": STREAM,
    "chat.Chat.stream_batch": STREAM,
    "chat.Chat.parse": CHAT,
    "chat.Chat.defer": CHAT,
    "chat.Chat.defer_batch": CHAT,
    "chat.Chat.compact": CHAT,
    "chat.Client.compact_context": COMPACT,
    "image.Client.sample": IMAGES,
    "image.Client.sample_batch": IMAGES,
    "video.Client.generate": VIDEOS,
    "video.Client.extend": VIDEOS,
}


def _patches() -> Iterator[Patch]:
    for kind in ("sync", "aio"):
        for method, surface in _METHODS.items():
            module, _, name = method.partition(".")
            yield Patch(f"xai_sdk.{kind}.{module}", name, surface)


def _base_url(given: Mapping[str, Any]) -> str | None:
    """Where the channel of a chat or client leads; gRPC calls that its target."""
    channel, target = _channel(get(given.get("self"), "_stub")), None
    for _ in range(8):  # each interceptor is one channel around another
        if channel is None or isinstance(target, (str, bytes)):
            break
        # A method of this name would ask the channel, which may be closed and its memory freed.
        target = getattr(channel, "_target", None) or getattr(channel, "target", None)
        channel = getattr(channel, "_channel", None)
    if isinstance(target, bytes):
        target = target.decode("utf-8", "replace")
    if not isinstance(target, str):
        return None
    host = target.rpartition("/")[2]
    return f"https://{host.removeprefix('ipv4:').removeprefix('ipv6:')}"


def _channel(stub: Any) -> Any:
    """The channel that a stub's methods were made with. Those of an intercepted channel keep it
    only in a function of theirs."""
    for method in vars(stub).values():
        if (channel := getattr(method, "_channel", None)) is not None:
            return channel
        for cell in getattr(getattr(method, "_thunk", None), "__closure__", None) or ():
            if hasattr(cell.cell_contents, "_channel"):
                return cell.cell_contents
    return None


def _asked(given: Mapping[str, Any], sent: Sent) -> Asked | None:
    """A chat is its own request: another one is asked for by a copy of it."""
    chat: Any = given.get("self")
    request = get(chat, "_proto")
    if sent.surface.dials is None or not hasattr(request, "SerializeToString"):
        return None
    from google.protobuf import json_format  # type: ignore[import-untyped]  # the SDK has brought it

    body = json_format.MessageToDict(request, preserving_proto_field_name=True)

    def instead(another: Mapping[str, Any]) -> Mapping[str, Any]:
        made = copy(chat)
        made._proto = type(request)()
        made._proto.CopyFrom(request)
        for name in body.keys() - another.keys():
            made._proto.ClearField(name)
        for name in ("model", "max_tokens"):
            if another.get(name) != body.get(name):
                setattr(made._proto, name, another[name])
        return {"self": made}

    return Asked(body, sent.surface.dials, instead)


PROVIDER = Provider(name="x_ai", patches=tuple(_patches()), base_url=_base_url, asked=_asked)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
