"""What a provider module declares. Nothing here touches a span.

Named tuples, not dataclasses: those take six times as long to make, in every start of a program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

Attributes = Mapping[str, "str | int | float | bool | Sequence[str] | None"]
"""Semantic-convention name to value; `None` means unknown and is not written."""


class Fold(Protocol):
    """Gathers the chunks of one streamed response into what a plain answer would say.

    It may have `opened(stream)`: of `Chunks`, the stream object before its first chunk.
    """

    def add(self, chunk: Any, /) -> None: ...

    def attributes(self) -> Attributes: ...


def _fits(model: Any, another: str) -> bool:
    return True


class Dials(NamedTuple):
    """Where a request says what it may cost, for calls that are to be made cheaper (`_less`).

    A path is the keys from the body inwards.
    """

    limits: Sequence[tuple[str, ...]]
    """Where the length of an answer may be stated. Where a request states none, the first is used."""
    model: str = "model"
    """Its key; '' where the request does not choose a model."""
    tools: Sequence[str] = ()
    """Keys that go where no tools are wanted."""
    unused: Mapping[str, Any] | None = None
    """What is said, with the tools left in, where the talk has used tools already: providers then ask
    for their declarations. None: such a request is left as it is."""
    talk: tuple[str, ...] = ("messages",)
    """Where the messages stand."""
    thinking: tuple[str, ...] = ()
    """Where Claude's `thinking` stands, whose budget must be less than the answer's length."""
    fits: Callable[[Any, str], bool] = _fits
    """Whether the model may be another one, as which `body[model]` is read; not where bodies differ."""


class Surface(NamedTuple):
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
    around: bool = False
    """A library's own function: who was asked, where the answer does not say, is known by what the
    library asked inside."""
    heard: bool = False
    """Its answers come to somebody who did not ask for them there and then: a span is made of each
    that states something, when it has come. A fold then has `answers()`, which gives several."""
    holds: Callable[[Any], Any] | None = None
    """For answers that are whole but for one part, still to be read: that part, or None."""
    failure: Callable[[BaseException], Attributes] | None = None
    """What an exception of the SDK states; an `error.type` in it goes before its class."""
    dials: Dials | None = None
    """Of operations whose model may be another one: not of embeddings, which would fit no others."""
    glance: Callable[[Any], Any] | None = None
    """As much of an answer as `response` reads, and nothing of what it says: that is read a moment
    later, when the call is settled."""


class Sent(NamedTuple):
    """One request of a client, as its own method is told to send it."""

    surface: Surface
    body: Mapping[str, Any]
    """What the surface reads as the request."""
    url: str
    """Where it goes: absolute, or a path below `base_url`."""
    base_url: Any = ""


class Asked(NamedTuple):
    """A request before it leaves, and how the SDK is told to send another one."""

    body: Mapping[str, Any]
    """As it goes over the wire, or as the SDK is given it; not changed."""
    dials: Dials | None
    instead: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    """Another such body to the arguments, by name, that say so to the SDK's method. None: the body is
    the arguments."""


def _as_given(given: Mapping[str, Any], sent: Sent) -> Asked:
    """The arguments are the request."""
    body = {name: value for name, value in given.items() if name != "self"}
    return Asked(body, sent.surface.dials)


class Patch(NamedTuple):
    """One function to watch: the module that holds it, and its dotted name there.

    With a `surface` its arguments, positional ones bound by name, are the request, and what it
    returns (awaited, if need be) is the answer or a stream of chunks. Without one it is the
    `request(cast_to, options, *, stream, ...)` of a client through which all calls of an SDK go;
    the provider's `paths` then say which surface a call has. With `sends` it is such a method of
    any other shape: `sends` reads from its arguments what goes out, None for what is no inference.
    Arguments behind the last named one stand under the name that the function has for them.
    """

    module: str
    name: str
    surface: Surface | None = None
    sends: Callable[[Mapping[str, Any]], Sent | None] | None = None
    optional: bool = False
    """Not in every supported version: where it is absent, nobody is warned."""


class Chunks(NamedTuple):
    """A class of streams that watched functions return: whatever its iteration gives is a chunk."""

    module: str
    name: str
    optional: bool = False
    """As of a `Patch`."""


def _unnamed(client: Any) -> str | None:
    return None


def _nowhere(given: Mapping[str, Any]) -> str | None:
    return None


class Provider(NamedTuple):
    """A provider SDK: the whole of what the engine needs to know about it."""

    name: str
    """Value of `gen_ai.provider.name` where neither host nor client says otherwise."""
    patches: Sequence[Patch]
    chunks: Sequence[Chunks] = ()
    paths: Mapping[str, Surface] = MappingProxyType({})
    """End of the path of a POST (`/chat/completions`) to surface. Of two that fit, the longer."""
    rewritten: Sequence[tuple[str, Surface]] = ()
    """Patterns of whole paths whose group `model` is the model, for requests that carry it there."""
    fetched: Sequence[tuple[str, Surface]] = ()
    """Patterns of `METHOD path`, or `METHOD stream path` where a stream is asked for, of requests
    that fetch the answers of earlier ones. A group `id` says which answer."""
    named: Callable[[Any], str | None] = _unnamed
    """Provider name of a client object, where its class knows better than the host."""
    base_url: Callable[[Mapping[str, Any]], str | None] = _nowhere
    """Address that a watched function with a surface asks, from its arguments, `self` included."""
    asked: Callable[[Mapping[str, Any], Sent], Asked | None] = _as_given
    """What a watched function is about to send, from its arguments by name; None where nobody can
    tell. Asked where calls are held to rules only."""
