"""What the provider shall do next: the steps of a script.

A step has three independent sides: how long it waits, what it answers, and where it breaks off.
`slow(0.2, then=disconnect(after_chunks=2))` has all three.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal

__all__ = [
    "Step",
    "content_filter",
    "disconnect",
    "error_in_stream",
    "hang",
    "odd",
    "odd_chunks",
    "ok",
    "repeat",
    "slow",
    "status",
    "verdict",
]

Cut = Literal["", "disconnect", "error", "hang"]

USUAL: Any = object()
"""As a raw body: the usual one. (None is a body: `null`.)"""


@dataclass(frozen=True, slots=True)
class Step:
    """One answer of the provider. Made by the functions of this module."""

    code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    """More response headers; they win over the usual ones."""
    # --- the answer; None: worked out from the request
    text: str | None = None
    tool_calls: tuple[tuple[str, str], ...] = ()
    """Name and arguments, as JSON text."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    model: str | None = None
    service_tier: str | None = None
    cost: Decimal | None = None
    finish: str = "stop"
    chunks: int | None = None
    # --- instead of the answer
    error: Mapping[str, Any] = field(default_factory=dict)
    retry_after_s: float | None = None
    billed: bool = True
    raw: Any = USUAL
    raw_chunks: Sequence[Any] | None = None
    done: bool = True
    # --- time and end
    delay_s: float = 0.0
    between_chunks_s: float = 0.0
    cut: Cut = ""
    after_chunks: int | None = None


def ok(
    *,
    text: str | None = None,
    tool_calls: Sequence[tuple[str, Mapping[str, Any] | str]] = (),
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    cached_tokens: int = 0,
    cache_write_tokens: int = 0,
    cache_write_1h_tokens: int = 0,
    reasoning_tokens: int = 0,
    model: str | None = None,
    service_tier: str | None = None,
    cost: Decimal | float | str | None = None,
    finish: str = "stop",
    chunks: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Step:
    """A good answer.

    Counts that are not given are a function of the request alone: the same request gets the same
    counts again.

    Args:
        tool_calls: name and arguments of each tool that the model asks for; arguments as text are
            sent as they stand. Without `text` the answer then has none.
        input_tokens: all input, cached and cache writes included, on either wire; where the wire
            counts otherwise (Anthropic), the answer is written in the wire's own way.
        output_tokens: all output, reasoning included.
        cached_tokens: the part of the input that was read from the provider's cache.
        cache_write_tokens, cache_write_1h_tokens: the parts that were written to it; on the
            Anthropic wire to be kept for five minutes and for one hour.
        model: the model that answers, when it is another one than asked for.
        service_tier: the tier that served, as the wire names it (`default`, `flex`, `standard`, …).
        cost: USD that the answer states as `usage.cost`, as OpenRouter does.
        finish: `stop`, `length` or `content_filter`, translated to the wire's own word.
        chunks: in how many pieces a stream brings the text; default: one per word.
        headers: more response headers.

    Raises:
        ValueError: the parts of the input are more than the input, or the reasoning more than
            the output.
    """
    parts = cached_tokens + cache_write_tokens + cache_write_1h_tokens
    if input_tokens is not None and parts > input_tokens:
        raise ValueError(f"cached and written tokens ({parts}) exceed input_tokens={input_tokens}")
    if output_tokens is not None and reasoning_tokens > output_tokens:
        raise ValueError(f"{reasoning_tokens=} exceeds {output_tokens=}")
    if finish not in ("stop", "length", "content_filter"):
        raise ValueError(f"{finish=}: write stop, length or content_filter")
    called = [
        (name, given if isinstance(given, str) else json.dumps(given)) for name, given in tool_calls
    ]
    return Step(
        text=text,
        tool_calls=tuple(called),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=cached_tokens,
        cache_write_tokens=cache_write_tokens,
        cache_write_1h_tokens=cache_write_1h_tokens,
        reasoning_tokens=reasoning_tokens,
        model=model,
        service_tier=service_tier,
        cost=None if cost is None else Decimal(str(cost)),
        finish=finish,
        chunks=chunks,
        headers=dict(headers or {}),
    )


def status(
    code: int,
    *,
    retry_after: float | None = None,
    body: Any = None,
    type: str | None = None,
    error_code: str | None = None,
    message: str | None = None,
    headers: Mapping[str, str] | None = None,
    billed: bool = False,
) -> Step:
    """An error with this HTTP status, in the provider's shape, or with `body` as it stands.

    Args:
        retry_after: seconds, sent as `retry-after` and `retry-after-ms`.
        type, error_code, message: fields of the error; by default what the provider uses.
        billed: the provider charges for it all the same: it failed after the model had run.
    """
    given = {"type": type, "code": error_code, "message": message}
    return Step(
        code=code,
        retry_after_s=retry_after,
        raw=USUAL if body is None else body,
        error={key: value for key, value in given.items() if value is not None},
        headers=dict(headers or {}),
        billed=billed,
    )


def content_filter(*, blocked: bool = False, text: str | None = None) -> Step:
    """A content filter: it ends the answer (billed), or with `blocked` refuses the request (400)."""
    if blocked:
        return status(
            400,
            type="invalid_request_error",
            error_code="content_filter",
            message="The response was filtered due to the prompt triggering a content policy.",
        )
    return ok(finish="content_filter", text=text)


def verdict(score: float, **more: Any) -> Step:
    """What a model answers whom a gateway's guardrail asks to judge: JSON with a score out of 100.

    `more` as in `ok`.
    """
    return ok(text=json.dumps({"verdicts": [], "overall_score": score}), **more)


def slow(seconds: float = 0.0, *, between_chunks: float = 0.0, then: Step | None = None) -> Step:
    """`then` (default: a good answer), late: seconds before the headers, and between chunks."""
    return replace(then or ok(), delay_s=seconds, between_chunks_s=between_chunks)


def disconnect(after_chunks: int | None = None, *, then: Step | None = None) -> Step:
    """The connection breaks.

    Without `after_chunks`: before anything was answered, and nothing is billed. With it: a stream
    after that many pieces of text, a plain answer in the middle of its body; a stream bills what
    was sent, a plain answer all of it, since the model ran.
    """
    return replace(then or ok(), cut="disconnect", after_chunks=after_chunks)


def error_in_stream(
    after_chunks: int = 1,
    *,
    type: str | None = None,
    message: str | None = None,
    then: Step | None = None,
) -> Step:
    """Status 200, some pieces of text, then an error event; a plain request gets status 500."""
    given = {"type": type, "message": message}
    error = {key: value for key, value in given.items() if value is not None}
    return replace(then or ok(), cut="error", after_chunks=after_chunks, error=error)


def hang(after_chunks: int | None = None, *, then: Step | None = None) -> Step:
    """Says nothing (more) until the client leaves or the server closes."""
    return replace(then or ok(), cut="hang", after_chunks=after_chunks)


def odd(
    body: Any, *, code: int = 200, headers: Mapping[str, str] | None = None, **usage: Any
) -> Step:
    """Answers `body` as it stands: JSON of any shape, or text or bytes; to a stream as its chunk.

    `usage` (`input_tokens=…`, `output_tokens=…`) is what the log shall say was billed; without it
    nothing was.
    """
    return replace(
        ok(**usage), code=code, raw=body, headers=dict(headers or {}), billed=bool(usage)
    )


def odd_chunks(
    chunks: Sequence[Any],
    *,
    done: bool = True,
    headers: Mapping[str, str] | None = None,
    **usage: Any,
) -> Step:
    """Answers a stream of these chunks as they stand.

    A chunk is JSON of any shape, a pair `(event name, JSON)`, or text or bytes that are written
    without any framing. `done` adds `data: [DONE]` on OpenAI's wires. `usage` as in `odd`.
    """
    return replace(
        ok(**usage),
        raw_chunks=tuple(chunks),
        done=done,
        headers=dict(headers or {}),
        billed=bool(usage),
    )


def repeat(step: Step, n: int) -> tuple[Step, ...]:
    """The same step `n` times; `Chaos.script` takes it among other steps."""
    return (step,) * n
