"""ClickHouse's compressed blocks, for clients that ask with `compress=1`: clickhouse-go and JDBC by default.

A block is a CityHash128 of what follows, a method, two sizes, and data compressed by LZ4. Ours holds
literals only, which is valid LZ4 and needs no compressor: on loopback there is nothing to save.
The hash is CityHash 1.0.2, which ClickHouse has kept: https://clickhouse.com/docs/native-protocol/hash
"""

from __future__ import annotations

from struct import Struct

__all__ = ["compressed"]

MOST = 65_536
"""Bytes of data in a block."""

LZ4 = 0x82
HEAD = Struct("<BII")
HASH = Struct("<QQ")
CHUNK = Struct("<16Q")
MASK = 2**64 - 1
K0, K1, K2, K3 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F, 0xC949D7C7509E6557
MURMUR = 0x9DDFEA08EB382D69


def compressed(data: bytes) -> bytes:
    """`data` as blocks, one after another."""
    return b"".join(_block(data[at : at + MOST]) for at in range(0, len(data), MOST))


def _block(data: bytes) -> bytes:
    literals = _literals(len(data)) + data
    block = HEAD.pack(LZ4, HEAD.size + len(literals), len(data)) + literals
    return HASH.pack(*city(block)) + block


def _literals(count: int) -> bytes:
    """How LZ4 says that `count` literals follow and nothing else."""
    if count < 15:
        return bytes((count << 4,))
    full, rest = divmod(count - 15, 255)
    return b"\xf0" + b"\xff" * full + bytes((rest,))


# --- CityHash128, 1.0.2 ----------------------------------------------------------------------------


def city(data: bytes) -> tuple[int, int]:
    """The low and the high half."""
    if len(data) >= 16:
        return _seeded(data[16:], _word(data, 0) ^ K3, _word(data, 8))
    if len(data) >= 8:
        return _seeded(b"", _word(data, 0) ^ _low(len(data) * K0), _word(data, len(data) - 8) ^ K1)
    return _seeded(data, K0, K1)


def _seeded(data: bytes, low: int, high: int) -> tuple[int, int]:
    if len(data) < 128:
        return _murmur(data, low, high)
    x, y, z = low, high, _low(len(data) * K1)
    first = _low(_turn(y ^ K1, 49) * K1 + _word(data, 0))
    v = first, _low(_turn(first, 42) * K1 + _word(data, 8))
    w = (
        _low(_turn(_low(y + z), 35) * K1 + x),
        _low(_turn(_low(x + _word(data, 88)), 53) * K1),
    )
    for words in CHUNK.iter_unpack(data[: len(data) // 128 * 128]):
        for at in (0, 8):
            x = _low(_turn(_low(x + y + v[0] + words[at + 2]), 37) * K1) ^ w[1]
            y = _low(_turn(_low(y + v[1] + words[at + 6]), 42) * K1) ^ v[0]
            z = _turn(z ^ w[0], 33)
            v = _weak(words[at : at + 4], _low(v[1] * K1), _low(x + w[0]))
            w = _weak(words[at + 4 : at + 8], _low(z + w[1]), y)
            z, x = x, z
    y = _low(y + _turn(w[0], 37) * K0 + z)
    x = _low(x + _turn(_low(v[0] + z), 49) * K0)
    for back in range(32, len(data) % 128 + 32, 32):
        at = len(data) - back
        y = _low(_turn(_low(y - x), 42) * K0 + v[1])
        w = _low(w[0] + _word(data, at + 16)), w[1]
        x = _low(_turn(x, 49) * K0 + w[0])
        w = _low(w[0] + v[0]), w[1]
        v = _weak([_word(data, at + each) for each in (0, 8, 16, 24)], *v)
    x, y = _pair(x, v[0]), _pair(y, w[0])
    return _low(_pair(_low(x + v[1]), w[1]) + y), _pair(_low(x + w[1]), _low(y + v[1]))


def _murmur(data: bytes, a: int, b: int) -> tuple[int, int]:
    size = len(data)
    if size <= 16:
        a = _low(_mixed(_low(a * K1)) * K1)
        c = _low(b * K1 + _short(data))
        d = _mixed(_low(a + (_word(data, 0) if size >= 8 else c)))
    else:
        c = _pair(_low(_word(data, size - 8) + K1), a)
        d = _pair(_low(b + size), _low(c + _word(data, size - 16)))
        a = _low(a + d)
        for at in range(0, size - 16, 16):
            a = _low((a ^ _low(_mixed(_low(_word(data, at) * K1)) * K1)) * K1)
            b ^= a
            c = _low((c ^ _low(_mixed(_low(_word(data, at + 8) * K1)) * K1)) * K1)
            d ^= c
    a, b = _pair(a, c), _pair(d, b)
    return a ^ b, _pair(b, a)


def _short(data: bytes) -> int:
    """Of at most 16 bytes."""
    size = len(data)
    if size > 8:
        a, b = _word(data, 0), _word(data, size - 8)
        return _pair(a, _turn(_low(b + size), size)) ^ b
    if size >= 4:
        first, last = int.from_bytes(data[:4], "little"), int.from_bytes(data[-4:], "little")
        return _pair(size + (first << 3), last)
    if size:
        y = data[0] + (data[size >> 1] << 8)
        z = size + (data[-1] << 2)
        return _low(_mixed(_low(y * K2) ^ _low(z * K3)) * K2)
    return K2


def _weak(words: tuple[int, ...] | list[int], a: int, b: int) -> tuple[int, int]:
    w, x, y, z = words
    a = _low(a + w)
    b = _turn(_low(b + a + z), 21)
    c = a
    a = _low(a + x + y)
    b = _low(b + _turn(a, 44))
    return _low(a + z), _low(b + c)


def _pair(low: int, high: int) -> int:
    a = _mixed(_low((low ^ high) * MURMUR))
    b = _mixed(_low((high ^ a) * MURMUR))
    return _low(b * MURMUR)


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _turn(value: int, by: int) -> int:
    return (value >> by | value << (64 - by)) & MASK


def _low(value: int) -> int:
    return value & MASK


def _mixed(value: int) -> int:
    return value ^ value >> 47
