"""What a good answer says, before any wire gives it its shape."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ._schema import instance
from .steps import Step

TEXT = (
    "a bridge carries what it is built to carry and asks each traveller for a toll "
    "so that the next one may cross it too"
)

DATED = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
    "gpt-5": "gpt-5-2025-08-07",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
}
"""Providers answer an alias with the dated snapshot behind it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, counted one way for all wires: input includes the cached, output the reasoning."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0

    def cut(self, sent: int, pieces: int) -> Usage:
        """What is billed when only `sent` of `pieces` pieces of text went out."""
        text_tokens = self.output_tokens - self.reasoning_tokens
        part = -(-text_tokens * sent // pieces) if pieces else text_tokens
        return Usage(
            self.input_tokens,
            self.reasoning_tokens + part,
            self.cache_read_tokens,
            self.cache_write_tokens,
            self.cache_write_1h_tokens,
            self.reasoning_tokens,
        )

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer: who answers, what, at what usage."""

    token: str
    """Unique in this process's answers; ids are made of it."""
    created_s: int
    model: str
    request: Mapping[str, Any]
    pieces: tuple[str, ...]
    tool_calls: tuple[tuple[str, str, str], ...]
    """Id, name, arguments as JSON text."""
    usage: Usage
    finish: str
    service_tier: str | None
    cost: Decimal | None

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def parts(self) -> int:
        """In how many pieces a stream brings it: those of the text, and one for each tool call."""
        return len(self.pieces) + len(self.tool_calls)


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `piece` is true where it carries a piece of the answer."""

    data: Any
    name: str = ""
    piece: bool = False


def reply(step: Step, request: Mapping[str, Any], token: str, created_s: int) -> Reply:
    """The answer that `step` gives to `request`; what the step leaves open, the request decides."""
    seed = _seed(request)
    used = _usage(step, request, seed)
    limit = _limit(request)
    finish = step.finish
    if step.output_tokens is None and limit is not None and used.output_tokens == limit:
        finish = "length" if finish == "stop" else finish
    called = enumerate(step.tool_calls)
    asked = str(request["model"])
    return Reply(
        token=token,
        created_s=created_s,
        model=step.model or DATED.get(asked, asked),
        request=request,
        pieces=_pieces(step, request, used, seed),
        tool_calls=tuple((f"call_{token}{n}", name, given) for n, (name, given) in called),
        usage=used,
        finish=finish,
        service_tier=step.service_tier,
        cost=step.cost,
    )


def input_tokens(request: Mapping[str, Any]) -> int:
    """About four characters to a token, over everything that the model would read."""
    read = {key: request[key] for key in _READ if key in request}
    return max(1, len(json.dumps(read, sort_keys=True)) // 4)


_READ = (
    "messages",
    "prompt",
    "input",
    "instructions",
    "system",
    "tools",
    "response_format",
    "text",
)


def _seed(request: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(request, sort_keys=True).encode())


def _limit(request: Mapping[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"):
        value = request.get(name)
        if isinstance(value, int) and value > 0:
            return value
    return None


def _usage(step: Step, request: Mapping[str, Any], seed: int) -> Usage:
    written = step.cache_write_tokens + step.cache_write_1h_tokens
    given = step.input_tokens
    if given is None:
        given = input_tokens(request) + step.cached_tokens + written
    out = step.output_tokens
    if out is None:
        out = step.reasoning_tokens + 16 + seed % 240
        limit = _limit(request)
        out = out if limit is None else max(step.reasoning_tokens, min(out, limit))
    return Usage(
        given, out, step.cached_tokens, written, step.cache_write_1h_tokens, step.reasoning_tokens
    )


def _pieces(step: Step, request: Mapping[str, Any], used: Usage, seed: int) -> tuple[str, ...]:
    text = step.text
    if text is None and step.tool_calls:
        return ()
    if text is None:
        text = _asked_for_json(request)
    if text is None:
        words = min(24, max(1, used.output_tokens - used.reasoning_tokens))
        known = TEXT.split()
        text = " ".join(known[(seed + place) % len(known)] for place in range(words))
    if step.chunks is not None:
        size = max(1, -(-len(text) // max(1, step.chunks)))
        return tuple(text[at : at + size] for at in range(0, len(text), size)) or ("",)
    parts = text.split(" ")
    return (parts[0], *(" " + part for part in parts[1:]))


def _asked_for_json(request: Mapping[str, Any]) -> str | None:
    """The smallest JSON that fits the schema that the request asks for, on any of the wires."""
    found: Any = request.get("response_format")
    if isinstance(found, dict) and isinstance(found.get("json_schema"), dict):
        found = found["json_schema"]
    for name in ("text", "output_config"):
        inside = request.get(name)
        if isinstance(inside, dict) and isinstance(inside.get("format"), dict):
            found = inside["format"]
    if isinstance(request.get("output_format"), dict):
        found = request["output_format"]
    if not isinstance(found, dict):
        return None
    if isinstance(found.get("schema"), dict):
        return json.dumps(instance(found["schema"]))
    return "{}" if found.get("type") == "json_object" else None
