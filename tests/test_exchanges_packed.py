"""Packed bodies are unpacked as they came, and one that would fill the memory is left out."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import needs
import pytest

from tollspan.instrumentation import _wire_decoding
from tollspan.instrumentation._wire_decoding import decoded

SAID = b"".join(b'data: {"delta": "word %d"}\n\n' % number for number in range(400))


def _zstd() -> Any:
    try:
        from compression import zstd
    except ImportError:
        try:
            from backports import zstd
        except ImportError:
            needs.missing("zstd", "neither Python 3.14 nor backports.zstd is here")
    return zstd


def _brotli() -> Any:
    try:
        import brotli
    except ImportError:
        needs.missing("brotli", "it is not installed")
    return brotli


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": lambda plain: bytes(_zstd().compress(plain)),
    "br": lambda plain: bytes(_brotli().compress(plain)),
}


def pieces(packed: bytes, size: int) -> list[bytes]:
    return [packed[at : at + size] for at in range(0, len(packed), size)]


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
@pytest.mark.parametrize("packing", PACKERS)
def test_each_piece_becomes_what_it_gave(packing: str, size: int) -> None:
    came = pieces(PACKERS[packing](SAID), size)
    found = decoded(came, packing)

    assert found.problem == ""
    assert found.parts is not None
    assert len(found.parts) == len(came)
    assert b"".join(found.parts) == SAID


@pytest.mark.parametrize("packing", PACKERS)
def test_what_would_fill_the_memory_is_left_out(
    packing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_wire_decoding, "LARGEST", 2**20)
    bomb = PACKERS[packing](bytes(64 * 2**20))
    found = decoded([bomb], packing)

    assert found.parts is None
    assert found.problem == "unpacked it has more than 1 MB"


def test_no_more_is_unpacked_than_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an unpacker that cannot be told where to stop."""
    monkeypatch.setattr(_wire_decoding, "LARGEST", 10_000)
    seen: list[int] = []

    def grown(piece: bytes) -> bytes:
        seen.append(len(piece))
        return piece * 100

    made: Sequence[bytes] = [_wire_decoding._in_slices(grown)(bytes(10**6))]

    assert sum(seen) < 1000
    assert len(made[0]) < 100_000
