"""Captured exchanges, served back: what a provider said once, again, so that a bug becomes a test.

    from tollspan.chaos import Replay

    with Replay("captures/20261121T155825123456-9f2c4a1b7d3e.jsonl.gz") as replay:
        client = openai.OpenAI(base_url=replay.openai_base_url, api_key="test")
        client.chat.completions.create(...)      # what came then comes now, as fast as it came then

A request gets the exchange of the same method, path and body; else the next one of its method and
path, in the order in which they were captured. Where one was asked for more often than it was
captured, its last answer is repeated. What broke off breaks off, and secrets are masked as they are
in the file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tollspan import redaction_rules, wirefile
from tollspan.config import settings
from tollspan.instrumentation import _wire_frames
from tollspan.redaction import MARK, Redactor
from tollspan.wirefile import Exchange, Unreadable

from ._exchange import Left
from ._http import Handler, Server
from ._listening import Listening

__all__ = ["Replay", "Served"]

_OF_THE_CONNECTION = frozenset(
    {
        *("connection", "content-encoding", "content-length", "keep-alive", "set-cookie"),
        *("transfer-encoding", "alt-svc", "strict-transport-security"),
    }
)
"""Headers that belong to the exchange's own connection, and are made anew or left out."""

_ENDS = ("[DONE]", "message_stop", '"response.completed"', '"response.failed"', '"done":true')
"""What stands at the end of streams that clients close without asking for more."""


class Served(NamedTuple):
    """A request that came to the replay."""

    method: str
    path: str
    id: str
    """Of the exchange that it got; '' for none."""
    by: str
    """`body`, `order`, `repeat` or `nothing`: how that was chosen."""


class Replay(Listening):
    """A local server; a context manager, or `start()` and `close()`.

    Args:
        source: a folder of captures, a file of one, or exchanges.
        fast: do not wait between the chunks as the provider did.
        host, port: where to listen; port 0 is a free one.

    Raises:
        Unreadable: `source` holds no captured exchange.
        OSError: the port is taken.
    """

    def __init__(
        self,
        source: str | Path | Iterable[Exchange],
        *,
        fast: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if isinstance(source, (str, Path)):
            place = Path(source).expanduser()
            self.exchanges = list(wirefile.exchanges(place))
            if not self.exchanges:
                raise Unreadable(
                    f"{place} holds no captured exchange: name a folder or a file of one"
                )
        else:
            self.exchanges = list(source)
        self.fast = fast
        super().__init__(host, port)
        self._redactor = Redactor(redaction_rules.usual(settings().redact))
        self._left = list(self.exchanges)
        self.log: list[Served] = []
        """What was asked, in its order."""

    def _listen(self) -> Server:
        handler = type("Handler", (_Handler,), {"replay": self})
        return Server(self._host, self._port, None, handler)

    def chosen(self, method: str, path: str, body: bytes) -> Exchange | None:
        """Take the exchange that a request gets, and note it in `log`."""
        text, _ = self._redactor.text(body.decode("utf-8", "surrogateescape"))
        sign = signature(text)
        alike = [each for each in self.exchanges if _is_for(each, method, path)]
        same = [each for each in alike if signature(each.request.get("body") or "") == sign]
        for found, by in ((same, "body"), (alike if not same else [], "order")):
            left = [each for each in found if any(each is one for one in self._left)]
            if left:
                self._left = [each for each in self._left if each is not left[0]]
                self.log.append(Served(method, path, left[0].id, by))
                return left[0]
        if again := same or alike:
            self.log.append(Served(method, path, again[-1].id, "repeat"))
            return again[-1]
        self.log.append(Served(method, path, "", "nothing"))
        return None


def signature(text: str) -> str:
    """The same for bodies that say the same: members in any order, masks with any fingerprint."""
    text = MARK.sub(r"[redacted:\1]", text)
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), sort_keys=True)
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _is_for(exchange: Exchange, method: str, path: str) -> bool:
    known = urlsplit(str(exchange.request.get("url", ""))).path
    return exchange.request.get("method") == method and (known or "/") == path


def pieces(exchange: Exchange) -> Iterator[tuple[float, bytes]]:
    """Seconds since the request, and bytes, of each chunk; zeros stand for what was not kept."""
    for chunk in exchange.chunks:
        at_s = float(chunk.get("offset_s") or 0.0)
        if "text" in chunk:
            yield at_s, str(chunk["text"]).encode("utf-8", "surrogateescape")
        elif "frames" in chunk:
            yield at_s, b"".join(map(_wire_frames.written, chunk["frames"]))
        else:
            yield at_s, bytes(min(int(chunk.get("omitted") or 0), 2**26))


def is_whole(exchange: Exchange) -> bool:
    """Whether the answer ended by itself, as far as the capture saw."""
    if (exchange.response or {}).get("truncated"):
        return False
    how = exchange.end.get("how")
    if how in ("closed", "dropped", "exit"):
        return any(end in exchange.body.replace(" ", "") for end in _ENDS)
    return how == "complete"


class _Handler(Handler):
    replay: Replay

    def do_POST(self) -> None:
        began_s = time.monotonic()
        path = self.path.partition("?")[0]
        exchange = self.replay.chosen(self.command, path, self._asked())
        if exchange is None:
            self._json(404, {"error": {"message": f"no {self.command} {path} was captured"}})
            return
        try:
            self._serve(exchange, began_s)
        except Left:
            self.close_connection = True

    do_GET = do_PUT = do_DELETE = do_PATCH = do_POST

    def _asked(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", "").lower():
            return self._body() or b""
        found = b""
        while size := int(self.rfile.readline().partition(b";")[0] or b"0", 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _serve(self, exchange: Exchange, began_s: float) -> None:
        head = exchange.response
        if head is None:  # no answer came
            self._until(began_s, exchange.end.get("offset_s"))
            self.break_off()
            return
        self._until(began_s, head.get("offset_s"))
        self.send_response_only(int(head["status"]))
        for name, value in head.get("headers") or []:
            if name not in _OF_THE_CONNECTION:
                self.send_header(name, value)
        if int(head["status"]) in (204, 304):  # which have no body, by their very status
            self.end_headers()
            return
        sent, whole = list(pieces(exchange)), is_whole(exchange)
        stated = bool(exchange.header("content-length")) and whole
        if stated:
            self.send_header("content-length", str(sum(len(piece) for _, piece in sent)))
        else:
            self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for at_s, piece in sent:
            self._until(began_s, at_s)
            if piece:
                self.send(piece if stated else b"%x\r\n%b\r\n" % (len(piece), piece))
        if not whole:
            self._until(began_s, exchange.end.get("offset_s"))
            self.break_off()
        elif not stated:
            self.send(b"0\r\n\r\n")

    def _until(self, began_s: float, offset_s: Any) -> None:
        left_s = began_s + float(offset_s or 0.0) - time.monotonic()
        if left_s > 0 and not self.replay.fast:
            self.pause(left_s)
