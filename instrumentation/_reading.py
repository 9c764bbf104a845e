"""What has passed of a body that the caller reads, and the call that it answers."""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tollspan import semconv

from ._call import Call
from ._read import get, members
from ._stream import Holder

if TYPE_CHECKING:

    class Proxy:
        __wrapped__: Any

        def __init__(self, wrapped: object) -> None: ...

else:
    from wrapt import ObjectProxy as Proxy

__all__ = ["Proxy", "Reading", "amount"]

_LARGEST_BODY = 8 * 2**20
"""Bytes; a larger body (of images) is not parsed for its usage: the caller would wait for that."""


class Reading:
    """What has passed of one body, and the call that it answers."""

    def __init__(self, body: Any, place: str, answer: Any, call: Call) -> None:
        self._body = weakref.ref(body)
        self._place = place
        # Without the body: it holds this, and would be freed later than the SDK means it to be.
        self._answer = {key: each for key, each in members(answer).items() if each is not body}
        self._call = call
        self._holder = Holder(call)
        self._over = False
        self._kept: bytearray | None = bytearray()
        self._passed = 0
        headers = members(get(answer, "ResponseMetadata", "HTTPHeaders"))
        self._length = _whole(headers.get("content-length"))

    def saw(self, part: Any, asked: Any = 1) -> None:
        """`part` was read, when `asked` bytes were wanted: None and negative numbers are all."""
        if self._over:
            return
        self._passed += len(part)
        if self._kept is not None:
            self._kept += part
            if len(self._kept) > _LARGEST_BODY:
                self._kept = None
        everything = asked is None or asked < 0
        if everything or (asked and not part) or self._passed == self._length:
            self._ended()

    def failed(self, error: BaseException) -> None:
        self._let_go()
        self._call.fail(error)

    def closed(self) -> None:
        self._let_go()
        self._call.abandon()

    def _ended(self) -> None:
        self._let_go()
        if self._length is not None and self._passed < self._length:
            # The SDK raises this now: https://github.com/boto/botocore/blob/1.40.61/botocore/response.py
            kind = "IncompleteReadError"
            self._call.end("error", {semconv.ERROR_TYPE: kind}, kind)
            return
        self._call.answered({**self._answer, "body": _json(self._kept)})

    def _let_go(self) -> None:
        self._over = True
        self._holder.let_go()
        body = self._body()
        watching = getattr(body, self._place, None)
        if getattr(watching, "_self_reading", None) is self:
            setattr(body, self._place, watching.__wrapped__)  # type: ignore[union-attr]


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 16 else None


def _json(content: bytearray | None) -> Any:
    try:
        return json.loads(bytes(content)) if content else None
    except (ValueError, RecursionError):
        return None


def amount(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """How many bytes a `read` was asked for, whatever its argument is called."""
    if args:
        return args[0]
    return next((kwargs[name] for name in ("amt", "n", "size") if name in kwargs), None)
