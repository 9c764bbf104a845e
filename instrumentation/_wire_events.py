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
from typing import TYPE_CHECKING

from tollspan.redaction import Redactor
from tollspan.redaction_edits import Edit, applied

from ._wire_spelled import Spelled, parsed

if TYPE_CHECKING:
    from ._wire_decoding import Frames

__all__ = ["across_events", "across_frames"]

_ITEM = re.compile(r"[\s,\[]*")


def across_events(
    parts: list[str], kind: str, redactor: Redactor
) -> tuple[list[str], Counter[str]]:
    """`parts` of a stream of JSON events, masked where events together hold what is to be masked."""
    text = "".join(parts)
    events = list(_events(text, kind))
    if len(events) < 2:
        return parts, Counter()
    spelled = Spelled()
    for start, end in events:
        spelled.add(text[start:end])
    changed, found = spelled.masked(redactor)
    edits = [Edit(*events[number], event) for number, event in changed.items()]
    return applied(parts, edits), found


def across_frames(frames: Frames, redactor: Redactor) -> Counter[str]:
    """Mask the payloads of messages, each and together; in place."""
    found: Counter[str] = Counter()
    flat = [frame for part in frames.parts for frame in part]
    spelled = Spelled()
    for frame in flat:
        frame["headers"] = {
            name: redactor.text(value)[0] for name, value in frame["headers"].items()
        }
        inner = _opened(frame["payload"])
        frame["payload"], more = redactor.text(frame["payload"] if inner is None else inner)
        found += more
        frame["coded"] = inner is not None
        spelled.add(frame["payload"])
    changed, more = spelled.masked(redactor)
    for number, payload in changed.items():
        flat[number]["payload"] = payload
    for frame in flat:
        if frame.pop("coded"):
            coded = base64.b64encode(frame["payload"].encode("utf-8", "surrogateescape")).decode()
            frame["payload"] = json.dumps({"bytes": coded})
            frame["text"] = base64.b64decode(coded).decode("utf-8", "replace")
    return found + more


def _opened(payload: str) -> str | None:
    """The JSON in `{"bytes": base64}`, as InvokeModel's streams have it."""
    event = parsed(payload)
    if not isinstance(event, dict) or not isinstance(event.get("bytes"), str):
        return None
    try:
        return base64.b64decode(event["bytes"], validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _events(text: str, kind: str) -> Iterator[tuple[int, int]]:
    """Start and end of each JSON event in `text`."""
    if "json" in kind and text.lstrip()[:1] == "[":
        yield from _items(text)
        return
    if not ("event-stream" in kind or "ndjson" in kind or "jsonlines" in kind or "\n" in text):
        return
    start = 0
    for line in text.split("\n"):
        first = start
        start += len(line) + 1
        if not line:
            continue
        if line.startswith("data:"):
            first += 6 if line[5:6] in (" ", "\t") else 5
        if text.startswith(("{", "["), first):
            breaks = line.find("\r")
            yield first, start - 1 if breaks < 0 else start - 1 - len(line) + breaks


def _items(text: str) -> Iterator[tuple[int, int]]:
    """Items of an array that comes piece by piece, as Gemini sends it."""
    decoder = json.JSONDecoder()
    at = text.index("[") + 1
    while True:
        gap = _ITEM.match(text, at)
        start = gap.end() if gap else at
        try:
            _, at = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            return
        yield start, at
