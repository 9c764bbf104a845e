"""What a provider module declares. Nothing here touches a span."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Attributes = Mapping[str, "str | int | float | bool | Sequence[str] | None"]
"""Semantic-convention name to value; `None` means unknown and is not written."""


class Fold(Protocol):
    """Gathers the chunks of one streamed response into what a plain answer would say.

    It may have `opened(stream)`: of `Chunks`, the stream object before its first chunk.
    """

    def add(self, chunk: Any, /) -> None: ...

    def attributes(self) -> Attributes: ...


@dataclass(frozen=True, slots=True)
class Surface:
    """One API operation: how its request, response and chunks read as attributes.

    All three are pure and total: whatever object comes in, they return what they can read of it.
    What they state wins over what the engine knows, `gen_ai.provider.name` included; `error.type`
    in an answer or a fold makes the call an error.
    """

    operation: str
    """Value of `gen_ai.operation.name`."""
    request: Callable[[Mapping[str, Any]], Attributes]
    response: Callable[[Any], Attributes]
    fold: Callable[[], Fold] | None = None
    tells_usage_asked: bool = False
    """A stream states its usage only where `stream_options.include_usage` asks for it."""


@dataclass(frozen=True, slots=True)
class Patch:
    """One function to watch: the module that holds it, and its dotted name there.

    With a `surface` its arguments, positional ones bound by name, are the request, and what it
    returns (awaited, if need be) is the answer or a stream of chunks. Without one it is the
    `request(cast_to, options, *, stream, ...)` of a client through which all calls of an SDK go;
    the provider's `paths` then say which surface a call has.
    """

    module: str
    name: str
    surface: Surface | None = None


@dataclass(frozen=True, slots=True)
class Chunks:
    """A class of streams that watched functions return: whatever its iteration gives is a chunk."""

    module: str
    name: str


def _unnamed(client: Any) -> str | None:
    return None


def _nowhere(given: Mapping[str, Any]) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider SDK: the whole of what the engine needs to know about it."""

    name: str
    """Value of `gen_ai.provider.name` where neither host nor client says otherwise."""
    patches: Sequence[Patch]
    chunks: Sequence[Chunks] = ()
    paths: Mapping[str, Surface] = field(default_factory=dict)
    """End of the path of a POST (`/chat/completions`) to surface. Of two that fit, the longer."""
    rewritten: Sequence[tuple[str, Surface]] = ()
    """Patterns of whole paths whose group `model` is the model, for requests that carry it there."""
    named: Callable[[Any], str | None] = _unnamed
    """Provider name of a client object, where its class knows better than the host."""
    base_url: Callable[[Mapping[str, Any]], str | None] = _nowhere
    """Address that a watched function with a surface asks, from its arguments, `self` included."""
