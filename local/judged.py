"""Which spans that are alike may go straight: calls that pay for themselves, and their attempts.

What a name means to the stage is asked of the stage's own functions, once for each set of names, of
a span that has them all; what depends on values is looked at in every span.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tollspan import semconv
from tollspan.collector import rows
from tollspan.collector.known import OWNER, Part, part_of
from tollspan.collector.links import borne, heard
from tollspan.collector.span import KINDS, Span
from tollspan.columns import TEXTS

from .alike import DOUBLE, INT, TEXT, Alike, Name
from .coded import Coded, coded
from .keys import Keys
from .spread import Places

__all__ = ["Group", "judged"]

BOOL, LIST = 0x10, 0x2A
_ANY: dict[int, Any] = {INT: 1, DOUBLE: 1.0, BOOL: False}
_MUST_BE = {
    **dict.fromkeys((*TEXTS.values(), semconv.STATUS), TEXT),
    **dict.fromkeys((key for key, _ in rows.COUNTS.values()), INT),
    **dict.fromkeys(rows.MONEY.values(), DOUBLE),
    **dict.fromkeys(rows.FLAGS.values(), BOOL),
    **dict.fromkeys(rows.OTHER_USAGE, INT),
    semconv.TIME_TO_FIRST_CHUNK: DOUBLE,
    semconv.FINISH_REASONS: LIST,
}
"""Kinds of values that attributes of a call have; another one takes a closer look."""

_MUST_SAY = {
    semconv.COST_ROLE: b"\x05" + OWNER.encode(),
    semconv.HOP_COUNT: b"\x02\x18\x01",
    semconv.CACHE_HIT: b"\x02\x10\x00",
}
"""Values as they travel, with their lengths: paid for by the call itself, no hops but the model, no
answer out of a gateway's cache."""

_NEVER_EMPTY = (
    semconv.STATUS,
    semconv.MODEL_SERVED,
    semconv.RESPONSE_MODEL,
    semconv.REQUEST_MODEL,
)
SHORTEST_KEY = 8
"""A shorter id joins nothing, or not surely."""


class Meaning(NamedTuple):
    """What spans with certain attributes are."""

    is_call: bool
    names: tuple[str, ...]
    keys: tuple[tuple[str, int], ...] = ()
    """What joins them to other traces: what it names, and the attribute that is the id."""


@dataclass
class Group:
    """Spans that are alike and may go straight; nothing of them stands in the bytes that came any more."""

    part: Meaning
    kind: str
    columns: Mapping[str, Coded]
    called: Coded
    """What they are named."""
    rows: Places
    """Which of all the spans that are looked at."""
    parents: NDArray[np.uint8] | None
    """8 bytes of each; None where they have none."""
    starts_ns: Places
    ends_ns: Places
    versions: NDArray[np.uint64]
    """See `span.version_of`."""

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, which: NDArray[np.bool_]) -> Group:
        """Some of them."""
        if which.all():
            return self
        return Group(
            self.part,
            self.kind,
            {name: each.of(which) for name, each in self.columns.items()},
            self.called.of(which),
            self.rows[which],
            None if self.parents is None else self.parents[which],
            self.starts_ns[which],
            self.ends_ns[which],
            self.versions[which],
        )

    def joining(self) -> Iterator[Keys]:
        """Of each way to be joined the key of each span."""
        for prefix, column in self.part.keys:
            yield Keys(prefix, self.columns[self.part.names[column]])


def judged(alike: Alike) -> Group | None:
    """Those of `alike` that may go straight; None where none may."""
    part = _meaning(alike.names, alike.kind, alike.parents is not None)
    if part is None or not alike.called.values.are_utf8():
        return None
    may = _say_what_they_must(alike, part)
    if not may.any():
        return None
    alike = alike.of(may)
    columns: dict[str, Coded] = {}
    for at, name in enumerate(part.names):
        column = coded(alike, at)
        if column is None or (name in _NEVER_EMPTY and "" in column.known):
            return None
        columns[name] = column
    return Group(
        part,
        KINDS[alike.kind],
        columns,
        Coded(*alike.called, (), True),
        alike.rows,
        alike.parents,
        alike.starts_ns,
        alike.ends_ns,
        _versions(alike, semconv.COST_ROLE in columns),
    )


def _versions(alike: Alike, has_role: bool) -> NDArray[np.uint64]:
    told = np.uint64((2 if has_role else 1) << 56)
    found: NDArray[np.uint64] = (
        told | alike.crcs << np.uint64(24) | alike.sizes & np.uint64(0xFFFFFF)
    )
    return found


def _say_what_they_must(alike: Alike, part: Meaning) -> NDArray[np.bool_]:
    may = np.full(len(alike.rows), True)
    for at, name in enumerate(part.names if part.is_call else ()):
        if name in _MUST_SAY:
            codes, values = alike.said[at]
            may &= np.array([each == _MUST_SAY[name] for each in values.each()])[codes]
    for _, column in part.keys:
        codes, values = alike.said[column]
        may &= (values.sizes > SHORTEST_KEY)[codes]
    return may


@lru_cache(maxsize=1024)
def _meaning(names: tuple[Name, ...], kind: int, has_parent: bool) -> Meaning | None:
    """What spans of ours with these attributes are; None where they do not go straight."""
    said: dict[str, Any] = {}
    for name, of in names:
        if of == TEXT:
            said[name] = f"{name} as an id"[:127]
        elif of == LIST:
            said[name] = [f"{name} in a list"]
        elif of in _ANY:
            said[name] = _ANY[of]
        else:
            return None
    kinds = dict(zip(said, (of for _, of in names), strict=True))
    if semconv.COST_ROLE in said:
        said[semconv.COST_ROLE] = OWNER
    parent = "1" * 16 if has_parent else ""
    span = Span("1" * 32, "2" * 16, parent, "", KINDS[kind], 1, 2, said, scope=semconv.SCOPE)
    part = part_of(span, None)
    if part == Part.ATTEMPT and semconv.ATTEMPT in said and not heard(span):
        return Meaning(False, tuple(said))
    if part != Part.OURS or borne(span, None):
        return None
    if any(kinds[name] != must for name, must in _MUST_BE.items() if name in kinds):
        return None
    if any(kinds[name] != TEXT for name in said if name.startswith(semconv.TAG_PREFIX)):
        return None
    keys = []
    for told in heard(span):
        ends = [at for at, value in enumerate(said.values()) if told.endswith(f" {value}")]
        if len(ends) != 1 or names[ends[0]].kind != TEXT:
            return None
        keys.append((told.removesuffix(str([*said.values()][ends[0]])), ends[0]))
    return Meaning(True, tuple(said), tuple(keys))
