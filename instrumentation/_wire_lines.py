"""A recorded exchange as the lines of its file, with nothing secret left in them.

Order matters: what a body says is undone from its packing first, then masked as a whole, then across
the events of a stream, and only then cut to what is kept.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tollspan import __version__, wirefile
from tollspan.redaction import Redactor

from ._wire_decoding import Frames, Texts, decoded, readable
from ._wire_events import across_frames, masked_events

if TYPE_CHECKING:
    from ._wire import Recording

__all__ = ["lines"]


def lines(recording: Recording, redactor: Redactor) -> Iterator[dict[str, Any] | str]:
    """The lines of `tollspan.wirefile`, one after another."""
    masked: dict[str, dict[str, int]] = {}
    began = datetime.fromtimestamp(recording.started_ns / 1e9, UTC)
    yield {
        "kind": "exchange",
        "version": wirefile.VERSION,
        "id": recording.id,
        "time": began.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "pid": os.getpid(),
        "tollspan": __version__,
        "rules_id": redactor.rules_id,
        "key_id": redactor.key_id,
        **recording.call,
    }
    yield _request(recording, redactor, masked)
    if recording.status:
        headers, found = redactor.headers(_texts(recording.headers))
        yield from _answer(recording, redactor, masked, found, headers)
    yield {
        "kind": "end",
        "offset_s": _offset(recording, recording.ended_s),
        "how": _how(recording),
        "error": recording.error or None,
        "size": recording.size if recording.status else None,
        "masked": masked,
    }


def _request(
    recording: Recording, redactor: Redactor, masked: dict[str, dict[str, int]]
) -> dict[str, Any]:
    url, found = redactor.url(str(recording.url))
    headers, more = redactor.headers(_texts(recording.request_headers))
    line: dict[str, Any] = {
        "kind": "request",
        "method": recording.method,
        "url": url,
        "headers": headers,
        "size": recording.asked_size,
    }
    _note(masked, "url", found)
    _note(masked, "request_headers", more)
    packing, kind = _named(headers, "content-encoding"), _named(headers, "content-type")
    body = readable(decoded(recording.request_pieces, packing), kind)
    if recording.asked_unseen or not isinstance(body, Texts):
        line["body"] = None
        line["omitted"] = recording.asked_unseen or "no text"
        return line
    parts, found = redactor.parts(body.parts)
    (kept,) = _cut(["".join(parts)], recording.limit)
    line["body"] = kept
    if recording.asked_size > sum(map(len, recording.request_pieces)) or len(kept) < sum(
        map(len, parts)
    ):
        line["truncated"] = True
    _note(masked, "request", found)
    return line


def _answer(
    recording: Recording,
    redactor: Redactor,
    masked: dict[str, dict[str, int]],
    of_headers: Counter[str],
    headers: list[list[str]],
) -> Iterator[dict[str, Any] | str]:
    """The line of the response and those of its chunks."""
    _note(masked, "response_headers", of_headers)
    packing, kind = _named(headers, "content-encoding"), _named(headers, "content-type")
    pieces = decoded(recording.pieces, packing)
    body = readable(pieces, kind)
    line: dict[str, Any] = {
        "kind": "response",
        "offset_s": _offset(recording, recording.head_s),
        "status": recording.status,
        "headers": headers,
        "size": recording.size,
    }
    if pieces.problem:
        line["problem"] = pieces.problem
    if recording.size > sum(map(len, recording.pieces)):
        line["truncated"] = True
    times = [at_s - recording.started_s for at_s in recording.times_s]
    times.append(_offset(recording, recording.ended_s))  # of what the end of the packing still gave
    found: Counter[str] = Counter()
    chunks: Iterable[dict[str, Any] | str]
    if isinstance(body, Texts):
        parts, found = masked_events(body.parts, kind, redactor)
        kept = _cut(parts, recording.limit)
        if kept is not parts:
            line["truncated"] = True
        chunks = [wirefile.chunks(times, kept)] if kept else []
    elif isinstance(body, Frames):
        found = across_frames(body, redactor)
        chunks = _chunks(times, "frames", body.parts)
    else:
        line["omitted"] = recording.unseen or "no text"
        chunks = _chunks(times, "omitted", map(len, recording.pieces))
    _note(masked, "response", found)
    yield line
    yield from chunks


def _chunks(times: Iterable[float], name: str, values: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for at_s, value in zip(times, values, strict=False):
        yield {"kind": "chunk", "offset_s": round(at_s, 6), name: value}


def _cut(parts: list[str], limit: int) -> list[str]:
    """`parts` with no more than `limit` characters together; 0 is no limit."""
    if not limit or sum(map(len, parts)) <= limit:
        return parts
    kept = []
    for part in parts:
        kept.append(part[: max(0, limit)])
        limit -= len(part)
    return kept


def _how(recording: Recording) -> str:
    """A body of stated length that came whole is complete, though nobody asked for its end."""
    stated = next((v for n, v in _texts(recording.headers) if n.lower() == "content-length"), "")
    if recording.how in ("closed", "dropped") and stated == str(recording.size):
        return "complete"
    return recording.how


def _note(masked: dict[str, dict[str, int]], where: str, found: Counter[str]) -> None:
    if found:
        masked[where] = dict(sorted(found.items()))


def _offset(recording: Recording, at_s: float) -> float:
    return round(max(0.0, at_s - recording.started_s), 6)


def _texts(headers: Iterable[tuple[Any, Any]]) -> list[tuple[str, str]]:
    return [(_text(name), _text(value)) for name, value in headers]


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _named(headers: Iterable[Iterable[str]], wanted: str) -> str:
    return next((value.lower() for name, value in headers if name == wanted), "")
