"""Streams of events, masked: what each event says, and what several of them spell out together.

`sk-`, `abc`, `def` in three deltas: no pattern sees that in the bytes, where JSON stands between the
pieces. So the texts that belong together (the same member, choice and block of one event after
another) are put together, looked through, and what is found is taken out of each event that has a part
of it.
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

from ._wire_alike import Frames, alike
from ._wire_found import found_in_events
from ._wire_spelled import Spelled, parsed
from ._wire_told import Told

if TYPE_CHECKING:
    from . import _wire_decoding

__all__ = ["across_frames", "masked_events"]

_ITEM = re.compile(r"[\s,\[]*")


def masked_events(
    parts: list[str], kind: str, redactor: Redactor
) -> tuple[list[str], Counter[str]]:
    """`parts` of a body masked, and what its JSON events, if it has some, together hold. `kind`: the
    body's content type."""
    text = "".join(parts)
    told = _told(text, kind)
    alone = found_in_events(text, told, redactor)
    if alone is None:
        alone = redactor.found(text)
    counted = Counter(each.rule for each in alone)
    if alone:
        edits = [Edit(each.start, each.end, redactor.mask(each.rule, each.value)) for each in alone]
        parts = applied(parts, edits)
        text = "".join(parts)
        told = _told(text, kind)
    if told.spelled.count < 2:
        return parts, counted
    changed, found = told.spelled.masked(redactor, lambda number: text[slice(*told.event(number))])
    edits = [Edit(*told.event(number), event) for number, event in changed.items()]
    return applied(parts, edits), counted + found


def across_frames(frames: _wire_decoding.Frames, redactor: Redactor) -> Counter[str]:
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
    changed, more = spelled.masked(redactor, lambda number: str(flat[number]["payload"]))
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


def _told(text: str, kind: str) -> Told:
    told = Told()
    if "json" in kind and text.lstrip()[:1] == "[":
        for event in _items(text):
            told.add(text, event)
    elif "event-stream" in kind or "ndjson" in kind or "jsonlines" in kind or "\n" in text:
        _read_lines(text, told)
    return told


def _read_lines(text: str, told: Told) -> None:
    frames = Frames()
    line, before = 0, -1
    while line < len(text):
        line_end = text.find("\n", line)
        if line_end < 0:
            line_end = len(text)
        start = line
        if text.startswith("data:", line):
            start += 6 if text[line + 5 : line + 6] in (" ", "\t") else 5
        line = line_end + 1
        if not text.startswith(("{", "["), start):
            continue
        breaks = text.find("\r", start, line_end)
        end = line_end if breaks < 0 else breaks
        shape = told.add(text, (start, end))
        frame = frames.of(shape) if shape is not None and before >= 0 else None
        if shape is not None and frame is not None:
            run = alike(text, end, text[before:start], shape, frame)
            if run is not None:
                told.add_run(run)
                line = end = run.end
        before = end


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
