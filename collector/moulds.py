"""Spans of one mould: the same names in the same order, read by one regular expression.

Most spans of an instrumentation are cast in a few moulds. The pattern of one gives the values that
decide and the counts, and passes over all else, several times faster than protobuf hands out the
attributes one by one. What it gives is looked up: the bill of the shape that such a span was found
to have before. Spans of no mould, or with values that were not seen, are left to be read attribute
by attribute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from struct import Struct
from typing import NamedTuple

from .bill import Bill
from .pairs import key_of
from .pattern import MOST_SIZE, START, Pattern, Sizes, name_size, pattern
from .shapes import COUNT, Shape, part

__all__ = ["Moulds"]

ENOUGH = 32
"""Spans that were looked at before a pattern is made for them: that takes milliseconds."""
LOOKED_AT = 16
"""Of the spans of one request at most: those that never have a mould are not held up."""
MOST_MOULDS, MOST_NAMES = 16, 64
"""Of one scope, and of one mould."""
MOST_SIZES = 1_024
"""That a pattern allows for, over all attributes."""
MOST_BEHIND = 64
"""Bytes behind the attributes: a status, flags."""

Row = tuple[bytes | None, ...]
"""What the groups of a match have."""


class _Cast(NamedTuple):
    """What calls with certain values cost that start from `begin` on and before `end`."""

    begin: int
    end: int
    bill: Bill


class Moulds:
    """Those of one scope. What several threads do to them at once is at worst done twice."""

    def __init__(self) -> None:
        self._by_names: dict[tuple[bytes, ...], _Mould] = {}
        self._made: list[_Mould] = []
        self._enough = ENOUGH

    def settle(
        self, raws: Sequence[bytes], appended: list[bytes], grades: list[str]
    ) -> Sequence[int]:
        """Note what is to be appended to spans, and their grades; the places of all others."""
        left: Sequence[int] = range(len(raws))
        for mould in self._made:
            if left:
                left = mould.settle(raws, left, appended, grades)
        return left

    def learn(self, raw: bytes, said: Sequence[bytes], shape: Shape) -> bool:
        """Look at a call that `shape` has settled, and whose attributes are `said`; whether there are
        more casts to remember now."""
        name, sizes = name_size(raw), list(map(len, said))
        if name is None or len(said) > MOST_NAMES or max(sizes, default=0) > MOST_SIZE:
            return False
        names = tuple(map(key_of, said))
        mould = self._by_names.get(names)
        if mould is None:
            if b"" in names:
                return False
            if len(self._by_names) >= MOST_MOULDS:
                # Whoever sends ever more of them waits ever longer for each.
                self._by_names, self._made, self._enough = {}, [], 2 * self._enough
            mould = self._by_names[names] = _Mould(names, self._enough)
        found = mould.pattern.match(raw) if mould.pattern else None
        if found is not None:
            return mould.keep(found.groups(), shape)
        if mould.grow([name, *sizes]):
            made = [each for each in list(self._by_names.values()) if each.pattern]
            self._made = sorted(made, key=lambda each: each.taken, reverse=True)
        return False


class _Mould:
    """Spans with attributes of these names."""

    def __init__(self, names: tuple[bytes, ...], enough: int) -> None:
        self._names = names
        self._counts = [place for place, name in enumerate(names) if part(name) == COUNT]
        self._missed, self._enough = 0, enough
        self._least: Sizes = ()
        self._most: Sizes = ()
        self._casts: dict[Row, _Cast] = {}
        self.pattern: Pattern | None = None
        self.taken = 0
        """Spans that it has read."""

    def settle(
        self, raws: Sequence[bytes], places: Sequence[int], appended: list[bytes], grades: list[str]
    ) -> Sequence[int]:
        """`Moulds.settle` of the spans at these places."""
        assert self.pattern is not None
        match, deciding, counts = self.pattern
        found = [match(raws[place]) for place in places]
        left: list[int] = []
        if not all(found):
            left = [place for place, each in zip(places, found, strict=True) if not each]
            places = [place for place, each in zip(places, found, strict=True) if each]
        columns = list(zip(*[each.groups() for each in found if each], strict=True))
        if not columns:
            return left
        self.taken += len(places)
        starts = Struct(f"<{len(places)}Q").unpack(b"".join(columns[START]))
        casts = map(self._casts.get, zip(*[columns[at] for at in deciding], strict=True))
        stated: Iterable[tuple[int, ...]] = repeat((), len(places))
        if counts:
            stated = zip(*[map(_counted, columns[at]) for at in counts], strict=True)
        for place, start, cast, each in zip(places, starts, casts, stated, strict=True):
            if cast is not None and cast.begin <= start < cast.end:
                more = cast.bill.appended(each)
                if more is not None:
                    appended[place] = more
                    grades.append(cast.bill.grade)
                    continue
            left.append(place)
        return left

    def keep(self, row: Row, shape: Shape) -> bool:
        """Remember what a span costs that was read as `row`; whether that is one more."""
        assert self.pattern is not None
        stated = [_counted(row[at] or b"") for at in self.pattern.counts]
        used = [place for place, count in enumerate(stated) if count]
        places, behind = [self._counts[place] for place in used], row[-1] or b""
        if shape.bill is None or shape.counted != places or len(behind) > MOST_BEHIND:
            return False
        key = tuple([row[at] for at in self.pattern.deciding])
        before = len(self._casts)
        self._casts[key] = _Cast(*shape.day, shape.bill.among(used, len(stated)))
        return len(self._casts) > before

    def grow(self, sizes: Sizes) -> bool:
        """Note the sizes of a span; whether there is a new pattern now, for all that were noted."""
        self._least = list(map(min, self._least or sizes, sizes))
        self._most = list(map(max, self._most or sizes, sizes))
        self._missed += 1
        if self._missed < self._enough:
            return False
        self._missed, self._enough = 0, 2 * self._enough
        if sum(self._most) - sum(self._least) > MOST_SIZES:
            self._least = self._most = ()
            return False
        self.pattern = pattern(self._names, self._least, self._most)
        return True


class _Counts(dict[bytes, int]):
    """Numbers by their bytes."""

    def __missing__(self, raw: bytes) -> int:
        number = 0
        for byte in reversed(raw):
            number = number << 7 | byte & 0x7F
        if len(self) >= MOST_COUNTS:
            self.clear()
        self[raw] = number
        return number


MOST_COUNTS = 65_536
_counted = _Counts().__getitem__
