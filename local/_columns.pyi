"""From the bytes of spans to columns of values, for thousands of spans at once.

Buffers of numbers are of the machine's own byte order: `int64` where spans stand, `int32` codes (which
of the values a row has), `uint32` ends of values.
"""

from typing import Any, TypeAlias

Buffer: TypeAlias = Any
"""Whatever has the buffer protocol: `collections.abc.Buffer` from Python 3.12 on."""

Column: TypeAlias = tuple[bytes, bytes, bytes]
"""Codes; the values, each behind its length; where each of these ends."""

Shape: TypeAlias = tuple[
    int, tuple[tuple[bytes, int], ...], tuple[Column, ...], Column, bytes, bytes | None
]
"""Of spans that are alike their kind; names of attributes and the kinds of their values; these; what the
spans are called; of each span start, end, which it is, and size and CRC-32 of what stands behind its ids, up to the end of its
attributes; ids of parents, 8 bytes each, if they have any."""

def alike(
    bodies: list[bytes],
    firsts: Buffer,
    begins: Buffer,
    ends: Buffer,
    earliest_ns: int,
    latest_ns: int,
    fewest: int,
    most_shapes: int,
    sample: int,
    different: int,
    /,
) -> tuple[bytes, list[Shape]]:
    """Trace id, two bytes and span id of each span, and the shapes that so many spans have.

    Args:
        firsts: the first span of each body, and how many there are in all.
        begins: of each span in its body.
        earliest_ns: spans that start before, or end with or behind `latest_ns`, are left out.
        sample: where of so many first values more than `different` differ, it is not asked any more
            which ones are the same.

    Raises:
        ValueError: numbers of spans do not fit together.
    """

def call_ids(ids: Buffer, starts_ns: Buffer, /) -> bytes:
    """See `call.call_id`; 16 bytes of each.

    Args:
        ids: trace id and span id of each, 24 bytes.

    Raises:
        ValueError: they are not as many as there are starts.
    """

def crc32(data: Buffer, /) -> int:
    """As `zlib.crc32` has it."""

def hexed(ids: Buffer, size: int, /) -> bytes:
    """Ids of so many bytes, below 64, as hex digits, each behind its length.

    Raises:
        ValueError: they are not of that size.
    """

def laid(
    groups: list[tuple[int, list[tuple[Buffer, Buffer, Buffer]]]], order: Buffer = ..., /
) -> bytes:
    """Of groups of rows, so many each, the values of all columns (values, ends, codes), row after row, in
    this order if there is one.

    Raises:
        ValueError: there is no such value, or `order` has not each row once.
    """

def texts(data: Buffer, offsets: Buffer, count: int, /) -> bytes:
    """So many texts in Arrow's layout (`offsets` of `int32`), each behind its length.

    Raises:
        ValueError: one is longer than 127 bytes, or not there.
    """
