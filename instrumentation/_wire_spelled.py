"""Texts that the events of a stream spell out together, each a few letters of them.

What belongs together stands at the same place of one event after another: the same members, of the
same choice and block. Events of a stream differ in little but these texts, so that an event that is
shaped as one before it is taken apart at its quotation marks, without being parsed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, NamedTuple

from tollspan.redaction import Redactor

__all__ = ["Shape", "Spelled", "parsed"]

PLACES = frozenset(
    {"index", "output_index", "content_index", "item_id", "choice_index", "block_index"}
)
"""Members that say which of several texts a piece belongs to."""

NO_PIECES = frozenset(
    {
        *("id", "object", "model", "type", "role", "finish_reason", "stop_reason", "status"),
        *("system_fingerprint", "service_tier", "item_id", "name", "event", "created_at"),
        *("responseId", "modelVersion", "finishReason", "call_id", "response_id", "provider"),
    }
)
"""Members that say the same in each event, and are no pieces of anything."""

DEEPEST = 40
MOST_SHAPES = 16
"""Shapes of events that differ in the names of their members only; others are parsed."""

_DIGITS = re.compile(r"\d+")

_Piece = tuple[int, tuple[Any, ...], str]
"""A text in an event: the event's number, the way to it from the top, the text."""


_Pieces = tuple[int, list[_Piece], tuple[Any, ...]]
"""Where a piece stands in an event that is taken apart, those that it belongs to, and the way to it."""


class _Text(NamedTuple):
    """A quoted text of an event: its value, or the name of a member."""

    place: tuple[Any, ...] | None
    """Where it belongs, if it is a piece of something."""
    way: tuple[Any, ...]
    said: str
    tells: int
    """1: events of a shape have the same here; 2: and the same behind it; 0: they may differ."""


class Shape:
    """How events that are alike are taken apart: by the numbers of what their quotation marks part."""

    __slots__ = ("before", "behind", "first", "pieces", "said", "same", "tokens", "varying")

    def __init__(
        self,
        first: int,
        tokens: Sequence[str],
        texts: Sequence[_Text],
        pieces: Sequence[_Pieces],
    ) -> None:
        self.first = first
        """The number of the event with these `tokens`: what its quotation marks part."""
        self.tokens = tokens
        self.varying = {place for place, _, _ in pieces}
        """Which of them others of this shape have other than the first: none but these so far."""
        alike = {0}
        for number, text in enumerate(texts):
            alike.update(range(2 * number + 1, 2 * number + 1 + text.tells))
        self.same: Callable[[Sequence[str]], Any] = itemgetter(*sorted(alike))
        self.said = self.same(tokens)
        self.pieces = pieces
        self.before = self.behind = ""
        """What stands around the piece, where there is one: the next event is likely to have it."""
        if len(pieces) == 1:
            ((place, _, _),) = pieces
            self.before = '"'.join([*tokens[:place], ""])
            self.behind = '"'.join(["", *tokens[place + 1 :]])

    def learn(self, tokens: Sequence[str]) -> None:
        """Take in another event of this shape."""
        self.varying.update(
            at
            for at, (mine, other) in enumerate(zip(self.tokens, tokens, strict=True))
            if mine != other
        )

    def only(self, text: str) -> str | None:
        """The piece of an event that differs in nothing else."""
        if not self.before or not (text.startswith(self.before) and text.endswith(self.behind)):
            return None
        piece = text[len(self.before) : len(text) - len(self.behind)]
        return None if '"' in piece else piece


class Spelled:
    """Events, as JSON, and what they spell out together."""

    def __init__(self) -> None:
        self.count = 0
        """Of the events so far."""
        self._together: dict[tuple[Any, ...], list[_Piece]] = {}
        self._shapes: dict[str, list[Shape]] = {}
        self.last: Shape | None = None
        """That of the last event, where it is of one."""

    def add(self, text: str) -> None:
        """The next event; what is no JSON is none of anything."""
        number = self.count
        self.count += 1
        if '\\"' in text:
            self._parse(number, text)
            return
        if self.last is not None and (piece := self.last.only(text)) is not None:
            self._note(number, self.last.pieces[0], piece)
            return
        tokens = text.split('"')
        skeleton = '"'.join(tokens[::2])
        shapes = self._shapes.get(skeleton)
        if shapes is None:  # numbers may differ
            shapes = self._shapes.setdefault(_DIGITS.sub("0", skeleton), [])
            self._shapes[skeleton] = shapes
        for shape in shapes:
            if shape.same(tokens) == shape.said:
                self.last = shape
                shape.learn(tokens)
                for each in shape.pieces:
                    self._note(number, each, tokens[each[0]])
                return
        texts = self._parse(number, text)
        if len(texts) == len(tokens) // 2 and len(shapes) < MOST_SHAPES:
            pieces = [
                (2 * at + 1, self._together.setdefault(each.place, []), each.way)
                for at, each in enumerate(texts)
                if each.place is not None
            ]
            self.last = Shape(number, tokens, texts, pieces)
            shapes.append(self.last)

    def add_alike(self, shape: Shape, values: Mapping[int, Sequence[str]]) -> None:
        """Events of `shape`, with what they have in the place of each of its varying tokens."""
        numbers = range(self.count, self.count + len(next(iter(values.values()))))
        self.count = numbers.stop
        for place, pieces, way in shape.pieces:
            pieces.extend(zip(numbers, repeat(way), values[place], strict=False))

    def _note(self, number: int, pieces: _Pieces, said: str) -> None:
        if said:
            said = json.loads(f'"{said}"', strict=False) if "\\" in said else said
            pieces[1].append((number, pieces[2], said))

    def _parse(self, number: int, text: str) -> list[_Text]:
        texts = list(_texts(parsed(text), (), (), 0))
        for each in texts:
            if each.place is not None and each.said:
                pieces = self._together.setdefault(each.place, [])
                pieces.append((number, each.way, each.said))
        return texts

    def masked(
        self, redactor: Redactor, event: Callable[[int], str]
    ) -> tuple[dict[int, str], Counter[str]]:
        """The events that change, by their number, and how often each rule found something. `event`
        gives one by its number, as it was added."""
        changes: dict[int, list[tuple[tuple[Any, ...], str]]] = {}
        counted: Counter[str] = Counter()
        for pieces in self._together.values():
            if len(pieces) < 2:
                continue
            masked, found = redactor.parts([said for _, _, said in pieces])
            counted += found
            if found:
                for (number, way, before), said in zip(pieces, masked, strict=True):
                    if said != before:
                        changes.setdefault(number, []).append((way, said))
        changed = {number: _changed(event(number), changes[number]) for number in sorted(changes)}
        return changed, counted


def _changed(text: str, changes: Sequence[tuple[tuple[Any, ...], str]]) -> str:
    event = json.loads(text, strict=False)
    for way, said in changes:
        holder = event
        for step in way[:-1]:
            holder = holder[step]
        holder[way[-1]] = said
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def _texts(value: Any, path: tuple[Any, ...], way: tuple[Any, ...], depth: int) -> Iterator[_Text]:
    """All quoted texts of `value`, as they follow one another in it."""
    if type(value) is dict:
        path += tuple([str(value[name]) for name in sorted(PLACES) if name in value])
        for name, each in value.items():
            yield _Text(None, way, name, 2 if name in PLACES else 1)
            if type(each) is str:
                place = None if name in NO_PIECES else (*path, name)
                yield _Text(place, (*way, name), each, int(name in PLACES))
            elif depth < DEEPEST:
                yield from _texts(each, (*path, name), (*way, name), depth + 1)
    elif type(value) is list:
        for number, each in enumerate(value):
            if type(each) is str:
                yield _Text((*path, number), (*way, number), each, 0)
            elif depth < DEEPEST:
                # What says itself which one it is may come at any place of its list.
                told = type(each) is dict and not PLACES.isdisjoint(each)
                yield from _texts(
                    each, path if told else (*path, number), (*way, number), depth + 1
                )


def parsed(text: str) -> Any:
    """What `text` says; None where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
