"""What a call may cost at most, as far as its request says; that much is held back while it runs.

A tokenizer gives no more tokens than a text has bytes in UTF-8, so the texts of the request bound
its input, and `max_tokens` its output. What a provider adds by itself (a system prompt of its own,
tool results, an image in an address) nobody here can know.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from tollspan import semconv
from tollspan.calls import OpenCall, Price

__all__ = ["most_usd"]

# On the way of a call there is no time to look a name up in another module.
_OPERATION, _MAX_TOKENS = semconv.OPERATION, semconv.REQUEST_MAX_TOKENS
_CHOICES, _TIER = semconv.REQUEST_CHOICE_COUNT, semconv.OPENAI_REQUEST_SERVICE_TIER
_PROVIDER, _MODEL = semconv.PROVIDER, semconv.REQUEST_MODEL
_HOST = semconv.SERVER_ADDRESS

_NO_OUTPUT = frozenset({"embeddings", "rerank", "moderation", "count_tokens"})
_MOST_PARTS = 4000
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_BESIDE = 64
"""Tokens around a request: roles, separators, the names of its fields."""
_EACH = 8
_IMAGE = 2_000
"""Tokens of an image or a document that stands in the request as base64 or as bytes, about."""
_INLINE = 20_000
_PLAIN = frozenset({int, float, bool, type(None)})
_FEW = 3
_MOST_RATES = 512
_rates: dict[tuple[Any, ...], tuple[float, float] | None] = {}
_content, _role = itemgetter("content"), itemgetter("role")


def most_usd(call: OpenCall, price: Price | None) -> float | None:
    """US dollars that `call` costs at most; None where price, `max_tokens` or request are unknown."""
    known = call.attributes
    sending = call.sending
    if price is None or sending is None:
        return None
    body = sending.body
    output = 0
    if known.get(_OPERATION) not in _NO_OUTPUT:
        limit = known.get(_MAX_TOKENS)
        if limit is None:
            limit = next((body[name] for name in _LIMITS if name in body), None)
        if not isinstance(limit, int):
            return None
        choices = known.get(_CHOICES)
        output = limit * choices if isinstance(choices, int) and choices > 1 else limit
    tokens = _input_tokens(body)
    if tokens is None:
        return None
    rates = _rates_of(known, body.get("inference_geo"), tokens, price)
    return None if rates is None else tokens * rates[0] + output * rates[1]


def _input_tokens(body: Mapping[str, Any]) -> int | None:
    """No fewer than the request has; None for one of too many parts to count in passing."""
    found = _BESIDE + _EACH
    waiting: list[Any] | None = None
    for each in body.values():
        kind = type(each)
        if kind is str:
            found += len(each) if each.isascii() and len(each) <= _INLINE else _text(each)
        elif kind not in _PLAIN:
            if kind is list and (known := _plain_talk(each)):
                found += known
            elif waiting is None:
                waiting = [each]
            else:
                waiting.append(each)
    if waiting is None:
        return found
    inside = _parts(waiting)
    return None if inside is None else found + inside


def _plain_talk(messages: list[Any]) -> int:
    """Tokens of messages that have a role and a text and nothing else, as most have; 0 for others."""
    many = len(messages)
    if many <= _FEW:
        return _short_talk(messages)
    try:
        if sum(map(len, messages)) != 2 * many:
            return 0
        texts, roles = "".join(map(_content, messages)), "".join(map(_role, messages))
    except (TypeError, KeyError):
        return 0
    long = len(texts)
    if long > _INLINE:
        return 0
    if texts.isascii() and roles.isascii():
        return long + len(roles) + _EACH * many
    return _text(texts) + _text(roles) + _EACH * many


def _short_talk(messages: list[Any]) -> int:
    """As `_plain_talk`, of so few that one after another is quicker."""
    found = 0
    for message in messages:
        try:
            text, role = message["content"], message["role"]
            if type(text) is not str or type(role) is not str or len(message) != 2:
                return 0
        except (TypeError, KeyError):
            return 0
        found += _EACH
        for each in (role, text):
            found += len(each) if each.isascii() and len(each) <= _INLINE else _text(each)
    return found


def _text(text: str) -> int:
    """An image may stand in one, as base64, which has no spaces."""
    long = len(text)
    if long > _INLINE and " " not in text[:_INLINE]:
        return _IMAGE
    return long if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _parts(waiting: list[Any]) -> int | None:
    found = parts = 0
    while waiting:
        part = waiting.pop()
        kind = type(part)
        if kind is str:
            found += _text(part)
            continue
        if kind is list or kind is tuple:
            inside: Any = part
        elif kind is dict or isinstance(part, Mapping):
            found += _EACH
            inside = part.values()
        elif isinstance(part, (bytes, bytearray)):
            found += min(len(part), _IMAGE)
            continue
        elif hasattr(part, "model_dump") or hasattr(part, "__dataclass_fields__"):
            # An answer's message, put into the next request as it is.
            inside = getattr(part, "__dict__", {}).values()
        else:
            continue
        for each in inside:
            kind = type(each)
            if kind is str:
                found += _text(each)
            elif kind not in _PLAIN:
                waiting.append(each)
        parts += len(inside)
        if parts > _MOST_PARTS:
            return None
    return found


def _rates_of(
    known: Mapping[str, Any], geo: Any, tokens: int, price: Price
) -> tuple[float, float] | None:
    """US dollars for a token of input and of output, of a request about as long as this one."""
    provider, model = known.get(_PROVIDER), known.get(_MODEL)
    tier, host = known.get(_TIER), known.get(_HOST)
    if type(geo) is not str:
        geo = None  # the caller's own object, which need not be hashable
    length = tokens.bit_length()
    key = (provider, model, tier, host, geo, length)
    found = _rates.get(key)
    if found is None and key not in _rates:
        found = _looked_up(provider, model, tier, host, geo, 1 << length, price)
        if len(_rates) >= _MOST_RATES:
            _rates.clear()
        _rates[key] = found
    return found


def _looked_up(
    provider: Any, model: Any, tier: Any, host: Any, geo: str | None, size: int, price: Price
) -> tuple[float, float] | None:
    """At the next power of two: a longer context never costs less."""
    if not isinstance(provider, str) or not isinstance(model, str):
        return None
    tier = tier if isinstance(tier, str) else None
    host = host if isinstance(host, str) else None
    whole = price(provider, model, tier, size, 1000, host, geo)
    alone = price(provider, model, tier, size, 0, host, geo)
    if whole is None or alone is None:
        return None
    return alone / size, max(whole - alone, 0.0) / 1000
