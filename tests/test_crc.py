"""Versions of spans are the same number with Intel's library and without it."""

from __future__ import annotations

import sys
import zlib

import pytest

from tollspan.collector import crc


@pytest.mark.parametrize("size", [0, 1, 7, 64, 1400, 5000])
def test_it_is_the_crc_of_zlib(size: int) -> None:
    content = bytes(number * 31 % 251 for number in range(size))

    assert crc.crc32(content) == crc.crc32(memoryview(content)) == zlib.crc32(content)


def test_without_the_library_it_is_zlib_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)

    assert crc._quickest() is zlib.crc32
