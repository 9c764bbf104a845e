"""Spans of one shape: the same names in the same places. (foreign names)

What settling reads of a span are a few names with few values, and counts of tokens. Attributes that
decide are known by their bytes, of the others only the name is looked at. A shape that was settled
once says for every later span of it what is to be appended.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from .bill import Bill
from .pairs import key_of, number, pair
from .private import DROP, KEEP, rule
from .span import Reading

__all__ = ["COUNT", "DECIDES", "HIDDEN", "IDENTIFIES", "SAYS", "Restated", "Shape", "part"]

DECIDES, COUNT, IDENTIFIES, HIDDEN, SAYS = "decides", "count", "identifies", "hidden", "says"
"""What an attribute is to settling: its value decides; it is a count; the value tells nothing but
whether it begins with `gen-`, as OpenRouter's answer ids do; it must not go further; nothing."""

_READ = (
    "agw.",
    "ai.",
    "anthropic.",
    "embedding.",
    "error.",
    "gen_ai.",
    "hidden_params",
    "http.",
    "langfuse.",
    "langsmith.",
    "litellm.",
    "llm.",
    "logfire.level_num",
    "logfire.span_type",
    "metadata.user_api_key_request_route",
    "model.",
    "openai.",
    "openinference.",
    "openrouter.",
    "operation.",
    "server.address",
    "tensorzero.",
    "tollspan.",
    "trace.metadata.",
)
"""Where the names are that settling and the recognition of calls may read."""
_NOT_READ = (
    "ai.response.avgOutputTokensPerSecond",
    "ai.response.ms",
    "ai.response.timestamp",
    "ai.settings.",
    "ai.telemetry.",
    "gen_ai.agent.",
    "gen_ai.conversation.id",
    "gen_ai.output.type",
    "gen_ai.prompt.name",
    "gen_ai.prompt.version",
    "gen_ai.request.choice.count",
    "gen_ai.request.encoding_formats",
    "gen_ai.request.frequency_penalty",
    "gen_ai.request.max_tokens",
    "gen_ai.request.presence_penalty",
    "gen_ai.request.seed",
    "gen_ai.request.stop_sequences",
    "gen_ai.request.temperature",
    "gen_ai.request.top_",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.usage.total_tokens",
    "http.response.header.x-ratelimit-",
    "llm.invocation_parameters",
    "llm.token_count.total",
    "llm.usage.total_tokens",
    "tollspan.api_key_fingerprint",
    "tollspan.endpoint_tag",
    "tollspan.rate_limit.",
    "tollspan.request_id",
    "tollspan.tag.",
    "tollspan.tenant",
    "tollspan.told_version",
)
"""Of these the beginnings of names whose values tell it nothing, however many there are."""
_COUNTS = (
    "ai.usage.",
    "anthropic.usage.",
    "gen_ai.usage.",
    "llm.token_count.",
    "llm.usage.",
    "tollspan.usage.",
)
MOST_BYTES = 8_192
"""A longer span is settled by itself: one of its values may have to be cut."""


@lru_cache(maxsize=8192)
def part(key: bytes) -> str:
    """What attributes are to settling that begin with `key`, as `key_of` gives it."""
    name = pair(key[:-1])[0]
    found = rule(name)
    if found == DROP:
        return HIDDEN
    if name in ("gen_ai.response.id", "ai.response.id"):
        return IDENTIFIES
    if found != KEEP or (name.startswith(_READ) and not name.startswith(_NOT_READ)):
        return COUNT if name.startswith(_COUNTS) else DECIDES
    return SAYS


class Restated(NamedTuple):
    """What reading a call in standard names changes in its attributes."""

    removed: tuple[str, ...]
    written: Mapping[str, Any]

    def of(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """`said` in standard names."""
        found = {**said, **self.written}
        for name in self.removed:
            found.pop(name, None)
        return found


class Shape:
    """What is appended to spans of one shape; to one without a call in it, nothing."""

    __slots__ = (
        "_bills",
        "_counts",
        "_looks",
        "_tried",
        "counted",
        "day",
        "hidden",
        "is_call",
        "is_relevant",
        "is_usual",
        "restated",
    )

    def __init__(
        self,
        viewed: Any,
        raws: Sequence[bytes],
        unknown: Sequence[int],
        day: tuple[int, int],
        *,
        is_call: bool,
        is_relevant: bool,
        restated: Restated | None,
    ) -> None:
        keys = {place: key_of(raws[place]) for place in unknown}
        self.day = day
        self.counted = [place for place in unknown if part(keys[place]) == COUNT]
        self._counts = _picked(self.counted)
        ids = [place for place in unknown if part(keys[place]) == IDENTIFIES]
        self._looks = (
            *day,
            viewed.kind,
            viewed.status,
            _picked(unknown),
            tuple(keys.values()),
            ids[0] if len(ids) == 1 else None,
            ids,
        )
        self.hidden = tuple(place for place in unknown if part(keys[place]) == HIDDEN)
        self.is_call, self.is_relevant = is_call, is_relevant
        self.is_usual = is_call and is_relevant and not self.hidden
        self.restated = restated
        self._bills: dict[Zeros, Bill] = {}
        self._tried: Counter[Zeros] = Counter()

    def fits(self, viewed: Any, raws: Sequence[bytes]) -> bool:
        """Whether a span is of this shape; `raws` are its attributes."""
        begin, end, kind, status, others, begin_with, only_id, ids = self._looks
        if (
            begin <= viewed.start_time_unix_nano < end
            and viewed.kind == kind
            and viewed.status == status
            and not viewed.events
            and all(map(_startswith, others(raws), begin_with))
        ):
            if only_id is not None:
                return _GENERATION not in raws[only_id]
            return not any(_GENERATION in raws[place] for place in ids)
        return False

    def stated(self, raws: Sequence[bytes]) -> tuple[int, ...] | None:
        """The counts in a span that fits; None where one is no count."""
        found = _counted(self._counts(raws))
        return None if NO_COUNT in found else found

    @property
    def bill(self) -> Bill | None:
        """Of spans in which no count is zero of those at the places `counted`; where there is one."""
        return self._bills.get(None)

    def _bill(self, raws: Sequence[bytes]) -> tuple[Bill | None, tuple[int, ...]]:
        """The bill of a span that fits, and the counts in it; None where it takes a closer look."""
        stated = _counted(self._counts(raws))
        return (None if NO_COUNT in stated else self._bills.get(_zeros(stated))), stated

    def appended(self, viewed: Any, raws: Sequence[bytes], grades: list[str]) -> bytes | None:
        """What is to be appended to a span, and its grade into `grades`; None where the span is not
        of this shape, or takes a closer look."""
        if not self.fits(viewed, raws):
            return None
        if not self.is_call:
            return b""
        stated = tuple(map(_known_count, self._counts(raws)))
        if not all(stated):
            bill, stated = self._bill(raws)
        else:
            bill = self._bills.get(None)
        if bill is None:
            return None
        appended = bill.appended(stated)  # type: ignore[arg-type]
        if appended is not None:
            grades.append(bill.grade)
        return appended

    def reading(self, raws: Sequence[bytes], said: Mapping[str, Any]) -> Reading | None:
        """How a span that fits reads, whose attributes are `said`; None where that takes a closer
        look."""
        if not self.is_call or self.restated is None:
            return None
        bill, stated = self._bill(raws)
        settled = bill.settled(stated) if bill is not None else None
        return None if settled is None else Reading(self.restated.of(said), settled)

    def wants_bill(self, stated: Sequence[int]) -> bool:
        """Whether spans that state so much have none yet, and it was not tried in vain too often."""
        key = _zeros(stated)
        return key not in self._bills and self._tried[key] < TRIES

    def keep(self, stated: Sequence[int], bill: Bill | None) -> None:
        """Remember the bill of spans that state so much; None where it is not so simple."""
        key = _zeros(stated)
        if bill is None:
            self._tried[key] += 1
        elif len(self._bills) < MOST_BILLS:
            self._bills[key] = bill

    def names(self, raws: Sequence[bytes]) -> list[str]:
        """Names of the counts, in the order of `stated`."""
        return [pair(each)[0] for each in self._counts(raws)]


_startswith = bytes.startswith
_GENERATION = b"gen-"


def _picked(places: Sequence[int]) -> Callable[[Sequence[bytes]], Sequence[bytes]]:
    if len(places) > 1:
        return operator.itemgetter(*places)
    only = places[0] if places else None
    return lambda raws: () if only is None else (raws[only],)


Zeros = tuple[bool, ...] | None
"""Which counts are not zero; None stands for all of them."""


def _zeros(stated: Sequence[int]) -> Zeros:
    return tuple(map(bool, stated)) if 0 in stated else None


_counts: dict[bytes, int] = {}
"""What attributes state that are counts, by their bytes."""
_known_count = _counts.get
NO_COUNT = -1
MOST_COUNTS = 65_536
MOST_BILLS, TRIES = 256, 4


def _counted(raws: Sequence[bytes]) -> tuple[int, ...]:
    """What attributes state; `NO_COUNT` where that is no count."""
    return tuple([_count(raw) if (known := _known_count(raw)) is None else known for raw in raws])


def _count(raw: bytes) -> int:
    value = number(raw)
    if type(value) is not int or value < 0:
        return NO_COUNT
    if len(_counts) >= MOST_COUNTS:
        _counts.clear()
    _counts[raw] = value
    return value
