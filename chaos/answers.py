"""What the provider answered: the entries of its log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

__all__ = ["SECRET_HEADERS", "Answer", "without_secrets"]

SECRET_HEADERS = frozenset(
    {"authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization"}
)


@dataclass(slots=True)
class Answer:
    """One request that reached the provider, and what it got. Message content is not kept."""

    n: int
    """1, 2, … in the order in which requests came."""
    started_s: float
    """When the request was read, seconds since the epoch."""
    path: str
    api: str
    """`chat_completions`, `completions`, `responses`, `embeddings`, `moderations`, `messages`,
    `count_tokens`; or `` (unknown)."""
    model_asked: str | None
    stream: bool
    headers: Mapping[str, str]
    """Request headers, lower-case; those that carry keys say `<secret>`."""
    model_served: str | None = None
    status: int | None = None
    """None while nothing was answered."""
    response_id: str | None = None
    usage: dict[str, int] | None = None
    """What a provider bills: `input_tokens` (cached and written ones included), `output_tokens`
    (reasoning included), `cache_read_tokens`, `cache_write_tokens` (all), of which
    `cache_write_1h_tokens`, and `reasoning_tokens`. None: nothing was billed."""
    service_tier: str | None = None
    cost: Decimal | None = None
    """USD that the answer itself stated."""
    completed: bool = False
    """The whole answer was written: we did not break it off and the client was still there."""
    chunks: int = field(default=0)
    """Pieces of text written to a stream."""

    def as_json(self) -> dict[str, Any]:
        """The entry as JSON can carry it: `cost` is a decimal string."""
        found = {name: getattr(self, name) for name in self.__slots__}
        found["cost"] = None if self.cost is None else str(self.cost)
        found["headers"] = dict(self.headers)
        return found


def without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    """`headers` with lower-case names; values that are keys or sessions replaced."""
    return {
        name.lower(): "<secret>" if name.lower() in SECRET_HEADERS else value
        for name, value in headers.items()
    }
