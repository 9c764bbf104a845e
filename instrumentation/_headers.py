"""Which response headers are kept, and how they read as attributes.

An allow-list, never the whole set: gateways were seen to answer with their own upstream
`authorization`, with spend, internal hosts and key names. What may stay names a request, a limit,
a gateway or the model it chose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from tollspan import semconv
from tollspan.config import settings

from ._header_names import ALLOWED, SECRET_IN_SETTING, SECRET_VALUE, SECRET_WORDS

__all__ = [
    "PORTKEY_INDEX",
    "STATE_THEIR_TIME",
    "TELLING",
    "Picked",
    "Row",
    "kept",
    "pick",
    "read",
    "retry_after_s",
]

MAX_VALUE_LENGTH = 512
MAX_KEPT = 96
"""Headers kept of one response, and characters of one value: both come from outside."""

PRESENCE_ONLY = frozenset({"x-litellm-cache-key"})
"""That they are there is the fact; their value is nobody's business."""

_FALLBACK_ERRORS = "x-litellm-fallback-errors"
"""JSON: an error for each model group that failed. Codes are kept, messages may repeat prompts."""
_REDUCED = PRESENCE_ONLY | {"server", _FALLBACK_ERRORS}
"""Headers whose value is not kept as it came."""
_PREFIX = semconv.RESPONSE_HEADER_PREFIX
_ERROR_CODE = r'"code": ?"?([45]\d\d)\b'


class _Shape:
    """Which of an answer's headers are kept: the attribute of each and its place in the answer."""

    __slots__ = ("names", "places", "reduced", "tells")

    def __init__(self, names: tuple[str, ...], places: _Places, reduced: _Reduced) -> None:
        self.names = names
        self.places = places
        self.reduced = reduced
        """Those whose value is not kept as it came, with the header's own name."""
        self.tells = not TELLING.isdisjoint(names)


_Places = Callable[[Sequence[Any]], tuple[Any, ...]]
"""Takes what is kept out of a sequence."""
_Reduced = tuple[tuple[str, str], ...]


_RETRY_AFTER = _PREFIX + "retry-after"
_RETRY_AFTER_MS = _PREFIX + "retry-after-ms"
PORTKEY_INDEX = _PREFIX + "x-portkey-last-used-option-index"
STATE_THEIR_TIME = frozenset(
    _PREFIX + name
    for name in (
        "x-bifrost-upstream-latency-ms",
        "x-envoy-upstream-service-time",
        "x-kong-upstream-latency",
    )
)
"""What these gateways waited for others: the rest of our wait is theirs."""
TELLING = STATE_THEIR_TIME | {PORTKEY_INDEX, _RETRY_AFTER, _RETRY_AFTER_MS}
"""Headers from which more follows than what they say."""

Row = tuple[bytes, ...] | tuple[str, ...]
"""One header: its name first, its value last."""

Picked = tuple[_Shape, tuple[Any, ...]]
"""The headers of one answer that may stay, as they came: nothing else of the answer is held on to."""


class _Names(dict["bytes | str", str]):
    """Header name as received to attribute name; the empty string for a header that is not kept.

    Names come from outside: the table forgets everything when it has grown to 4,096 of them.
    """

    def __init__(self, extra: frozenset[str], otoroshi: str) -> None:
        self.extra = extra
        self.otoroshi = otoroshi
        self.shapes: dict[tuple[bytes | str, ...], _Shape] = {}

    def __missing__(self, received: bytes | str) -> str:
        name = received.decode("latin-1") if isinstance(received, bytes) else received
        if len(self) >= 4096:
            self.clear()
        attribute = self.attribute(name.lower())
        self[received] = attribute
        return attribute

    def shape(self, received: tuple[bytes | str, ...]) -> _Shape:
        """What is kept of headers of these names, which answers of one server have in common."""
        places: dict[str, int] = {}
        for place, name in enumerate(received):
            if (attribute := self[name]) and len(places) < MAX_KEPT:
                places.setdefault(attribute, place)
        inner = {each: _inner(each.removeprefix(_PREFIX)) for each in places}
        reduced = [
            (each, name)
            for each, name in inner.items()
            if name in _REDUCED and each.removeprefix(_PREFIX) not in self.extra
        ]
        shape = _Shape(tuple(places), _picking(tuple(places.values())), tuple(reduced))
        if len(received) <= MAX_KEPT:
            if len(self.shapes) >= 256:
                self.shapes.clear()
            self.shapes[received] = shape
        return shape

    def attribute(self, name: str) -> str:
        if name in self.extra:
            return _PREFIX + name
        if self.otoroshi and name.startswith(self.otoroshi):
            name = _OTOROSHI + name[len(self.otoroshi) :]
        if re.fullmatch(ALLOWED, name) is None:
            return ""
        inner = _inner(name)
        if inner not in _REDUCED and re.search(SECRET_WORDS, inner):
            return ""
        return _PREFIX + name


def _none(values: Sequence[Any]) -> tuple[Any, ...]:
    return ()


_NO_SHAPE = _Shape((), _none, ())


def _picking(places: tuple[int, ...]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """What takes the values at `places` out of a sequence, in that order."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple([values[place] for place in places])


def _inner(name: str) -> str:
    """The name that a header had before LiteLLM renamed it."""
    return name.rpartition("llm_provider-")[2]


def _extra(names: Iterable[str]) -> frozenset[str]:
    """What `TOLLSPAN_RESPONSE_HEADERS` adds; a name that speaks of secrets never."""
    return frozenset(
        name for name in (each.lower() for each in names) if not re.search(SECRET_IN_SETTING, name)
    )


_OTOROSHI = "x-otoroshi-llm-"
"""What its rule reads; operators may choose another prefix."""

_name, _value = itemgetter(0), itemgetter(-1)
_names_of: object = None
_names = _Names(frozenset(), "")
_shapes = _names.shapes


def pick(headers: Iterable[Row]) -> Picked:
    """The headers of a response that may stay, to be read in a moment."""
    global _names_of, _names, _shapes
    chosen = settings()
    if chosen is not _names_of:
        prefix = chosen.otoroshi_prefix.lower()
        _names, _names_of = _Names(_extra(chosen.response_headers), prefix), chosen
        _shapes = _names.shapes
    received: Any = headers if type(headers) is list else [*headers]
    if not received:
        return _NO_SHAPE, ()
    names = (*map(_name, received),)
    shape = _shapes.get(names) or _names.shape(names)
    places = shape.places
    return shape, (*map(_value, places(received)),)


def kept(headers: Iterable[Row]) -> dict[str, str]:
    """The allow-listed headers of a response as attributes: `http.response.header.<name>` to value.

    Names are lower-case with dashes, values printable and at most 512 characters. The first of
    several headers of one name counts; at most 96 are kept.
    """
    return read(pick(headers))


def read(headers: Picked) -> dict[str, str]:
    """As `kept`, of headers that were picked."""
    shape, picked = headers
    texts = _read_together(picked)
    is_clean = texts is not None
    found = dict(zip(shape.names, texts or map(_decoded, picked), strict=True))
    for attribute, name in shape.reduced:
        if left := _reduced(name, found[attribute]):
            found[attribute] = left
        else:
            del found[attribute]
    if "" in found.values():
        found = {attribute: text for attribute, text in found.items() if text}
    return found if is_clean else _cleaned(found)


def _decoded(value: Any) -> str:
    return value.decode("utf-8", "replace") if type(value) is bytes else str(value)


_BETWEEN = " |~"
"""Of a header that says this the values are looked at one by one. It begins with nothing that it ends
with: a value and what stands between never make it together."""
_BETWEEN_BYTES = _BETWEEN.encode()


def _read_together(picked: Sequence[Any]) -> list[str] | None:
    """The values of headers as text, read and looked at all at once, as this is done for every
    answer; None where they are to be looked at one by one."""
    try:
        if picked and type(picked[0]) is str:  # as `requests` has it
            everything = _BETWEEN.join(picked)
        else:
            everything = _BETWEEN_BYTES.join(picked).decode()
    except (TypeError, UnicodeDecodeError):
        return None
    if not everything.isprintable() or "sk-" in everything or "earer" in everything:
        return None
    texts = everything.split(_BETWEEN)
    if len(texts) != len(picked):
        return None
    if len(everything) > MAX_VALUE_LENGTH and max(map(len, texts)) > MAX_VALUE_LENGTH:
        return None
    return texts


def _cleaned(found: Mapping[str, str]) -> dict[str, str]:
    cleaned = {attribute: _clean(text) for attribute, text in found.items()}
    return {attribute: text for attribute, text in cleaned.items() if text}


def _reduced(name: str, text: str) -> str:
    if name in PRESENCE_ONLY:
        return "present"
    if name == _FALLBACK_ERRORS:
        return ",".join(re.findall(_ERROR_CODE, text)[:16])
    return "envoy" if "envoy" in text.lower() else ""  # all that a `server` header is kept for


def _clean(text: str) -> str:
    """`text` printable and short; empty if a secret stands in it, whatever the header's name."""
    if ("sk-" in text or "earer" in text) and re.search(SECRET_VALUE, text):
        return ""
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable())
    return text[:MAX_VALUE_LENGTH]


def retry_after_s(found: Mapping[str, str], now_s: float) -> float | None:
    """How long the answer asks to wait, in seconds, from headers that `kept` found.

    `retry-after-ms` is the finer one and goes first; `retry-after` is a number of seconds or an
    HTTP date (RFC 9110, 10.2.3). A date in the past is 0; nonsense is None.
    """
    if (text := found.get(_RETRY_AFTER_MS)) and (number := _number(text)) is not None:
        return number / 1000
    if not (text := found.get(_RETRY_AFTER)):
        return None
    if (number := _number(text)) is not None:
        return number
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, round(parsedate_to_datetime(text).timestamp() - now_s, 3))
    except (ValueError, OverflowError, OSError):
        return None


_NUMBER = r"\d{1,9}(?:\.\d{1,9})?"


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(_NUMBER, text.strip()) else None
