"""Who caused a call: endpoint tag, prompt version, tenant, user, session, tags.

First that is set wins, field by field: the innermost `attribute(...)` block, outer blocks, W3C
baggage that came in, what the framework knows (endpoint only), `TOLLSPAN_*` defaults.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import inspect
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Never, Self, TypeVar, cast

from opentelemetry import context
from opentelemetry.baggage import _BAGGAGE_KEY

from . import contexts, given, semconv
from .around import around
from .config import DATA_MODES, settings
from .guard import quietly

__all__ = [
    "attribute",
    "cleaned",
    "current",
    "endpoint_of_framework",
    "is_known",
    "outgoing_baggage",
    "travelling",
]

FIELDS: Mapping[str, str] = {
    "endpoint": semconv.ENDPOINT_TAG,
    "prompt": semconv.PROMPT_NAME,
    "prompt_version": semconv.PROMPT_VERSION,
    "tenant": semconv.TENANT,
    "user": semconv.USER,
    "session": semconv.SESSION,
    "request_id": semconv.REQUEST_ID,
    "data_mode": semconv.DATA_MODE,
}
"""Argument of `attribute` to span attribute. Baggage uses the span attribute's name."""

IDS = frozenset({semconv.TENANT, semconv.USER, semconv.SESSION})
"""What `TOLLSPAN_HASH_KEY` hashes."""

MAX_LENGTH = 256
"""Longest value kept, in characters: these become labels, columns and headers."""

MOST_TAGS = 32
"""Of a call: the SDK keeps 128 attributes of a span, and money must be among them."""

_MOST_FIELDS = len(FIELDS) + MOST_TAGS

_KEY = context.create_key("tollspan-attribution")
_NOTHING: Mapping[str, str] = {}
_F = TypeVar("_F", bound=Callable[..., Any])
_KINDS = (inspect.isasyncgenfunction, inspect.isgeneratorfunction, inspect.iscoroutinefunction)


def _endpoint_unknown() -> str | None:
    return None


endpoint_of_framework: Callable[[], str | None] = _endpoint_unknown
"""Endpoint that the enclosing server span names; the span processor replaces it."""


def hashed(value: str) -> str:
    """`value` as the first 32 hex digits of its HMAC-SHA256 under `TOLLSPAN_HASH_KEY`, if set.

    A value that already is such a hash (it came in as baggage from another of our services)
    carries the prefix `h:` and is left alone.
    """
    key = settings().hash_key
    if not key or value.startswith("h:"):
        return value
    return "h:" + hmac.new(key.encode(), value.encode(), hashlib.sha256).hexdigest()[:32]


def cleaned(name: str, value: Any) -> str | None:
    """`value` as a short printable string, or None; ids hashed where asked."""
    if value is None:
        return None
    text = value if isinstance(value, str) else given.text_of(_argument(name), value)
    text = text.strip()
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable())
    text = text[:MAX_LENGTH]
    if not text:
        return None
    return hashed(text) if name in IDS else text


def _argument(name: str) -> str:
    return next((argument for argument, each in FIELDS.items() if each == name), "a tag")


class attribute:
    """Says who causes the calls inside: a `with` block, or a decorator of any kind of function.

    Decorates `def`, `async def`, generators and async generators; the block covers exactly the
    decorated function's own execution, never its caller's. Nested blocks add to one another and
    the inner one wins field by field. Values are cut to 256 characters; unprintable characters go.
    What is no string is written as its text: numbers, UUIDs, the value of an enum, whatever else has a
    `__str__` of its own. What has none is left out, and the log says where that was.

    Args:
        endpoint: the feature of the application, e.g. `checkout.ai_summary`; keep it low-cardinality.
        prompt, prompt_version: which prompt, and which version of it.
        tenant, user, session: for whom; HMAC-hashed where `TOLLSPAN_HASH_KEY` is set.
        request_id: your own id of this logical call (externalRequestId).
        data_mode: `real`, `test`, `replay` or `shadow`.
        tags: more dimensions, e.g. `{"team": "growth"}`; 32 of them at most.

    Raises:
        ValueError: `data_mode` is none of the four.
        TypeError: an argument without its name, or with one that is not among these.
    """

    __slots__ = ("_entered", "_given")

    def __init__(
        self,
        *unnamed: Never,
        endpoint: str | None = None,
        prompt: str | None = None,
        prompt_version: str | None = None,
        tenant: str | None = None,
        user: str | None = None,
        session: str | None = None,
        request_id: str | None = None,
        data_mode: str | None = None,
        tags: Mapping[str, str] | None = None,
        **unknown: Never,
    ) -> None:
        if unknown:
            raise TypeError(given.unknown(next(iter(unknown)), (*FIELDS, "tags")))
        if unnamed:
            raise TypeError(
                f"attribute({unnamed[0]!r}): say what it is, e.g. attribute(endpoint='checkout'), "
                "also as a decorator"
            )
        if data_mode is not None and data_mode not in DATA_MODES:
            raise ValueError(f"data_mode={data_mode!r}: write one of {', '.join(DATA_MODES)}")
        self._given: dict[str, str] = {}
        self._entered: list[tuple[context.Context, context.Context]] = []
        values = (endpoint, prompt, prompt_version, tenant, user, session, request_id, data_mode)
        with quietly:
            for name, value in zip(FIELDS.values(), values, strict=True):
                if (text := cleaned(name, value)) is not None:
                    self._given[name] = text
            if tags:
                self._tag(tags)

    def _tag(self, tags: Mapping[str, str]) -> None:
        items = getattr(tags, "items", None)
        if items is None:
            kind = type(tags).__name__
            given.say(f'tags is of type {kind}, and is left out: write tags={{"team": "growth"}}')
            return
        if len(tags) > MOST_TAGS:
            given.say(f"of more than {MOST_TAGS} tags the first {MOST_TAGS} are kept")
        for key, value in islice(items(), MOST_TAGS):
            label, text = cleaned("", key), cleaned("", value)
            if label is not None and text is not None:
                self._given[semconv.TAG_PREFIX + label[:64]] = text

    def __enter__(self) -> Self:
        self._entered.append(self._enter())
        return self

    def __exit__(self, *_: object) -> None:
        contexts.put_back(*self._entered.pop())

    def __call__(self, function: _F) -> _F:
        if any(is_kind(function) for is_kind in _KINDS):
            return cast(_F, around(function, lambda: self._again))

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            before, entered = self._enter()  # by hand: `with` costs more than all the rest of this
            try:
                return function(*args, **kwargs)
            finally:
                contexts.put_back(before, entered)

        return cast(_F, inside)

    def _enter(self) -> tuple[context.Context, context.Context]:
        before = contexts.current()
        outer: Any = before.get(_KEY)
        block = {**outer, **self._given} if outer else self._given
        if len(block) > _MOST_FIELDS:
            block = _fewer(block, self._given)
        entered = contexts.added(before, _KEY, block)
        contexts.attach(entered)
        return before, entered

    @contextmanager
    def _again(self) -> Generator[None, None, None]:
        """A fresh entry of the same block: decorated functions run concurrently."""
        before, entered = self._enter()
        try:
            yield
        finally:
            contexts.put_back(before, entered)


def _fewer(block: Mapping[str, str], inner: Mapping[str, str]) -> dict[str, str]:
    """As much of `block` as a call may have: what the inner one says, then fields before tags."""
    names = sorted(block, key=lambda name: (name not in inner, name.startswith(semconv.TAG_PREFIX)))
    return {name: block[name] for name in names[:_MOST_FIELDS]}


def current() -> dict[str, str]:
    """Attribution of a call that starts now, as span attributes; a new dict each time.

    Without an endpoint from anywhere the key is absent: the call is untagged, nothing is invented.
    """
    here = contexts.current()
    block: Any = here.get(_KEY, _NOTHING)
    carried = here.get(_BAGGAGE_KEY)
    incoming = _incoming(carried) if carried else _NOTHING
    found = {**_defaults(), **incoming, **block}
    if semconv.ENDPOINT_TAG not in block and semconv.ENDPOINT_TAG not in incoming:
        endpoint = endpoint_of_framework()
        if endpoint and (text := cleaned(semconv.ENDPOINT_TAG, endpoint)):
            found[semconv.ENDPOINT_TAG] = text
    return found


def owner() -> str | None:
    """Span id (16 hex digits) of the call, in another process, that the work here is done for.

    Its requests carry it as baggage; None where there is none, or `TOLLSPAN_JOIN_CALLERS` is off.
    """
    carried = contexts.current().get(_BAGGAGE_KEY)
    if not carried:
        return None
    named = carried.get(semconv.OWNER_SPAN_ID) if isinstance(carried, Mapping) else None
    if not isinstance(named, str) or not settings().join_callers:
        return None
    return named if _SPAN_ID.fullmatch(named) and named.strip("0") else None


_SPAN_ID = re.compile(r"[0-9a-f]{16}")


def is_known() -> bool:
    """Whether a block is open, or baggage came in: quick, for requests that have nothing to carry."""
    here = contexts.current()
    return _KEY in here or _BAGGAGE_KEY in here


def travelling() -> dict[str, str]:
    """What requests of the application's own carry on: that of the open blocks, and what came in.

    Neither defaults nor what the framework knows, which the other service has of its own; and no
    request id, which is one call's.
    """
    here = contexts.current()
    block: Any = here.get(_KEY, _NOTHING)
    carried = here.get(_BAGGAGE_KEY)
    found = {**(_incoming(carried) if carried else _NOTHING), **block}
    found.pop(semconv.REQUEST_ID, None)
    return found


def _defaults() -> Mapping[str, str]:
    chosen = settings()
    global _defaults_of, _defaults_are
    if _defaults_of is not chosen:
        _defaults_are = {semconv.DATA_MODE: chosen.data_mode}
        for argument, name in FIELDS.items():
            text = cleaned(name, getattr(chosen, argument, None))
            if text is not None:
                _defaults_are[name] = text
        for key, value in chosen.tags:
            if (text := cleaned("", value)) is not None:
                _defaults_are[semconv.TAG_PREFIX + key[:64]] = text
        _defaults_of = chosen
    return _defaults_are


_defaults_of: object = None
_defaults_are: dict[str, str] = {}


def _incoming(carried: Any) -> Mapping[str, str]:
    """What came in as baggage. Hostile: names are ours only, values cleaned, modes checked."""
    found: dict[str, str] = {}
    if not isinstance(carried, Mapping):
        return found
    for name, value in carried.items():
        if name in _BAGGAGE or name.startswith(semconv.TAG_PREFIX):
            text = cleaned(name, value)
            if text is None or (name == semconv.DATA_MODE and text not in DATA_MODES):
                continue
            if len(found) < 32:
                found[name[: len(semconv.TAG_PREFIX) + 64]] = text
    return found


_BAGGAGE = frozenset(FIELDS.values())


def outgoing_baggage(attributes: Mapping[str, Any]) -> dict[str, str]:
    """The attribution in `attributes`, to travel as baggage to a host that may receive it."""
    return {
        name: value
        for name, value in attributes.items()
        if (name in _BAGGAGE or name.startswith(semconv.TAG_PREFIX)) and isinstance(value, str)
    }
