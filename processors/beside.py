"""Spans of others that stand beside a call, not around or inside it, and tell its answer again.

Callbacks (LangChain) and wrappers that do not make their span the current one leave no parentage:
their spans are siblings, often roots of traces of their own. What joins them to the call, the
strongest first:

- the context: a span of theirs was open in the very context in which the call started;
- the response id, read from the same answer in the same process at the same time;
- the same counts of tokens of the same model, where one lies within the other in time.

Each tells an answer once: of one scope, one span at most is joined to a call by its times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from tollspan import calls, semconv

from .foreign import standard
from .models import split, undated
from .usage import counts

__all__ = [
    "Answer",
    "Answers",
    "Waiting",
    "contradicts",
    "open_calls_like",
    "opened",
    "opened_here",
    "say_the_same",
]

_MOST = 256
"""Answers that are remembered: their spans end within a moment of one another."""
_DEEPEST = 16

_opened: ContextVar[tuple[int, ...]] = ContextVar("tollspan_others", default=())


def opened(span_id: int, live: Mapping[int, ReadableSpan]) -> None:
    """A span of others starts in this context."""
    still = [each for each in _opened.get() if each in live]
    _opened.set((*still[-_DEEPEST:], span_id))


opened_here: Callable[[], tuple[int, ...]] = _opened.get
"""Spans of others that started in this context, innermost last; some may have ended."""


class Answer:
    """One answer that is owned, for as long as others may tell it again."""

    __slots__ = ("attributes", "end_ns", "owner", "scopes", "start_ns")

    def __init__(
        self,
        owner: int,
        start_ns: int,
        end_ns: int,
        attributes: Mapping[str, Any],
        scopes: frozenset[str],
    ) -> None:
        self.owner = owner
        """Span id."""
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.attributes = attributes
        """Usage may stand under its standard names or not at all."""
        self.scopes = scopes
        """Instrumentations that have told it."""


_OURS = frozenset({semconv.SCOPE})


class Answers:
    """The answers that were given last in this process, in order of their ends."""

    def __init__(self) -> None:
        self._given: deque[Answer] = deque(maxlen=_MOST)

    def add(self, answer: Answer) -> None:
        self._given.append(answer)

    def add_call(self, call: calls.OpenCall, owner: int) -> None:
        """`call`, which has ended, and whose answer `owner` owns."""
        self._given.append(Answer(owner, call.start_ns, call.end_ns, call.attributes, _OURS))

    def of(self, owner: int) -> Answer | None:
        """The last answer that `owner` owns."""
        return next((each for each in reversed(self._given) if each.owner == owner), None)

    def told_by(self, span: ReadableSpan, attributes: Mapping[str, Any], scope: str) -> int:
        """The owner of the answer that an ended span of `scope` tells again, or 0.

        It is marked as told by that scope: a second span of it tells another answer.
        """
        start, end = span.start_time or 0, span.end_time or 0
        found: Answer | None = None
        said: dict[str, Any] | None = None
        for answer in reversed(self._given):
            if answer.end_ns < start:
                break  # and all before it
            if answer.start_ns > end or scope in answer.scopes:
                continue
            said = standard(attributes) if said is None else said
            ids = said.get(semconv.RESPONSE_ID), answer.attributes.get(semconv.RESPONSE_ID)
            if ids[0] and ids[1]:
                if ids[0] == ids[1]:
                    found = answer
                    break
                continue
            encloses = start <= answer.start_ns and answer.end_ns <= end
            within = answer.start_ns <= start and end <= answer.end_ns
            if found is None and (encloses or within) and say_the_same(said, answer.attributes):
                found = answer
        if found is None:
            return 0
        found.scopes |= {scope}
        return found.owner


class Waiting:
    """A span that ended before a call that it may be about: kept until that one has ended."""

    __slots__ = ("attributes", "attribution", "calls", "span")

    def __init__(
        self,
        span: ReadableSpan,
        attributes: Mapping[str, Any],
        attribution: Mapping[str, str],
        calls: set[int],
    ) -> None:
        self.span = span
        self.attributes = attributes
        self.attribution = attribution
        self.calls = calls
        """Span ids of the open calls that it may be about."""


def open_calls_like(span: ReadableSpan, attributes: Mapping[str, Any]) -> set[int]:
    """Span ids of open calls whose answer an ended span may tell: they asked the same model."""
    models = _models(standard(attributes))
    return {
        span_id
        for span_id, call in list(calls.open_calls.items())
        if call.outer is None
        and call.start_ns <= (span.end_time or 0)
        and not models.isdisjoint(_models(call.attributes))
    }


def contradicts(said: Mapping[str, Any], call: Mapping[str, Any]) -> bool:
    """Whether a span, in standard names, cannot be about the answer of `call`.

    An agent's sums up what several calls state; it contradicts none of them.
    """
    if said.get(semconv.OPERATION) in ("invoke_agent", "create_agent", "execute_tool"):
        return False
    ids = said.get(semconv.RESPONSE_ID), call.get(semconv.RESPONSE_ID)
    if ids[0] and ids[0] == ids[1]:
        return False
    one, other = _models(said), _models(call)
    return bool(one and other and one.isdisjoint(other))


def say_the_same(said: Mapping[str, Any], call: Mapping[str, Any]) -> bool:
    """Whether two calls in standard names state the same counts of tokens of one model.

    `said` may leave cached tokens out of its input; what `call` counts may be restated. Two that state
    none do not.
    """
    one, other = counts(said), counts(call, restated=True)
    if not one.get("output_tokens") and not one.get("input_tokens"):
        return False
    if one.get("output_tokens", 0) != other.get("output_tokens", 0):
        return False
    read, asked = other.get("input_tokens", 0), one.get("input_tokens", 0)
    if asked != read and asked != read - other.get("cache_read_tokens", 0):
        return False
    return not _models(said).isdisjoint(_models(call))


def _models(said: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(_bare(said.get(name) for name in _MODELS))


_MODELS = (semconv.REQUEST_MODEL, semconv.RESPONSE_MODEL, semconv.MODEL_SERVED)


def _bare(models: Iterable[Any]) -> Iterable[str]:
    for model in models:
        if isinstance(model, str) and model:
            yield undated(split(model)[1])
