"""Files of captured HTTP exchanges: one compressed file of JSON lines for each. docs/operate/wire.md

    line 1   {"kind": "exchange", "version": 1, "id": …, "time": …, "trace_id": …, …}
    line 2   {"kind": "request", "method": …, "url": …, "headers": [[name, value], …], "body": …, …}
    line 3   {"kind": "response", "offset_s": …, "status": …, "headers": […], …}   unless none came
    then     {"kind": "chunk", "offset_s": …, "text": …}                           as they came
    last     {"kind": "end", "offset_s": …, "how": …, …}

Ids begin with the time, so that names in order are exchanges in order, and end in 48 random bits, so
that processes need not agree on them. Readers take what other people may have put into the folder:
an id is checked before it becomes a path, and no more is unpacked than `LARGEST`.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import secrets
import stat
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from itertools import chain
from json.encoder import encode_basestring_ascii
from pathlib import Path
from types import ModuleType
from typing import Any

from .config import ConfigError, settings, state_home

__all__ = [
    "ID",
    "VERSION",
    "Exchange",
    "Unreadable",
    "chunks",
    "exchanges",
    "folder",
    "listed",
    "load",
    "new_id",
    "read",
    "remove_old",
    "usable",
    "write",
]

VERSION = 1
ID = re.compile(r"[0-9]{8}T[0-9]{12}-[0-9a-f]{12}")
LARGEST = 256 * 2**20
"""Bytes of one file when it is unpacked."""

_SUFFIXES = (".jsonl.gz", ".jsonl.zst")
_LEVEL = 1
"""Three packs texts by a twentieth better, and takes three times as long."""

_STALE_S = 3600.0
"""Age of a file that was never finished."""


class Unreadable(ValueError):
    """There is no such exchange, or its file is not one; the message is a sentence."""


@cache
def _zstd() -> ModuleType | None:
    """Of the standard library, from Python 3.14 on."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    found: ModuleType = zstd
    return found


def folder(named: str | None = None) -> Path | None:
    """Where exchanges are captured to, as `TOLLSPAN_WIRE` or `named` says; None where it says no."""
    text = settings().wire if named is None else named
    if text.lower() in ("", "0", "false", "no", "off"):
        return None
    if text.lower() in ("1", "true", "yes", "on"):
        return state_home() / "wire"
    return Path(text).expanduser().absolute()


def usable(place: Path) -> Path:
    """`place`, made for its owner alone if it was not there.

    Raises:
        ConfigError: others may look into it, or it is no folder of ours.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            place.mkdir(mode=0o700)
        found = place.stat()
    except OSError as error:
        raise ConfigError(f"{place} cannot be used for captures: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"{place} is no folder: name one for captures")
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise ConfigError(
            f"{place} belongs to somebody else: name a folder of your own for captures"
        )
    if os.name == "posix" and found.st_mode & 0o077:
        raise ConfigError(
            f"others may look into {place}: chmod 700 {place}, or name another folder"
        )
    return place


def new_id(time_ns: int) -> str:
    """An id for an exchange that began at `time_ns` since the epoch."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{_second(seconds)}{rest // 1000:06d}-{secrets.token_hex(6)}"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%S")


_MARKS = "|^~`#@"
"""Letters that JSON does not escape, of which most texts lack one."""

_encoded = json.JSONEncoder(separators=(",", ":")).encode


def chunks(offsets_s: Sequence[float], texts: Sequence[str]) -> str:
    """The lines of the pieces of an answer, as they are written: a stream has hundreds. Of what there
    is more than of the other is left out."""
    count = min(len(offsets_s), len(texts))
    together = "".join(texts)
    between = next((mark for mark in _MARKS if mark not in together), None)
    if between is None:
        said = [encode_basestring_ascii(text)[1:-1] for text in texts]
    else:  # a mark that is no escape stays as it is
        said = encode_basestring_ascii(between.join(texts))[1:-1].split(between)
    line = '{"kind":"chunk","offset_s":%.6f,"text":"%s"}'
    told = chain.from_iterable(zip(offsets_s, said, strict=False))
    return "\n".join([line] * count) % tuple(told)


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_NEW |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
"""A file that was not there before, written as it is told."""


def write(place: Path, wire_id: str, lines: Iterable[dict[str, Any] | str]) -> int:
    """Write one exchange, whole or not at all; gives the bytes that its file has.

    Args:
        lines: what they say, or lines as they are to be written.
    """
    told = [each if type(each) is str else _encoded(each) for each in lines]
    text = "\n".join([*told, ""]).encode()
    zstd = _zstd()
    packed = gzip.compress(text, _LEVEL, mtime=0) if zstd is None else zstd.compress(text)
    suffix = _SUFFIXES[zstd is not None]
    waiting = os.path.join(place, f".{wire_id}.part")
    descriptor = os.open(waiting, _NEW, 0o600)
    try:
        try:
            left = memoryview(packed)
            while left:
                left = left[os.write(descriptor, left) :]
        finally:
            os.close(descriptor)
        os.replace(waiting, os.path.join(place, wire_id + suffix))
    except BaseException:
        with suppress(OSError):
            os.unlink(waiting)
        raise
    return len(packed)


def listed(place: Path) -> list[str]:
    """Ids of the exchanges in `place`, the oldest first; none where it cannot be read."""
    return [wire_id for wire_id, _ in _files(place)]


def _files(place: Path) -> list[tuple[str, Path]]:
    try:
        names = os.listdir(place)
    except OSError:
        return []
    found = []
    for name in names:
        wire_id, dot, suffix = name.partition(".")
        if f"{dot}{suffix}" in _SUFFIXES and ID.fullmatch(wire_id):
            found.append((wire_id, place / name))
    return sorted(found)


def remove_old(place: Path, *, most_bytes: int, oldest: datetime | None) -> int:
    """Remove exchanges that began before `oldest`, and then the oldest ones until the others have at
    most `most_bytes` (0 is no limit). Gives the bytes that are left. Others may remove, too."""
    sizes: list[tuple[str, Path, int]] = []
    for wire_id, path in _files(place):
        with suppress(OSError):
            sizes.append((wire_id, path, path.stat().st_size))
    left = sum(size for *_, size in sizes)
    limit = oldest.strftime("%Y%m%dT%H%M%S") if oldest else ""
    for wire_id, path, size in sizes:
        if wire_id >= limit and not 0 < most_bytes < left:
            break
        with suppress(FileNotFoundError):
            path.unlink()
        left -= size
    now_s = datetime.now(UTC).timestamp()
    for path in place.glob(".*.part"):
        with suppress(OSError):
            if now_s - path.stat().st_mtime > _STALE_S:
                path.unlink()
    return left


@dataclass(slots=True)
class Exchange:
    """One exchange as it was stored: the lines of its file by their kind."""

    id: str
    head: dict[str, Any]
    request: dict[str, Any]
    response: dict[str, Any] | None = None
    chunks: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> str:
        """The text of the answer; what is no text is left out."""
        return "".join(str(chunk.get("text", "")) for chunk in self.chunks)

    def header(self, name: str, *, of_request: bool = False) -> str:
        """The first header of that name (lower-case), or ''."""
        lines = (self.request if of_request else self.response or {}).get("headers") or []
        return next((str(value) for known, value in lines if known == name), "")

    def as_json(self) -> dict[str, Any]:
        """All of it as one object."""
        return {
            **self.head,
            "request": self.request,
            "response": self.response,
            "chunks": self.chunks,
            "end": self.end,
        }


def load(place: Path, wire_id: str) -> Exchange:
    """The exchange with this id in `place`.

    Raises:
        Unreadable: the id is none, there is no such file, or it is not what it should be.
    """
    if ID.fullmatch(wire_id) is None:
        raise Unreadable("a wire id is a time, a dash and 12 hex digits")
    for suffix in _SUFFIXES:
        path = place / (wire_id + suffix)
        if path.is_file() and not path.is_symlink():
            return read(path)
    raise Unreadable("there is no captured exchange with this id: it may have been removed as old")


def read(path: Path) -> Exchange:
    """The exchange in the file at `path`.

    Raises:
        Unreadable: as `load`.
    """
    try:
        lines = [json.loads(line) for line in _unpacked(path).splitlines() if line.strip()]
    except (OSError, EOFError, ValueError, zlib.error, RecursionError) as error:
        raise Unreadable(f"{path} is no captured exchange: {error}") from error
    kinds: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if isinstance(line, dict):
            kinds.setdefault(str(line.get("kind")), []).append(line)
    head, request = kinds.get("exchange"), kinds.get("request")
    if not head or not request:
        raise Unreadable(f"{path} is no captured exchange: it has no beginning")
    if head[0].get("version") != VERSION:
        raise Unreadable(
            f"{path} has version {head[0].get('version')!r}, and this tollspan reads {VERSION}"
        )
    wire_id = path.name.partition(".")[0]
    for name in ("trace_id", "span_id"):
        if not str(head[0].get(name, "")).strip("0"):  # as calls without a trace were written once
            head[0].pop(name, None)
    return Exchange(
        wire_id,
        head[0],
        request[0],
        next(iter(kinds.get("response", ())), None),
        kinds.get("chunk", []),
        (kinds.get("end") or [{}])[0],
    )


def _unpacked(path: Path) -> bytes:
    if path.name.endswith(".zst"):
        zstd = _zstd()
        if zstd is None:
            raise ValueError("it is packed with zstd, which needs Python 3.14")
        with zstd.open(path, "rb") as file:
            return _limited(file.read(LARGEST + 1))
    with gzip.open(path, "rb") as packed:
        return _limited(packed.read(LARGEST + 1))


def _limited(content: bytes) -> bytes:
    if len(content) > LARGEST:
        raise ValueError(f"unpacked it has more than {LARGEST // 2**20} MB")
    return content


def exchanges(place: Path) -> Iterator[Exchange]:
    """Every exchange in `place` that can be read, the oldest first; or the one that `place` is."""
    if place.is_file():
        yield read(place)
        return
    for _, path in _files(place):
        with suppress(Unreadable):
            yield read(path)
