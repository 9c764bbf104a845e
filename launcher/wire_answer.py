"""A captured answer as what it says: its events, its texts, the tool calls that it spells out.

Reads what providers send (foreign names), whatever shape it has: what is not there is not found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple, TypeGuard

from tollspan.wirefile import Exchange

__all__ = ["Answer", "Bad", "Issue"]


class Issue(NamedTuple):
    """One finding: a name that stays the same, and a sentence that explains it."""

    id: str
    """Of the exchange."""
    name: str
    text: str


class Bad(str):
    """Text where JSON was expected."""


ENDS = frozenset({"message_stop", "response.completed", "response.failed", "response.incomplete"})
"""Types of the last events of Anthropic's and OpenAI's streams."""


class Answer:
    """What one exchange was answered."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.body = exchange.body
        self.kind = exchange.header("content-type").lower()
        self.status = int((exchange.response or {}).get("status") or 0)
        self.is_sse = "event-stream" in self.kind and "amazon" not in self.kind
        self.has_frames = any("frames" in chunk for chunk in exchange.chunks)
        self.is_stream = self.is_sse or self.has_frames or "ndjson" in self.kind
        cut = bool((exchange.response or {}).get("truncated"))
        self.is_whole = exchange.end.get("how") == "complete" and not cut
        """The provider ended it, and all of it was kept."""
        self.is_cut = cut

    @cached_property
    def asked(self) -> dict[str, Any]:
        """The request's JSON; empty where it is none."""
        found = _parsed(str(self.exchange.request.get("body") or ""))
        return found if isinstance(found, dict) else {}

    @cached_property
    def data(self) -> list[str]:
        """The `data` of each event of SSE, the lines of JSON lines, the payloads of messages."""
        if self.has_frames:
            frames = [f for chunk in self.exchange.chunks for f in chunk.get("frames", ())]
            return [str(frame.get("text") or frame.get("payload") or "") for frame in frames]
        if self.is_sse:
            return [data for data in map(_data, _blocks(self.body)) if data is not None]
        if "ndjson" in self.kind:
            return [line for line in self.body.splitlines() if line.strip()]
        return []

    @cached_property
    def events(self) -> list[Any]:
        """What the events say; `Bad` where it is no JSON. `[DONE]` is left out."""
        found = []
        for data in self.data:
            if data.strip() == "[DONE]":
                continue
            event = _parsed(data)
            found.append(Bad(data) if event is None else event)
        return found

    @cached_property
    def document(self) -> Any:
        """The JSON of an answer that is no stream; None where it is none."""
        return None if self.is_stream else _parsed(self.body)

    @property
    def dones(self) -> int:
        return sum(data.strip() == "[DONE]" for data in self.data)

    def objects(self) -> Iterator[dict[str, Any]]:
        """Every object on top: of the events, or the one document."""
        for each in self.events if self.is_stream else [self.document]:
            for one in each if isinstance(each, list) else [each]:
                if isinstance(one, dict):
                    yield one
                    inner = one.get("response") or one.get("message")
                    if isinstance(inner, dict):
                        yield inner

    def said(self, *names: str) -> Any:
        """The last value that is not None under one of `names`."""
        found = None
        for each in self.objects():
            for name in names:
                if each.get(name) is not None:
                    found = each[name]
        return found

    @property
    def has_usage(self) -> bool:
        names = ("usage", "usageMetadata", "prompt_eval_count", "x_groq", "meta", "metadata")
        return bool(self.said(*names, "amazon-bedrock-invocationMetrics"))

    @property
    def ended(self) -> bool:
        """Whether a stream said that it was over."""
        if self.dones:
            return True
        for each in self.objects():
            if each.get("type") in ENDS or each.get("done") is True or each.get("stopReason"):
                return True
            if each.get("type") == "message-end" or each.get("event_type") == "stream-end":
                return True
            delta = each.get("delta")
            if isinstance(delta, dict) and delta.get("stop_reason"):
                return True
            for choice in _listed(each.get("choices")) + _listed(each.get("candidates")):
                if choice.get("finish_reason") or choice.get("finishReason"):
                    return True
        return False

    def tool_arguments(self) -> Iterator[tuple[str, str]]:
        """Name and arguments of each tool call, put together from its pieces."""
        names: dict[Any, str] = {}
        pieces: dict[Any, list[str]] = {}
        for each in self.objects():
            for key, name, part in _calls(each):
                names[key] = name or names.get(key, "")
                if part is not None:
                    pieces.setdefault(key, []).append(part)
        for key, parts in pieces.items():
            yield names.get(key, ""), "".join(parts)


def _calls(event: dict[str, Any]) -> Iterator[tuple[Any, str, str | None]]:
    """Place, name and a piece of the arguments of the tool calls in one object."""
    for choice in _listed(event.get("choices")):
        for where in ("delta", "message"):
            said = choice.get(where)
            listed = _listed(said.get("tool_calls")) if _is(said) else []
            for place, call in enumerate(listed):
                function = call.get("function")
                if _is(function):
                    key = (choice.get("index"), call.get("index", place))
                    yield key, str(function.get("name") or ""), _text(function.get("arguments"))
    kind, delta = event.get("type"), event.get("delta")
    if kind == "content_block_start" and _is(block := event.get("content_block")):
        yield event.get("index"), str(block.get("name") or ""), None
    elif _is(delta) and delta.get("type") == "input_json_delta":
        yield event.get("index"), "", _text(delta.get("partial_json"))
    elif kind == "response.function_call_arguments.delta":
        yield event.get("output_index"), "", _text(delta)
    for item in _listed(event.get("output")):
        if item.get("type") == "function_call" and not kind:
            yield item.get("id"), str(item.get("name") or ""), _text(item.get("arguments"))


def _is(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _listed(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _blocks(body: str) -> list[str]:
    """Events of SSE: what stands between empty lines."""
    return [
        block for block in body.replace("\r\n", "\n").replace("\r", "\n").split("\n\n") if block
    ]


def _data(block: str) -> str | None:
    lines = [line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:")]
    return "\n".join(lines) if lines else None
