"""Shapes of spans that came before, and what was found out about each.

Of a shape nothing is believed that was not tried: a call is settled again with every value changed
that is said to decide nothing, and must come out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tollspan.config import settings
from tollspan.processors.prices import current
from tollspan.processors.settle import Settled

from .bill import appendix, drawn_up
from .clean import cleaned, without
from .foreign import normalised, settled
from .moulds import Moulds
from .pairs import key_of, pair
from .shapes import COUNT, DECIDES, HIDDEN, IDENTIFIES, MOST_BYTES, SAYS, Restated, Shape, part
from .span import Span

__all__ = ["Judged", "Memory"]

MOST_KNOWN = 65_536
LONGEST_KNOWN = 256
"""Attributes known by their bytes, and bytes of one."""
MOST_SHAPES = 16_384
"""And casts of moulds."""
MOST_SCOPES = 1_024
ZERO = b"\x12\x02\x18\x00"
"""The end of a count of nothing: that decides, as a name that is not there does."""
DAY_NS = 86_400_000_000_000

Key = tuple[bytes | None, ...]
Know = Callable[[bytes], bytes | None]
Find = Callable[[Key, tuple[()]], Iterable[Shape]]


class Judged(NamedTuple):
    """A span, the call that another instrumentation tells of in it, and what settling that says."""

    span: Span
    call: Mapping[str, Any] | None
    settled: Settled | None
    is_relevant: bool


class Memory:
    """What several threads do to it at once is at worst done twice."""

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}
        self._once: set[int] = set()
        self._tables: dict[str, dict[Key, list[Shape]]] = {}
        self._moulds: dict[str, Moulds] = {}
        self._shapes = 0
        self._at = (settings(), current())

    def shapes(self, scope: str) -> tuple[Know, Find, Moulds]:
        """What an attribute is known as, and by what all those of a span are known as: the shapes
        that it may be of, of spans of `scope`; and the moulds of such spans.

        What was settled at other prices or settings is forgotten, and what grew too large.
        """
        at = (settings(), current())
        is_other = at[0] is not self._at[0] or at[1] is not self._at[1]
        if is_other or self._shapes > MOST_SHAPES or len(self._moulds) > MOST_SCOPES:
            self._tables, self._known, self._moulds, self._shapes, self._at = {}, {}, {}, 0, at
        found = self._tables.setdefault(scope, {})
        moulds = self._moulds.get(scope)
        if moulds is None:
            moulds = self._moulds.setdefault(scope, Moulds())
        return self._known.get, found.get, moulds

    def learn(
        self, scope: str, raw: bytes, viewed: Any, raws: Sequence[bytes], judged: Judged
    ) -> None:
        """Remember the shape of a span, once it has come twice; `raws` are its attributes."""
        if len(raw) > MOST_BYTES or viewed.events:
            return
        keys = [key_of(each) for each in raws]
        for each, begins in zip(raws, keys, strict=True):
            self._get_to_know(each, begins)
        key = tuple(map(self._known.get, raws))
        unknown = [place for place, each in enumerate(key) if each is None]
        if len(set(keys)) < len(keys) or any(part(keys[at]) == DECIDES for at in unknown):
            return
        there = self._tables.setdefault(scope, {}).setdefault(key, [])
        shape = next((each for each in there if each.fits(viewed, raws)), None)
        if shape is None:
            if not self._is_second(hash((scope, key))):
                return
            shape = _shape(raw, viewed, raws, unknown, judged)
            if shape is None:
                return
            there.append(shape)
            self._shapes += 1
        stated = shape.stated(raws) if shape.is_call else None
        if stated is not None and shape.wants_bill(stated):
            _keep_bill(shape, shape.names(raws), stated, judged)

    def cast(self, moulds: Moulds, raw: bytes, raws: Sequence[bytes], shape: Shape) -> None:
        """Remember of a call in `moulds` that it was settled by `shape`."""
        self._shapes += moulds.learn(raw, raws, shape)

    def _get_to_know(self, raw: bytes, key: bytes) -> None:
        if len(raw) > LONGEST_KNOWN or raw in self._known:
            return
        what = part(key) if key else DECIDES
        if what == COUNT and raw.endswith(ZERO):
            what = DECIDES
        if what in (DECIDES, SAYS) and self._is_second(hash(raw)):
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[raw] = raw if what == DECIDES else self._known.setdefault(key, key)

    def _is_second(self, seen: int) -> bool:
        if seen in self._once:
            return True
        if len(self._once) >= MOST_KNOWN:
            self._once.clear()
        self._once.add(seen)
        return False


def _shape(
    raw: bytes, viewed: Any, raws: Sequence[bytes], unknown: Sequence[int], judged: Judged
) -> Shape | None:
    """The shape of a span; None where its values decide more than they should."""
    span, call, found, is_relevant = judged
    restated = None
    if call is not None:
        parts = {pair(each)[0]: part(key_of(each)) for each in raws}
        other = _told_otherwise(span, parts, counts=0)
        if found is not None and _settled(other).attributes != found.attributes:
            return None
        restated = _restated(span, call)
        more = _told_otherwise(span, parts, counts=1)
        if restated != _restated(more, normalised(more) or {}) or (found and found.hops):
            restated = None
    begin = span.start_ns // DAY_NS * DAY_NS
    shape = Shape(
        viewed,
        raws,
        unknown,
        (begin, begin + DAY_NS),
        is_call=found is not None,
        is_relevant=is_relevant,
        restated=restated,
    )
    kept = cleaned(raw, viewed, raws, makes_room=found is not None)
    same = without(raw, shape.hidden) if shape.hidden else raw
    return shape if shape.fits(viewed, raws) and kept == same else None


def _settled(span: Span) -> Settled:
    return settled(normalised(span) or {}, (), span.start_ns)


def _told_otherwise(span: Span, parts: Mapping[str, str], *, counts: int) -> Span:
    """`span` with other values for all that is said to decide nothing, and so much larger counts."""
    told: dict[str, Any] = {}
    for name, value in span.attributes.items():
        what = parts.get(name, DECIDES)
        if what == COUNT and type(value) is int and value:
            value += counts
        elif what in (SAYS, IDENTIFIES, HIDDEN):
            value = _another(value)
        told[name] = value
    return replace(span, attributes=told, reading=None)


def _another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}?"
    return value + 1 if isinstance(value, int | float) else value


def _restated(span: Span, call: Mapping[str, Any]) -> Restated:
    said = span.attributes
    return Restated(
        tuple(name for name in said if name not in call),
        {name: value for name, value in call.items() if name not in said or said[name] != value},
    )


def _keep_bill(shape: Shape, names: Sequence[str], stated: Sequence[int], judged: Judged) -> None:
    span, call, found, _ = judged
    assert call is not None
    assert found is not None

    def restate(counts: Sequence[int]) -> Mapping[str, Any]:
        said = span.attributes | dict(zip(names, counts, strict=True))
        return normalised(replace(span, attributes=said, reading=None)) or {}

    bill = drawn_up(call, found.attributes, span.start_ns, stated, restate)
    if bill is not None and bill.appended(stated) != appendix(found.attributes):
        bill = None
    shape.keep(stated, bill)
