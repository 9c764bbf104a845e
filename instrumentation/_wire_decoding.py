"""The bytes of a body as what they say: unpacked, and as text where they are text.

What cannot be read cannot be masked, so it is not kept: of pictures, sounds and whatever is packed in
a way that is not known here, the file says how long they were.
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

from . import _wire_frames

__all__ = ["Frames", "Pieces", "Texts", "decoded", "readable"]

LARGEST = 64 * 2**20
"""Bytes of one body when it is unpacked; what is longer is left out."""

_SLICE = 16
"""Bytes that become some megabytes at most, whoever packed them."""

_TEXT = re.compile(
    r"text/|.*\b(json|xml|ndjson|jsonlines|javascript|x-www-form-urlencoded|graphql|yaml|csv)\b"
)
_BOUNDARY = re.compile(r"boundary=\"?([^\";]{1,200})")
_ODD = re.compile("[\udc80-\udcff]")
"""Bytes that are no UTF-8, as `surrogateescape` has them."""

_GZIP = b"\x1f\x8b"


@dataclass(slots=True)
class Pieces:
    """Unpacked bytes, a piece for each that came and perhaps one more."""

    parts: list[bytes] | None
    """None where they cannot be unpacked."""
    problem: str = ""


@dataclass(slots=True)
class Texts:
    """A body that is text, in its pieces."""

    parts: list[str]


@dataclass(slots=True)
class Frames:
    """A body of AWS's event stream: the messages that each piece completed."""

    parts: list[list[dict[str, Any]]] = field(default_factory=list)


def decoded(pieces: Sequence[bytes], packing: str) -> Pieces:
    """`pieces` without their content-encoding. Clients that unpack by themselves give plain ones:
    of gzip that shows, and the others are tried."""
    names = [name.strip() for name in packing.split(",") if name.strip() not in ("", "identity")]
    whole = list(pieces)
    if not names or not any(whole):
        packed = b"".join(whole[:1])[:2] == _GZIP
        return Pieces(None, "packed, and no header says so") if packed else Pieces(whole)
    for name in reversed(names):
        plain = _plainly(whole)
        unpacked, problem = _unpacked(whole, name)
        if unpacked is None or problem:
            # The client has unpacked it, or the header is wrong. Text is text.
            if plain:
                return Pieces(whole)
            return Pieces(unpacked, problem or f"not {name}, as content-encoding says")
        whole = unpacked
    return Pieces(whole)


def _unpacked(pieces: list[bytes], name: str) -> tuple[list[bytes] | None, str]:
    if name in ("gzip", "x-gzip") and b"".join(pieces[:2])[:2] != _GZIP:
        return None, f"not {name}, as content-encoding says"
    decoder = _decoder(name)
    if decoder is None:
        return None, f"{name} cannot be unpacked here"
    unpack, fault = decoder
    parts: list[bytes] = []
    length = 0
    try:
        for piece in pieces:
            parts.append(unpack(piece))
            length += len(parts[-1])
            if length > LARGEST:
                return None, f"unpacked it has more than {LARGEST // 2**20} MB"
    except (fault, ValueError, EOFError):
        return None, f"{name} that breaks off in its middle"
    return parts, ""


_Decoder = tuple[Callable[[bytes], bytes], type[Exception]]


def _decoder(name: str) -> _Decoder | None:
    """What unpacks piece after piece, and what it raises."""
    if name in ("gzip", "x-gzip"):
        return _bounded(zlib.decompressobj(zlib.MAX_WBITS | 16).decompress), zlib.error
    if name == "deflate":
        return _bounded(zlib.decompressobj().decompress), zlib.error
    for known, module, make, fault in (
        ("br", "brotli", "Decompressor", "error"),
        ("br", "brotlicffi", "Decompressor", "error"),
        ("zstd", "compression.zstd", "ZstdDecompressor", "ZstdError"),
        ("zstd", "backports.zstd", "ZstdDecompressor", "ZstdError"),
        ("zstd", "zstandard", "ZstdDecompressor", "ZstdError"),
    ):
        if known == name:
            try:
                found = import_module(module)
            except ImportError:
                continue
            unpacker = getattr(found, make)()
            if module == "zstandard":
                step = _in_slices(unpacker.decompressobj().decompress)
            elif name == "zstd":
                step = _bounded(unpacker.decompress)
            elif "can_accept_more_data" in dir(unpacker):  # from 1.2 on
                step = _bounded(partial(_process, unpacker))
            else:
                step = _in_slices(unpacker.process)
            return step, getattr(found, fault)
    return None


def _bounded(decompress: Callable[[bytes, int], bytes]) -> Callable[[bytes], bytes]:
    """What can be told where to stop."""
    left = LARGEST + 1

    def unpack(piece: bytes) -> bytes:
        nonlocal left
        plain = decompress(piece, max(1, left))
        left -= len(plain)
        return plain

    return unpack


def _process(unpacker: Any, piece: bytes, most: int) -> bytes:
    plain: bytes = unpacker.process(piece, output_buffer_limit=most)
    return plain


def _in_slices(decompress: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """What cannot: after each few bytes it is looked at how many they became."""
    left = LARGEST

    def unpack(piece: bytes) -> bytes:
        nonlocal left
        parts: list[bytes] = []
        for at in range(0, len(piece), _SLICE):
            parts.append(decompress(piece[at : at + _SLICE]))
            left -= len(parts[-1])
            if left < 0:
                break
        return b"".join(parts)

    return unpack


def _plainly(pieces: Sequence[bytes]) -> bool:
    try:
        text = b"".join(pieces).decode()
    except UnicodeDecodeError:
        return False
    return "\0" not in text


def readable(pieces: Pieces, kind: str) -> Texts | Frames | None:
    """The body as text or as messages; None where it is neither. `kind`: its content type."""
    if pieces.parts is None:
        return None
    if "vnd.amazon.eventstream" in kind:
        frames = _wire_frames.read(pieces.parts)
        return None if frames is None else Frames(frames)
    if kind.startswith("multipart/") and (found := _BOUNDARY.search(kind)):
        return Texts([_multipart(b"".join(pieces.parts), found[1].encode())])
    return _texts(pieces.parts, strict=not _TEXT.match(kind))


def _texts(parts: Sequence[bytes], *, strict: bool) -> Texts | None:
    """A letter whose bytes two pieces share stands in the second. Bytes that are no UTF-8 come back
    as they were when the text is encoded in the same way (`surrogateescape`)."""
    if all(map(bytes.isascii, parts)):
        texts = [part.decode("ascii") for part in parts]
        return None if strict and any("\0" in text for text in texts) else Texts(texts)
    reader = codecs.getincrementaldecoder("utf-8")("strict" if strict else "surrogateescape")
    try:
        texts = [reader.decode(part) for part in parts]
        rest = reader.decode(b"", final=True)
    except UnicodeDecodeError:
        return None
    if rest:
        texts.append(rest)
    if strict and any("\0" in text for text in texts):
        return None
    if not strict:
        odd = sum(len(_ODD.findall(text)) for text in texts if not text.isascii())
        if odd > max(8, sum(map(len, texts)) // 100):
            return None  # not what its header says: nobody knows what stands in it
    return Texts(texts)


def _multipart(body: bytes, boundary: bytes) -> str:
    """A form with its texts; of its files, how long they were."""
    made = []
    for part in body.split(b"--" + boundary):
        head, gap, content = part.partition(b"\r\n\r\n")
        text = _texts([content], strict=True)
        shown = f"[{len(content)} bytes]\r\n" if text is None else "".join(text.parts)
        made.append(head.decode("utf-8", "replace") + gap.decode() + shown)
    return f"--{boundary.decode('latin-1')}".join(made)
