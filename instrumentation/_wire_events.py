"""Secrets that a model spells out over several events: `sk-`, `abc`, `def` in three deltas.

No pattern sees them in the bytes, where JSON stands between the pieces. So the texts that belong
together (the same member, choice and block of one event after another) are put together, looked
through, and what is found is taken out of each event that has a part of it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from tollspan.redaction import Redactor
from tollspan.redaction_edits import Edit, applied

if TYPE_CHECKING:
    from ._wire_decoding import Frames

__all__ = ["across_events", "across_frames"]

_LINE = re.compile(r"^(?:data:[ \t]?)?(?=[{\[])([^\r\n]*)", re.MULTILINE)
"""An event that is one line: of SSE, or of JSON lines."""

_ITEM = re.compile(r"[\s,\[]*")
_PLACES = frozenset(
    {"index", "output_index", "content_index", "item_id", "choice_index", "block_index"}
)
"""Members that say which of several texts a piece belongs to."""

_NO_PIECES = frozenset(
    {
        *("id", "object", "model", "type", "role", "finish_reason", "stop_reason", "status"),
        *("system_fingerprint", "service_tier", "item_id", "name", "event", "created_at"),
        *("responseId", "modelVersion", "finishReason", "call_id", "response_id", "provider"),
    }
)
"""Members that say the same in each event, and are no pieces of anything."""

_DEEPEST = 40


class _Piece(NamedTuple):
    """One text in an event: the object or list that holds it, and under what."""

    event: int
    holder: Any
    key: Any
    text: str


def across_events(
    parts: list[str], kind: str, redactor: Redactor
) -> tuple[list[str], Counter[str]]:
    """`parts` of a stream of JSON events, masked where events together hold what is to be masked."""
    spans = list(_events("".join(parts), kind))
    if len(spans) < 2:
        return parts, Counter()
    events = [event for _, _, event in spans]
    changed, found = _masked(events, redactor)
    edits = []
    for number in sorted(changed):
        start, end, event = spans[number]
        edits.append(Edit(start, end, json.dumps(event, ensure_ascii=False, separators=(",", ":"))))
    return applied(parts, edits), found


def across_frames(frames: Frames, redactor: Redactor) -> Counter[str]:
    """Mask the payloads of messages, each and together; in place."""
    found: Counter[str] = Counter()
    flat = [frame for part in frames.parts for frame in part]
    events: list[Any] = []
    for frame in flat:
        frame["headers"] = {
            name: redactor.text(value)[0] for name, value in frame["headers"].items()
        }
        inner = _opened(frame["payload"])
        frame["payload"], more = redactor.text(frame["payload"] if inner is None else inner)
        found += more
        frame["coded"] = inner is not None
        events.append(_parsed(frame["payload"]))
    changed, more = _masked(events, redactor)
    for number in changed:
        flat[number]["payload"] = json.dumps(events[number], separators=(",", ":"))
    for frame in flat:
        if frame.pop("coded"):
            coded = base64.b64encode(frame["payload"].encode("utf-8", "surrogateescape")).decode()
            frame["payload"] = json.dumps({"bytes": coded})
            frame["text"] = base64.b64decode(coded).decode("utf-8", "replace")
    return found + more


def _opened(payload: str) -> str | None:
    """The JSON in `{"bytes": base64}`, as InvokeModel's streams have it."""
    event = _parsed(payload)
    if not isinstance(event, dict) or not isinstance(event.get("bytes"), str):
        return None
    try:
        return base64.b64decode(event["bytes"], validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _events(text: str, kind: str) -> Iterator[tuple[int, int, Any]]:
    """Start and end of each JSON event in `text`, and what it says."""
    if "json" in kind and text.lstrip()[:1] == "[":
        yield from _items(text)
        return
    if not ("event-stream" in kind or "ndjson" in kind or "jsonlines" in kind or "\n" in text):
        return
    for line in _LINE.finditer(text):
        event = _parsed(line[1])
        if event is not None:
            yield line.start(1), line.end(1), event


def _items(text: str) -> Iterator[tuple[int, int, Any]]:
    """Items of an array that comes piece by piece, as Gemini sends it."""
    decoder = json.JSONDecoder()
    at = text.index("[") + 1
    while True:
        gap = _ITEM.match(text, at)
        start = gap.end() if gap else at
        try:
            item, at = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            return
        yield start, at, item


def _masked(events: list[Any], redactor: Redactor) -> tuple[set[int], Counter[str]]:
    """Mask in place; gives the numbers of the events that changed."""
    together: dict[tuple[Any, ...], list[_Piece]] = {}
    for number, event in enumerate(events):
        _gather(number, event, together)
    changed: set[int] = set()
    counted: Counter[str] = Counter()
    for pieces in together.values():
        if len(pieces) < 2:
            continue
        texts = [piece.text for piece in pieces]
        masked, found = redactor.parts(texts)
        if not found:
            continue
        counted += found
        for piece, text in zip(pieces, masked, strict=True):
            if text != piece.text:
                piece.holder[piece.key] = text
                changed.add(piece.event)
    return changed, counted


def _gather(number: int, event: Any, together: dict[tuple[Any, ...], list[_Piece]]) -> None:
    """Put the texts of `event` behind those of the same place in the events before it."""
    waiting: list[tuple[Any, tuple[Any, ...]]] = [(event, ())]
    while waiting:
        value, path = waiting.pop()
        if type(value) is dict:
            own = tuple([str(value[name]) for name in _PLACES if name in value])
            path = path + own
            for name, each in value.items():
                kind = type(each)
                if kind is str:
                    if each and name not in _NO_PIECES:
                        piece = _Piece(number, value, name, each)
                        together.setdefault((path, name), []).append(piece)
                elif (kind is dict or kind is list) and each and len(path) < _DEEPEST:
                    waiting.append((each, (*path, name)))
        elif type(value) is list:
            for place, each in enumerate(value):
                if type(each) is str:
                    if each:
                        piece = _Piece(number, value, place, each)
                        together.setdefault((path, place), []).append(piece)
                elif type(each) is dict and not _PLACES.isdisjoint(each):
                    waiting.append((each, path))
                elif len(path) < _DEEPEST:
                    waiting.append((each, (*path, place)))
